"""CUPED: less variance, by a covariate that was known of each request before the test."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from sim.arrays import Bools, Floats
from sim.policy.adjust.base import Adjust, Pair, over, split, totals
from sim.policy.base import View
from sim.policy.columns import Column, covariate_moments, moments_of
from sim.policy.setting import DeclaredSetting, Setting

if TYPE_CHECKING:
    from sim.stats.moments import Moments
    from sim.stats.within_ticks import Difference


class Cuped(Adjust):
    """Outcomes less what the metric's covariate explains, which multiplies their variance by 1 - correlation^2.

    One slope, estimated within the arms, serves champion and challenger. Valid where the arm cannot change the covariate, and
    requests are independent (Deng, Xu, Kohavi & Walker 2013, §3; `sim.stats.cuped`).

    >>> Cuped().kind
    'cuped'
    """

    kind: Literal["cuped"] = "cuped"
    single: ClassVar[bool] = True

    def needs(self, setting: Setting) -> tuple[Column, ...]:
        return (*moments_of(setting.metrics[setting.primary]), *covariate_moments(setting.primary))

    def estimates(self, view: View, rows: Bools) -> Pair:
        from sim.stats.cuped import arms

        return Pair(*arms(*self._moments(view, rows)))

    def gain(self, view: View, rows: Bools) -> Floats:
        from sim.stats.cuped import difference

        left = difference(*self._moments(view, rows)).variance_ratio
        return 1 / np.where(left > 0, left, 1.0)

    def promised_gain(self, setting: Setting) -> float:
        correlation = setting.metrics[setting.primary].covariate or 0.0
        return 1 / (1 - correlation**2)

    def within_ticks(self, view: View, rows: Bools) -> tuple[Difference, Floats]:
        from sim.stats.within_ticks import CENTRE, SECOND, WeightedMoments, difference

        metric, contrasts = view.setting.metrics[view.setting.primary], view.contrasts.part(rows)
        sides = contrasts.outcomes(metric)
        x, square, cross = (contrasts.of(column) for column in covariate_moments(metric.name))
        before = [
            WeightedMoments(side.count, x[at] * metric.grid, square[at] * metric.grid**2) for at, side in enumerate(sides)
        ]
        products = [each * metric.grid**2 for each in cross]
        count = [np.where(side.count > 0, side.count, 1.0)[..., CENTRE] for side in sides]
        within = [
            products[at][..., CENTRE] - before[at].total[..., CENTRE] * side.total[..., CENTRE] / count[at]
            for at, side in enumerate(sides)
        ]
        spread = before[0].spread[..., CENTRE] + before[1].spread[..., CENTRE]
        slope = np.where(spread > 0, (within[0] + within[1]) / np.where(spread > 0, spread, 1.0), 0.0)
        left = [side.less(slope, before[at], products[at]) for at, side in enumerate(sides)]
        found = difference(*left)
        middle = (before[0].total + before[1].total)[..., CENTRE] / (count[0] + count[1])
        plain, adjusted = (pair[0].spread[..., SECOND] + pair[1].spread[..., SECOND] for pair in (sides, left))
        return replace(found, base=found.base + slope * middle), over(plain, adjusted)

    def _moments(self, view: View, rows: Bools) -> tuple[Moments, Moments]:
        """The pooled moments of outcomes and covariates, of the champion and of the challengers."""
        from sim.stats.moments import Moments

        metric = view.setting.metrics[view.setting.primary]
        count, total, square = (moment[rows] for moment in view.moments(metric))
        x, xx, xy = totals(view, rows, *covariate_moments(metric.name))
        sums = (count, total, x * metric.grid, square, xx * metric.grid**2, xy * metric.grid**2)
        champion, challenger = zip(*(split(each) for each in sums), strict=True)
        return Moments(*np.broadcast_arrays(*champion)), Moments(*challenger)

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        metric = setting.metrics.get(setting.primary)
        if metric is None or metric.covariate is not None:
            return []
        return [("kind", f"cuped needs a value known before: give the metric {metric.name} a `covariate`")]
