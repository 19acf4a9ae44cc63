"""A ramp: the allocation of a canary."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from sim.arrays import Floats
from sim.policy.base import Allocation, DeclaredSetting, Setting, View, whole_ticks
from sim.units import Duration, Share, format_duration, format_share


class Step(BaseModel):
    """One step of a ramp: the challengers' weight, and how long it bakes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weight: Share = Field(description="share of live traffic for the challengers together")
    bake: Duration = Field(description="how long this weight is held, a whole number of ticks")


class Ramp(Allocation):
    """Weights that rise step by step; the challengers still in share a step's weight evenly. The last step is then held.

    >>> Ramp.model_validate({"steps": [{"weight": "10%", "bake": "1h"}, {"weight": "50%", "bake": "2h"}]}).steps[1]
    Step(weight=0.5, bake=7200.0)
    """

    kind: Literal["ramp"] = "ramp"
    steps: tuple[Step, ...] = Field(min_length=1, description="the steps, in order")

    def live(self, view: View) -> Floats:
        ends = np.cumsum([view.setting.ticks_of(step.bake) for step in self.steps])
        step = np.minimum(np.searchsorted(ends, view.age, side="right"), len(self.steps) - 1)
        weight = np.array([each.weight for each in self.steps])[step]
        challengers = view.arms_in.copy()
        challengers[:, 0] = False
        live: Floats = weight[:, None] * challengers / np.maximum(challengers.sum(axis=1, keepdims=True), 1)
        live[:, 0] = 1 - weight
        return live

    def length_s(self, setting: DeclaredSetting) -> float:
        return sum(step.bake for step in self.steps)

    def told(self, setting: Setting) -> str:
        whom = "the challenger" if len(setting.arms) == 2 else "the challengers together"
        first, *rest = self.steps
        steps = [f"{format_share(first.weight)} of live traffic for {format_duration(first.bake)}"]
        steps += [f"{format_share(step.weight)} for {format_duration(step.bake)}" for step in rest]
        return f"gives {whom} {', then '.join(steps)}"

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        return [
            (key, message)
            for index, step in enumerate(self.steps)
            for key, message in whole_ticks(f"steps[{index}].bake", step.bake, setting)
        ]
