"""Bandits that follow an index: rewards between 0 and 1, and all traffic to the arm of the highest index."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from sim.arrays import Bools, Floats
from sim.policy.allocation.forgetting import Forgetting
from sim.policy.base import View
from sim.policy.columns import Column, mean_of
from sim.policy.inference.bounded import HIGHEST_RULE, LOWEST_RULE, bound_problems, bounds_of, order_problems, rescaled
from sim.policy.setting import DeclaredSetting, Metric, Setting


def highest(scores: Floats, arms_in: Bools) -> Floats:
    """(r, K) all traffic to the arm still in with the highest score (r, K), shared evenly where several have it.

    >>> highest(np.array([[1.0, 3.0, 3.0], [1.0, 2.0, 9.0]]), np.array([[True, True, True], [True, True, False]])).tolist()
    [[0.0, 0.5, 0.5], [0.0, 1.0, 0.0]]
    """
    known = np.where(arms_in, scores, -np.inf)
    best = arms_in & (known == known.max(axis=1, keepdims=True))
    shares: Floats = best / best.sum(axis=1, keepdims=True)
    return shares


class Index(Forgetting):
    """All traffic goes to the arm of the highest index, a bound on its mean reward; arms without outcomes come first."""

    kind: str
    lowest: float | None = Field(None, ge=-1e12, le=1e12, allow_inf_nan=False, description=LOWEST_RULE)
    highest: float | None = Field(None, ge=-1e12, le=1e12, allow_inf_nan=False, description=HIGHEST_RULE)

    def index(self, mean: Floats, count: Floats, t: Floats) -> Floats:
        """(r, K) index of arms with a `mean` reward between 0 and 1 in `count` >= 1 outcomes, after `t` (r, 1) in all."""
        raise NotImplementedError(f"{type(self).__name__} has no index")

    def read(self, setting: Setting) -> tuple[Column, ...]:
        return mean_of(setting.primary)

    def live(self, view: View) -> Floats:
        metric = view.setting.metrics[view.setting.primary]
        count, total = self.remembered(view)
        # With a discount, a count can be between 0 and 1: `t` is at least 1.
        known = np.where(count > 0, count, 1.0)
        mean = self._rewards(metric, count, total) / known
        t = np.maximum(np.where(view.arms_in, known, 0.0).sum(axis=1, keepdims=True), 1.0)
        index = np.where(count > 0, self.index(mean, known, t), np.inf)
        return self.floored(highest(index, view.arms_in), view)

    def _rewards(self, metric: Metric, count: Floats, total: Floats) -> Floats:
        """(r, K) sums of rewards between 0 and 1, of which more is better."""
        if not metric.binary:
            total, _, _ = rescaled(self.kind, metric, count, metric.grid * total, self.lowest, self.highest)
        return total if metric.sign > 0 else count - total

    def bounds(self, setting: Setting) -> tuple[float, float] | None:
        return bounds_of(self.lowest, self.highest, setting.metrics[setting.primary])

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        metric = setting.metrics.get(setting.primary)
        problems = super().declared_problems(setting) + order_problems(self.lowest, self.highest, metric)
        if metric is not None and metric.provisional and (self.lowest or 0.0) > 0:
            rule = f"must not exceed 0: with until_known: failure {metric.name} counts as 0 until it is known"
            problems.append(("lowest", f"{rule}, got {self.lowest:g}"))
        return problems

    def registered_problems(self, setting: Setting) -> list[tuple[str, str]]:
        return bound_problems(self.lowest, self.highest, setting.metrics[setting.primary])
