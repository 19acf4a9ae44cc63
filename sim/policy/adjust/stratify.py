"""Post-stratification: means are weighted by the segments' shares, so that a chance imbalance of segments adds no variance."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from sim.arrays import Bools, Floats
from sim.policy.adjust.base import Adjust, Pair, over, totals
from sim.policy.base import View
from sim.policy.columns import Column, MomentKind, SegmentMoment, mean_of
from sim.policy.contrast import Contrasts
from sim.policy.setting import DeclaredSetting, Metric, Setting

if TYPE_CHECKING:
    from sim.stats.within_ticks import Difference, WeightedMoments

Sums = tuple[Floats, Floats, Floats]


class Stratify(Adjust):
    """Means by segment, weighed by the segments' shares in the scenario; what differs between segments adds no variance.

    Valid where a request's segment is known before the arm acts, and requests are independent (Miratrix, Sekhon & Yu 2013;
    `sim.stats.stratify`). Nothing is known until every segment has two outcomes in each arm.

    >>> Stratify().kind
    'stratify'
    """

    kind: Literal["stratify"] = "stratify"
    single: ClassVar[bool] = True

    def needs(self, setting: Setting) -> tuple[Column, ...]:
        metric = setting.metrics[setting.primary]
        moments: tuple[MomentKind, ...] = ("count", "sum") if metric.binary else ("count", "sum", "square")
        own = (SegmentMoment(metric.name, segment, moment) for segment in setting.segments for moment in moments)
        return (*mean_of(metric.name), *own)

    def estimates(self, view: View, rows: Bools) -> Pair:
        from sim.stats.stratify import arms

        champion, challengers = self._sums(view, rows)
        return Pair(*arms(*champion, *challengers, list(view.setting.segments.values())))

    def gain(self, view: View, rows: Bools) -> Floats:
        from sim.stats.two_sample import two_sample

        champion, challengers = self._sums(view, rows)
        whole = (each.sum(axis=-1) for each in (*champion, *challengers))
        pair = self.estimates(view, rows)
        errors = pair.champion.standard_error, pair.challenger.standard_error
        adjusted = np.hypot(*(np.where(np.isfinite(error), error, 0.0) for error in errors)) ** 2
        return over(two_sample("welch", *whole).standard_error ** 2, adjusted)

    def within_ticks(self, view: View, rows: Bools) -> tuple[Difference, Floats]:
        from sim.stats.within_ticks import WeightedMoments, difference

        metric, contrasts = view.setting.metrics[view.setting.primary], view.contrasts.part(rows)
        by_segment = [_of_segment(contrasts, metric, each) for each in view.setting.segments]
        share = np.array(list(view.setting.segments.values()))
        found = [difference(*sides) for sides in by_segment]

        def added(name: str, power: int) -> Floats:
            parts: Floats = sum(weight**power * getattr(each, name) for weight, each in zip(share, found, strict=True))
            return parts

        whole = [
            WeightedMoments(*(sum(getattr(sides[at], name) for sides in by_segment) for name in ("count", "total", "square")))
            for at in range(2)
        ]
        plain = difference(whole[0], whole[1])
        least = np.min([each.information for each, weight in zip(found, share, strict=True) if weight > 0], axis=0)
        outcomes = np.min(
            [np.minimum(each.effective0, each.effective1) for each, weight in zip(found, share, strict=True) if weight > 0],
            axis=0,
        )
        adjusted = replace(
            plain, effect=added("effect", 1), variance0=added("variance0", 2), variance1=added("variance1", 2),
            base=added("base", 1), information=np.where((least > 0) & (outcomes >= 2 - 1e-9), plain.information, 0.0),
        )  # fmt: skip
        return adjusted, over(plain.variance0 + plain.variance1, adjusted.variance0 + adjusted.variance1)

    def _sums(self, view: View, rows: Bools) -> tuple[Sums, Sums]:
        """Counts, sums and sums of squares by segment, of the champion (rows, 1, S) and the challengers (rows, K - 1, S)."""
        metric = view.setting.metrics[view.setting.primary]
        count, total, square = (
            np.stack(totals(view, rows, *(SegmentMoment(metric.name, each, moment) for each in view.setting.segments)), axis=-1)
            for moment in _moments(metric.binary)
        )
        total = total * metric.grid
        square = total if metric.binary else square * metric.grid**2
        return (count[:, :1], total[:, :1], square[:, :1]), (count[:, 1:], total[:, 1:], square[:, 1:])

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        return [] if setting.segments else [("kind", "stratify needs `segments`")]


def _of_segment(contrasts: Contrasts, metric: Metric, segment: str) -> tuple[WeightedMoments, WeightedMoments]:
    count, total, square = (SegmentMoment(metric.name, segment, moment) for moment in _moments(metric.binary))
    return contrasts.moments(count, total, square, metric.grid)


def _moments(binary: bool) -> tuple[MomentKind, MomentKind, MomentKind]:
    """The columns of count, sum and sum of squares; a binary outcome is its own square."""
    return "count", "sum", "sum" if binary else "square"
