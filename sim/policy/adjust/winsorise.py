"""Winsorising: outcomes above a cap count as the cap, so that a few extreme ones do not dominate the mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from sim.arrays import Bools, Floats
from sim.policy.adjust.base import Adjust, Pair, split, totals
from sim.policy.base import View
from sim.policy.columns import CappedMoment, Column, Moment, mean_of
from sim.policy.setting import DeclaredSetting, Metric, Setting
from sim.units import Share

if TYPE_CHECKING:
    from sim.stats.within_ticks import Difference


class Winsorise(Adjust):
    """The mean of outcomes of which none counts for more than a cap, the same in all arms and fixed before the test.

    Less variance, and another question: an effect on what lies above the cap is not seen. So the verdict may differ from that
    on the mean, which is what a trial is judged by. `at` is the quantile of the champion's registered distribution (Tukey 1962;
    Kohavi, Tang & Xu 2020, ch. 22; `sim.stats.winsor`). Valid where requests are independent.

    >>> Winsorise(limit=200).limit
    200.0
    """

    same_question: ClassVar[bool] = False

    kind: Literal["winsorise"] = "winsorise"
    single: ClassVar[bool] = True
    limit: float | None = Field(None, ge=1e-12, le=1e12, allow_inf_nan=False, description="the cap, in the metric's unit")
    at: Share | None = Field(
        None, gt=0, lt=1, description="the cap as a quantile of the champion's registered distribution, instead of `limit`"
    )

    def cap(self, metric: Metric) -> float:
        """The cap, in the metric's unit."""
        if self.limit is not None:
            return self.limit
        level = self.at or 1.0
        if metric.values:
            values, chances = _ordered(metric)
            return float(values[min(int(np.searchsorted(np.cumsum(chances), level - 1e-12)), values.size - 1)])
        from scipy.special import ndtri

        return metric.nominal_mean + metric.nominal_sd * float(ndtri(level))

    def needs(self, setting: Setting) -> tuple[Column, ...]:
        metric = setting.metrics[setting.primary]
        return (*mean_of(metric.name), *self._capped(metric))

    def _capped(self, metric: Metric) -> tuple[Column, Column]:
        """The columns of the sum and the sum of squares of capped outcomes."""
        cap = self.cap(metric)
        return CappedMoment(metric.name, cap, "sum"), CappedMoment(metric.name, cap, "square")

    def estimates(self, view: View, rows: Bools) -> Pair:
        from sim.stats.moments import Estimates, spread

        metric = view.setting.metrics[view.setting.primary]
        count, total, square = totals(view, rows, Moment(metric.name, "count"), *self._capped(metric))
        safe = np.maximum(count, 1.0)
        mean = total * metric.grid / safe
        variance = spread(count, total, square) * metric.grid**2 / np.maximum(count - 1, 1.0) / safe
        error = np.where(count >= 2, np.sqrt(variance), np.inf)
        mean0, mean1 = split(mean)
        error0, error1 = split(error)
        return Pair(Estimates(mean0, error0), Estimates(mean1, error1))

    def gain(self, view: View, rows: Bools) -> Floats:
        # The sample is planned for the variance of capped outcomes already.
        return np.ones((int(rows.sum()), view.arms_in.shape[1] - 1))

    def within_ticks(self, view: View, rows: Bools) -> tuple[Difference, Floats]:
        from sim.stats.within_ticks import difference

        metric = view.setting.metrics[view.setting.primary]
        capped = view.contrasts.part(rows).moments(Moment(metric.name, "count"), *self._capped(metric), metric.grid)
        return difference(*capped), self.gain(view, rows)

    def nominal(self, setting: Setting) -> tuple[float, float]:
        metric = setting.metrics[setting.primary]
        if metric.values:
            values, chances = _ordered(metric)
        else:
            from scipy.special import ndtri

            chances = np.full(4096, 1 / 4096)
            values = metric.nominal_mean + metric.nominal_sd * ndtri((np.arange(4096) + 0.5) / 4096)
        capped = np.minimum(values, self.cap(metric))
        mean = float((capped * chances).sum())
        return mean, float(np.sqrt(((capped - mean) ** 2 * chances).sum()))

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        if self.limit is None and self.at is None:
            return [("limit", "is required: the cap in the metric's unit (or give `at`, a quantile)")]
        if self.limit is not None and self.at is not None:
            return [("at", f"and limit say the same in two ways: give one, got {self.at:g} and {self.limit:g}")]
        return []

    def registered_problems(self, setting: Setting) -> list[tuple[str, str]]:
        metric = setting.metrics[setting.primary]
        if metric.binary:
            return [("kind", f"winsorise is for amounts: {metric.name} is 0 or 1")]
        key, cap = "limit" if self.at is None else "at", self.cap(metric)
        if cap < metric.grid:
            return [(key, f"must be at least a step of the metric's grid ({metric.grid:g}), got a cap of {cap:g}")]
        return []


def _ordered(metric: Metric) -> tuple[np.ndarray, np.ndarray]:
    values, chances = np.array(metric.values), np.array(metric.chances)
    order = np.argsort(values)
    return values[order], chances[order]
