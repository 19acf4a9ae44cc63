"""A switchback: all traffic goes to one arm at a time, period by period."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from sim.arrays import Floats
from sim.policy.base import Allocation, View
from sim.policy.setting import DeclaredSetting, Setting, whole_ticks
from sim.units import Duration, format_duration


class Switchback(Allocation):
    """Gives all live traffic to one arm at a time, and draws for every period which, anew in every replication.

    For where the requests of a time compete, as drivers or stock, so that arms side by side would disturb each other. `random`:
    every arm is as likely in every period, whatever came before. `paired`: in every block of as many periods as arms, each arm
    has one, in random order. Requests of a period share its luck: compare periods, by evidence `by_period`. The turn of an arm
    that is out goes to the champion.

    Source: Bojinov, Simchi-Levi & Zhao, Management Science 69(7) (2023): fair coins, drawn for every period.

    >>> Switchback(period="1h").turns()
    (3600.0, 'paired')
    """

    kind: Literal["switchback"] = "switchback"
    period: Duration = Field(description="how long an arm has all traffic before it is drawn anew, a whole number of ticks")
    design: Literal["random", "paired"] = Field(
        "paired", description="random: each period is drawn on its own; paired: each arm once in every block of periods"
    )

    def told(self, setting: Setting) -> str:
        how = "drawn for each on its own" if self.design == "random" else "each once in a block, in random order"
        return f"gives all live traffic to one arm at a time, for {format_duration(self.period)}, {how}"

    def turns(self) -> tuple[float, Literal["random", "paired"]] | None:
        return self.period, self.design

    def live(self, view: View) -> Floats:
        arms = len(view.setting.arms)
        number = view.age // view.setting.ticks_of(self.period)
        everyone = np.ones(view.age.shape, bool)
        if self.design == "random":
            uniform = view.draw("switchback", everyone, number)
            arm = np.minimum((uniform * arms).astype(np.int64), arms - 1)
        else:
            # The order of a block: that of one uniform for each arm.
            first = number - number % arms
            drawn = np.stack([view.draw("switchback", everyone, first + place) for place in range(arms)], axis=1)
            arm = np.take_along_axis(drawn.argsort(axis=1, kind="stable"), (number % arms)[:, None], axis=1)[:, 0]
        return np.asarray(arm[:, None] == np.arange(arms), np.float64)

    def least_share(self, setting: DeclaredSetting) -> float | None:
        return 0.0

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        return whole_ticks("period", self.period, setting)
