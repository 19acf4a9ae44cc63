"""Worlds and routings in which much happens at the same moment, for comparing event engines bit for bit.

A game is drawn as a plain dictionary, which shrinks and prints well, and then built. On a clock whose unit is 1 ns all times
are a few nanoseconds, so arrivals, completions, deadlines, back-offs, cold starts and edges meet everywhere, whatever the
distributions; on one of 1 s they meet where requests are recorded and services constant, and hardly ever elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from sim.engine.ledger import Ledger
from sim.policy.base import Routing
from sim.policy.columns import COUNTS, MOMENTS, Above, Agreement, Column, LatencySum
from sim.scenario.schema import FailureSpec
from sim.world.bursts import Bursts
from sim.world.capacity import Pool, Retry, Scaling
from sim.world.change import Change
from sim.world.feedback import Feedback
from sim.world.latency import Constant, Exponential, Gamma, Latency, LogNormal, Mixture, Pareto, Quantiles, Weibull
from sim.world.metric import OutcomeWorld
from sim.world.population import Population, Segments
from sim.world.trace import Trace, of_counts, of_times
from sim.world.traffic import Arrivals
from sim.world.world import World
from tests.columns import agreement, mirrored, moments
from tests.worlds import behaves, make_replayed_world, make_scenario, make_world

Said = Mapping[str, Any]
Seen = dict[str, NDArray[Any]]

NAMES = ("champion", "a", "b")
METRICS = ("conversion", "revenue", "score")
LEDGER = (
    "served", "calls", "mirrored", "duplicated", "lost", "retries", "errors", "slo_violations", "harmed", "harm",
    "peak_exposure", "regret", "regret_fixed", "cost_s", "regret_path",
)  # fmt: skip
# Weights of (champion, a, b); some do not quite sum to one.
LIVE = (
    (1, 0, 0), (0.5, 0.5, 0), (0, 1, 0), (0.3, 0.7, 0), (0.2, 0.3, 0.5), (0, 0.5, 0.5), (0, 0, 1), (0.1, 0.2, 0.7),
    (0.9, 0.1, 0), (1 / 3, 1 / 3, 1 / 3),
)  # fmt: skip
MIRROR = ((0, 0, 0), (0, 1, 1), (0, 0.5, 0), (1, 0, 0.5), (0.5, 0.5, 0.5), (0, 1, 0))


def columns(unit_ns: int) -> tuple[Column, ...]:
    """Every column that these worlds can give, but those of single requests."""
    plain = (
        *COUNTS, LatencySum(), Above(2 * unit_ns / 1e9), Above(5 * unit_ns / 1e9),
        *(column for name in METRICS for column in moments(name, *MOMENTS)), *agreement(*MOMENTS),
    )  # fmt: skip
    return (*plain, *mirrored(*plain))


# What is drawn. Times are in units of the clock.

SHARES = st.sampled_from((0.0, 0.5, 0.2, 1.0))
SMALL = st.integers(0, 4)


# What requests earn, by arm. Segments and changes multiply means by 0.2 to 2.25, within what scores can reach.
REVENUES = ("zero_inflated", "poisson", "negative_binomial", "pareto", "quantiles")
SCORES = ("normal", "categorical", "beta")


def _earns(kind: str, arm: int) -> dict[str, Any]:
    said: dict[str, Any] = {
        "zero_inflated": {"rate": 0.4, "amount": {"gamma": {"mean": 30.0 - 5 * arm, "sd": 10.0}}},
        "poisson": 1.3 + arm, "negative_binomial": {"mean": 2.0, "dispersion": 0.5 + arm},
        "pareto": {"minimum": 5.0, "tail": 1.5 + arm, "maximum": 5000.0},
        "quantiles": {"0%": 0.0, "50%": 3.0 + arm, "100%": 90.0}, "normal": {"mean": 5.0 + arm, "sd": 2.0},
        "categorical": {"0": 0.5, "1.5": 0.2, "3": 0.2 - 0.1 * arm, "4": 0.1 + 0.1 * arm},
        "beta": {"mean": 0.2 + 0.05 * arm, "sd": 0.1},
    }  # fmt: skip
    return {kind: said[kind]}


def times(least: int = 1) -> st.SearchStrategy[Any]:
    """A distribution of times, most of a few units."""
    scale = st.integers(max(least, 1), 8)
    return st.one_of(
        st.tuples(st.just("constant"), st.integers(least, 8)),
        st.tuples(
            st.sampled_from(("exponential", "steps", "quantiles", "gamma", "lognormal", "weibull", "pareto", "mixture")), scale
        ),
    )


LATE = st.fixed_dictionaries(
    {
        "laws": st.lists(times(0), min_size=1, max_size=3), "apart": st.sampled_from((0, 1)),
        "window": st.sampled_from((None, None, 0, 2, 5, 16)), "provisional": st.booleans(),
    }
)  # fmt: skip
SCALING = st.fixed_dictionaries(
    {
        "least": st.integers(1, 2), "more": st.integers(0, 3), "target": st.sampled_from((0.7, 0.3, 0.5, 1.0)),
        "cold_start": st.integers(0, 12), "cool_down": st.integers(0, 3),
    }
)  # fmt: skip
POOL = st.fixed_dictionaries(
    {
        "replicas": st.integers(1, 4), "concurrency": st.integers(1, 2),
        "queue": st.sampled_from((None, 3, 0, 1, 8)), "timeout": st.sampled_from((None, 8, 4, 2, 3, 12)),
        "patience": st.sampled_from((None, None, 4, 2, 8)),
        "scaling": st.none() | SCALING,
    }
)  # fmt: skip
ARM = st.fixed_dictionaries(
    {"latency": times(), "error_rate": st.sampled_from((0.0, 0.2, 0.5)), "pool": st.sampled_from((0, 1, -1))}
)
TICK = st.fixed_dictionaries(
    {
        "mean": st.sampled_from((3, 6, 1, 10, 0)), "live": st.integers(0, len(LIVE) - 1),
        "mirror": st.integers(0, len(MIRROR) - 1), "stages": st.integers(0, 7),
        "failing": st.sampled_from((0.0, 0.0, 0.5, 1.0)), "slowness": st.sampled_from((1.0, 2.0, 0.5, 4.0)),
        "factor": st.sampled_from((1.0, 0.5, 1.5)), "out": st.integers(0, 3),
    }
)  # fmt: skip


def games(units: tuple[int, ...] = (1, 1, 1_000_000_000)) -> st.SearchStrategy[Said]:
    """Any game on a clock of one of these units."""
    return st.sampled_from(units).flatmap(_games)


def plain_games() -> st.SearchStrategy[Said]:
    """Worlds in which nothing comes back: constant pools without a limit, one attempt, and nothing is known late."""
    return games().map(_plain)


def _plain(said: Said) -> Said:
    pools = [{**pool, "queue": None, "scaling": None} for pool in said["pools"]]
    ticks = [{**tick, "out": 0} for tick in said["ticks"]]
    needs = tuple(column for column in said["needs"] if not isinstance(column, Agreement))
    return {**said, "retry": None, "delays": {}, "loss": 0.0, "pools": pools, "ticks": ticks, "needs": needs}


def swinging_games() -> st.SearchStrategy[Said]:
    """Games in which load comes and goes, and replicas follow, some of which are on their way for several ticks."""
    wide = st.fixed_dictionaries(
        {
            "least": st.integers(1, 2), "more": st.integers(2, 8), "target": st.sampled_from((0.7, 0.4)),
            "cold_start": st.integers(0, 60), "cool_down": st.sampled_from((0, 0, 0, 1, 2)),
        }
    )  # fmt: skip
    # Rush, rush, lull: what was ordered in the second rush is cancelled before it comes.
    load = st.one_of(
        st.lists(st.sampled_from((0, 1, 8, 20)), min_size=9, max_size=9),
        st.tuples(st.sampled_from((12, 30)), st.sampled_from((0, 1, 3))).map(
            lambda levels: [levels[k % 3 == 2] for k in range(9)]
        ),
    )
    return st.tuples(games((1,)), wide, load).map(lambda drawn: _swinging(*drawn))


def _swinging(said: Said, scaling: Said, load: list[int]) -> Said:
    pool = {**said["pools"][0], "scaling": scaling}
    ticks = [{**said["ticks"][place % len(said["ticks"])], "mean": mean, "failing": 0.0} for place, mean in enumerate(load)]
    arms = [{**arm, "pool": 0 if place < 2 else arm["pool"]} for place, arm in enumerate(said["arms"])]
    return {**said, "arrivals": "poisson", "pools": [pool, said["pools"][1]], "ticks": ticks, "arms": arms}


def scaled(
    tick: int,
    latency: int,
    means: list[int],
    *,
    cold_start: int,
    timeout: int | None = None,
    out: Mapping[int, int] | None = None,
    concurrency: int = 1,
) -> Said:
    """One arm's pool that scales from one replica, with calls of a constant length, and a few replicas down in some ticks."""
    rule = {"least": 1, "more": 5, "target": 0.7, "cold_start": cold_start, "cool_down": 0}
    plain = {"live": 0, "mirror": 0, "stages": 0, "failing": 0.0, "slowness": 1.0, "factor": 1.0}
    pool = {"replicas": 1, "concurrency": concurrency, "queue": None, "timeout": timeout, "patience": None, "scaling": rule}
    return {
        "unit_ns": 1, "tick": tick, "rows": 1, "seed": 0,
        "arms": [{"latency": ("constant", latency), "error_rate": 0.0, "pool": 0}] * 2, "pools": [pool] * 2,
        "ticks": [{**plain, "mean": mean, "out": (out or {}).get(number, 0)} for number, mean in enumerate(means)],
        "arrivals": "poisson", "recorded": [0, 1], "retry": None, "users": None, "segments": None, "changes": True,
        "replayed": False, "revenue": "zero_inflated",
        "score": "normal", "loss": 0.0, "writes": 0.0, "copied": 1.0, "misrouted": 0.0, "delays": {}, "lag": 0, "slo": None,
        "needs": columns(1), "decided": [-1], "arm": [0], "failed": 0.0,
    }  # fmt: skip


