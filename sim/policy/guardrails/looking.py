"""When a threshold check looks, and what a look sees: the interval, the stage so far, or a window that rolls."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, TypeAdapter, ValidationInfo, WithJsonSchema

from sim.arrays import Bools, Floats, Ints
from sim.policy.base import View
from sim.policy.columns import Column
from sim.policy.setting import DeclaredSetting, whole_ticks
from sim.policy.telling import counted
from sim.spelling import did_you_mean
from sim.units import Duration, bounded, format_duration, read_duration, shown

INTERVAL, STAGE = "interval", "stage"


def _read_over(value: Any, info: ValidationInfo) -> str | float:
    if value in (INTERVAL, STAGE):
        return str(value)
    if isinstance(value, str) and not any(letter.isdigit() for letter in value):
        hint = did_you_mean(value, (INTERVAL, STAGE))
        raise ValueError(f"must be {INTERVAL}, {STAGE} or a duration, got {shown(value)}{hint and '; '}{hint}")
    return bounded(read_duration(value, info))


def _write_over(value: str | float) -> str:
    return value if isinstance(value, str) else format_duration(value)


Over = Annotated[
    str | float,
    BeforeValidator(_read_over),
    PlainSerializer(_write_over, return_type=str, when_used="json"),
    WithJsonSchema({"anyOf": [{"enum": [INTERVAL, STAGE], "type": "string"}, TypeAdapter(Duration).json_schema()]}),
]
"""`interval`, `stage`, or seconds."""


class Looking(BaseModel):
    """The keys that say when a check looks, how many answers it needs, and over which time they are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_requests: int = Field(1, ge=1, description="answers that a look needs")
    no_data: Literal["wait", "pass", "fail", "doubt"] = Field("wait", description="what a look with too few answers means")
    every: Duration | None = Field(None, description="the interval, a whole number of ticks; one tick if left out")
    start: Duration | None = Field(
        None, description="when the first look is, counted from the start of the stage; after one interval if left out"
    )
    looks: int | None = Field(None, ge=1, description="how many looks there are at most; after them the check stands as it is")
    over: Over = Field(
        INTERVAL,
        description="what a look sees: the interval, the stage so far, or a time back, whole ticks, also longer than `every`",
    )

    def every_ticks(self, setting: DeclaredSetting) -> int:
        """Ticks from look to look."""
        return setting.ticks_of(self.every) if self.every else 1

    def start_ticks(self, setting: DeclaredSetting) -> int:
        """Ticks from the start of the stage to the first look."""
        return setting.ticks_of(self.start) if self.start else self.every_ticks(setting)

    def window_ticks(self, setting: DeclaredSetting) -> int | None:
        """Ticks that a look sees at most; None of the stage so far."""
        if isinstance(self.over, str):
            return self.every_ticks(setting) if self.over == INTERVAL else None
        return setting.ticks_of(self.over)

    def looking(self, age: Ints, setting: DeclaredSetting) -> Bools:
        """(r,) whether there is a look at an age of the stage."""
        every, start = self.every_ticks(setting), self.start_ticks(setting)
        now: Bools = (age >= start) & ((age - start) % every == 0)
        return now if self.looks is None else now & (age <= start + (self.looks - 1) * every)

    def looked(self, age: Ints, setting: DeclaredSetting) -> Bools | None:
        """(r,) whether all looks have been at an age of the stage; None without `looks`."""
        if self.looks is None:
            return None
        return np.asarray(age >= self.start_ticks(setting) + (self.looks - 1) * self.every_ticks(setting))

    def window_memory(self, columns: int, setting: DeclaredSetting) -> dict[str, NDArray[Any]]:
        """What must be known of earlier ticks: the sums (n, C, K) of the stage at each age at which a later window begins."""
        window = self.window_ticks(setting)
        slots = 0 if window is None else math.ceil(window / self.every_ticks(setting))
        return {"before": np.zeros((slots, columns, len(setting.arms)), np.int64)}

    def in_window(self, view: View, columns: tuple[Column, ...]) -> Ints:
        """(r, C, K) sums of the columns over the window that ends now; its begin is kept for looks to come.

        A window that is longer than the stage is old sees the stage so far. Where there is no look now, the sums have no
        meaning.
        """
        now: Ints = np.stack([view.of_total(column) for column in columns], axis=1)
        window = self.window_ticks(view.setting)
        if window is None:
            return now
        before, every = view.memory["before"], self.every_ticks(view.setting)
        # Counted from the first look, so that windows begin at the ages of slots.
        since = view.age - self.start_ticks(view.setting)
        kept, slots = (since + window) % every == 0, before.shape[1]
        if slots == 1:
            seen: Ints = now - before[:, 0]
            np.copyto(before[:, 0], now, where=kept[:, None, None])
            return seen
        rows = np.arange(since.size)
        # An age that is not kept is before the stage: then the slot still holds zeros.
        seen = now - before[rows, (since // every) % slots]
        before[rows[kept], ((since + window) // every)[kept] % slots] = now[kept]
        return seen

    def seconds(self, view: View) -> Floats:
        """(r,) the seconds that a look sees now."""
        window = self.window_ticks(view.setting)
        ticks = view.age if window is None else np.minimum(view.age, window)
        return np.asarray(ticks * view.setting.tick_s, np.float64)

    def told_looks(self) -> tuple[str, str]:
        """How often it looks, and what at, in words."""
        when = f"every {format_duration(self.every)}" if self.every else "every tick"
        if self.start is not None:
            when += f" from {format_duration(self.start)} on"
        if self.looks is not None:
            when += f", {counted(self.looks, 'look')} at most"
        if isinstance(self.over, float):
            seen = f", of the last {format_duration(self.over)}"
        else:
            seen = ", of the stage so far" if self.over == STAGE else ""
        return when, seen + (f", of at least {counted(self.min_requests, 'answer')}" if self.min_requests > 1 else "")

    def looking_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        """Problems of these keys that show in the scenario file alone: (key, message) pairs."""
        lengths = {"every": self.every, "start": self.start, "over": self.over}
        return [
            problem
            for key, length in lengths.items()
            if isinstance(length, float)
            for problem in whole_ticks(key, length, setting)
        ]
