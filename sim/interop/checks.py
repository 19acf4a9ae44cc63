"""A measure and the numbers that are good, as a threshold check of a policy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from sim.interop.conditions import Bounds
from sim.interop.queries import Measure, Whose
from sim.interop.tokens import Unread
from sim.units import format_duration, format_share

# A bound that is itself a failure is put so far inside it; shares of fewer than 10^9 requests cannot lie between.
_OPEN = 1e-9


@dataclass(frozen=True)
class Judged:
    """The numbers of a measure that are good, those that are no failure, and what a look without requests comes to.

    Between them a look is in doubt. `no_data` is pass, fail, doubt, or wait where the program counts no such look.
    """

    good: Bounds
    fine: Bounds
    no_data: str


def check_of(measure: Measure, judged: Judged) -> dict[str, Any]:
    """The keys of a threshold check that say what a look is. Raises `Unread` for what no check says.

    >>> measure = Measure("error_rate", 60.0, Whose.CANARY, scale=-100.0, offset=100.0)
    >>> check_of(measure, Judged(Bounds(low=99.0), Bounds(low=99.0), "fail"))
    {'metric': 'error_rate', 'max': '1%', 'over': '1m', 'no_data': 'fail'}
    """
    if measure.whose is Whose.STABLE:
        raise Unread("it looks at the stable version only, which the rollout does not change")
    good, fine = _based(measure, judged.good), _based(measure, judged.fine)
    if fine.all and good.all:
        raise Unread("every number is good: it can never fail")
    keys: dict[str, Any] = {"metric": measure.metric}
    if measure.whose is Whose.BOTH:
        keys["sees"] = "service"
    keys |= (_latency if measure.metric == "latency" else _bounds)(measure, good, fine)
    keys["over"] = format_duration(measure.window_s)
    # No requests are data too, where requests are what is measured.
    return keys if measure.metric == "requests" else {**keys, "no_data": judged.no_data}


def _bounds(measure: Measure, good: Bounds, fine: Bounds) -> dict[str, Any]:
    suffix = {"ratio": "_ratio", "difference": "_difference"}.get(measure.against, "")
    keys: dict[str, Any] = {}
    for key, bound, outer, beyond in (
        ("max", _high(good), _high(fine), "doubt_above"),
        ("min", _low(good), _low(fine), "doubt_below"),
    ):
        if outer is not None:
            keys[key + suffix] = _written(measure, outer)
        if bound is not None and bound != outer:
            if suffix:
                raise Unread("a doubt about a comparison with the stable version is not carried")
            keys[beyond] = _written(measure, bound)
    return keys


def _latency(measure: Measure, good: Bounds, fine: Bounds) -> dict[str, Any]:
    if measure.against:
        raise Unread("a quantile of the latency against the stable version is not carried")
    if measure.within_s is not None:
        share = _low(good)
        if share is None or good != fine or _high(good) is not None or not 0 < share < 1:
            raise Unread("a share of calls within a time is carried with one least share only")
        return {"quantile": format_share(_rounded(share)), "max": format_duration(_rounded(measure.within_s))}
    most, outer = _high(good), _high(fine)
    if most is None or _low(good) is not None or measure.quantile is None:
        raise Unread("a quantile of the latency is carried with a bound above only")
    keys = {"quantile": format_share(_rounded(measure.quantile))}
    if outer is not None:
        keys["max"] = format_duration(outer)
    if outer != most:
        keys["doubt_above"] = format_duration(most)
    return keys


def _based(measure: Measure, bounds: Bounds) -> Bounds:
    """Bounds on the value of a query as bounds on what it measures."""
    ends = [
        ((end - measure.offset) / measure.scale if math.isfinite(end) else math.copysign(end, end * measure.scale), is_open)
        for end, is_open in ((bounds.low, bounds.low_open), (bounds.high, bounds.high_open))
    ]
    (low, low_open), (high, high_open) = sorted(ends, key=lambda end: end[0])
    if (measure.scale, measure.offset) != (1.0, 0.0):
        low, high = _rounded(low), _rounded(high)
    inside = Bounds(low, high, low_open, high_open)
    if measure.against:
        return inside.within(0.0, math.inf) if measure.against == "ratio" else inside
    most = 1.0 if measure.metric == "error_rate" or measure.within_s is not None else math.inf
    inside = inside.within(0.0, most)
    if inside.low > most or inside.high < 0 or (inside.high == 0 and inside.high_open):
        raise Unread("no number that it can give is good: every look fails")
    return inside


def _high(bounds: Bounds) -> float | None:
    if bounds.high == math.inf:
        return None
    return _rounded(bounds.high * (1 - _OPEN)) if bounds.high_open else bounds.high


def _low(bounds: Bounds) -> float | None:
    if bounds.low == -math.inf:
        return None
    return _rounded(bounds.low * (1 + _OPEN), 15) if bounds.low_open else bounds.low


def _written(measure: Measure, bound: float) -> Any:
    if measure.against == "ratio":
        if bound <= 0:
            raise Unread("a ratio to the stable version must have a bound above 0")
        return bound
    if measure.metric == "mean_latency":
        return format_duration(bound) if bound > 0 else f"-{format_duration(-bound)}" if bound else bound
    if measure.metric == "requests":
        return f"{bound:.12g}/s"
    return format_share(bound) if measure.metric == "error_rate" else bound


def _rounded(value: float, digits: int = 12) -> float:
    """Without what floating point adds: 1 - 0.99 is 0.01."""
    return float(f"{value:.{digits}g}") + 0.0