def _games(unit_ns: int) -> st.SearchStrategy[Said]:
    whole = columns(unit_ns)
    return st.fixed_dictionaries(
        {
            "unit_ns": st.just(unit_ns), "tick": st.integers(1, 16), "rows": st.integers(1, 3), "seed": st.integers(0, 10**6),
            "arms": st.lists(ARM, min_size=2, max_size=3), "pools": st.lists(POOL, min_size=2, max_size=2),
            "ticks": st.lists(TICK, min_size=3, max_size=9),
            "arrivals": st.sampled_from(("recorded", "poisson", "regular", "bursts", "counts")),
            "recorded": st.lists(st.integers(0, 40), min_size=2, max_size=40),
            "retry": st.none() | st.fixed_dictionaries(
                {"attempts": st.integers(2, 5), "on": st.integers(1, 7), "base": SMALL, "factor": st.sampled_from((1.0, 2.0)),
                 "longest": st.sampled_from((float("inf"), 3.0)), "jitter": st.sampled_from((0.0, 0.5, 1.0))}
            ),
            "users": st.none() | st.fixed_dictionaries(
                {"activity": st.lists(st.integers(1, 9), min_size=1, max_size=6), "sticky": st.booleans(), "similarity": SHARES}
            ),
            "segments": st.none() | st.sampled_from((0.5, 1.0, 1.2)),
            "changes": st.sampled_from((True, True, False)), "replayed": st.booleans(),
            "revenue": st.sampled_from(REVENUES), "score": st.sampled_from(SCORES),
            "loss": st.sampled_from((0.0, 0.3)), "writes": st.sampled_from((0.0, 0.5, 1.0)), "misrouted": SHARES,
            "copied": st.sampled_from((1.0, 0.0, 0.4)),
            "delays": st.dictionaries(st.sampled_from(METRICS), LATE, max_size=3), "lag": st.sampled_from((0, 0, 1, 2)),
            "slo": st.none() | st.integers(1, 6), "failed": st.sampled_from((0.0, 1.0, -2.5, None)),
            "needs": st.just(whole) | st.lists(st.sampled_from(whole), unique=True, max_size=6).map(tuple),
            "decided": st.lists(st.sampled_from((-1, -1, 4, 2, 0, 6, 1)), min_size=3, max_size=3),
            "arm": st.lists(st.integers(0, 2), min_size=3, max_size=3),
        }
    )  # fmt: skip


