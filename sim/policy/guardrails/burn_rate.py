"""Alerts on how fast a challenger burns an error budget, over a long and a short window at once."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from sim.arrays import Bools, Floats, Ints
from sim.policy.base import Finding, Guardrail, View
from sim.policy.columns import Column, Count
from sim.policy.guardrails.measured import ERROR_RATE
from sim.policy.setting import DeclaredSetting, Setting, whole_ticks
from sim.policy.telling import listed
from sim.units import Duration, Share, format_duration, format_share

MOST_LOOKS = 2000
"""The longest window, in looks: every replication keeps the counts of all of them."""


class Windows(BaseModel):
    """A long window, which says that enough budget is gone, and a short one, which says that it is still going.

    >>> Windows(long=3600.0, short=300.0, burn=14.4).told()
    'more than 14.4 times over 1h and over 5m'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    long: Duration = Field(description="the long window, a whole number of looks")
    short: Duration = Field(description="the short window, a whole number of looks; usually a twelfth of the long one")
    burn: float = Field(
        gt=0, allow_inf_nan=False, description="how much faster than the objective allows errors must come, in both windows"
    )

    @model_validator(mode="after")
    def _ordered(self) -> Windows:
        if self.short >= self.long:
            rule = "short must be shorter than long"
            raise ValueError(f"{rule}, got {format_duration(self.short)} and {format_duration(self.long)}")
        return self

    def told(self) -> str:
        """The condition in words."""
        return f"more than {self.burn:g} times over {format_duration(self.long)} and over {format_duration(self.short)}"


