"""Ratio metrics: the total of the primary metric over the total of another."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from sim.arrays import Bools
from sim.policy.adjust.base import Adjust, Pair, split, totals
from sim.policy.base import DeclaredSetting, Setting, View
from sim.policy.columns import Column, Product, moments_of


class Ratio(Adjust):
    """The primary metric's total over that of another metric, such as revenue a click, by the delta method.

    Another question than the mean per request, by which a trial is judged: a challenger with more of both can be worse. Effects
    (`mde`, `margin`) are relative to the ratio of the registered means. Valid where requests are independent, and the other
    metric's mean is many standard errors from 0 (Deng, Knoblich & Lu 2018, eq. 4; `sim.stats.ratio`).

    >>> Ratio(over="clicks").over
    'clicks'
    """

    kind: Literal["ratio"] = "ratio"
    over: str = Field(description="the metric to divide by, of the same requests")

    def needs(self, setting: Setting) -> tuple[Column, ...]:
        metric, below = setting.metrics[setting.primary], setting.metrics[self.over]
        return (*moments_of(metric), *moments_of(below), Product(metric.name, below.name))

    def estimates(self, view: View, rows: Bools) -> Pair:
        from sim.stats.moments import Moments
        from sim.stats.ratio import ratio

        metric, below = (view.setting.metrics[name] for name in (view.setting.primary, self.over))
        (count, y, yy), (_, x, xx) = ([moment[rows] for moment in view.moments(each)] for each in (metric, below))
        (xy,) = totals(view, rows, Product(metric.name, below.name))
        sums = (count, y, x, yy, xx, xy * metric.grid * below.grid)
        champion, challenger = (Moments(*part) for part in zip(*(split(each) for each in sums), strict=True))
        return Pair(ratio(champion), ratio(challenger))

    def nominal(self, setting: Setting) -> tuple[float, float]:
        metric, below = setting.metrics[setting.primary], setting.metrics[self.over]
        if below.nominal_mean == 0:
            return 0.0, 0.0
        ratio = metric.nominal_mean / below.nominal_mean
        # Takes the two metrics as independent: it only sets the unit of `information`.
        return ratio, math.hypot(metric.nominal_sd, ratio * below.nominal_sd) / abs(below.nominal_mean)

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        if self.over == setting.primary:
            return [("over", f"must be another metric than the primary one, got {self.over!r}")]
        if self.over not in setting.metrics:
            others = ", ".join(name for name in setting.metrics if name != setting.primary) or "none"
            return [("over", f"no metric {self.over!r} to divide by; there are {others}")]
        for name in (setting.primary, self.over):
            if name in setting.metrics and setting.metrics[name].delayed:
                return [("over", f"must be known together with {setting.primary}: the feedback of {name} has a delay")]
        return []

    def registered_problems(self, setting: Setting) -> list[tuple[str, str]]:
        if setting.metrics[self.over].nominal_mean == 0:
            return [("over", f"must not have a mean of 0, as the champion's registered {self.over} has")]
        return []