# From what is drawn to what is played.


@dataclass(frozen=True)
class Game:
    """A world of R replications, what is asked of it, live and mirror (T, R, K) and cohort (T, R), and verdicts (R,).

    copied: the share of the copies of requests that write that is made.
    """

    world: World
    rows: int
    needs: tuple[Column, ...]
    live: NDArray[np.float64]
    mirror: NDArray[np.float64]
    copied: float
    cohort: NDArray[np.int64]
    arm: NDArray[np.int64]
    decided: NDArray[np.int64]


def game(said: Said) -> Game:
    """A game as it was drawn."""
    arms, ticks, rows = len(said["arms"]), len(said["ticks"]), said["rows"]
    live, mirror = np.zeros((ticks, rows, arms)), np.zeros((ticks, rows, arms))
    cohort = np.zeros((ticks, rows), np.int64)
    for tick, each in enumerate(said["ticks"]):
        for row in range(rows):
            weights = np.array(LIVE[(each["live"] + row) % len(LIVE)][:arms])
            # What is left of three arms' weights where there are two.
            if weights.sum() < 0.99:
                weights = weights / weights.sum() if weights.any() else np.eye(arms)[0]
            live[tick, row] = weights
            mirror[tick, row] = MIRROR[(each["mirror"] + row) % len(MIRROR)][:arms]
            cohort[tick:, row] += each["stages"] >> row & 1
    decided = np.minimum(said["decided"][:rows], ticks - 1)
    arm = np.minimum(said["arm"][:rows], arms - 1)
    return Game(world(said), rows, said["needs"], live, mirror, said["copied"], cohort, arm, decided)


