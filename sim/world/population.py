"""Who sends requests: returning users, and segments of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sim.arrays import Floats, Ints

_APART = 1024


@dataclass(frozen=True)
class Population:
    """N users who come back, user n with chance activity[n] (N,), which sums to 1.

    With `sticky`, a user is assigned by a hash and keeps the arm; else every request is assigned on its own; with `ratchets`
    only until one goes to a challenger, where the user stays while it has any weight. `similarity` is the correlation between
    the outcomes of two requests of one user, in every metric.
    """

    activity: Floats
    sticky: bool
    similarity: float
    ratchets: bool = False

    @property
    def users(self) -> int:
        """N."""
        return self.activity.size

    def distinct(self, requests: Ints) -> Floats:
        """How many different users are to be expected among so many requests (...): the sum over users of 1 - (1 - p)^n.

        Of more than 2,048 users, the most active 1,024 count each on their own and the others in 1,024 groups by their mean
        activity, which errs by less than 0.1%.

        >>> population = Population(np.array([0.5, 0.25, 0.25]), sticky=True, similarity=0.0)
        >>> population.distinct(np.array([0, 1, 2])).tolist()
        [0.0, 1.0, 1.625]
        """
        chance, users = self._groups
        with np.errstate(divide="ignore", invalid="ignore"):
            missed = np.exp(np.multiply.outer(np.maximum(requests, 0).astype(np.float64), np.log1p(-chance)))
        missed[np.asarray(requests) == 0] = 1.0
        # Summed row by row, as a matrix product's last digit depends on how many rows there are.
        return np.asarray(((1 - missed) * users).sum(axis=-1))

    @cached_property
    def _groups(self) -> tuple[Floats, Floats]:
        """(G,) each: chances, and how many users have them."""
        ordered = np.sort(self.activity)
        if ordered.size <= 2 * _APART:
            return ordered, np.ones(ordered.size)
        parts = np.array_split(ordered[:-_APART], _APART)
        chance = np.array([part.mean() for part in parts])
        sizes = np.array([part.size for part in parts], np.float64)
        return np.append(chance, ordered[-_APART:]), np.append(sizes, np.ones(_APART))

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
