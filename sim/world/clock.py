"""The clock of the event engines: whole nanoseconds, to which a time is rounded once, half to even."""

from __future__ import annotations

NS = 1_000_000_000
"""Nanoseconds in a second."""


def to_ns(time_s: float) -> int:
    """A time on the clock.

    >>> to_ns(0.25)
    250000000
    """
    return round(time_s * NS)
