"""The policies worth choosing from: not dominated, or not shown to be worse than the best."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from sim.compare.measure import Measure
from sim.compare.measures import MEASURES
from sim.compare.rules import named
from sim.compare.trials import Trials
from sim.errors import InputError, Problem, format_path
from sim.stats.intervals import Estimate, paired_proportion_difference


def frontier(points: Mapping[str, tuple[float, ...]]) -> tuple[str, ...]:
    """Names of the points, such as (time, regret), better lower, that no other point dominates, in the order of points.

    A point dominates another if it is no worse in all and better in one.

    >>> frontier({"ab": (9.0, 1.0), "canary": (2.0, 3.0), "slow": (9.5, 3.0)})
    ('canary', 'ab')
    """
    kept = [
        name
        for name, point in points.items()
        if not any(other != point and all(map(operator.le, other, point)) for other in points.values())
    ]
    return tuple(sorted(kept, key=lambda name: points[name]))


# Of a policy that promises nothing: it may not ship what is no better more often than not.
_EVEN = 0.5


def aim(pool: Iterable[Trials]) -> Measure:
    """What policies are chosen by: net value; regret where that is not known of all of them."""
    known = all(MEASURES["net_value"].estimate(each).estimate is not None for each in pool)
    return MEASURES["net_value" if known else "regret"]


def in_time(trials: Trials) -> bool:
    """Whether at least half of the trials have shipped or kept by the horizon."""
    return trials.incidence.quantile(0.5) is not None


def keeps_promise(trials: Trials) -> bool:
    """Whether wrong ships are not shown to be more than the policy's rule allows itself.

    A policy whose rule promises nothing must not be shown to ship what is no better more often than not.
    """
    least = MEASURES["wrong_ship"].estimate(trials).lower
    return least is None or least <= (_EVEN if trials.promised is None else trials.promised)


def leaders(measure: Measure, pool: Sequence[Trials], confidence: float = 0.95) -> tuple[str, ...]:
    """The policy with the best estimate, first, and those that are not shown to be worse than it, in order.

    Shown to be worse means that the paired interval (or, for a measure without one, both unpaired intervals)
    leaves out a tie, at a confidence that holds for all comparisons with the best together (Bonferroni). Empty
    where there is no estimate or no better direction.

    Source: Hsu, Multiple Comparisons (1996), ch. 4, comparisons with the best.
    """
    estimates = {each.policy: measure.estimate(each) for each in pool}
    known = [each for each in pool if estimates[each.policy].estimate is not None]
    if measure.better == "none" or not known:
        return ()
    sign = 1 if measure.better == "lower" else -1
    best = min(known, key=lambda each: sign * _point(estimates[each.policy]))
    joint = 1 - (1 - confidence) / max(len(known) - 1, 1)

    def worse(other: Trials) -> bool:
        difference = measure.difference(other, best, joint)
        if difference is None:
            return _side(estimates[other.policy], estimates[best.policy]) == sign
        return differs(difference) == sign

    return (best.policy, *(each.policy for each in known if each is not best and not worse(each)))


def dominates(measures: Sequence[Measure], first: Trials, second: Trials, confidence: float) -> bool:
    """Whether the first policy is shown to be no worse than the second in every measure, and better in one.

    In each measure it must be better by the interval of the paired difference (or, for a measure without one, both unpaired 95%
    intervals), or the same in every trial. That two shares of few trials are the same shows nothing: it is often so by chance.
    As all must hold together, each is held to the whole confidence.

    Source: intersection-union tests: Berger, Technometrics 24 (1982).
    """
    sides = [_ahead(measure, first, second, confidence) for measure in measures]
    return all(side is not None and side >= 0 for side in sides) and any(sides)


def _ahead(measure: Measure, first: Trials, second: Trials, confidence: float) -> int | None:
    """+1 or -1 where the first is shown to be better or worse, 0 where both are the same in every trial, else None."""
    # Of events that are rare all trials may be alike by chance: there the interval of the difference tells.
    if measure.values is not None and measure.pair is not paired_proportion_difference:
        a, b = measure.values(first), measure.values(second)
        if np.array_equal(first["replication"], second["replication"]) and np.array_equal(a, b, equal_nan=True):
            return 0
    difference = measure.difference(first, second, confidence)
    side = differs(difference) if difference else _side(measure.estimate(first), measure.estimate(second))
    return None if side is None else side if measure.better == "higher" else -side


def frontier_problems(names: Sequence[str], path: tuple[str, ...] = ("search", "frontier")) -> list[Problem]:
    """The problems of the measures that a frontier is asked of.

    >>> print(*frontier_problems(["net_value", "wrong_shipp", "ship"]), sep="\\n")
    search.frontier[1]: no measure 'wrong_shipp'; did you mean wrong_ship?
    search.frontier[2]: neither more nor less of ship is better, so it has no frontier
    """
    problems: list[Problem] = []
    for place, name in enumerate(names):
        where = format_path((*path, place))
        try:
            policy, measure = named(name, path=where)
        except InputError as error:
            problems += error.problems
            continue
        if policy is not None:
            problems.append(Problem(f"is of all policies: leave out {policy}", where))
        elif MEASURES[measure].better == "none":
            problems.append(Problem(f"neither more nor less of {measure} is better, so it has no frontier", where))
    return problems


def differs(difference: Estimate | None) -> int | None:
    """+1 or -1 if the interval of a difference lies above or below 0; None if the interval includes 0 or is unknown.

    >>> differs(Estimate(2.0, 0.5, 3.5, 9)), differs(Estimate(2.0, -0.5, 4.5, 9)), differs(None)
    (1, None, None)
    """
    if difference is None or difference.lower is None or difference.upper is None:
        return None
    return 1 if difference.lower > 0 else -1 if difference.upper < 0 else None


def _side(a: Estimate, b: Estimate) -> int | None:
    """`differs` of two estimates that are not paired: their intervals must not meet."""
    if a.lower is not None and b.upper is not None and a.lower > b.upper:
        return 1
    return -1 if a.upper is not None and b.lower is not None and a.upper < b.lower else None


def _point(estimate: Estimate) -> float:
    assert estimate.estimate is not None
    return estimate.estimate