def world(said: Said) -> World:
    """The world of a game."""
    unit_ns, arms = said["unit_ns"], said["arms"]
    unit_s, names = unit_ns / 1e9, NAMES[: len(said["arms"])]
    made = _replayed(names) if said["replayed"] else _behaving(names, said["revenue"], said["score"])
    pools = tuple(_pool(said, number, unit_ns) for number in range(2) if any(arm["pool"] == number for arm in arms))
    slo = said["slo"]
    return replace(
        made,
        outcomes=tuple(_failing(outcome, said["failed"]) for outcome in made.outcomes),
        counts_failures=said["failed"] is not None,
        seed=said["seed"],
        tick_s=said["tick"] * unit_ns / 1e9,
        arrivals=_arrivals(said),
        error_rate=np.array([arm["error_rate"] for arm in arms]),
        latency=tuple(_time(arm["latency"], unit_s) for arm in arms),
        latency_limit=None if slo is None else (0.9, slo * unit_s),
        population=_population(said),
        segments=_segments(said),
        change=_change(said, pools) if said["changes"] else None,
        pools=pools,
        retry=_retry(said["retry"], unit_s),
        feedback={name: _feedback(delay, unit_s, len(arms)) for name, delay in said["delays"].items()},
        lag=said["lag"],
        loss=said["loss"],
        writes=said["writes"],
        misrouted=np.array([0.0, *[said["misrouted"]] * (len(arms) - 1)]) if said["misrouted"] else None,
    )


def _failing(outcome: OutcomeWorld, worth: float | None) -> OutcomeWorld:
    """A metric of which a failed request counts as this, as nearly as it can."""
    failure = None if worth is None else FailureSpec(worth=worth)
    return replace(outcome, spec=outcome.spec.model_copy(update={"failure": failure}))


def _feedback(said: Said, unit_s: float, arms: int) -> Feedback:
    """The delays of arms and outcomes in turn, a window or none, and what an outcome is until it is known."""
    laws = [_time(each, unit_s) for each in said["laws"]]
    success, failure = (tuple(laws[(arm + start) % len(laws)] for arm in range(arms)) for start in (0, said["apart"]))
    return Feedback(success, failure, None if said["window"] is None else said["window"] * unit_s, said["provisional"])


