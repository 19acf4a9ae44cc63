"""The protocol of an adjustment: another estimate of a comparison, whose standard error is smaller or more accurate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict

from sim.arrays import Bools, Floats
from sim.policy.base import DeclaredSetting, Setting, View
from sim.policy.columns import Column, Moment

if TYPE_CHECKING:
    from sim.stats.moments import Estimates


@dataclass(frozen=True)
class Pair:
    """Estimates of the champion and of the challengers, (rows, 1) or (rows, K - 1), and their covariances."""

    champion: Estimates
    challenger: Estimates
    covariance: Floats | float = 0.0


class Adjust(BaseModel):
    """How the primary metric of champion and challenger is estimated, and how sure that is.

    `least` is how many known outcomes an arm must have before its standard error says how much is known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    least: ClassVar[int] = 100

    def needs(self, setting: Setting) -> tuple[Column, ...]:
        """The telemetry columns that this adjustment reads, beside the count of the primary metric."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it reads")

    def estimates(self, view: View, rows: Bools) -> Pair:
        """Estimates of the arms, in the replications that `rows` (r,) marks, in the metric's own unit."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it estimates")

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
