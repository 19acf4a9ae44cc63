"""SimPy's environment on a clock of integer nanoseconds, with a fixed order for events at the same time."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import simpy
from simpy.events import EventPriority


class Due(IntEnum):
    """The kinds of events, in their order at equal times. SimPy's own events, which take no time, come first."""

    CAPACITY = 1
    COMPLETION = 2
    GIVE_UP = 3
    ARRIVAL = 4


class Clock(simpy.Environment):
    """A clock in int64 nanoseconds. Events at the same time are played by kind, then by request, copy and attempt.

    >>> clock, heard = Clock(), []
    >>> for kind, request in ((Due.ARRIVAL, 1), (Due.ARRIVAL, 0), (Due.COMPLETION, 7)):
    ...     clock.at(5, kind, request, value=(kind.name, request)).callbacks.append(lambda event: heard.append(event.value))
    >>> clock.run()
    >>> heard
    [('COMPLETION', 7), ('ARRIVAL', 0), ('ARRIVAL', 1)]
    """

    now: int

    def at(self, time_ns: int, kind: Due, request: int, copy: int = 0, attempt: int = 0, value: Any = None) -> simpy.Event:
        """An event with a value at an absolute time."""
        event = _Timed(self, value)
        priority = kind << 80 | request << 16 | copy << 8 | attempt
        self.schedule(event, EventPriority(priority), time_ns - self._now)
        return event


class _Timed(simpy.Event):
    """An event that is scheduled by the clock, at an absolute time; `simpy.Timeout` takes a delay."""

    def __init__(self, clock: Clock, value: Any) -> None:
        super().__init__(clock)
        self._ok = True
        self._value = value