def _population(said: Said) -> Population | None:
    users = said["users"]
    if users is None:
        return None
    activity = np.array(users["activity"]) / sum(users["activity"])
    return Population(activity, users["sticky"], 0.0 if said["replayed"] else users["similarity"])


def _segments(said: Said) -> Segments | None:
    most = said["segments"]
    if most is None:
        return None
    factors = {} if said["replayed"] else {name: np.array([most, 4 - 3 * most]) for name in ("conversion", "score")}
    return Segments(("most", "few"), np.array([0.75, 0.25]), factors)


def _time(said: tuple[str, int], unit_s: float) -> Latency:
    kind, n = said
    halves = Quantiles((0.0, 0.5, 1.0), (unit_s, 2 * unit_s, (n + 1) * unit_s))
    made: dict[str, Latency] = {
        "constant": Constant(n * unit_s), "exponential": Exponential(n * unit_s), "gamma": Gamma(0.5, 2 * n * unit_s),
        "lognormal": LogNormal(float(np.log(max(n, 1) * unit_s)), 1.0), "weibull": Weibull(0.8, n * unit_s),
        "pareto": Pareto(max(n, 1) * unit_s / 2, 1.5),
        # A few values only, but for a thousandth of the draws.
        "steps": Quantiles((0.0, 0.5, 0.501, 1.0), tuple(step * unit_s for step in (1, 1, n + 1, n + 1))),
        "quantiles": Quantiles((0.0, 0.5, 0.9, 1.0), tuple(step * unit_s for step in (0, n, 2 * n, 5 * n))),
        "mixture": Mixture((0.5, 0.25, 0.25), (Constant(unit_s), Gamma(0.5, n * unit_s), halves)),
    }  # fmt: skip
    return made[kind]


def _pool(said: Said, number: int, unit_ns: int) -> Pool:
    each, scaling = said["pools"][number], said["pools"][number]["scaling"]
    arms = tuple(arm for arm, one in enumerate(said["arms"]) if one["pool"] == number)
    replicas, scales = each["replicas"], None
    if scaling is not None:
        most = scaling["least"] + scaling["more"]
        replicas = min(max(replicas, scaling["least"]), most)
        cold_start_ns = scaling["cold_start"] * unit_ns
        scales = Scaling(scaling["least"], most, scaling["target"], cold_start_ns, scaling["cool_down"])
    limits = (each[name] for name in ("timeout", "patience"))
    timeout_ns, patience_ns = (None if limit is None else limit * unit_ns for limit in limits)
    return Pool(f"pool{number}", arms, replicas, each["concurrency"], each["queue"], timeout_ns, scales, patience_ns)


def _retry(said: Said | None, unit_s: float) -> Retry | None:
    if said is None:
        return None
    on = (bool(said["on"] & 1), bool(said["on"] & 2), bool(said["on"] & 4))
    return Retry(said["attempts"], *on, said["base"] * unit_s, said["factor"], said["longest"] * unit_s, said["jitter"])


def _change(said: Said, pools: tuple[Pool, ...]) -> Change:
    arms = len(said["arms"])

    def table(key: str, plain: float) -> NDArray[np.float64]:
        """(T, K) what was drawn, on all arms but the champion and, where there is one, the last in turn."""
        found = np.full((len(said["ticks"]), arms), plain)
        for tick, each in enumerate(said["ticks"]):
            found[tick, 1 if tick % 2 else slice(1)] = each[key]
        return found

    out = np.array([[each["out"] * (number == tick % 2) for number in range(2)] for tick, each in enumerate(said["ticks"])])
    factors = {} if said["replayed"] else {name: table("factor", 1.0) for name in ("conversion", "revenue")}
    return Change(table("failing", 0.0), table("slowness", 1.0), factors, out[:, : len(pools)].astype(np.int64))


