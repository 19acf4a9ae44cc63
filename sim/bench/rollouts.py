"""How fast whole rollouts play on the aggregate engine, beside a plain loop and a published library of bandits."""

from __future__ import annotations

from functools import cache, partial
from importlib.util import find_spec
from typing import Any

import numpy as np

from sim.arrays import Bools
from sim.bench.measure import INSTALL, Contender, Missing
from sim.engine.catalogue import make
from sim.policy.base import Verdict
from sim.run.plan import PlannedPoint
from sim.run.trial import Play, play
from sim.stats.group_sequential import design
from sim.workflow import plan_scenario
from sim.world.streams import generator

REPLICATIONS, TICKS = 1_000, 2_016
QUICK_REPLICATIONS, QUICK_TICKS = 200, 300
# A peer plays one replication, of so many ticks.
PEER_TICKS, QUICK_PEER_TICKS = 50, 5
LOOKS, LOOK_TICKS = 5, 44
# Outcomes an arm and tick, and their mean; an outcome is in flight for 50 ms, so some end in the next tick.
PER_TICK, RATE = 1_500, 0.05
SAMPLE = LOOK_TICKS * PER_TICK

_POLICIES: dict[str, dict[str, Any]] = {
    "ab": {"name": "policy", "kind": "ab", "evidence": {"kind": "fixed_horizon", "sample": 10**9}},
    "thompson": {
        "name": "policy", "kind": "bandit", "allocation": {"kind": "thompson"},
        "evidence": {"kind": "fixed_horizon", "sample": 10**9},
    },
    "five_looks": {
        "name": "policy", "kind": "ab", "evidence": {"kind": "group_sequential", "looks": LOOKS, "sample": SAMPLE},
    },
}  # fmt: skip


def rollouts(quick: bool) -> tuple[list[Contender], list[Missing]]:
    """The contenders, in the order of the table, and the peers that are not installed.

    A turn returns its number of trial-ticks, or of trials.

    >>> [contender.key for contender in rollouts(True)[0] if not contender.peer]
    ['undecided_ab', 'undecided_thompson', 'five_looks', 'five_looks_plain']
    """
    replications, ticks = (QUICK_REPLICATIONS, QUICK_TICKS) if quick else (REPLICATIONS, TICKS)
    rows = [
        Contender("undecided_ab", "undecided A/B, trial-ticks/s", _undecided("ab", replications, ticks)),
        Contender(
            "undecided_thompson", "undecided Thompson sampling, trial-ticks/s", _undecided("thompson", replications, ticks)
        ),
        Contender("five_looks", "A/B of five looks, trials/s", partial(_count, partial(five_looks, replications))),
        Contender(
            "five_looks_plain", "the same test in a plain NumPy loop, nothing else counted, trials/s",
            partial(_count, partial(plain_five_looks, replications)),
        ),
    ]  # fmt: skip
    if find_spec("mabwiser") is None:
        return rows, [Missing("mabwiser", f"is not installed: {INSTALL}")]
    what = "mabwiser, Thompson sampling, request by request, trial-ticks/s"
    turn = partial(mabwiser_thompson, QUICK_PEER_TICKS if quick else PEER_TICKS)
    rows.insert(2, Contender("mabwiser", what, turn, peer=True))
    return rows, []


def five_looks(replications: int, effect: float = 0.0) -> Bools:
    """(R,) whether an O'Brien-Fleming design with five looks declared a difference, played tick by tick by this program."""
    played = _play("five_looks", replications, 2 * LOOK_TICKS, effect)
    assert (played.verdict != Verdict.UNDECIDED).all()
    return np.asarray(played.columns["time_to_significance_s"] > 0)


def plain_five_looks(replications: int, effect: float = 0.0) -> Bools:
    """(R,) the same by a loop over trials and looks, with one draw an arm and look and a test of two shares."""
    bounds = design("obrien_fleming", LOOKS).bounds
    random = generator(7, 0, "bench.plain")
    each = SAMPLE // LOOKS
    declared = np.zeros(replications, bool)
    for trial in range(replications):
        champion, challenger = random.binomial(each, (RATE, RATE * (1 + effect)), size=(LOOKS, 2)).cumsum(axis=0).T
        for look in range(LOOKS):
            n = each * (look + 1)
            p0, p1 = champion[look] / n, challenger[look] / n
            variance = (p0 * (1 - p0) + p1 * (1 - p1)) / n
            if abs(p1 - p0) >= bounds[look] * variance**0.5:
                declared[trial] = True
                break
    return declared


def mabwiser_thompson(ticks: int) -> float:
    """The ticks that one trial of MABWiser's Thompson sampling took, with as many requests a tick as this program plays.

    It chooses an arm for each request and learns the outcomes of a tick together. It counts nothing else, and no request is in
    flight.
    """
    from mabwiser.mab import MAB, LearningPolicy

    random = generator(7, 0, "bench.mabwiser")
    bandit = MAB([0, 1], LearningPolicy.ThompsonSampling(), seed=7)
    # It chooses only after it has learned something of each arm.
    bandit.fit(np.array([0, 1]), np.array([0, 0]))
    for _ in range(ticks):
        arms = np.array([bandit.predict() for _ in range(2 * PER_TICK)])
        bandit.partial_fit(arms, (random.random(arms.size) < RATE).astype(np.int64))
    return float(ticks)


def _undecided(name: str, replications: int, ticks: int) -> partial[float]:
    return partial(_trial_ticks, name, replications, ticks)


def _trial_ticks(policy: str, replications: int, ticks: int) -> float:
    played = _play(policy, replications, ticks, 0.0)
    assert (played.verdict == Verdict.UNDECIDED).all()
    return float(replications * ticks)


def _count(play_all: partial[Bools]) -> float:
    return float(play_all().size)


def _play(policy: str, replications: int, ticks: int, effect: float) -> Play:
    point = _point(policy, replications, ticks, effect)
    truth = point.world.realise(np.arange(replications))
    return play(truth, point.policy("policy"), make("aggregate"), 2)


@cache
def _point(policy: str, replications: int, ticks: int, effect: float) -> PlannedPoint:
    """The world and the policy, which are built once."""
    scenario = {
        "name": "bench", "seed": 7, "replications": replications, "engine": "aggregate",
        "tick": "10m", "horizon": f"{10 * ticks}m",
        "traffic": {"rate": f"{2 * PER_TICK / 600}/s"}, "metrics": [{"name": "conversion", "role": "primary"}],
        "models": [{"arm": arm, "uri": f"models:/bench/{number}"} for number, arm in enumerate(("champion", "challenger"), 1)],
        "policies": [_POLICIES[policy]],
    }  # fmt: skip
    rates = RATE, RATE * (1 + effect)
    behaviours = [{"outcomes": {"conversion": {"bernoulli": rate}}, "latency": {"exponential": "50ms"}} for rate in rates]
    (point,) = plan_scenario(scenario, behaviours).points
    return point
