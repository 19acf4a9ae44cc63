"""Queries of Prometheus as trees: the part of PromQL that asks for rates, ratios and quantiles.

Source: https://prometheus.io/docs/prometheus/latest/querying/basics/, operators and their precedence on the page "operators".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from sim.interop.tokens import Reader, Token, Unread, tokens_of

SIGNS = (
    "!~",
    "=~",
    "!=",
    "==",
    ">=",
    "<=",
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "+",
    "-",
    "*",
    "/",
    "%",
    "^",
    ">",
    "<",
    "=",
    ",",
    "@",
    ":",
)
AGGREGATIONS = (
    "sum", "avg", "min", "max", "count", "group", "stddev", "stdvar", "topk", "bottomk", "quantile", "count_values",
)  # fmt: skip
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0, "y": 31_536_000.0}


@dataclass(frozen=True)
class Number:
    """A number."""

    value: float


@dataclass(frozen=True)
class Matcher:
    """What a label must be: `sign` is =, !=, =~ or !~."""

    label: str
    sign: str
    value: str


@dataclass(frozen=True)
class Selector:
    """Series by name and labels, over `window_s` if it is not None."""

    name: str
    matchers: tuple[Matcher, ...]
    window_s: float | None = None


@dataclass(frozen=True)
class Call:
    """A function or an aggregation; `by` are the labels that it keeps, where it names them."""

    name: str
    arguments: tuple[Tree, ...]
    by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Binary:
    """Two trees and what is between them."""

    sign: str
    left: Tree
    right: Tree


Tree: TypeAlias = Number | Selector | Call | Binary


def parse(text: str) -> Tree:
    """The tree of a query. Raises `Unread` for text that is no PromQL, and for what is never recognised, such as subqueries.

    >>> parse('sum(rate(hits{code!~"5.."}[5m]))').arguments[0].arguments[0].window_s
    300.0
    """
    tokens = tokens_of(text, SIGNS, letters="_", inside=":.")
    if not tokens:
        raise Unread("it is empty")
    reader = Reader(tokens)
    tree = _binary(reader, 0)
    reader.end()
    return tree


_LEVELS: tuple[tuple[str, ...], ...] = (
    ("or",), ("and", "unless"), ("==", "!=", "<=", "<", ">=", ">"), ("+", "-"), ("*", "/", "%"),
)  # fmt: skip


def _binary(reader: Reader, level: int) -> Tree:
    if level == len(_LEVELS):
        return _unary(reader)
    left = _binary(reader, level + 1)
    while sign := reader.sign(*_LEVELS[level]) or reader.word(*_LEVELS[level]):
        _matching(reader)
        left = Binary(sign, left, _binary(reader, level + 1))
    return left


def _matching(reader: Reader) -> None:
    """What stands after an operator to say which series go together. Of single series, all do."""
    if reader.word("bool"):
        raise Unread("a comparison inside a query is not carried; compare in the condition")
    if reader.word("on", "ignoring"):
        _names(reader)
        if reader.word("group_left", "group_right"):
            raise Unread("group_left and group_right give several results")


def _unary(reader: Reader) -> Tree:
    if reader.sign("-"):
        reader.deeper()
        return Binary("*", Number(-1.0), _unary(reader))
    if reader.sign("+"):
        reader.deeper()
        return _unary(reader)
    left = _postfix(reader)
    if reader.sign("^"):
        return Binary("^", left, _unary(reader))
    return left


def _postfix(reader: Reader) -> Tree:
    tree = _primary(reader)
    while reader.sign("["):
        duration = reader.take()
        if reader.sign(":"):
            raise Unread("a subquery is not carried")
        reader.must("]")
        if not isinstance(tree, Selector) or tree.window_s is not None:
            raise Unread("a window in [ ] belongs to the name of series")
        tree = Selector(tree.name, tree.matchers, seconds_of(duration.text))
    if reader.word("offset") or reader.sign("@"):
        raise Unread("it looks at another time than now (offset or @)")
    return tree


def seconds_of(text: str) -> float:
    """Seconds of a duration of PromQL, such as 5m or 1h30m. Raises `Unread`."""
    total, at = 0.0, 0
    while at < len(text):
        end = at
        while end < len(text) and text[end].isdigit():
            end += 1
        stop = end
        while stop < len(text) and text[stop].isalpha():
            stop += 1
        if end == at or text[end:stop] not in _UNITS or end - at > 12:
            raise Unread(f"{text!r} is no duration of a window")
        total += int(text[at:end]) * _UNITS[text[end:stop]]
        at = stop
    if not total > 0:
        raise Unread(f"{text!r} is no duration of a window")
    return total


def number_of(text: str) -> float:
    """The number of a token. Raises `Unread`."""
    try:
        value = float(text.replace("_", " "))
    except ValueError:
        raise Unread(f"{text!r} is no number") from None
    return value


def _primary(reader: Reader) -> Tree:
    token = reader.take()
    if token == Token("sign", "("):
        reader.deeper()
        tree = _binary(reader, 0)
        reader.must(")")
        reader.depth -= 1
        return tree
    if token.kind == "number":
        return Number(number_of(token.text))
    if token == Token("sign", "{"):
        return Selector("", _matchers(reader))
    if token.kind == "name":
        if token.text.lower() in ("nan", "inf") and reader.peek().text not in ("(", "{"):
            return Number(float(token.text))
        if token.text.lower() in AGGREGATIONS or reader.peek() == Token("sign", "("):
            return _call(reader, token.text.lower())
        return Selector(token.text, _matchers(reader) if reader.sign("{") else ())
    raise Unread(f"{token.text or 'its end'!r} is not understood here")


def _call(reader: Reader, name: str) -> Call:
    by = _grouping(reader)
    reader.must("(")
    reader.deeper()
    arguments: list[Tree] = []
    while not reader.sign(")"):
        arguments.append(_binary(reader, 0))
        if not reader.sign(","):
            reader.must(")")
            break
    reader.depth -= 1
    return Call(name, tuple(arguments), by or _grouping(reader))


def _grouping(reader: Reader) -> tuple[str, ...]:
    if reader.word("without"):
        raise Unread("`without` gives a result for each value of the labels that are left")
    return _names(reader) if reader.word("by") else ()


def _names(reader: Reader) -> tuple[str, ...]:
    reader.must("(")
    names: list[str] = []
    while not reader.sign(")"):
        names.append(reader.take().text)
        if not reader.sign(","):
            reader.must(")")
            break
    return tuple(names)


def _matchers(reader: Reader) -> tuple[Matcher, ...]:
    found: list[Matcher] = []
    while not reader.sign("}"):
        label = reader.take().text
        sign = reader.sign("=~", "!~", "!=", "=")
        value = reader.take()
        if not sign or value.kind != "text":
            raise Unread(f"the label {label!r} needs a value in quotes")
        found.append(Matcher(label, sign, value.text))
        if not reader.sign(","):
            reader.must("}")
            break
    return tuple(found)


def labels_of(tree: Tree) -> Mapping[str, str]:
    """Every label that a tree asks for, with the text of what it must be.

    >>> dict(labels_of(parse('sum(rate(hits{code!~"5.."}[5m])) / 2')))
    {'code': '!~5..'}
    """
    if isinstance(tree, Selector):
        return {matcher.label: matcher.sign.removeprefix("=") + matcher.value for matcher in tree.matchers}
    parts = tree.arguments if isinstance(tree, Call) else (tree.left, tree.right) if isinstance(tree, Binary) else ()
    return {label: value for part in parts for label, value in labels_of(part).items()}