def _arrivals(said: Said) -> Arrivals:
    unit_ns, tick_ns = said["unit_ns"], said["tick"] * said["unit_ns"]
    mean = np.array([float(each["mean"]) for each in said["ticks"]])
    match said["arrivals"]:
        case "recorded":
            times_ns = np.sort(np.array(said["recorded"], np.int64)) * unit_ns
            if times_ns[0] == times_ns[-1]:
                times_ns[-1] += unit_ns
            return _traced(of_times(times_ns), len(mean), tick_ns, recorded=True)
        case "counts":
            trace = of_counts(np.array(said["recorded"]) / 4, 3 * unit_ns)
            return _traced(trace, len(mean), tick_ns, recorded=False)
        case "bursts":
            return Arrivals(mean, tick_ns, "poisson", Bursts(4.0, 6.0 * unit_ns, 3.0 * unit_ns))
        case law:
            return Arrivals(mean, tick_ns, law)


def _traced(trace: Trace, ticks: int, tick_ns: int, recorded: bool) -> Arrivals:
    edges = np.arange(ticks + 1, dtype=np.int64) * tick_ns
    before = trace.recorded_before(edges, True) if recorded else trace.before(edges, True)
    return Arrivals(
        np.diff(before).astype(np.float64), tick_ns, "regular" if recorded else "poisson", None, trace, True, 1.0, recorded
    )


def _metrics() -> list[dict[str, Any]]:
    return [{"name": "conversion", "role": "primary"}, {"name": "revenue"}, {"name": "score"}]


def _behaving(names: tuple[str, ...], revenue: str, score: str) -> World:
    said = [
        behaves(
            outcomes={
                "conversion": {"bernoulli": 0.1 + 0.08 * arm},
                "revenue": _earns(revenue, arm),
                "score": _earns(score, arm),
            },
            agreement=0.8 - 0.2 * arm,
        )
        for arm in range(len(names))
    ]  # fmt: skip
    return make_world(make_scenario(arms=names, metrics=_metrics()), said)


def _replayed(names: tuple[str, ...]) -> World:
    table = np.arange(15).reshape(5, 3)[:, : len(names)]
    rewards = {"conversion": table % 4 == 1, "revenue": table * 7 % 11, "score": table * 5 % 3}
    metrics = [
        {**metric, "reward": "correct" if metric["name"] == "conversion" else {"column": "price"}} for metric in _metrics()
    ]
    return make_replayed_world(make_scenario(arms=names, metrics=metrics, data={"sklearn": "digits"}), rewards, table % 2 == 0)


# What comes of it.


def played(make: Any, of: Game, record: bool = True) -> Seen:
    """Telemetry of every tick and ledger, of an engine class that can keep calls; and the calls, if it is to."""
    truth = of.world.realise(np.arange(of.rows))
    engine = make(truth, of.needs, bool(of.mirror.any()), record=record)
    engine.ledger.watch(np.arange(0, of.world.ticks + 1, 2))
    found: Seen = {}
    for tick in range(of.world.ticks):
        rows = np.flatnonzero((of.decided < 0) | (of.decided > tick))
        if not rows.size:
            break
        mirror = of.mirror[tick, rows]
        routing = Routing(rows, of.live[tick, rows], mirror, of.cohort[tick, rows], of.copied * mirror)
        found[f"telemetry of tick {tick}"] = engine.step(routing).counts
    engine.settle(of.arm, of.decided)
    if record:
        # Calls do not say which replication they are of; those of several are put in one order.
        found["fates"] = np.sort(engine.calls)
    return {**found, **ledger(engine.ledger)}


def ledger(of: Ledger) -> Seen:
    """The account, field by field."""
    return {name: np.asarray(getattr(of, name)) for name in LEDGER}


def differences(one: Seen, other: Seen) -> str:
    """What the first difference of two plays is, in words; empty where all bits are the same."""
    assert one.keys() == other.keys()
    for name, found in one.items():
        expected = other[name]
        if name == "fates" and len(found) != len(expected):
            extra = set(found.tolist()) ^ set(expected.tolist())
            return f"{len(found)} calls against {len(expected)}; the first that only one has is {min(extra, default='a copy')}"
        if found.tobytes() != expected.tobytes():
            where = tuple(int(place) for place in np.argwhere(found != expected)[0])
            return f"{name}{list(where)}: {found[where]} against {expected[where]}"
    return ""
