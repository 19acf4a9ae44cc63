"""Estimates in tables and charts, worded as the verdict words them."""

from __future__ import annotations

from sim.compare import wording
from sim.compare.wording import number
from sim.stats.intervals import Estimate

__all__ = ["MISSING", "in_line", "number", "value_and_interval"]

MISSING = "–"


def value_and_interval(estimate: Estimate | None, unit: str, *, signed: bool = False) -> tuple[str, str]:
    """`value_and_interval` of the wording; a dash and nothing where there is no estimate of that measure at all.

    >>> value_and_interval(Estimate(0.0312, 0.022, 0.0431, 1000), "share"), value_and_interval(None, "share")
    (('3.1%', '2.2–4.3%'), ('–', ''))
    """
    return (MISSING, "") if estimate is None else wording.value_and_interval(estimate, unit, signed=signed)


def in_line(estimate: Estimate | None, unit: str, *, signed: bool = False) -> str:
    """`value_and_interval` in one text.

    >>> in_line(Estimate(0.5, 0.46, 0.54, 600), "share"), in_line(None, "share")
    ('50% (46–54%)', '–')
    """
    return MISSING if estimate is None else wording.with_interval(estimate, unit, signed=signed)
