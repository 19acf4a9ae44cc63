"""Surviving a stage under its checks: the evidence of a canary and of a shadow."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sim.arrays import Ints
from sim.policy.base import Allocation, Evidence, Finding, View
from sim.policy.setting import DeclaredSetting, Setting, whole_ticks
from sim.units import Duration, format_duration


class Survive(Evidence):
    """Pass once the time is up; failing is what the stage's checks do.

    Without a duration it passes when the stage's ramp is over, however long it is held up. Without a ramp either it passes as
    soon as every check that the stage waits for has a finding.

    Controls nothing: it ships whatever the checks did not catch.

    >>> Survive(duration="1d").duration
    86400.0
    """

    declares: ClassVar[bool] = False

    kind: Literal["survive"] = "survive"
    duration: Duration | None = Field(None, description="how long to survive; to the end of the stage's ramp if left out")

    def completed(self, allocation: Allocation, setting: DeclaredSetting) -> Survive:
        length = allocation.length_s(setting)
        if self.duration is not None or length is None:
            return self
        return SurviveTheRamp(duration=length) if allocation.may_hold() else self.model_copy(update={"duration": length})

    def leaves_it_to_checks(self) -> bool:
        return self.duration is None

    def length_s(self) -> float | None:
        return self.duration

    def told(self, setting: Setting) -> str:
        if self.duration is None:
            return "passes a challenger that every check has passed"
        return f"passes a challenger that lasts for {format_duration(self.duration)}"

    def judge(self, view: View) -> NDArray[np.int8]:
        over = self._survived(view) >= (0 if self.duration is None else view.setting.ticks_of(self.duration))
        return np.where(over[:, None] & view.arms_in, Finding.PASS, Finding.UNDECIDED).astype(np.int8)

    def _survived(self, view: View) -> Ints:
        """(r,) the ticks that count."""
        return view.age

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        return [] if self.duration is None else whole_ticks("duration", self.duration, setting)


class SurviveTheRamp(Survive):
    """The same to the end of a ramp that may be held up: `duration` is how long the ramp is if it is not."""

    def length_s(self) -> float | None:
        return None

    def told(self, setting: Setting) -> str:
        return "passes a challenger that lasts to the end of the ramp"

    def _survived(self, view: View) -> Ints:
        return view.progress
