"""What bandits that follow an index share: rewards between 0 and 1, and all traffic to the highest."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from sim.errors import InputError, Problem
from sim.policy.allocation.floor import floor_problems, floored
from sim.policy.base import Allocation, Bools, Floats, Metric, Setting, View, outcome_columns
from sim.units import Share


def highest(scores: Floats, arms_in: Bools) -> Floats:
    """(r, K) all traffic to the arm still in with the highest score (r, K), shared evenly where several have it.

    >>> highest(np.array([[1.0, 3.0, 3.0], [1.0, 2.0, 9.0]]), np.array([[True, True, True], [True, True, False]])).tolist()
    [[0.0, 0.5, 0.5], [0.0, 1.0, 0.0]]
    """
    known = np.where(arms_in, scores, -np.inf)
    best = arms_in & (known == known.max(axis=1, keepdims=True))
    shares: Floats = best / best.sum(axis=1, keepdims=True)
    return shares


class Index(Allocation):
    """All traffic goes to the arm of the highest index, a bound on its mean reward; arms without outcomes come first."""

    floor: Share = Field(0.0, description="least share of every arm still in; floor times the arms must not exceed 100%")
    lowest: float | None = Field(None, allow_inf_nan=False, description="no outcome is below; 0 if left out")
    highest: float | None = Field(
        None, allow_inf_nan=False, description="no outcome is above; required unless the metric is binary"
    )

    def index(self, mean: Floats, count: Floats, t: Floats) -> Floats:
        """(r, K) of arms with a mean reward between 0 and 1 in so many outcomes, at least 1, after t (r, 1) outcomes in all."""
        raise NotImplementedError(f"{type(self).__name__} has no index")

    def needs(self, setting: Setting) -> tuple[str, ...]:
        return outcome_columns(setting.metrics[setting.primary])[:2]

    def live(self, view: View) -> Floats:
        metric = view.setting.metrics[view.setting.primary]
        count = view.of_total(f"{metric.name}.count").astype(np.float64)
        known = np.maximum(count, 1.0)
        mean = self._rewards(metric, count, view.of_total(f"{metric.name}.sum").astype(np.float64)) / known
        t = np.where(view.arms_in, known, 0.0).sum(axis=1, keepdims=True)
        index = np.where(count > 0, self.index(mean, known, t), np.inf)
        return floored(highest(index, view.arms_in), self.floor, view.arms_in)

    def _rewards(self, metric: Metric, count: Floats, total: Floats) -> Floats:
        """(r, K) sums of rewards between 0 and 1, of which more is better."""
        if not metric.binary:
            low, high = self.lowest or 0.0, self.highest or 0.0
            total = (metric.grid * total - low * count) / (high - low)
            slack = 1e-9 * (1 + count)
            if (total < -slack).any() or (total > count + slack).any():
                rule = f"must bound {metric.name}, and outcomes were seen outside lowest to highest"
                raise InputError([Problem(f"of {self._name()} {rule}, got {low:g} to {high:g}", path="highest")])
            total = np.clip(total, 0.0, count)
        return total if metric.sign > 0 else count - total

    def _name(self) -> str:
        return str(getattr(self, "kind", type(self).__name__))

    def problems(self, setting: Setting) -> list[tuple[str, str]]:
        return floor_problems(self.floor, setting) + self._bound_problems(setting.metrics.get(setting.primary))

    def _bound_problems(self, metric: Metric | None) -> list[tuple[str, str]]:
        if metric is None:
            return []
        if metric.binary:
            given = (("lowest", self.lowest), ("highest", self.highest))
            return [(key, f"is for a metric that is not binary, got {value:g}") for key, value in given if value is not None]
        if self.highest is None:
            return [("highest", f"is required, as {metric.name} is not binary: the bound that no outcome exceeds")]
        if self.highest <= (self.lowest or 0.0):
            return [("highest", f"must exceed lowest ({self.lowest or 0.0:g}), got {self.highest:g}")]
        return []
