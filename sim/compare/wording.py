"""Estimates as people read them: 4.2 h, 3.1% (2.2–4.3%), 12.3k ± 0.4k."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from sim.stats.intervals import Estimate

_UNITS = (("ms", 0.001, 1000), ("s", 1, 60), ("min", 60, 60), ("h", 3600, 24), ("d", 86_400, math.inf))
_SUFFIXES = ("", "k", "M", "G", "T")


def share(value: float) -> str:
    """A share as a percentage with two significant digits, and never 0% or 100% unless it is.

    >>> share(0.0312), share(0.123), share(0.9996), share(1.0), share(0.0), share(0.000999)
    ('3.1%', '12%', '99.96%', '100%', '0%', '0.10%')
    """
    percent = 100 * value
    # The distance to the nearer end is what a reader of 99.96% looks for.
    small, left = (float(f"{abs(each):.1e}") or 10.0 for each in (percent, 100 - percent))
    digits = 1 - math.floor(math.log10(small)) if small <= left else -math.floor(math.log10(left))
    return f"{_rounded(percent, min(max(digits, 0), 9))}%"


def duration(seconds: float) -> str:
    """A duration in the largest unit that keeps it at 1 or more, with two significant digits.

    >>> duration(15_100), duration(120), duration(59.97), duration(1_209_600), duration(0)
    ('4.2 h', '2 min', '1.0 min', '14 d', '0 s')
    """
    if abs(seconds) < 0.001:
        return f"{seconds + 0.0:.2g} s"
    texts = [(_rounded(seconds / size, 1 if abs(seconds / size) < 9.95 else 0), unit, most) for unit, size, most in _UNITS]
    return next(f"{text} {unit}" for text, unit, most in texts if abs(float(text)) < most)


def quantity(value: float) -> str:
    """A count or an amount with three significant digits.

    >>> quantity(12_345), quantity(812), quantity(999_960), quantity(0.00123), quantity(-4.5e6)
    ('12.3k', '812', '1M', '0.00123', '-4.5M')
    """
    rounded = float(f"{value:.3g}")
    power = _power(rounded)
    return f"{rounded / 1000**power:.3g}{_SUFFIXES[power]}"


FORMATS = {"share": share, "s": duration, "requests": quantity, "users": quantity, "count": quantity, "value": quantity}
"""How a value of each unit of a measure is written."""


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


def value_and_interval(estimate: Estimate, unit: str, *, signed: bool = False) -> tuple[str, str]:
    """An estimate and its interval; the interval is empty where there is none, and one-sided where a bound is not known.

    Without an estimate: "no case" where no replication qualified, else "not reached".

    >>> value_and_interval(Estimate(0.0312, 0.022, 0.0431, 1000), "share")
    ('3.1%', '2.2–4.3%')
    >>> value_and_interval(Estimate(-60.0, -90.0, 30.0, 9), "s", signed=True)
    ('−1 min', '−1.5 min to +30 s')
    >>> value_and_interval(Estimate(7200.0, 5400.0, None, 9), "s")
    ('2 h', 'at least 1.5 h')
    >>> value_and_interval(Estimate(None, None, None, 0), "share"), value_and_interval(Estimate(None, 9e5, None, 10), "s")
    (('no case', ''), ('not reached', ''))
    """
    if estimate.estimate is None:
        return ("not reached" if estimate.n else "no case"), ""
    value = number(estimate.estimate, unit, signed=signed)
    lower, upper = (None if bound is None else number(bound, unit, signed=signed) for bound in (estimate.lower, estimate.upper))
    if lower is None or upper is None:
        return value, f"at least {lower}" if lower else f"at most {upper}" if upper else ""
    mark = "%" if unit == "share" and not signed else upper[upper.find(" ") :] if " " in upper else ""
    link = " to " if signed or lower.startswith("−") else "–"
    return value, f"{lower.removesuffix(mark) if mark else lower}{link}{upper}"


def with_interval(estimate: Estimate, unit: str, *, signed: bool = False) -> str:
    """`value_and_interval` in one text; without an interval that says no more than the value, as its bounds are written alike.

    >>> with_interval(Estimate(0.0312, 0.022, 0.0431, 900), "share"), with_interval(Estimate(9e4, 89_970.0, 90_020.0, 9), "s")
    ('3.1% (2.2–4.3%)', '1.0 d')
    """
    value, interval = value_and_interval(estimate, unit, signed=signed)
    bounds = {None if bound is None else number(bound, unit, signed=signed) for bound in (estimate.lower, estimate.upper)}
    return f"{value} ({interval})" if interval and bounds != {value} else value


def plus_minus(estimate: Estimate) -> str:
    """A mean, and half the width of its interval.

    >>> plus_minus(Estimate(12_345.0, 11_945.0, 12_745.0, 1000)), plus_minus(Estimate(0.0, 0.0, 0.0, 9))
    ('12.3k ± 0.4k', '0 ± 0')
    """
    if estimate.estimate is None or estimate.lower is None or estimate.upper is None:
        return "–" if estimate.estimate is None else quantity(estimate.estimate)
    mean, half = estimate.estimate, (estimate.upper - estimate.lower) / 2
    power = _power(float(f"{max(abs(mean), half):.3g}"))
    suffix, scale = _SUFFIXES[power], 1000.0**power
    digits = 1 - math.floor(math.log10(half / scale)) if half > 0 else 0
    enough = 2 - math.floor(math.log10(abs(mean / scale))) if mean / scale else digits
    decimals = max(min(digits, enough), 0)
    if half == 0:
        return f"{quantity(mean)} ± 0"
    error = f"{half / scale:.{decimals}f}"
    # A width that is nothing in the multiple of the mean is written in its own.
    error = f"{error}{suffix}" if float(error) else quantity(float(f"{half:.1g}"))
    return f"{mean / scale:.{decimals}f}{suffix} ± {error}"


def listed(names: Sequence[str], most: int = 4) -> str:
    """Names in a sentence.

    >>> listed(["ab"]), listed(["ab", "canary", "shadow"]), listed(["a", "b", "c", "d"], most=2)
    ('ab', 'ab, canary and shadow', 'a, b and 2 more')
    """
    shown = list(names) if len(names) <= most else [*names[:most], f"{len(names) - most} more"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def where_missing(policies: Sequence[str], points: Sequence[Collection[str]]) -> str:
    """The policies that not every point has, and at how many points they are missing if others have them.

    >>> where_missing(["ab", "canary", "hold"], [["hold", "ab"], ["hold"], ["hold"]])
    'ab at 2 of 3 points, canary'
    """
    lacking = {name: sum(name not in each for each in points) for name in policies}
    return ", ".join(
        name if count == len(points) else f"{name} at {count} of {len(points)} points"
        for name, count in lacking.items()
        if count
    )


def _power(value: float) -> int:
    power = 0
    while abs(value) >= 1000 and power < len(_SUFFIXES) - 1:
        value, power = value / 1000, power + 1
    return power


def _rounded(value: float, decimals: int) -> str:
    """Without decimals where there are none to show: 5% is exact, 5.0% is rounded."""
    exact = abs(value - round(value)) < 1e-9 * max(abs(value), 1.0)
    return f"{round(value)}" if exact and value != 0 else f"{value + 0.0:.{decimals}f}" if value else "0"
