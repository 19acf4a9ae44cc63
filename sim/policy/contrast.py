"""What the stage machine adds up for comparisons within ticks: telemetry, weighted by the shares under which it arrived."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sim import ways
from sim.arrays import Bools, Floats, Ints, whole
from sim.policy.columns import Column

if TYPE_CHECKING:
    from sim.policy.setting import Metric
    from sim.stats.within_ticks import WeightedMoments

KINDS = 3
"""The weights of `sim.stats.within_ticks`: CENTRE, FIRST, SECOND."""


def share_of_two(live: Floats) -> Floats:
    """(r, K - 1) each challenger's share of its and the champion's traffic, from shares of live traffic (r, K).

    >>> share_of_two(np.array([[0.6, 0.2, 0.2], [0.0, 0.0, 1.0]]))
    array([[0.25, 0.25],
           [0.  , 1.  ]])
    """
    both = live[:, :1] + live[:, 1:]
    weight: Floats = live[:, 1:] / np.where(both > 0, both, 1.0)
    return weight


@dataclass(frozen=True)
class Contrasts:
    """Weighted sums since the stage was entered, of each pair of champion and challenger.

    sums (2, r, K - 1, C, KINDS): of the champion's outcomes, then of the challengers'. `columns` maps a column to its place on
    the axis C. Ticks are added in their order, so that the sums of a replication do not depend on its block.
    In memory replications are next to each other, as all arithmetic runs over them.
    """

    sums: Floats
    columns: dict[Column, int]

    @classmethod
    def empty(cls, rows: int, arms: int, columns: Sequence[Column]) -> Contrasts:
        """Sums of nothing."""
        sums = np.zeros((2, KINDS, len(columns), arms - 1, rows)).transpose(0, 4, 3, 2, 1)
        return cls(sums, {column: at for at, column in enumerate(columns)})

    @classmethod
    def of_one_tick(cls, counts: Ints, live: Floats, columns: Sequence[Column]) -> Contrasts:
        """The sums of one tick: counts (r, K, C), live (r, K) the shares of live traffic.

        >>> from sim.policy.columns import Moment
        >>> sums = Contrasts.of_one_tick(np.array([[[90], [10]]]), np.array([[0.9, 0.1]]), [Moment("m", "count")])
        >>> [side.round(2).tolist() for side in sums.of(Moment("m", "count"))]
        [[[[8.1, 9.0, 0.9]]], [[[0.9, 9.0, 8.1]]]]
        """
        contrasts = cls.empty(len(counts), counts.shape[1], columns)
        contrasts.add(np.arange(len(counts)), counts, live, np.arange(counts.shape[2]))
        return contrasts

    @property
    def in_memory(self) -> Floats:
        """(2, KINDS, C, K - 1, R) the sums as they lie in memory, for kernels."""
        return self.sums.transpose(0, 4, 3, 2, 1)

    def add(self, rows: Ints, counts: Ints, live: Floats, places: Ints) -> None:
        """Add a tick of replications `rows` (r,), whose counts arrived under the shares live (r, K).

        places (C',): where the first C' columns stand in counts (r, K, ·).
        """
        if ways.compiles(counts.size):
            from sim.policy import kernels

            kernels.add_contrasts(self.in_memory, whole(rows), whole(counts), whole(live), places)
            return
        from sim.stats.within_ticks import weigh

        weight = share_of_two(live)
        # While every replication is undecided, all sums are added to in place, which is faster.
        of: Ints | slice = slice(None) if rows.size == self.sums.shape[1] else rows
        for side, weighed in enumerate(weigh(counts[..., places].astype(np.float64), weight)):
            self.sums[side, of, :, : places.size] += weighed

    def add_weighed(self, rows: Ints, columns: Sequence[Column], sums: Floats) -> None:
        """Add sums (2, r, K - 1, C', KINDS) of a tick that are weighed already, of some of the columns."""
        places = [self.columns[column] for column in columns]
        for side in (0, 1):
            seen = self.sums[side, rows]
            seen[:, :, places] += sums[side]
            self.sums[side, rows] = seen

    def clear(self, rows: Ints) -> None:
        """Forget what replications `rows` (r,) have seen: they enter a stage."""
        self.sums[:, rows] = 0.0

    def part(self, rows: Ints | Bools | slice) -> Contrasts:
        """The sums of some replications, to read: those of a slice are not copied."""
        sums = self.sums[:, rows]
        sums.flags.writeable = False
        return Contrasts(sums, self.columns)

    def of(self, column: Column) -> tuple[Floats, Floats]:
        """(r, K - 1, KINDS) each: the weighted sums of a column, of the champion and of the challengers."""
        champion, challenger = self.sums[:, :, :, self.columns[column]]
        return champion, challenger

    def moments(
        self, count: Column, total: Column, square: Column, grid: float = 1.0
    ) -> tuple[WeightedMoments, WeightedMoments]:
        """The weighted moments of champion and challengers from three columns, in units of the grid's steps times `grid`."""
        from sim.stats.within_ticks import WeightedMoments

        counts, totals, squares = (self.of(column) for column in (count, total, square))
        champion, challenger = (
            WeightedMoments(n, y * grid, yy * grid**2) for n, y, yy in zip(counts, totals, squares, strict=True)
        )
        return champion, challenger

    def outcomes(self, metric: Metric) -> tuple[WeightedMoments, WeightedMoments]:
        """The weighted moments of a metric's outcomes, in its own unit."""
        from sim.policy.columns import moments_of

        # A binary outcome is its own square.
        columns = moments_of(metric)
        return self.moments(columns[0], columns[1], columns[-1], metric.grid)
