"""Estimates of `summary.json` in tables and charts, worded as the verdict words them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sim.compare.wording import number, value_and_interval
from sim.stats.intervals import Estimate

__all__ = ["MISSING", "in_line", "number", "with_interval"]

MISSING = "–"


def with_interval(estimate: Mapping[str, Any] | None, unit: str, *, signed: bool = False) -> tuple[str, str]:
    """An estimate as (value, interval), as `value_and_interval` has them; a dash where there is nothing.

    >>> with_interval({"estimate": 0.0312, "lower": 0.022, "upper": 0.0431, "n": 1000}, "share")
    ('3.1%', '2.2–4.3%')
    >>> with_interval(None, "share")
    ('–', '')
    """
    return (MISSING, "") if estimate is None else value_and_interval(Estimate(**estimate), unit, signed=signed)


def in_line(estimate: Mapping[str, Any] | None, unit: str, *, signed: bool = False) -> str:
    """`with_interval` in one text.

    >>> in_line({"estimate": 0.5, "lower": 0.46, "upper": 0.54, "n": 600}, "share")
    '50% (46–54%)'
    """
    value, interval = with_interval(estimate, unit, signed=signed)
    return f"{value} ({interval})" if interval else value