class BurnRate(Guardrail):
    """Fails a challenger that burns its error budget too fast: a multi-window, multi-burn-rate alert.

    The burn rate of a window is its error rate over 1 - `slo`: at 1 a month's budget lasts a month. The alert fires where the
    long and the short window of some pair both burn faster than `burn`. A window that is longer than the stage is old sees the
    stage so far. One alarm rings as it begins to fire. After a time without errors, errors at a rate e are found after
    burn (1 - slo) long / e, and are forgotten as the short window has passed.

    Controls no error rate: with few answers a single error is a high burn rate, which `min_requests` is for. The times to find
    and to forget assume traffic that stays as it is within the long window.

    Source: Beyer et al., The Site Reliability Workbook (2018), ch. 5, technique 6; low traffic: the same chapter.

    >>> BurnRate(slo=0.999, windows=[Windows(long=3600.0, short=300.0, burn=14.4)]).needs(None)
    (Count('responses'), Count('errors'))
    """

    tells_looks: ClassVar[bool] = True

    kind: Literal["burn_rate"] = "burn_rate"
    slo: Share = Field(gt=0, lt=1, description="the objective: the share of answers without an error, such as 99.9%")
    windows: tuple[Windows, ...] = Field(
        min_length=1, max_length=8, description="pairs of windows, any of which fails the challenger"
    )
    every: Duration | None = Field(None, description="from look to look, a whole number of ticks; one tick if left out")
    min_requests: int = Field(1, ge=1, description="answers that each of the windows needs")
    sees: Literal["arm", "service"] = Field("arm", description="whose errors burn: the arm's, or those of all arms together")
    report_only: bool = Field(False, description="it rings, and stops nothing")

    @property
    def stops(self) -> bool:
        return not self.report_only

    @property
    def baseline_as(self) -> Literal["nothing", "champion", "added"]:
        return "added" if self.sees == "service" else "nothing"

    def told(self, setting: Setting) -> str:
        whose = "while all arms together burn their" if self.sees == "service" else "that burns its"
        budget = f"error budget of {format_share(round(1 - self.slo, 12))}"
        does = "reports" if self.report_only else "stops"
        return f"{does} a challenger {whose} {budget} {listed([pair.told() for pair in self.windows], 'or')}"

    def reads(self) -> tuple[tuple[str, str], ...]:
        return (("kind", ERROR_RATE),)

    def first_look(self) -> tuple[str, float] | None:
        return ("every", self.every) if self.every else None

    def needs(self, setting: Setting) -> tuple[Column, ...]:
        return Count("responses"), Count("errors")

    def memory(self, setting: Setting) -> dict[str, NDArray[Any]]:
        longest = max(self._looks(pair.long, setting) for pair in self.windows)
        arms = len(setting.arms)
        return {
            "before": np.zeros((longest, 2, arms), np.int64),  # answers and errors of the stage, as of the last looks
            "firing": np.zeros(arms, bool),  # whether the last look fired
            "rang": np.zeros(arms, bool),  # and whether it was the first to
        }

    def judge(self, view: View) -> NDArray[np.int8]:
        total: Ints = np.stack([view.of_total(column) for column in self.needs(view.setting)], axis=1)
        before, firing, rang = (view.memory[name] for name in ("before", "firing", "rang"))
        every = self._looks_every(view.setting)
        look, number = view.age % every == 0, view.age // every
        rang[:] = False
        if look.any():
            fires = np.zeros(firing.shape, bool)
            for pair in self.windows:
                fires |= self._burns(pair.long, pair.burn, total, before, number, view) & self._burns(
                    pair.short, pair.burn, total, before, number, view
                )
            rang[look] = (fires & ~firing)[look]
            firing[look] = fires[look]
            before[np.flatnonzero(look), number[look] % before.shape[1]] = total[look]
        held = np.where(total[:, 0] >= self.min_requests, Finding.PASS, Finding.UNDECIDED)
        return np.where(firing, Finding.FAIL, held).astype(np.int8)

    def last_look_good(self, view: View) -> Bools:
        return ~view.memory["firing"]

    def rings(self, view: View, findings: NDArray[np.int8]) -> Bools:
        return view.memory["rang"]

    def _burns(self, window: float, burn: float, total: Ints, before: Ints, number: Ints, view: View) -> Bools:
        """(r, K) whether a window that ends now burns too fast; a look before the stage is a slot that still holds zeros."""
        then = before[np.arange(number.size), (number - self._looks(window, view.setting)) % before.shape[1]]
        seen = total - then
        if self.sees == "service":
            seen = np.broadcast_to(seen.sum(axis=2, keepdims=True), seen.shape)
        rate: Floats = seen[:, 1] / np.maximum(seen[:, 0], 1)
        return np.asarray((seen[:, 0] >= self.min_requests) & (rate > self._limit(burn)))

    def _limit(self, burn: float) -> float:
        """The error rate that burns so fast. Rounded up by a hair, so that just as fast is not faster."""
        return burn * (1 - self.slo) * (1 + 1e-12)

    def _looks_every(self, setting: DeclaredSetting) -> int:
        return setting.ticks_of(self.every) if self.every else 1

    def _looks(self, window: float, setting: DeclaredSetting) -> int:
        """Looks in a window."""
        return setting.ticks_of(window) // self._looks_every(setting)

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        problems = whole_ticks("every", self.every, setting) if self.every else []
        if problems:
            return problems
        look_s = self.every or setting.tick_s
        for place, pair in enumerate(self.windows):
            for key, length in (("long", pair.long), ("short", pair.short)):
                looks = length / look_s
                if abs(looks - round(looks)) > 1e-9 * looks or round(looks) < 1:
                    rule = f"must be a whole number of looks, {format_duration(look_s)} apart"
                    problems.append((f"windows[{place}].{key}", f"{rule}, got {format_duration(length)}"))
                elif looks > MOST_LOOKS:
                    rule = f"must be at most {MOST_LOOKS:,} looks, {format_duration(look_s)} apart: look less often (every)"
                    problems.append((f"windows[{place}].{key}", f"{rule}, got {format_duration(length)}"))
            if self._limit(pair.burn) >= 1:
                most = f"{1 / (1 - self.slo):.6g}"
                rule = f"must be less than {most}, as fast as an objective of {format_share(self.slo)} can be burned"
                problems.append((f"windows[{place}].burn", f"{rule}; got {pair.burn:g}"))
        return problems
