"""What a query of Prometheus measures, in the words of a check: errors, latency or requests, whose, and over which window.

The common forms are recognised from the tree of the query: a success or error share by status code, a ratio of two counters,
a quantile of a histogram, a mean latency, a rate of requests, and any of them of the canary against the stable version. A query
is of the form offset + scale x measure, so that percentages and milliseconds need no cases of their own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeAlias

from sim.interop.promql import Binary, Call, Matcher, Number, Selector, Tree, parse
from sim.interop.tokens import Unread
from sim.units import format_duration, format_share


class Whose(StrEnum):
    """Whose requests a query sees."""

    CANARY = "canary"
    STABLE = "stable"
    BOTH = "both"


Sight: TypeAlias = Callable[[Matcher], Whose | None]
"""Which version a label picks; None where it picks neither."""


@dataclass(frozen=True)
class Measure:
    """What a query gives: `offset` + `scale` times a share of errors, seconds of latency, or requests a second.

    `against`: of the canary over that of the stable version ("ratio"), or less it ("difference"). `slower_than_s`: the share of
    calls within that time. `zero`: its value where there were no requests, NaN of 0/0, None where there is no result then.
    `absent`: its value where there are no series at all. `notes`: what is not quite as the query says.
    """

    metric: str
    window_s: float
    whose: Whose
    scale: float = 1.0
    offset: float = 0.0
    quantile: float | None = None
    within_s: float | None = None
    against: str = ""
    zero: float | None = math.nan
    absent: float | None = None
    notes: tuple[str, ...] = ()

    def moved(self, scale: float, offset: float = 0.0) -> Measure:
        """This times `scale`, plus `offset`."""

        def at(value: float | None) -> float | None:
            return None if value is None else value * scale + offset

        return replace(
            self, scale=self.scale * scale, offset=self.offset * scale + offset, zero=at(self.zero), absent=at(self.absent)
        )

    def told(self) -> str:
        """What it measures, in words."""
        whose = {Whose.CANARY: "the canary", Whose.STABLE: "the stable version", Whose.BOTH: "both versions together"}
        than = {"ratio": " over that of the stable version", "difference": " less that of the stable version"}
        what = f"the {format_share(self.quantile)} latency" if self.quantile else f"the {self.metric.replace('_', ' ')}"
        return f"{what} of {whose[self.whose]}{than.get(self.against, '')}, over {format_duration(self.window_s)}"


@dataclass(frozen=True)
class _Counted:
    """Events by time. `what` is all, bad, good, time (a sum of latencies) or slow (buckets of a histogram)."""

    what: str
    whose: Whose
    window_s: float
    unit_s: float | None
    total: bool = False
    one: bool = False
    by: tuple[str, ...] = ()
    le: str = ""
    least: float | None = None
    some: bool = False
    absent: float | None = None
    scale: float = 1.0
    notes: tuple[str, ...] = ()


_Found: TypeAlias = "float | _Counted | Measure"

_STATUS = (
    "status", "code", "status_code", "response_code", "http_status", "http_code", "http_status_code", "statuscode",
    "response_status", "response_code_class", "envoy_response_code_class", "http_response_status_code", "response_status_code",
)  # fmt: skip
_OUTCOME = {
    **dict.fromkeys(("success", "ok", "successful"), "good"),
    **dict.fromkeys(("failure", "error", "failed", "server_error"), "bad"),
}
_OUTCOME_LABELS = ("classification", "outcome", "result", "grpc_code", "grpc_status")
_UNITS = (("milliseconds", 0.001), ("_ms", 0.001), ("microseconds", 1e-6), ("seconds", 1.0))
# What a pattern of a status code may be made of; others could take Python for ever to try.
_PATTERN = re.compile(r"[0-9xX.*+?|()\[\]^$\\d-]{1,40}")


def measure_of(text: str, sight: Sight) -> Measure:
    """What a query measures; `sight` says which version a label picks. Raises `Unread` for what is not recognised.

    >>> def sight(matcher):
    ...     return Whose.CANARY if matcher.value == "canary" else None
    >>> errors = 'sum(rate(hits{track="canary", code=~"5.."}[5m]))'
    >>> measure = measure_of(f'100 * {errors} / sum(rate(hits{{track="canary"}}[5m]))', sight)
    >>> measure.metric, measure.scale, measure.window_s, measure.whose.value
    ('error_rate', 100.0, 300.0, 'canary')
    """
    found = _read(parse(text), sight)
    if isinstance(found, _Counted):
        return _alone(found)
    if isinstance(found, float):
        raise Unread("it is a number, whatever the traffic")
    return found


def _read(tree: Tree, sight: Sight) -> _Found:
    if isinstance(tree, Number):
        return tree.value
    if isinstance(tree, Selector):
        raise Unread("it reads a value as it is, not its rate over a window")
    if isinstance(tree, Call):
        return _call(tree, sight)
    left, right = _read(tree.left, sight), _read(tree.right, sight)
    return _joined(tree.sign, left, right)


def _call(tree: Call, sight: Sight) -> _Found:
    name, arguments = tree.name, tree.arguments
    if name in ("rate", "increase") and len(arguments) == 1:
        return _counted(arguments[0], sight, total=name == "increase")
    if name == "histogram_quantile" and len(arguments) == 2:
        return _quantile(_read(arguments[0], sight), _read(arguments[1], sight))
    if name in ("scalar", "vector", "abs", "sort", "sort_desc") and len(arguments) == 1:
        return _read(arguments[0], sight)
    if name == "round" and arguments:
        found = _read(arguments[0], sight)
        return _noted(found, "rounding is left out")
    if name in ("clamp_min", "clamp_max") and len(arguments) == 2:
        return _clamped(name, _read(arguments[0], sight), _read(arguments[1], sight))
    if name in ("sum", "avg", "max", "min") and len(arguments) == 1:
        return _aggregated(name, _read(arguments[0], sight), tree)
    raise Unread(f"the function {name}() is not recognised")


def _noted(found: _Found, note: str) -> _Found:
    return found if isinstance(found, float) else replace(found, notes=(*found.notes, note))


def _clamped(name: str, found: _Found, bound: _Found) -> _Found:
    if not isinstance(bound, float):
        raise Unread(f"{name}() needs a number")
    if isinstance(found, _Counted) and name == "clamp_min":
        return replace(found, least=bound)
    if isinstance(found, Measure):
        return _noted(found, f"{name}() is left out: its bound is taken for one that is never reached")
    raise Unread(f"{name}() is not recognised here")


def _aggregated(name: str, found: _Found, tree: Call) -> _Found:
    if isinstance(found, float):
        return found
    if isinstance(found, Measure):
        if tree.by:
            raise Unread(f"it gives a result for each {tree.by[0]}")
        return found
    fixed = _fixed(tree)
    split = [label for label in tree.by if label != "le" and label not in fixed]
    if split:
        raise Unread(f"it gives a result for each {split[0]}, and a condition reads the first")
    if name != "sum":
        raise Unread(f"{name}() of rates is neither their sum nor the rate of one")
    return replace(found, one=True, by=tree.by)


def _fixed(tree: Tree) -> set[str]:
    """Labels that a query gives one value."""
    if isinstance(tree, Selector):
        return {matcher.label for matcher in tree.matchers if matcher.sign == "="}
    if isinstance(tree, Call):
        return {label for argument in tree.arguments for label in _fixed(argument)}
    return _fixed(tree.left) & _fixed(tree.right) if isinstance(tree, Binary) else set()


def _counted(tree: Tree, sight: Sight, *, total: bool) -> _Counted:
    if not isinstance(tree, Selector) or tree.window_s is None:
        raise Unread("a rate needs a name of series and a window in [ ]")
    name = tree.name or next((each.value for each in tree.matchers if each.label == "__name__" and each.sign == "="), "")
    unit_s = next((seconds for word, seconds in _UNITS if word in name), None)
    whose = _whose(tree.matchers, sight)
    what, notes = _kind(name, tree.matchers)
    le = next((each.value for each in tree.matchers if each.label == "le" and each.sign == "="), "")
    return _Counted(what, whose, tree.window_s, unit_s, total, le=le, notes=notes)


def _whose(matchers: Iterable[Matcher], sight: Sight) -> Whose:
    seen = {each for matcher in matchers if (each := sight(matcher)) is not None}
    if len(seen) > 1:
        raise Unread("its labels pick the canary and the stable version at once")
    return next(iter(seen), Whose.BOTH)


def _kind(name: str, matchers: tuple[Matcher, ...]) -> tuple[str, tuple[str, ...]]:
    """What a selector counts, and what of it is not quite so."""
    if name.endswith("_bucket"):
        return "slow", ()
    by_code = [each for each in matchers if each.label.lower() in _STATUS]
    if by_code:
        return _by_code(by_code)
    for each in matchers:
        if each.label.lower() in _OUTCOME_LABELS and each.value.lower() in _OUTCOME and each.sign in ("=", "!="):
            kind = _OUTCOME[each.value.lower()]
            other = "bad" if kind == "good" else "good"
            return (kind if each.sign == "=" else other), ()
    if name.endswith("_sum"):
        return "time", ()
    low = name.lower()
    if any(word in low for word in ("error", "fail", "5xx")):
        return "bad", ()
    return ("good", ()) if "success" in low else ("all", ())


def _by_code(matchers: list[Matcher]) -> tuple[str, tuple[str, ...]]:
    for codes in ([str(code) for code in range(100, 600)], [f"{code}xx" for code in range(1, 6)], list("12345")):
        passing = {code[0] for code in codes if all(_matches(each, code) for each in matchers)}
        every = {kind for kind in "12345" if all(all(_matches(m, c) for m in matchers) for c in codes if c[0] == kind)}
        if not passing or every == set("12345"):
            continue
        if "5" not in passing and "2" in passing:
            notes = () if "4" in every else ("here, only failures (5xx) are errors; the query counts 4xx as errors too",)
            return "good", notes
        if "5" in passing and "2" not in passing:
            notes = ("here, only failures (5xx) are errors; the query counts 4xx as errors too",) if "4" in passing else ()
            partly = ("here, all failures are counted; the query counts some codes of 5xx",) if "5" not in every else ()
            return "bad", (*notes, *partly)
        break
    else:
        if all(all(_matches(each, str(code)) for each in matchers) for code in range(100, 600)):
            return "all", ()
    raise Unread("its status codes are neither the failures (5xx) nor what is none")


def _matches(matcher: Matcher, code: str) -> bool:
    if matcher.sign in ("=", "!="):
        return (matcher.value == code) == (matcher.sign == "=")
    if not _PATTERN.fullmatch(matcher.value):
        raise Unread(f"the pattern {matcher.value[:40]!r} of status codes is not read")
    try:
        held = re.fullmatch(matcher.value, code) is not None
    except re.error:
        raise Unread(f"the pattern {matcher.value!r} is none") from None
    return held == (matcher.sign == "=~")


def _quantile(level: _Found, found: _Found) -> Measure:
    if not isinstance(level, float) or not 0 < level < 1:
        raise Unread("histogram_quantile() needs a level between 0 and 1")
    if not isinstance(found, _Counted) or found.what != "slow" or (found.one and "le" not in found.by):
        raise Unread("histogram_quantile() needs the rates of buckets by (le)")
    if found.unit_s is None:
        raise Unread("the name of the histogram does not say whether it is in seconds or milliseconds")
    note = "Prometheus interpolates between buckets; here the quantile is exact"
    return Measure(
        "latency", found.window_s, found.whose, scale=1 / found.unit_s, quantile=level, absent=found.absent,
        notes=(*found.notes, note),
    )  # fmt: skip


def _alone(found: _Counted) -> Measure:
    """What a count is that stands in no ratio."""
    if found.what != "all" or not found.one:
        what = "errors" if found.what == "bad" else "latencies" if found.what in ("time", "slow") else "single series"
        raise Unread(f"it counts {what}, in no proportion to all requests")
    scale = found.scale * (found.window_s if found.total else 1.0)
    return Measure("requests", found.window_s, found.whose, scale, zero=0.0, absent=found.absent, notes=found.notes)


def _joined(sign: str, left: _Found, right: _Found) -> _Found:
    if sign == "or":
        if isinstance(right, float) and not isinstance(left, float):
            return replace(left, absent=right)
        raise Unread("`or` is read with vector(number) only")
    if sign in (">", ">=", "!=") and right == 0.0 and isinstance(left, _Counted):
        # A filter: where there is nothing, there is no result.
        return replace(left, some=True)
    if sign not in ("+", "-", "*", "/"):
        raise Unread(f"{sign!r} in a query is not recognised")
    if isinstance(left, float) and isinstance(right, float):
        if sign == "/" and right == 0:
            raise Unread("it divides by 0")
        return {"+": left + right, "-": left - right, "*": left * right}.get(sign, left / right if right else math.nan)
    if isinstance(left, _Counted) and isinstance(right, _Counted):
        return _ratio(left, right) if sign == "/" else _added(sign, left, right)
    if isinstance(left, Measure) and isinstance(right, Measure):
        return _compared(sign, left, right)
    return _linear(sign, left, right)


def _linear(sign: str, left: _Found, right: _Found) -> _Found:
    """A measure and a number."""
    if isinstance(left, Measure) and isinstance(right, float):
        if sign in ("+", "-"):
            return left.moved(1.0, right if sign == "+" else -right)
        if right == 0:
            raise Unread(f"{sign} 0 leaves nothing of it")
        return left.moved(right if sign == "*" else 1 / right)
    if isinstance(right, Measure) and isinstance(left, float) and sign != "/":
        if sign == "*" and left == 0:
            raise Unread("0 * leaves nothing of it")
        return right.moved(left) if sign == "*" else right.moved(1.0 if sign == "+" else -1.0, left)
    if isinstance(left, _Counted) and isinstance(right, float) and sign in ("*", "/") and right:
        return replace(left, scale=left.scale * right if sign == "*" else left.scale / right)
    if isinstance(right, _Counted) and isinstance(left, float) and sign == "*" and left:
        return replace(right, scale=right.scale * left)
    raise Unread(f"{sign!r} joins what cannot be joined here")


def _same(left: _Counted, right: _Counted) -> None:
    if left.whose != right.whose:
        raise Unread(f"it sets counts of {left.whose} in proportion to those of {right.whose}")
    if left.window_s != right.window_s or left.total != right.total:
        raise Unread("its two counts are over windows of different lengths")


def _added(sign: str, left: _Counted, right: _Counted) -> _Counted:
    _same(left, right)
    if left.scale != right.scale:
        raise Unread(f"{sign!r} joins counts in different units")
    kinds = {("+", "good", "bad"): "all", ("+", "bad", "good"): "all", ("-", "all", "bad"): "good", ("-", "all", "good"): "bad"}
    what = kinds.get((sign, left.what, right.what))
    if what is None or not (left.one and right.one):
        raise Unread(f"{sign!r} joins counts of {left.what} and of {right.what}")
    return replace(left, what=what, notes=(*left.notes, *right.notes))


def _ratio(left: _Counted, right: _Counted) -> Measure:
    _same(left, right)
    if left.one != right.one or not left.one:
        raise Unread("its counts are not summed, so that there is a result for each series")
    if right.what not in ("all", "slow") or (right.what == "slow" and right.le != "+Inf"):
        raise Unread("what it divides by is not a count of all requests")
    notes = (*left.notes, *right.notes)
    if right.least is not None:
        notes += (f"where all requests are below {right.least:g}, the query divides by that; here by their number",)
    # 0 of 0 requests; with a least number, 0 of that; with a filter, nothing.
    zero = None if right.some else 0.0 if right.least is not None and right.least > 0 else math.nan
    absent = left.absent / right.absent if left.absent is not None and right.absent else None
    base = Measure("error_rate", left.window_s, left.whose, zero=zero, absent=absent, notes=notes)
    scale = left.scale / right.scale
    if left.what == "bad":
        return base.moved(scale)
    if left.what == "good":
        return replace(base, scale=-1.0, offset=1.0).moved(scale)
    if left.what == "time" and left.unit_s is not None:
        return replace(base, metric="mean_latency", scale=1 / left.unit_s).moved(scale)
    if left.what == "slow" and left.le not in ("", "+Inf") and left.unit_s is not None:
        try:
            return replace(base, metric="latency", within_s=float(left.le) * left.unit_s).moved(scale)
        except ValueError:
            raise Unread(f"le={left.le!r} is no bucket") from None
    raise Unread(f"a ratio of {left.what} to all requests is not recognised")


def _compared(sign: str, left: Measure, right: Measure) -> Measure:
    """Of the canary against the stable version."""
    alike = replace(left, whose=right.whose, notes=(), zero=0.0, absent=None) == replace(right, notes=(), zero=0.0, absent=None)
    if sign not in ("/", "-") or not alike or left.against or right.against:
        raise Unread("it compares two different things")
    if (left.whose, right.whose) != (Whose.CANARY, Whose.STABLE):
        raise Unread(f"it compares {left.whose} with {right.whose}, not the canary with the stable version")
    if sign == "/" and left.offset:
        raise Unread("it is a ratio of success shares; take that of error shares")
    notes = tuple(dict.fromkeys((*left.notes, *right.notes)))
    if sign == "/":
        return replace(left, scale=1.0, against="ratio", zero=math.nan, absent=None, notes=notes)
    return replace(left, offset=0.0, against="difference", zero=math.nan, absent=None, notes=notes)
