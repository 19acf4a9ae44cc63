"""What calls earn of one metric, by segment and tick of arrival, for the aggregate engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sim.arrays import Floats, Ints
from sim.engine.aggregate.refusals import changing
from sim.world.outcomes import Factor, Outcomes
from sim.world.streams import Keys, at
from sim.world.world import Truth

Sums = tuple[Ints, Ints, Ints]
"""Count, sum and sum of squares of outcomes, (r, K) each."""

_LATER = 2**20


@dataclass(frozen=True)
class Earnings:
    """Outcomes of one metric, by segment and by the tick of arrival.

    by_segment (S,) factors of the mean, or None if all segments are equal; by_tick gives the factors of a tick, (K,) or (R, K),
    and is None if the mean is constant.
    """

    outcome: Outcomes
    by_segment: Floats | None
    by_tick: Callable[[int], Floats] | None

    @classmethod
    def of(cls, truth: Truth, metric: str) -> Earnings:
        """The earnings of a metric in a block."""
        segments = truth.world.segments
        by_segment = None if segments is None else segments.factors.get(metric)
        by_tick = (lambda tick: truth.factor(metric, tick)) if changing(truth.world, metric) else None
        return cls(truth.outcomes[metric], by_segment, by_tick)  # type: ignore[arg-type]

    def same(self, tick: int, other: int) -> bool:
        """Whether requests that arrive in two ticks have the same outcome distribution."""
        return self.by_tick is None or other < 0 or np.array_equal(self.by_tick(tick), self.by_tick(other))

    def sums(self, n: Ints, rows: Ints, tick: int, key: Keys) -> tuple[Ints, Ints]:
        """(r, K) each: sum and sum of squares of the outcomes of n (r, K, S) requests of a tick."""
        factor = self._factor(rows, tick)
        if self.by_segment is None:
            return self.outcome.sums(summed(n, 2), rows, key, factor)
        sums = [
            self.outcome.sums(n[..., place], rows, at(key, place + 1), factor * by)
            for place, by in enumerate(self.by_segment)
        ]  # fmt: skip
        return sum(total for total, _ in sums), sum(square for _, square in sums)  # type: ignore[return-value]

    def in_segment(self, n: Ints, segment: int, rows: Ints, tick: int, key: Keys) -> Ints:
        """(r, K) sum of the outcomes of n (r, K) requests of one segment and a tick."""
        by = 1.0 if self.by_segment is None else self.by_segment[segment]
        return self.outcome.sums(n, rows, key, self._factor(rows, tick) * by)[0]

    def _factor(self, rows: Ints, tick: int) -> Factor:
        if self.by_tick is None:
            return 1.0
        found = self.by_tick(tick)
        return found[rows] if found.ndim == 2 else found

    def both(self, now: Ints, before: Ints, rows: Ints, tick: int, key: Keys) -> tuple[Ints, Ints]:
        """(r, K) each: sum and sum of squares over requests (r, K, S) of a tick and of the tick before."""
        if self.same(tick, tick - 1):
            return self.sums(now + before, rows, tick, key)
        if not before.any():
            return self.sums(now, rows, tick, key)
        one, other = self.sums(now, rows, tick, key), self.sums(before, rows, tick - 1, at(key, _LATER))
        return one[0] + other[0], one[1] + other[1]


def summed(counts: Ints, axis: int) -> Ints:
    """Sums over an axis. An axis of length 1, as in most worlds, is only taken away, which is faster.

    >>> summed(np.array([[3], [4]]), 1).tolist()
    [3, 4]
    """
    return np.asarray(counts.take(0, axis) if counts.shape[axis] == 1 else counts.sum(axis))
