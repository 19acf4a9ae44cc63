"""Times of the week: some hours of the day, on some days."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from sim.arrays import Floats
from sim.policy.telling import listed
from sim.units import Clock, format_clock

DAY_S = 86_400.0
WEEK_S = 7 * DAY_S

Span = tuple[float, float]
"""From a second up to another one, of the week that begins at midnight before the run starts."""


def spans_of(between: Sequence[float] | None, days: Sequence[int] | None) -> list[Span]:
    """The spans of a week between two times of the day, on some days (1 to 7); all day, or every day, where one is None.

    Hours beyond midnight belong to the calendar day on which they fall.

    >>> spans_of((79_200.0, 21_600.0), (2,))
    [(86400.0, 108000.0), (165600.0, 172800.0)]
    """
    if between is None:
        hours = [(0.0, DAY_S)]
    else:
        start, end = between
        hours = [(start, end)] if start < end else [(0.0, end), (start, DAY_S)]
    return [
        (day * DAY_S + start, day * DAY_S + end)
        for day in (range(7) if days is None else sorted({each - 1 for each in days}))
        for start, end in hours
        if start < end
    ]


class Hours(BaseModel):
    """Some hours of the day, on some days of the week.

    >>> Hours(between=("22:00", "06:00"), days=(2,)).spans
    [(86400.0, 108000.0), (165600.0, 172800.0)]
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    between: tuple[Clock, ...] | None = Field(
        None,
        min_length=2,
        max_length=2,
        description="from one time of day up to another, which may lie beyond midnight; all day if left out",
    )
    days: tuple[Annotated[int, Field(ge=1, le=7)], ...] | None = Field(
        None,
        min_length=1,
        max_length=7,
        description="days of the week, of which day 1 is the first day of the run; hours beyond midnight belong to the day on "
        "which they fall; every day if left out",
    )

    @model_validator(mode="after")
    def _some_time(self) -> Hours:
        if self.between is None and self.days is None:
            raise ValueError("needs hours (`between`), `days`, or both")
        if self.days is not None and len(set(self.days)) < len(self.days):
            twice = next(day for place, day in enumerate(self.days) if day in self.days[:place])
            raise ValueError(f"days must be different days, got {twice} more than once")
        if self.between is not None and self.between[0] == self.between[1]:
            raise ValueError("between must be two different times of day")
        return self

    @property
    def spans(self) -> list[Span]:
        """When in the week it is."""
        return spans_of(self.between, self.days)

    def when(self) -> str:
        """The hours in words, with a blank before them.

        >>> Hours(between=("09:00", "17:00"), days=(1, 2)).when()
        ' between 09:00 and 17:00 on day 1 and 2 of the week'
        """
        hours = "" if self.between is None else f" between {' and '.join(format_clock(each) for each in self.between)}"
        days = "" if self.days is None else f" on day {listed([str(day) for day in self.days])} of the week"
        return hours + days

    def after(self, start_s: Floats, lasting_s: Floats) -> Floats:
        """(r,) when something that begins at `start_s` (r,) has gone on for `lasting_s` (r,) of these hours.

        Both are in seconds, as the answer is; times count from midnight before the run. What takes no time is done at once,
        or, out of these hours, as they begin.

        >>> office = Hours(between=("09:00", "17:00"), days=(1, 2, 3, 4, 5))
        >>> begun, hour = np.array([16.5, 16.5, 112.0, 12.0]), 3600
        >>> (office.after(begun * hour, np.array([0.5, 1.0, 2.0, 0.0]) * hour) / hour).tolist()
        [17.0, 33.5, 178.0, 12.0]
        """
        starts, ends = np.array(self.spans).T
        done = np.concatenate([[0.0], np.cumsum(ends - starts)])
        # The first moment within these hours, or the start of the next span, which may be the first of the next week.
        week, within = np.divmod(start_s, WEEK_S)
        place = np.searchsorted(ends, within, side="right")
        week, place = week + (place == ends.size), place % ends.size
        begun = np.maximum(start_s, week * WEEK_S + starts[place])
        # Hours that have gone by since midnight before the run, when it ends. Rounded, as an end of a span must not be missed.
        due = np.round(week * done[-1] + done[place] + (begun - week * WEEK_S - starts[place]) + lasting_s, 6)
        weeks = np.maximum(np.ceil(due / done[-1]) - 1, 0.0)
        left = due - weeks * done[-1]
        last = np.clip(np.searchsorted(done[1:], left, side="left"), 0, ends.size - 1)
        found: Floats = np.maximum(begun, weeks * WEEK_S + starts[last] + left - done[last])
        return found


def keeps_hours(value: Any) -> bool:
    """Whether there are hours of the day or days of the week in a model, or in a collection of models.

    >>> keeps_hours((Hours(days=(1,)),)), keeps_hours(())
    (True, False)
    """
    if isinstance(value, BaseModel):
        return isinstance(value, Hours) or any(keeps_hours(getattr(value, name)) for name in type(value).model_fields)
    return isinstance(value, tuple) and any(keeps_hours(each) for each in value)
