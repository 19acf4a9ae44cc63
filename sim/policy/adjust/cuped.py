"""CUPED: less variance, by a covariate that was known of each request before the test."""

from __future__ import annotations

from typing import Literal

import numpy as np

from sim.arrays import Bools
from sim.policy.adjust.base import Adjust, Pair, split, totals
from sim.policy.base import DeclaredSetting, Setting, View
from sim.policy.columns import Column, covariate_moments, moments_of


class Cuped(Adjust):
    """Outcomes less what the metric's covariate explains, which multiplies their variance by 1 - correlation^2.

    One slope, estimated within the arms, serves champion and challenger. Valid where the arm cannot change the covariate, and
    requests are independent (Deng, Xu, Kohavi & Walker 2013, §3; `sim.stats.cuped`).

    >>> Cuped().kind
    'cuped'
    """

    kind: Literal["cuped"] = "cuped"

    def needs(self, setting: Setting) -> tuple[Column, ...]:
        return (*moments_of(setting.metrics[setting.primary]), *covariate_moments(setting.primary))

    def estimates(self, view: View, rows: Bools) -> Pair:
        from sim.stats.cuped import arms
        from sim.stats.moments import Moments

        metric = view.setting.metrics[view.setting.primary]
        count, total, square = (moment[rows] for moment in view.moments(metric))
        x, xx, xy = totals(view, rows, *covariate_moments(metric.name))
        sums = (count, total, x * metric.grid, square, xx * metric.grid**2, xy * metric.grid**2)
        champion, challenger = zip(*(split(each) for each in sums), strict=True)
        return Pair(*arms(Moments(*np.broadcast_arrays(*champion)), Moments(*challenger)))

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        metric = setting.metrics.get(setting.primary)
        if metric is None or metric.covariate is not None:
            return []
        return [("kind", f"cuped needs a value known before: give the metric {metric.name} a `covariate`")]
