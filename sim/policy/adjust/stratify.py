"""Post-stratification: means are weighted by the segments' shares, so that a chance imbalance of segments adds no variance."""

from __future__ import annotations

from typing import Literal

import numpy as np

from sim.arrays import Bools
from sim.policy.adjust.base import Adjust, Pair, totals
from sim.policy.base import DeclaredSetting, Setting, View
from sim.policy.columns import Column, MomentKind, SegmentMoment, mean_of


class Stratify(Adjust):
    """Means by segment, weighed by the segments' shares in the scenario; what differs between segments adds no variance.

    Valid where a request's segment is known before the arm acts, and requests are independent (Miratrix, Sekhon & Yu 2013;
    `sim.stats.stratify`). Nothing is known until every segment has two outcomes in each arm.

    >>> Stratify().kind
    'stratify'
    """

    kind: Literal["stratify"] = "stratify"

    def needs(self, setting: Setting) -> tuple[Column, ...]:
        metric = setting.metrics[setting.primary]
        moments: tuple[MomentKind, ...] = ("count", "sum") if metric.binary else ("count", "sum", "square")
        own = (SegmentMoment(metric.name, segment, moment) for segment in setting.segments for moment in moments)
        return (*mean_of(metric.name), *own)

    def estimates(self, view: View, rows: Bools) -> Pair:
        from sim.stats.stratify import arms

        metric = view.setting.metrics[view.setting.primary]
        moments: tuple[MomentKind, ...] = ("count", "sum", "sum" if metric.binary else "square")
        count, total, square = (
            np.stack(totals(view, rows, *(SegmentMoment(metric.name, each, moment) for each in view.setting.segments)), axis=-1)
            for moment in moments
        )
        total = total * metric.grid
        square = total if metric.binary else square * metric.grid**2
        champion, challengers = (
            (each[:, :1] for each in (count, total, square)),
            (each[:, 1:] for each in (count, total, square)),
        )
        (n0, sum0, square0), (n1, sum1, square1) = champion, challengers
        return Pair(*arms(n0, sum0, square0, n1, sum1, square1, list(view.setting.segments.values())))

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        return [] if setting.segments else [("kind", "stratify needs `segments`")]
