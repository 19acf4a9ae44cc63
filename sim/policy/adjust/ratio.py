"""Ratio metrics: the total of the primary metric over the total of another."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from sim.arrays import Bools, Floats
from sim.policy.adjust.base import Adjust, Pair, over, split, totals
from sim.policy.base import View
from sim.policy.columns import Column, Product, moments_of
from sim.policy.setting import DeclaredSetting, Setting
from sim.spelling import there_are

if TYPE_CHECKING:
    from sim.stats.moments import Moments
    from sim.stats.within_ticks import Difference


class Ratio(Adjust):
    """The primary metric's total over that of another metric, such as revenue a click, by the delta method.

    Another question than the mean per request, by which a trial is judged: a challenger with more of both can be worse. Effects
    (`mde`, `margin`) are relative to the ratio of the registered means. Valid where requests are independent, and the other
    metric's mean is many standard errors from 0 (Deng, Knoblich & Lu 2018, eq. 4; `sim.stats.ratio`).

    >>> Ratio(over="clicks").over
    'clicks'
    """

    same_question: ClassVar[bool] = False

    kind: Literal["ratio"] = "ratio"
    single: ClassVar[bool] = True
    over: str = Field(description="the metric to divide by, of the same requests")

    def needs(self, setting: Setting) -> tuple[Column, ...]:
        metric, below = setting.metrics[setting.primary], setting.metrics[self.over]
        return (*moments_of(metric), *moments_of(below), Product(metric.name, below.name))

    def estimates(self, view: View, rows: Bools) -> Pair:
        from sim.stats.ratio import ratio

        champion, challenger = self._moments(view, rows)
        return Pair(ratio(champion), ratio(challenger))

    def gain(self, view: View, rows: Bools) -> Floats:
        from sim.stats.ratio import ratio

        apart, together = np.zeros((2, int(rows.sum()), view.arms_in.shape[1] - 1))
        for arm in self._moments(view, rows):
            x = np.where(arm.x != 0, arm.x, 1.0)
            # The variance that the plan expects takes the two metrics as independent.
            apart = apart + (arm.spread_y + (arm.y / x) ** 2 * arm.spread_x) / x**2
            error = ratio(arm).standard_error
            together = together + np.where(np.isfinite(error), error, 0.0) ** 2
        return over(apart, together)

    def within_ticks(self, view: View, rows: Bools) -> tuple[Difference, Floats]:
        from sim.stats.within_ticks import CENTRE, SECOND, difference

        metric, below = (view.setting.metrics[name] for name in (view.setting.primary, self.over))
        contrasts = view.contrasts.part(rows)
        above, under = contrasts.outcomes(metric), contrasts.outcomes(below)
        products = [each * metric.grid * below.grid for each in contrasts.of(Product(metric.name, below.name))]

        def quotient(y: Floats, x: Floats) -> Floats:
            return np.where(x != 0, y / np.where(x != 0, x, 1.0), 0.0)

        middle = quotient((above[0].total + above[1].total)[..., CENTRE], (under[0].total + under[1].total)[..., CENTRE])
        found = difference(*(y.less(middle, x, xy) for y, x, xy in zip(above, under, products, strict=True)))
        means = under[0].mean, under[1].mean
        count = [side.count[..., CENTRE] for side in under]
        both = quotient(count[0] * means[0] + count[1] * means[1], count[0] + count[1])
        # With R the ratio of both arms together, y - R x differs between the arms by (R1 - R0) x0 x1 / x.
        effect = quotient(found.effect * both, means[0] * means[1])
        information = np.where(found.information > 0, found.information, 1.0)
        together, apart = [], []
        for y, x, xy in zip(above, under, products, strict=True):
            own = quotient(y.mean, x.mean)
            unit = (information * np.where(x.mean != 0, x.mean, 1.0)) ** 2
            together.append(y.less(own, x, xy).spread[..., SECOND] / unit)
            apart.append((y.spread[..., SECOND] + own**2 * x.spread[..., SECOND]) / unit)
        known = (means[0] != 0) & (means[1] != 0)
        adjusted = replace(
            found, effect=effect, variance0=together[0], variance1=together[1], base=quotient(above[0].mean, means[0]),
            information=np.where(known, found.information, 0.0),
        )  # fmt: skip
        return adjusted, over(apart[0] + apart[1], together[0] + together[1])

    def _moments(self, view: View, rows: Bools) -> tuple[Moments, Moments]:
        """The pooled moments of the metric and of what it is divided by, of the champion and of the challengers."""
        from sim.stats.moments import Moments

        metric, below = (view.setting.metrics[name] for name in (view.setting.primary, self.over))
        (count, y, yy), (_, x, xx) = ([moment[rows] for moment in view.moments(each)] for each in (metric, below))
        (xy,) = totals(view, rows, Product(metric.name, below.name))
        sums = (count, y, x, yy, xx, xy * metric.grid * below.grid)
        champion, challenger = (Moments(*part) for part in zip(*(split(each) for each in sums), strict=True))
        return champion, challenger

    def nominal(self, setting: Setting) -> tuple[float, float]:
        metric, below = setting.metrics[setting.primary], setting.metrics[self.over]
        if below.nominal_mean == 0:
            return 0.0, 0.0
        ratio = metric.nominal_mean / below.nominal_mean
        # Takes the two metrics as independent: it only sets the unit of `information`.
        return ratio, math.hypot(metric.nominal_sd, ratio * below.nominal_sd) / abs(below.nominal_mean)

    def kurtosis(self, setting: Setting) -> float:
        return max(setting.metrics[name].kurtosis for name in (setting.primary, self.over))

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        if self.over == setting.primary:
            return [("over", f"must be another metric than the primary one, got {self.over!r}")]
        if self.over not in setting.metrics:
            others = there_are(name for name in setting.metrics if name != setting.primary)
            return [("over", f"no metric {self.over!r} to divide by; {others}")]
        for name in (setting.primary, self.over):
            if name in setting.metrics and setting.metrics[name].delayed:
                return [("over", f"must be known together with {setting.primary}: the feedback of {name} has a delay")]
        return []

    def registered_problems(self, setting: Setting) -> list[tuple[str, str]]:
        if setting.metrics[self.over].nominal_mean == 0:
            return [("over", f"must not have a mean of 0, as the champion's registered {self.over} has")]
        return []
