"""What was seen, held against what is simulated: within error that is exact, whatever the distributions are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sim.arrays import Bools, Floats, Ints
from sim.live.watched import Unit

ERROR = 0.01
"""The chance, at most, that anything at all differs if the simulation is right."""
_RANK = 2


@dataclass(frozen=True)
class Compared:
    """A quantity as it was `seen`, and the interval that it was to lie in; `middle` is the median that is predicted.

    seen is NaN where there was nothing to tell it by.
    """

    what: str
    arm: str
    copies: bool
    unit: Unit
    seen: float
    lower: float
    middle: float
    upper: float
    agrees: bool


def replications(comparisons: int) -> int:
    """How many replications tell whether each of so many quantities is out at an error of `ERROR` for all together.

    If the simulation is right, the rehearsal is one more replication: each rank among R + 1 is as likely as the others, so it
    lies beyond the 2nd from either end with a chance of at most 4 / (R + 1), whatever the distribution (a distribution-free
    prediction interval: David & Nagaraja 2003, "Order Statistics", 7.3). By Bonferroni that is the error over `comparisons`.

    >>> replications(10)
    3999
    """
    return math.ceil(2 * _RANK * comparisons / ERROR) - 1


def interval(values: Floats, comparisons: int) -> tuple[float, float]:
    """The ends of the interval that holds one more value like these (R,), with the error of one of so many comparisons.

    Of those that are not NaN, n, it is the k-th from either end, with k the largest for which 2 k / (n + 1) is no more than the
    error; without bounds where that is none.

    >>> interval(np.array([np.nan, *range(399)]), comparisons=1)
    (1.0, 397.0)
    >>> interval(np.arange(10.0), comparisons=1)
    (-inf, inf)
    """
    known = np.sort(values[~np.isnan(values)])
    rank = int((known.size + 1) * ERROR / (2 * comparisons) + 1e-9)
    return (float(known[rank - 1]), float(known[-rank])) if rank else (-math.inf, math.inf)


def like(verdict: int, arm: int, verdicts: Ints, arms: Ints) -> Bools:
    """(R,) which replications a rehearsal is compared with, by how it ended: `verdict` and `arm`; theirs are (R,) each.

    What ends early has fewer requests. So where at least half of the replications end in one way, the rehearsal is compared
    with those if it ended so, and else with the others: given that, it is one more of them.
    """
    ends = np.stack([verdicts, arms], axis=1)
    kinds, which, count = np.unique(ends, axis=0, return_inverse=True, return_counts=True)
    most = int(count.argmax())
    if 2 * count[most] < verdicts.size:
        return np.ones(verdicts.size, bool)
    found: Bools = (which.reshape(-1) == most) == bool((kinds[most] == (verdict, arm)).all())
    return found


def compared(what: tuple[str, str, bool, Unit], seen: float, models: Sequence[Floats], comparisons: int) -> Compared:
    """A quantity seen, and what each model of the servers predicts of it, (R,) each: it may be any of them.

    The interval goes from the lowest end to the highest. What nothing told, seen is NaN, agrees: it is the number of requests
    that says whether it should have been told.
    """
    ends = [interval(values, comparisons) for values in models]
    lower, upper = min(low for low, _ in ends), max(high for _, high in ends)
    together = np.concatenate(list(models))
    known = together[~np.isnan(together)]
    agrees = math.isnan(seen) or lower <= seen <= upper
    return Compared(*what, seen, lower, float(np.median(known)) if known.size else math.nan, upper, agrees)


def decided_alike(verdict: int, arm: int, models: Sequence[tuple[Ints, Ints]]) -> tuple[float, bool]:
    """The share of replications that end with a verdict, and whether it is none of the rarest, by some model of the servers.

    models: verdicts and arms, (R,) each. At least 2 `_RANK` replications are to end as rarely, or more so: if the rehearsal is
    one more replication, it ends more rarely than that with a chance of at most 2 `_RANK` / (R + 1).
    """
    shares, alike = [], False
    for verdicts, arms in models:
        ends = np.stack([verdicts, arms], axis=1)
        _, which, count = np.unique(ends, axis=0, return_inverse=True, return_counts=True)
        mine = (ends == (verdict, arm)).all(axis=1)
        as_rare = count[which.reshape(-1)] <= mine.sum()
        shares.append(float(mine.mean()))
        alike = alike or (bool(mine.any()) and int(as_rare.sum()) >= 2 * _RANK)
    return float(np.mean(shares)), alike
