"""Surviving a stage under its checks: the evidence of a canary and of a shadow."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sim.policy.base import Allocation, DeclaredSetting, Evidence, Finding, Setting, View, whole_ticks
from sim.units import Duration, format_duration


class Survive(Evidence):
    """Pass once the time is up; failing is what the stage's checks do.

    Controls nothing: it ships whatever the checks did not catch.

    >>> Survive(duration="1d").duration
    86400.0
    """

    declares: ClassVar[bool] = False

    kind: Literal["survive"] = "survive"
    duration: Duration | None = Field(None, description="how long to survive; the length of the stage's ramp if left out")

    def completed(self, allocation: Allocation, setting: DeclaredSetting) -> Survive:
        length = allocation.length_s(setting)
        return self if self.duration is not None or length is None else self.model_copy(update={"duration": length})

    def length_s(self) -> float | None:
        return self.duration

    def told(self, setting: Setting) -> str:
        return f"passes a challenger that lasts for {format_duration(self.duration or 0.0)}"

    def judge(self, view: View) -> NDArray[np.int8]:
        over = view.age >= view.setting.ticks_of(self.duration or 0.0)
        return np.where(over[:, None] & view.arms_in, Finding.PASS, Finding.UNDECIDED).astype(np.int8)

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        if self.duration is None:
            return [("duration", "is required where the allocation has no length of its own")]
        return whole_ticks("duration", self.duration, setting)
