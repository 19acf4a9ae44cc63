"""Numbers in tables and charts, worded as the verdict words them, with signs where they are differences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sim.compare.wording import FORMATS

MISSING = "–"


def number(value: float, unit: str, *, signed: bool = False) -> str:
    """One number of a measure's `unit` (share, s, requests, users, count or value).

    `signed` is for differences: a sign, and percentage points for shares.

    >>> number(0.0312, "share"), number(15_100, "s"), number(12_345, "requests")
    ('3.1%', '4.2 h', '12.3k')
    >>> number(-0.0312, "share", signed=True), number(600, "s", signed=True), number(-3.0, "value")
    ('−3.1 pp', '+10 min', '−3')
    """
    text = FORMATS[unit](abs(value))
    if signed and unit == "share":
        text = text.replace("%", " pp")
    sign = "−" if value < 0 else "+" if signed and value > 0 else ""
    return sign + text


def with_interval(estimate: Mapping[str, Any] | None, unit: str, *, signed: bool = False) -> tuple[str, str]:
    """An estimate as (value, interval); the interval is empty where there is none.

    An estimate of `None` reads "no case" where no replication qualified, else "not reached"; a bound of
    `None` is open.

    >>> with_interval({"estimate": 0.0312, "lower": 0.022, "upper": 0.0431, "n": 1000}, "share")
    ('3.1%', '2.2–4.3%')
    >>> with_interval({"estimate": -60.0, "lower": -90.0, "upper": 30.0, "n": 9}, "s", signed=True)
    ('−1 min', '−1.5 min to +30 s')
    >>> with_interval({"estimate": 7200.0, "lower": 5400.0, "upper": None, "n": 9}, "s")
    ('2 h', 'at least 1.5 h')
    >>> with_interval({"estimate": None, "lower": None, "upper": None, "n": 0}, "share")
    ('no case', '')
    """
    if estimate is None:
        return MISSING, ""
    value, lower, upper = (
        None if estimate[key] is None else number(estimate[key], unit, signed=signed) for key in ("estimate", "lower", "upper")
    )
    if value is None:
        return ("not reached" if estimate["n"] else "no case"), ""
    if lower is None or upper is None:
        return value, f"at least {lower}" if lower else f"at most {upper}" if upper else ""
    mark = "%" if unit == "share" and not signed else upper[upper.find(" ") :] if " " in upper else ""
    link = " to " if signed or estimate["lower"] < 0 else "–"
    return value, f"{lower.removesuffix(mark) if mark else lower}{link}{upper}"


def in_line(estimate: Mapping[str, Any] | None, unit: str, *, signed: bool = False) -> str:
    """`with_interval` in one text.

    >>> in_line({"estimate": 0.5, "lower": 0.46, "upper": 0.54, "n": 600}, "share")
    '50% (46–54%)'
    """
    value, interval = with_interval(estimate, unit, signed=signed)
    return f"{value} ({interval})" if interval else value
