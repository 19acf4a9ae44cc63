"""Two engines side by side: a world to play, what they show under a fixed routing, and how far apart two samples are.

Traffic is low and ticks are short, so that several calls straddle every edge, and every arm is of another family.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.engine.aggregate.engine import AggregateEngine
from sim.engine.base import Maker
from sim.engine.compiled.engine import CompiledEngine
from sim.engine.ledger import Ledger
from sim.policy.base import Routing
from sim.policy.columns import Column
from sim.policy.machine import Verdicts
from sim.world.world import World
from tests.worlds import behaves, make_scenario, make_world

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ARMS = ("champion", "a", "b")


def metrics(**delays: dict[str, str]) -> list[dict[str, Any]]:
    """A primary metric and two others, and an objective of 2 s; by metric, how late its feedback is."""
    said: list[dict[str, Any]] = [{"name": "conversion", "role": "primary"}, {"name": "score"}, {"name": "revenue"}]
    late = [{**each, "delay": delays[each["name"]]} if each["name"] in delays else each for each in said]
    return [*late, {"name": "error_rate", "role": "guardrail"}, {"name": "latency", "role": "guardrail", "max": "2s"}]


def three_families(**changes: Any) -> World:
    """Three arms of three latency families and three families of outcome; `changes` replace keys of the scenario."""
    latencies = (
        {"gamma": {"mean": "1s", "sd": "500ms"}},
        {"lognormal": {"median": "800ms", "p99": "2s"}},
        {"quantiles": {"0%": "100ms", "50%": "700ms", "90%": "2s", "100%": "6s"}},
    )
    behaviours = [
        behaves(
            outcomes={
                "conversion": {"bernoulli": 0.3 + 0.1 * arm},
                "score": {"normal": {"mean": 5.0 + arm, "sd": 2.0}},
                "revenue": {"zero_inflated": {"rate": 0.4, "amount": {"gamma": {"mean": 30.0 - 5 * arm, "sd": 10.0}}}},
            },
            latency=latencies[arm],
            error_rate=0.1 + 0.05 * arm,
            agreement=0.8 - 0.2 * arm,
        )
        for arm in range(3)
    ]
    said: dict[str, Any] = {"tick": "10s", "horizon": "1m", "traffic": {"rate": "3/s"}, "metrics": metrics()}
    return make_world(make_scenario(arms=ARMS, **{**said, **changes}), behaviours)


def observed(make: Maker, world: World, replications: Ints, needs: tuple[Column, ...]) -> tuple[Floats, Floats]:
    """(R, T, D) telemetry under a fixed routing, a stage ending after three ticks, and (R, L) the ledger.

    Half of the replications are decided after four ticks. Calls are mirrored if any of the `needs` is about those.
    """
    truth = world.realise(replications)
    mirrors = any(column.mirrored for column in needs)
    engine = make(truth, needs, mirrors)
    rows = np.arange(truth.rows)
    arms = len(world.arms)
    live, mirror = np.array([0.5, 0.3, 0.2])[:arms], np.array([0.0, 0.6, 1.0])[:arms] * mirrors
    shown = np.zeros((truth.rows, world.ticks, arms * len(needs)))
    for tick in range(world.ticks):
        some = rows if tick < 4 else rows[::2]
        cohort = np.full(some.size, int(tick >= 3))
        routing = Routing(some, np.tile(live / live.sum(), (some.size, 1)), np.tile(mirror, (some.size, 1)), cohort)
        shown[some, tick] = engine.step(routing).counts.reshape(some.size, -1)
    decided = np.where(rows % 2, 4, -1)
    engine.settle(np.where(rows % 2, 1, 0), decided)
    ledger = engine.ledger
    account = [ledger.served, ledger.mirrored, ledger.errors[:, None], ledger.slo_violations[:, None], ledger.regret[:, None]]
    return shown, np.concatenate([*account, ledger.cost_s[:, None]], axis=1).astype(float)


def lanes(needs: Sequence[Column], arms: int = 3, ticks: int = 1) -> Ints:
    """(T K C,) for every column of a tick: 0 for live calls, 1 + arm for mirrored ones, which are copies of live ones."""
    mirrored = np.array([column.mirrored for column in needs])
    return np.tile(np.concatenate([mirrored * (1 + arm) for arm in range(arms)]), ticks)


def apart(one: Floats, other: Floats) -> Floats:
    """Standard errors between the means of two samples, column by column; 0 where both are the same constant."""
    return _in_errors(
        one.mean(axis=0) - other.mean(axis=0),
        one.var(axis=0) / len(one) + other.var(axis=0) / len(other),
        np.maximum(one.std(axis=0), other.std(axis=0)),
    )


def spread_apart(one: Floats, other: Floats, lane: Ints | None = None) -> Floats:
    """Standard errors between the variances and covariances of two samples, for every pair of columns (of one lane)."""
    (first, first_error), (second, second_error) = _covariance(one), _covariance(other)
    sd = np.maximum(one.std(axis=0), other.std(axis=0))
    pair = np.triu(np.ones((len(sd), len(sd)), bool) if lane is None else lane[:, None] == lane)
    return _in_errors(first - second, first_error + second_error, np.outer(sd, sd))[pair]


def _covariance(sample: Floats) -> tuple[Floats, Floats]:
    """(D, D) covariances, and the variances of their estimates: those of the mean of a product of deviations."""
    centred = sample - sample.mean(axis=0)
    covariance = centred.T @ centred / len(sample)
    return covariance, ((centred**2).T @ centred**2 / len(sample) - covariance**2) / len(sample)


def _in_errors(difference: Floats, variance: Floats, scale: Floats) -> Floats:
    constant = variance <= 1e-18 * np.maximum(scale, 1.0) ** 2
    assert (np.abs(difference[constant]) < 1e-6 * np.maximum(scale[constant], 1.0)).all()
    return np.where(constant, 0.0, difference / np.sqrt(np.where(constant, 1.0, variance)))


def play(make: Maker, world: World, policies: Any, name: str, replications: Ints) -> tuple[Verdicts, Ledger]:
    """A policy in some replications."""
    truth = world.realise(replications)
    policy = policies[name].build(policies, world.arms)
    setting = world.setting(truth.rows)
    engine = make(truth, policy.needs(setting), policy.mirrors())
    routing = policy.start(setting)
    while routing.rows.size and engine.tick < world.ticks:
        routing = policy.step(engine.step(routing))
    engine.settle(policy.verdicts.arm, policy.verdicts.decided_tick)
    return policy.verdicts, engine.ledger


# Of standard errors, among thousands of variances and covariances: more than any of them is apart by chance.
MOST = 5.2


def assert_same_law(one: tuple[Any, Any], other: tuple[Any, Any]) -> None:
    """What two engines show in other replications of six ticks, and their totals, as `observed` gives them, have one law."""
    halves = ((slice(None), slice(0, 4)), (slice(None, None, 2), slice(4, 6)))
    means = [apart(*(shown[rows, ticks].reshape(len(shown[rows]), -1) for shown, _ in (one, other))) for rows, ticks in halves]
    z = np.concatenate(means)
    assert np.abs(z).max() < 4.5
    assert z[z != 0].std() < 1.5
    # Variances, and covariances between metrics, arms and ticks.
    for ticks, rows in (([0, 1], slice(None)), ([2, 3], slice(None)), ([4, 5], slice(None, None, 2))):
        sides = (shown[rows][:, ticks].reshape(len(shown[rows]), -1) for shown, _ in (one, other))
        assert np.abs(spread_apart(*sides)).max() < MOST
    assert np.abs(apart(one[1][::2], other[1][::2])).max() < 4.2


def assert_same_law_of_many_ticks(world: World, needs: Sequence[Column]) -> None:
    """What the compiled and the aggregate engine show of the first arm in 600 other replications has one law."""
    rows, shown = np.arange(600), []
    for engine, replications in ((CompiledEngine, rows), (AggregateEngine, rows + 50_000)):
        made = engine(world.realise(replications), tuple(needs), False)
        live = np.tile([0.4, 0.3, 0.3], (rows.size, 1))
        routing = Routing(rows, live, np.zeros_like(live), np.zeros(rows.size, np.int64))
        counts = np.stack([made.step(routing).counts for _ in range(world.ticks)], axis=1)[:, :, 0].astype(float)
        shown.append(counts.reshape(rows.size, -1))
    assert np.abs(apart(*shown)).max() < 4.3
    assert np.abs(spread_apart(*shown)).max() < MOST
