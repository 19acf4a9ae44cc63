"""A ramp: the allocation of a canary."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from sim.arrays import Bools, Floats, Ints
from sim.policy.allocation.growth import AnyGrowth
from sim.policy.base import Allocation, View
from sim.policy.people import Reaction
from sim.policy.setting import DeclaredSetting, Setting, whole_ticks
from sim.units import Duration, Share, format_duration, format_share


class Step(BaseModel):
    """One step of a ramp: the challengers' weight, and how long it is held: for a time, until somebody approves, or both.

    Approval is asked for when the time is over, and at the start of the step where it has none. A step lasts at least a tick.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    weight: Share = Field(description="share of live traffic for the challengers together")
    bake: Duration | None = Field(None, description="how long this weight is held, a whole number of ticks")
    approval: Reaction | None = Field(
        None,
        description="somebody must approve before the next step, and how long they take; they are asked when `bake` is over, "
        "and at once without it. Checks go on meanwhile",
    )

    @model_validator(mode="after")
    def _ends(self) -> Step:
        if self.bake is None and self.approval is None:
            raise ValueError("needs bake, approval or both: a step that nothing ends is the last")
        return self

    def ticks(self, setting: DeclaredSetting) -> int:
        """Ticks that it lasts at least."""
        return setting.ticks_of(self.bake or setting.tick_s)


class Schedule(BaseModel):
    """The steps of a ramp, one by one or by a rule, and what moves it on."""

    steps: tuple[Step, ...] = Field((), description="the challengers' weight, step by step, and how long it is held")
    ramp: AnyGrowth | None = Field(None, description="the steps by a rule, in place of `steps`")
    advance: Literal["by_clock", "on_good_look"] = Field(
        "by_clock",
        description="on_good_look: while the last look of some check was not good, the time that weights are held does not "
        "count, so that a failed look holds a weight for one more interval",
    )
    baseline: bool = Field(
        False,
        description="serve the baseline as well, as much as each challenger and at most what the champion has left, from whom "
        "it is taken; checks with `against: baseline` compare with it",
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Any:
        if bool(self.steps) == (self.ramp is not None):
            raise ValueError(f"needs exactly one of steps and ramp; got {'both' if self.steps else 'neither'}")
        return self

    def each_step(self) -> tuple[Step, ...]:
        """The steps, in order."""
        return self.steps if self.ramp is None else _grown(self.ramp)


@lru_cache(maxsize=256)
def _grown(ramp: AnyGrowth) -> tuple[Step, ...]:
    """The steps of a rule. They are asked for at every tick, and to make them takes longer than all else of a ramp."""
    return tuple(Step(weight=weight, bake=ramp.every) for weight in ramp.weights())


class Ramp(Schedule, Allocation):
    """Weights that rise step by step; the challengers still in share a step's weight evenly. The last step is then held.

    With `advance: on_good_look` the time of a step counts only while the last look of every check was good: a failed look holds
    the weight until the next one that is good. A look without data is good only if the check says so (`no_data: pass`).

    Source: Flagger's "Halt advancement" (its controller's `canary` scheduler); Argo Rollouts' `setWeight` and `pause`, of which
    a pause without a duration is a step that somebody approves.

    >>> Ramp.model_validate({"steps": [{"weight": "10%", "bake": "1h"}, {"weight": "50%", "bake": "2h"}]}).steps[1].bake
    7200.0
    >>> flagger = {"ramp": {"kind": "linear", "step": "20%", "until": "50%", "every": "1m"}, "advance": "on_good_look"}
    >>> [step.weight for step in Ramp.model_validate(flagger).each_step()]
    [0.2, 0.4, 0.6]
    """

    kind: Literal["ramp"] = "ramp"

    def _ends(self, setting: DeclaredSetting) -> Ints:
        """(S,) ticks of the schedule after which each step is over."""
        return np.cumsum([step.ticks(setting) for step in self.each_step()])

    def live(self, view: View) -> Floats:
        steps = self.each_step()
        step = np.minimum(np.searchsorted(self._ends(view.setting), view.progress, side="right"), len(steps) - 1)
        weight = np.array([each.weight for each in steps])[step]
        challengers = view.arms_in.copy()
        challengers[:, 0] = False
        live: Floats = weight[:, None] * challengers / np.maximum(challengers.sum(axis=1, keepdims=True), 1)
        live[:, 0] = 1 - weight
        return live

    def beside(self) -> bool:
        return self.baseline

    def length_s(self, setting: DeclaredSetting) -> float:
        return sum(step.bake or setting.tick_s for step in self.each_step())

    def may_hold(self) -> bool:
        return self.heeds_looks() or any(step.approval is not None for step in self.steps)

    def heeds_looks(self) -> bool:
        return self.advance == "on_good_look"

    def memory(self, setting: Setting) -> dict[str, NDArray[Any]]:
        # The tick from which on the step is approved, once somebody is asked.
        return {"approved": np.array(-1)} if any(step.approval is not None for step in self.steps) else {}

    def hold(self, view: View) -> Bools:
        still = np.zeros(view.age.shape, bool)
        if self.heeds_looks():
            still |= ~np.broadcast_to(view.good, still.shape)
        if "approved" not in view.memory:
            return still
        # The tick that ended is not in the schedule yet: `progress` counts it.
        done, approved = view.progress, view.memory["approved"]
        for number, (step, end) in enumerate(zip(self.steps, self._ends(view.setting), strict=True)):
            if step.approval is None:
                continue
            # A step without a time of its own asks as it begins, whatever its first look finds.
            asked = (done == end) & (approved < 0) & (~still | (step.bake is None))
            if asked.any():
                at = np.full(np.count_nonzero(asked), view.tick - (step.bake is None))
                uniform = view.draw("approval", asked, np.full(at.size, number))
                approved[asked] = step.approval.due(at, uniform, view.setting)
            waits = (done == end) & (still | (view.tick < approved))
            approved[(done == end) & ~waits] = -1
            still |= waits
        return still

    def told(self, setting: Setting) -> str:
        whom = "the challenger" if len(setting.arms) == 2 else "the challengers together"
        first, *rest = [(format_share(step.weight), _held(step)) for step in self.each_step()]
        steps = [f"{first[0]} of live traffic {first[1]}", *(f"{weight} {held}" for weight, held in rest)]
        whom += ", and the baseline as much as each," if self.baseline else ""
        moves = ", and goes on only while the last look of every check was good" if self.heeds_looks() else ""
        return f"gives {whom} {', then '.join(steps)}{moves}"

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        spans = [(f"steps[{index}].bake", step.bake) for index, step in enumerate(self.steps)]
        if self.ramp is not None:
            spans.append(("ramp.every", self.ramp.every))
        problems = [found for key, span in spans if span is not None for found in whole_ticks(key, span, setting)]
        if self.baseline and not setting.baseline:
            problems.append(
                ("baseline", "no model has the role baseline: add the champion's version once more, as the last model")
            )
        if self.baseline and any(step.weight == 1 for step in self.each_step()):
            key = next((f"steps[{index}].weight" for index, step in enumerate(self.steps) if step.weight == 1), "ramp")
            problems.append((key, "leaves no traffic for the baseline: end below 100%, got 100%"))
        return problems


def _held(step: Step) -> str:
    """How long a step is held, in words."""
    bakes = [] if step.bake is None else [f"for {format_duration(step.bake)}"]
    return " and ".join([*bakes, *([] if step.approval is None else [f"until it is approved, {step.approval.told()}"])])
