"""Epsilon-greedy."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from sim.arrays import Floats
from sim.policy.allocation.forgetting import Forgetting
from sim.policy.base import View
from sim.policy.columns import Column, mean_of
from sim.policy.setting import DeclaredSetting, Setting
from sim.units import Share, format_share


class EpsilonGreedy(Forgetting):
    """A share epsilon is spread evenly, the rest goes to the arm with the best observed mean (Sutton & Barto 2018, 2.2).

    Arms without a known outcome count as best, so that every arm is tried; ties share evenly.
    """

    kind: Literal["epsilon_greedy"] = "epsilon_greedy"
    epsilon: Share = Field(0.1, description="share of traffic that explores, spread evenly over the arms still in")

    def read(self, setting: Setting) -> tuple[Column, ...]:
        return mean_of(setting.primary)

    def told(self, setting: Setting) -> str:
        part = format_share(self.epsilon)
        return f"spreads {part} of live traffic evenly, and gives the rest to the arm with the best mean so far{self.limits()}"

    def least_share(self, setting: DeclaredSetting) -> float | None:
        return max(self.floor, self.epsilon / len(setting.arms))

    def live(self, view: View) -> Floats:
        metric = view.setting.metrics[view.setting.primary]
        count, total = self.remembered(view)
        mean = np.where(count > 0, metric.sign * total / np.where(count > 0, count, 1), np.inf)
        mean = np.where(view.arms_in, mean, -np.inf)
        best = mean == mean.max(axis=1, keepdims=True)
        greedy = best / best.sum(axis=1, keepdims=True)
        even = view.arms_in / view.arms_in.sum(axis=1, keepdims=True)
        return self.floored(self.epsilon * even + (1 - self.epsilon) * greedy, view)
