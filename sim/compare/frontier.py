"""The policies worth choosing from: not dominated, or not shown to be worse than the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sim.compare.measure import Measure
from sim.compare.measures import MEASURES
from sim.compare.trials import Trials
from sim.stats.intervals import Estimate


def frontier(points: Mapping[str, tuple[float, float]]) -> tuple[str, ...]:
    """Names of the points (time, regret), both better lower, that no other point dominates, by time then regret.

    A point dominates another if it is no worse in both and better in one.

    >>> frontier({"ab": (9.0, 1.0), "canary": (2.0, 3.0), "slow": (9.5, 3.0)})
    ('canary', 'ab')
    """
    kept = [
        name
        for name, point in points.items()
        if not any(other[0] <= point[0] and other[1] <= point[1] and other != point for other in points.values())
    ]
    return tuple(sorted(kept, key=lambda name: points[name]))


# Of a policy that promises nothing: it may not ship what is no better more often than not.
_EVEN = 0.5


def choices(trials: Mapping[str, Trials]) -> list[Trials]:
    """The policies among which to look for the best; none where none is fit to be chosen.

    They are no baselines, ship or keep in at least half of their trials, and keep their promise. A policy that never decides
    ships nothing wrong, so it would look best; so would one that ships whatever comes, wherever that costs nothing.
    """
    return [each for each in trials.values() if not each.is_baseline and in_time(each) and keeps_promise(each)]


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
