"""Who sends requests: returning users, and segments of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Population:
    """N users who come back, user n with chance activity[n] (N,), which sums to 1.

    With `sticky`, a user is assigned by a hash and keeps the arm; else every request is assigned on its own. `similarity`
    is the correlation between the outcomes of two requests of one user, in every metric.
    """

    activity: Floats
    sticky: bool
    similarity: float

    @property
    def users(self) -> int:
        """N."""
        return self.activity.size

    @cached_property
    def alias(self) -> tuple[Floats, Ints]:
        """(keep (N,), other (N,)) for drawing a user: see `alias_table`."""
        return alias_table(self.activity)


@dataclass(frozen=True)
class Segments:
    """Kinds of users, or of requests where there are no users.

    share (S,) sums to 1; factors {metric: (S,)} what a metric's mean is multiplied by in each segment, such that the mean over
    segments is unchanged: the sum of share * factor is 1. A metric that is not listed is the same in all.
    """

    names: tuple[str, ...]
    share: Floats
    factors: Mapping[str, Floats]


def alias_table(weights: Floats) -> tuple[Floats, Ints]:
    """(keep (N,), other (N,)) for drawing an index with given chances in constant time (Walker 1977; Vose 1991).

    Draw a place uniformly; take it with chance keep[place], else other[place].

    >>> keep, other = alias_table(np.array([0.5, 0.25, 0.25]))
    >>> ((keep + np.bincount(other, 1 - keep, minlength=3)) / 3).tolist()
    [0.5, 0.25, 0.25]
    """
    scaled = (weights * (weights.size / weights.sum())).tolist()
    keep, other = [1.0] * len(scaled), list(range(len(scaled)))
    small = [place for place, weight in enumerate(scaled) if weight < 1]
    large = [place for place, weight in enumerate(scaled) if weight >= 1]
    while small and large:
        low, high = small.pop(), large[-1]
        keep[low], other[low] = scaled[low], high
        scaled[high] -= 1 - scaled[low]
        if scaled[high] < 1:
            small.append(large.pop())
    return np.array(keep), np.array(other, np.int64)
