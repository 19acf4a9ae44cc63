"""Numbers as people read them: ``4.2 h``, ``3.1% (2.2–4.3)``, ``12.3k``. For the eyes only, never to be parsed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

MISSING = "–"
_DURATIONS = ((172_800.0, 86_400.0, " d"), (7_200.0, 3_600.0, " h"), (120.0, 60.0, " min"), (1.0, 1.0, " s"), (0.0, 1e-3, " ms"))
_COUNTS = ((1e10, 1e9, "G"), (1e7, 1e6, "M"), (1e4, 1e3, "k"), (0.0, 1.0, ""))


def number(value: float, unit: str, *, signed: bool = False) -> str:
    """One number of a measure's `unit` (share, s, requests, count or value), to three digits.

    `signed` is for differences: a sign, and percentage points for shares.

    >>> number(0.0312, "share"), number(15_120, "s"), number(12_345, "requests"), number(0.0, "value")
    ('3.12%', '4.2 h', '12.3k', '0')
    >>> number(-0.0312, "share", signed=True), number(600, "s", signed=True)
    ('−3.12 pp', '+10 min')
    """
    divisor, suffix = _scale(unit, value, signed)
    return _digits(value / divisor, _decimals(value / divisor), signed, trim=True) + suffix


def with_interval(estimate: Mapping[str, Any] | None, unit: str, *, signed: bool = False) -> tuple[str, str]:
    """An estimate as (value, interval), both in the unit of the value and as precise as the interval warrants.

    An estimate of `None` reads "no case" where no replication qualified, else "not reached"; a bound of
    `None` is open.

    >>> with_interval({"estimate": 0.031, "lower": 0.0217, "upper": 0.0432, "n": 1000}, "share")
    ('3.1%', '2.2–4.3')
    >>> with_interval({"estimate": -60.0, "lower": -90.0, "upper": 30.0, "n": 9}, "s", signed=True)
    ('−60 s', '−90 to +30')
    >>> with_interval({"estimate": 7200.0, "lower": 5400.0, "upper": None, "n": 9}, "s")
    ('2 h', '≥ 1.5')
    >>> with_interval({"estimate": None, "lower": None, "upper": None, "n": 0}, "share")
    ('no case', '')
    """
    if estimate is None:
        return MISSING, ""
    value, lower, upper = estimate["estimate"], estimate["lower"], estimate["upper"]
    if value is None:
        return ("no case" if estimate["n"] == 0 else "not reached"), (f"≥ {number(lower, unit)}" if lower is not None else "")
    # A count of 0 with an upper bound of 40,000 is read in thousands.
    divisor, suffix = _scale(unit, value or max(abs(lower or 0.0), abs(upper or 0.0)), signed)
    if lower is None or upper is None:
        shown = _digits(value / divisor, _decimals(value / divisor), signed, trim=True) + suffix
        if lower is None and upper is None:
            return shown, ""
        sign, bound = ("≤", upper) if lower is None else ("≥", lower)
        return shown, f"{sign} {_digits(bound / divisor, _decimals(bound / divisor), signed, trim=True)}"
    half = (upper - lower) / 2 / divisor
    decimals = min(max(0, -math.floor(math.log10(half / 2))), 4) if half > 0 else _decimals(value / divisor)
    low, high = (_digits(bound / divisor, decimals, signed) for bound in (lower, upper))
    link = " to " if lower < 0 or signed else "–"
    return _digits(value / divisor, decimals, signed) + suffix, f"{low}{link}{high}"


def in_line(estimate: Mapping[str, Any] | None, unit: str, *, signed: bool = False) -> str:
    """`with_interval` in one text.

    >>> in_line({"estimate": 0.5, "lower": 0.46, "upper": 0.54, "n": 600}, "share")
    '50% (46–54)'
    """
    value, interval = with_interval(estimate, unit, signed=signed)
    return f"{value} ({interval})" if interval else value


def _scale(unit: str, magnitude: float, signed: bool) -> tuple[float, str]:
    if unit == "share":
        return 0.01, " pp" if signed else "%"
    if unit == "s" and magnitude == 0:
        return 1.0, " s"
    steps = _DURATIONS if unit == "s" else _COUNTS
    return next((divisor, suffix) for least, divisor, suffix in steps if abs(magnitude) >= least)


def _decimals(scaled: float) -> int:
    return min(max(0, 2 - math.floor(math.log10(abs(scaled)))), 6) if scaled else 0


def _digits(scaled: float, decimals: int, signed: bool, *, trim: bool = False) -> str:
    text = f"{scaled:{'+' if signed else ''},.{decimals}f}"
    if trim and "." in text:
        text = text.rstrip("0").rstrip(".")
    if not text.strip("+-0.,"):
        text = text.lstrip("+-")
    return text.replace("-", "−")
