"""Conditions of Argo (the language "expr") on the result of a query, and for which numbers they hold.

A condition is read as a tree, and tried at and between all numbers that stand in it. So which of the many ways to write a
threshold a team took does not matter.

Source: https://argo-rollouts.readthedocs.io/en/stable/features/analysis/ and https://expr-lang.org/docs/language-definition.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from sim.interop.promql import number_of
from sim.interop.tokens import Reader, Token, Unread, tokens_of

_SIGNS = (
    "==",
    "!=",
    ">=",
    "<=",
    "&&",
    "||",
    "??",
    ">",
    "<",
    "!",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    "+",
    "-",
    "*",
    "/",
    ".",
    "#",
    "?",
    ":",
)
_LEVELS: tuple[tuple[str, ...], ...] = (
    ("||", "or"), ("&&", "and"), ("==", "!=", ">=", "<=", ">", "<"), ("??",),
)  # fmt: skip


@dataclass(frozen=True)
class Empty:
    """The result of a query that found no series: a list without items."""


Value: TypeAlias = "float | bool | Empty | Listed | None"


@dataclass(frozen=True)
class Listed:
    """The result of a query that found one series."""

    value: float


Rule: TypeAlias = Callable[[Value], Value]
"""A condition: of the result of the query to what it says of it."""


class _Failed(Exception):
    """The condition cannot be worked out for a result, which Argo counts as an error."""


@dataclass(frozen=True)
class Condition:
    """A condition that was read: its rule, and the numbers that stand in it."""

    rule: Rule
    numbers: tuple[float, ...]

    def holds(self, result: float | None) -> bool | None:
        """Whether it holds for a result, of which None is that there is none. None where Argo counts it as an error."""
        try:
            said = self.rule(Empty() if result is None else Listed(result))
        except _Failed:
            return None
        return said if isinstance(said, bool) else None


def condition_of(text: str) -> Condition:
    """The condition of a text. Raises `Unread` for what is not read, such as a field of a result.

    >>> condition = condition_of("len(result) == 0 || result[0] >= 0.95")
    >>> [condition.holds(value) for value in (0.9, 0.95, math.nan, None)]
    [False, True, False, True]
    """
    tokens = tokens_of(text, _SIGNS)
    if not tokens:
        raise Unread("it is empty")
    reader = Reader(tokens)
    rule = _binary(reader, 0)
    reader.end()
    numbers = sorted({number_of(token.text) for token in tokens if token.kind == "number"})
    if not any(token == Token("name", "result") for token in tokens):
        raise Unread("it does not ask for the result")
    return Condition(rule, tuple(numbers))


def _binary(reader: Reader, level: int) -> Rule:
    if level == len(_LEVELS):
        return _unary(reader)
    left = _binary(reader, level + 1)
    while sign := reader.sign(*_LEVELS[level]) or reader.word(*_LEVELS[level]):
        left = _joined(sign, left, _binary(reader, level + 1))
    return left


def _joined(sign: str, left: Rule, right: Rule) -> Rule:
    if sign in ("||", "or"):
        return lambda result: _bool(left(result)) or _bool(right(result))
    if sign in ("&&", "and"):
        return lambda result: _bool(left(result)) and _bool(right(result))
    if sign == "??":
        return lambda result: right(result) if left(result) is None else left(result)
    if sign in ("==", "!="):
        return lambda result: _equal(left(result), right(result)) == (sign == "==")
    work: Callable[[float, float], bool] = {
        ">": lambda one, other: one > other,
        "<": lambda one, other: one < other,
        ">=": lambda one, other: one >= other,
        "<=": lambda one, other: one <= other,
    }[sign]
    return lambda result: work(_number(left(result)), _number(right(result)))


def _unary(reader: Reader) -> Rule:
    rule = _single(reader)
    if reader.sign("+", "-", "*", "/"):
        raise Unread("it calculates with the result; do that in the query")
    return rule


def _single(reader: Reader) -> Rule:
    if reader.sign("!") or reader.word("not"):
        reader.deeper()
        inner = _single(reader)
        return lambda result: not _bool(inner(result))
    if reader.sign("-"):
        reader.deeper()
        negated = _single(reader)
        return lambda result: -_number(negated(result))
    rule = _primary(reader)
    while reader.sign("["):
        index = reader.take()
        reader.must("]")
        if index != Token("number", "0"):
            raise Unread(f"[{index.text}] asks for another series than the first")
        whole = rule
        rule = lambda result, whole=whole: _first(whole(result))  # type: ignore[misc]  # noqa: E731
    if reader.sign("."):
        raise Unread(f"'.{reader.peek().text}' asks for a field of the result")
    return rule


def _primary(reader: Reader) -> Rule:
    token = reader.take()
    if token == Token("sign", "("):
        reader.deeper()
        rule = _binary(reader, 0)
        reader.must(")")
        reader.depth -= 1
        return rule
    if token.kind == "number":
        value = number_of(token.text)
        return lambda result: value
    if token == Token("sign", "#"):
        return lambda result: result
    if token.kind == "name":
        name = token.text
        if name == "result":
            return lambda result: result
        if name in ("true", "false"):
            return lambda result: name == "true"
        if name == "nil":
            return lambda result: None
        if reader.sign("("):
            return _call(reader, name)
    raise Unread(f"{token.text or 'its end'!r} is not understood")


def _call(reader: Reader, name: str) -> Rule:
    reader.deeper()
    arguments: list[Rule] = []
    while not reader.sign(")"):
        braced = reader.sign("{")
        arguments.append(_binary(reader, 0))
        if braced:
            reader.must("}")
        if not reader.sign(","):
            reader.must(")")
            break
    reader.depth -= 1
    first, second = (*arguments, None, None)[:2]
    if first is None:
        raise Unread(f"{name}() needs an argument")
    if name == "len":
        return lambda result: float(not isinstance(first(result), Empty))
    if name == "isNaN":
        return lambda result: math.isnan(_number(first(result)))
    if name == "isInf":
        return lambda result: math.isinf(_number(first(result)))
    if name == "isNil":
        return lambda result: first(result) is None
    if name in ("asFloat", "asInt", "float", "int"):
        return lambda result: _number(first(result))
    if name == "default" and second is not None:
        other = second
        return lambda result: other(result) if isinstance(first(result), Empty | None) else first(result)
    if name in ("all", "any", "none") and second is not None:
        each = second

        def over(result: Value) -> Value:
            items = first(result)
            if isinstance(items, Empty):
                return name != "any"
            held = _bool(each(_number(items)))
            return held if name != "none" else not held

        return over
    raise Unread(f"the function {name}() is not read")


def _first(value: Value) -> Value:
    if isinstance(value, Empty):
        raise _Failed
    return value.value if isinstance(value, Listed) else value


def _number(value: Value) -> float:
    if isinstance(value, Listed):
        # A result of one series is compared as its number where a condition leaves [0] out, as Argo does for scalars.
        return value.value
    if isinstance(value, bool) or not isinstance(value, float):
        raise _Failed
    return value


def _bool(value: Value) -> bool:
    if not isinstance(value, bool):
        raise _Failed
    return value


def _equal(one: Value, other: Value) -> bool:
    if one is None or other is None or isinstance(one, bool):
        return one is other
    return _number(one) == _number(other)


@dataclass(frozen=True)
class Bounds:
    """The numbers for which something holds: from `low` to `high`; with `low_open` and `high_open`, without these."""

    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False

    @property
    def all(self) -> bool:
        """Whether it holds for every number."""
        return self.low == -math.inf and self.high == math.inf

    def within(self, least: float, most: float) -> Bounds:
        """Without bounds that no number from `least` to `most` is beyond."""
        low = self.low > least or (self.low == least and self.low_open)
        high = self.high < most or (self.high == most and self.high_open)
        return Bounds(
            self.low if low else -math.inf, self.high if high else math.inf, low and self.low_open, high and self.high_open
        )


def bounds_of(holds: Callable[[float], bool | None], numbers: tuple[float, ...]) -> Bounds | None:
    """The one interval of numbers for which a condition holds; None where it never does. Raises `Unread` for several.

    `numbers` are all those between which it does not change.

    >>> condition = condition_of("result[0] > 0.95")
    >>> bounds_of(condition.holds, condition.numbers)
    Bounds(low=0.95, high=inf, low_open=True, high_open=False)
    """
    cuts = sorted({*numbers, *(-each for each in numbers), 0.0})
    points = [cuts[0] - 1.0]
    for index, cut in enumerate(cuts):
        after = cuts[index + 1] if index + 1 < len(cuts) else cut + 2.0
        points += [cut, (cut + after) / 2]
    held = [holds(point) is True for point in points]
    if not any(held):
        return None
    first, last = held.index(True), len(held) - 1 - held[::-1].index(True)
    if not all(held[first : last + 1]):
        raise Unread("it holds for several ranges of numbers")
    # Even places are between two numbers, odd places are numbers.
    low = -math.inf if first == 0 else cuts[(first - 1) // 2]
    high = math.inf if last == len(points) - 1 else cuts[last // 2] if last % 2 == 0 else cuts[(last - 1) // 2]
    return Bounds(low, high, first > 0 and first % 2 == 0, high != math.inf and last % 2 == 0)
