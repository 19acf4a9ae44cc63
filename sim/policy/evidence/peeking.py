"""Peeking: a fixed-horizon test that is looked at before its time."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sim.policy.base import Finding, View
from sim.policy.inference.one_look import OneLook
from sim.policy.setting import DeclaredSetting, Setting, whole_ticks
from sim.units import Duration, format_duration


class Peeking(OneLook):
    """The naive test: looked at every `every` with the p-value of one look, and stopped at the first that is significant.

    Planned and tested as `fixed_horizon`, and looked at again and again until the planned sample has arrived; only then does
    it end with nothing declared. It is here to show what that costs, not to be used.

    Does not control its error: with equally spaced looks at 5%, two find a difference where none is in 8.3% of tests, five in
    14.2%, ten in 19.3%, and without an end all of them do (Armitage, McPherson & Rowe 1969, Table 2;
    `sim.stats.peeking.false_positive_rate`). `group_sequential` and `mixture_sprt` look early and keep their error. Assumes
    what the test of one look does.

    >>> Peeking(every="1d", mde="2%").every
    86400.0
    """

    kind: Literal["peeking"] = "peeking"
    every: Duration = Field(description="time from look to look, a whole number of ticks, counted from the start of the stage")

    def looks_by_time(self) -> str:
        return "every"

    def told(self, setting: Setting) -> str:
        looks = f"takes the test of one look every {format_duration(self.every)}"
        return f"{looks}, passes a challenger as soon as it shows it {self.shows(setting)}, and gives up {self.sized(setting)}"

    def judge(self, view: View) -> NDArray[np.int8]:
        findings = np.full(view.arms_in.shape, Finding.UNDECIDED, np.int8)
        complete = self.complete(view)
        look = complete | ((view.age > 0) & (view.age % view.setting.ticks_of(self.every) == 0))
        if not look.any():
            return findings
        tested = self.decide(view, look)
        early = ~complete[look][:, None] & (tested == Finding.NULL)
        findings[look, 1:] = np.where(early, Finding.UNDECIDED, tested)
        return findings

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        return [*whole_ticks("every", self.every, setting), *super().declared_problems(setting)]
