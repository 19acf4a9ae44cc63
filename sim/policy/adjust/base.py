"""The protocol of an adjustment: another estimate of a comparison, whose standard error is smaller or more accurate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict

from sim.arrays import Bools, Floats, Ints
from sim.policy.base import View
from sim.policy.columns import Column, Moment
from sim.policy.setting import DeclaredSetting, Setting

if TYPE_CHECKING:
    from sim.stats.moments import Estimates
    from sim.stats.within_ticks import Difference


@dataclass(frozen=True)
class Pair:
    """Estimates of the champion and of the challengers, (rows, 1) or (rows, K - 1), and their covariances."""

    champion: Estimates
    challenger: Estimates
    covariance: Floats | float = 0.0

    def widened(self, times: Floats) -> Pair:
        """The same estimates with variances that are `times` (rows, K - 1) as large."""
        champion, challenger = (
            replace(each, standard_error=each.standard_error * np.sqrt(times)) for each in (self.champion, self.challenger)
        )
        return Pair(champion, challenger, self.covariance * times)


class Adjust(BaseModel):
    """How the primary metric of champion and challenger is estimated, and how sure that is.

    `least` is how many known outcomes an arm must have before its standard error says how much is known. `pools` says that it
    has no `within_ticks`, and compares totals only; `single` that single requests must be told from each other;
    `same_question` that it estimates the effect on the metric's mean.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    least: ClassVar[int] = 100
    pools: ClassVar[bool] = False
    single: ClassVar[bool] = False
    same_question: ClassVar[bool] = True

    def needs(self, setting: Setting) -> tuple[Column, ...]:
        """The telemetry columns that this adjustment reads, beside the count of the primary metric."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it reads")

    def needs_within_ticks(self, setting: Setting) -> tuple[Column, ...]:
        """The same, where it compares within ticks."""
        return self.needs(setting)

    def contrasts(self, setting: Setting) -> tuple[Column, ...]:
        """The columns, of those in `needs_within_ticks`, whose sums within ticks it reads."""
        return self.needs_within_ticks(setting)

    def estimates(self, view: View, rows: Bools) -> Pair:
        """Estimates of the arms, in the replications that `rows` (r,) marks, in the metric's own unit."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it estimates")

    def gain(self, view: View, rows: Bools) -> Floats:
        """(rows, K - 1) the variance of the plain difference over that of the adjusted one, both in the same pooled data."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it gains")

    def within_ticks(self, view: View, rows: Bools) -> tuple[Difference, Floats]:
        """The adjusted difference within ticks, (rows, K - 1), and the gain of it, as in `gain`."""
        raise NotImplementedError(f"{type(self).__name__} cannot compare within ticks")

    def promised_gain(self, setting: Setting) -> float:
        """The gain that can be told beforehand from what is registered; 1 where none can."""
        return 1.0

    def independent(self, view: View) -> Ints:
        """(r, K) how many outcomes that do not depend on each other an arm's variance is estimated from."""
        return view.of_total(Moment(view.setting.primary, "count"))

    def kurtosis(self, setting: Setting) -> float:
        """The kurtosis of one of them at the champion's registered values: it says how well so many tell their variance."""
        return setting.metrics[setting.primary].kurtosis

    def ready(self, view: View) -> Bools:
        """(r, K) whether an arm has enough outcomes to trust its standard error."""
        return np.asarray(view.of_total(Moment(view.setting.primary, "count")) >= self.least)

    def nominal(self, setting: Setting) -> tuple[float, float]:
        """Mean and standard deviation of the compared quantity, at the champion's registered values."""
        metric = setting.metrics[setting.primary]
        return metric.nominal_mean, metric.nominal_sd

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        """Problems of this adjustment that show in the scenario file alone: (key, message) pairs."""
        return []

    def registered_problems(self, setting: Setting) -> list[tuple[str, str]]:
        """Problems that show only with what the models registered. Called only where `declared_problems` is empty."""
        return []

    def problems(self, setting: Setting) -> list[tuple[str, str]]:
        """Problems of this adjustment in this setting: (key, message) pairs."""
        return self.declared_problems(setting) or self.registered_problems(setting)


def totals(view: View, rows: Bools, *columns: Column) -> list[Floats]:
    """(rows, K) each: columns summed since the stage was entered, in units of telemetry."""
    return [view.of_total(column)[rows].astype(np.float64) for column in columns]


def split(values: Floats) -> tuple[Floats, Floats]:
    """The champion's column (rows, 1), and the challengers' (rows, K - 1).

    >>> split(np.array([[1.0, 2.0, 3.0]]))
    (array([[1.]]), array([[2., 3.]]))
    """
    return values[:, :1], values[:, 1:]


def over(plain: Floats, adjusted: Floats) -> Floats:
    """The first variance over the second, element by element; 1 where either is 0.

    >>> over(np.array([2.0, 0.0]), np.array([1.0, 1.0]))
    array([2., 1.])
    """
    known = (plain > 0) & (adjusted > 0)
    return np.where(known, plain / np.where(known, adjusted, 1.0), 1.0)
