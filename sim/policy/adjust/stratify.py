"""Post-stratification: segments count by their share, so that a chance imbalance between the arms adds no noise."""

from __future__ import annotations

from typing import Literal

import numpy as np

from sim.arrays import Bools
from sim.policy.adjust.base import Adjust, Pair, columns
from sim.policy.base import DeclaredSetting, Setting, View


class Stratify(Adjust):
    """Means by segment, weighed by the segments' shares in the scenario; what differs between segments adds no variance.

    Valid where a request's segment is known before the arm acts, and requests are independent (Miratrix, Sekhon & Yu 2013;
    `sim.stats.stratify`). Nothing is known until every segment has two outcomes in each arm.

    >>> Stratify().kind
    'stratify'
    """

    kind: Literal["stratify"] = "stratify"

    def needs(self, setting: Setting) -> tuple[str, ...]:
        metric = setting.metrics[setting.primary]
        moments = ("count", "sum") if metric.binary else ("count", "sum", "square")
        own = (f"{metric.name}.segment.{name}.{moment}" for name in setting.segments for moment in moments)
        return (f"{metric.name}.count", f"{metric.name}.sum", *own)

    def estimates(self, view: View, rows: Bools) -> Pair:
        from sim.stats.stratify import arms

        metric = view.setting.metrics[view.setting.primary]
        moments = ("count", "sum", "sum" if metric.binary else "square")
        count, total, square = (
            np.stack([columns(view, rows, metric, f"segment.{name}.{moment}")[0] for name in view.setting.segments], axis=-1)
            for moment in moments
        )
        total = total * metric.grid
        square = total if metric.binary else square * metric.grid**2
        before, after = ((each[:, :1] for each in (count, total, square)), (each[:, 1:] for each in (count, total, square)))
        (n0, sum0, square0), (n1, sum1, square1) = before, after
        return Pair(*arms(n0, sum0, square0, n1, sum1, square1, list(view.setting.segments.values())))

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        return [] if setting.segments else [("kind", "stratify needs `segments`")]
