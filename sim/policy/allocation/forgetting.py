"""Forgetting: bandits that give old outcomes less weight, or none, because the world changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sim.arrays import Floats
from sim.policy.allocation.floor import floor_problems, floored
from sim.policy.base import Allocation, View
from sim.policy.columns import Column
from sim.policy.setting import DeclaredSetting, Setting, whole_ticks
from sim.policy.telling import least
from sim.units import Duration, Share, format_duration, format_share

# A window keeps the counts of each of its ticks, for every replication.
MOST_TICKS = 5_000


class Forgetting(Allocation):
    """Traffic follows what is remembered of the outcomes: all of the stage's, unless `discount` or `window` is given.

    With a discount an outcome that became known n ticks ago counts discount^n times; with a window, outcomes that became known
    longer ago do not count.

    Source: Garivier & Moulines, On Upper-Confidence Bound Policies for Switching Bandit Problems, ALT (2011), for both; Raj &
    Kalyani, Taming Non-stationary Bandits: A Bayesian Approach (2017; arXiv 1707.09727), for Thompson sampling, whose prior is
    not forgotten. They discount by request; here all outcomes of a tick are of one age.
    """

    adaptive: ClassVar[bool] = True

    floor: Share = Field(0.0, description="least share of every arm still in; floor times the arms must not exceed 100%")
    discount: Share | None = Field(
        None, gt=0, lt=1, description="weight that an outcome keeps from tick to tick; nothing is forgotten if left out"
    )
    window: Duration | None = Field(
        None, description="outcomes count for so long, a whole number of ticks; nothing is forgotten if left out"
    )

    def read(self, setting: Setting) -> tuple[Column, ...]:
        """The columns whose sums this allocation remembers."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it remembers")

    def needs(self, setting: Setting) -> tuple[Column, ...]:
        return self.read(setting)

    def memory(self, setting: Setting) -> dict[str, NDArray[Any]]:
        shape = len(self.read(setting)), len(setting.arms)
        if self.discount is not None:
            return {"kept": np.zeros(shape)}
        if self.window is not None:
            # The sums of the window, and the counts of its ticks, of which the oldest is overwritten.
            ticks = setting.ticks_of(self.window)
            return {"kept": np.zeros(shape, np.int64), "by_tick": np.zeros((ticks, *shape), np.int64)}
        return {}

    def remembered(self, view: View) -> Sequence[Floats]:
        """(r, K) each: the sums of the columns of `read`, without what is forgotten. Call it once a tick: it updates memory."""
        columns = self.read(view.setting)
        if not view.memory:
            return [view.of_total(column).astype(np.float64) for column in columns]
        kept, last = view.memory["kept"], np.stack([view.of_last(column) for column in columns], axis=1)
        if self.discount is not None:
            kept *= self.discount
            kept += last
        else:
            by_tick = view.memory["by_tick"]
            oldest = np.arange(len(last)), (view.age - 1) % by_tick.shape[1]
            kept += last - by_tick[oldest]
            by_tick[oldest] = last
        return list(np.moveaxis(kept.astype(np.float64), 1, 0))

    def limits(self) -> str:
        """The floor, and what is forgotten, as the end of a sentence."""
        text = least(self.floor)
        if self.discount is not None:
            text += f"; from tick to tick an outcome keeps {format_share(self.discount)} of its weight"
        if self.window is not None:
            text += f"; outcomes count for {format_duration(self.window)}"
        return text

    def floored(self, shares: Floats, view: View) -> Floats:
        """(r, K) shares with at least `floor` for every arm still in."""
        return floored(shares, self.floor, view.arms_in)

    def least_share(self, setting: DeclaredSetting) -> float | None:
        return self.floor

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        problems = floor_problems(self.floor, setting)
        metric = setting.metrics.get(setting.primary)
        if metric is not None and metric.provisional:
            rule = f"forgets by tick, and with until_known: failure a success of {metric.name} comes ticks after it was counted"
            problems += [(key, rule) for key in ("window", "discount") if getattr(self, key) is not None]
        if self.window is None:
            return problems
        problems += whole_ticks("window", self.window, setting)
        if self.discount is not None:
            given = f"got {self.discount:g} and {format_duration(self.window)}"
            problems.append(("window", f"and discount are two ways to forget: give one, {given}"))
        elif setting.ticks_of(self.window) > MOST_TICKS:
            ticks = f"{format_duration(self.window)}, {setting.ticks_of(self.window):,} ticks"
            problems.append(("window", f"must be at most {MOST_TICKS:,} ticks, got {ticks}: take a discount or a longer tick"))
        return problems
