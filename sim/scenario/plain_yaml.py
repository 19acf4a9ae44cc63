"""YAML text as plain data, with the line and column of every value.

It is read by the 1.2 core schema (https://yaml.org/spec/1.2.2/#103-core-schema), so that ``20:00``, ``on`` and ``no`` stay
text. Keys are always the text as written. Only plain data is built: no tag makes an object.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import yaml

try:
    from yaml import CSafeLoader as _SafeLoader
except ImportError:  # PyYAML without libyaml: the same graph, ten times slower
    from yaml import SafeLoader as _SafeLoader  # type: ignore[assignment]

from sim.errors import InputError, Place, Problem, format_path
from sim.units import shown

MAX_BYTES = 4_000_000
MAX_NODES = 100_000
MAX_DEPTH = 64
MAX_DIGITS = 400
LARGEST = 10**300
"""Whole numbers are smaller, so that each of them is a number of floating point too."""
TOO_LARGE = "must be a number below 1e300"

# Characters that YAML refuses, and control characters that display text in another order (Boucher & Anderson, 2023).
_UNPRINTABLE = re.compile(rf"{yaml.reader.Reader.NON_PRINTABLE.pattern}|[\u202a-\u202e\u2066-\u2069]")
_TAG = "tag:yaml.org,2002:"
_NUMERAL = {
    "int": re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"),
    "float": re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"),
}
_CONSTANT = {
    **{("null", text): None for text in ("", "~", "null", "Null", "NULL")},
    **{("bool", text): True for text in ("true", "True", "TRUE")},
    **{("bool", text): False for text in ("false", "False", "FALSE")},
}


def composed(text: str, file: str) -> yaml.Node | None:
    """The graph of nodes of a text; None of an empty one."""
    with _told(text, file):
        root: yaml.Node | None = yaml.compose(text, Loader)
    return root


def all_composed(text: str, file: str) -> list[yaml.Node]:
    """The graph of nodes of each document of a text."""
    with _told(text, file):
        return list(yaml.compose_all(text, Loader))


@contextmanager
def _told(text: str, file: str) -> Iterator[None]:
    """Raise what is wrong with the syntax of a text as an `InputError` at its line."""
    unprintable = _UNPRINTABLE.search(text)
    if unprintable:
        raise InputError([at_end_of(Problem(_not_printable(unprintable), file=file), text[: unprintable.start()])])
    if len(text) > MAX_BYTES:
        raise InputError([Problem(f"must be at most {MAX_BYTES // 10**6} MB", file=file)])
    try:
        yield
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        raise InputError([Problem(_syntax_message(error, text), "", file, line, column)]) from None
    except yaml.YAMLError as error:
        raise InputError([Problem(f"is not YAML: {error}", file=file)]) from None


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    return sorted(dict.fromkeys(problems), key=lambda problem: (problem.line, problem.column))


def at_end_of(problem: Problem, before: str) -> Problem:
    return replace(problem, line=before.count("\n") + 1, column=len(before) - before.rfind("\n"))


def start_of(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


class Loader(_SafeLoader):
    """Composes a graph of nodes tagged by the core schema. Refuses too much depth or size early."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (PyYAML's own name and type)
    depth = 0
    nodes = 0

    def descend_resolver(self, current_node: yaml.Node | None, current_index: Any) -> None:
        self.depth += 1
        self.nodes += 1
        if self.depth > MAX_DEPTH or self.nodes > MAX_NODES:
            limit = f"{MAX_DEPTH} levels" if self.depth > MAX_DEPTH else f"{MAX_NODES:,} values"
            mark = current_node.start_mark if current_node else None
            raise yaml.MarkedYAMLError(problem=f"holds more than {limit}", problem_mark=mark)

    def ascend_resolver(self) -> None:
        self.depth -= 1


for _kind, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", "~nN"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", _NUMERAL["int"].pattern, "-+0123456789"),
    ("float", _NUMERAL["float"].pattern, "-+.0123456789"),
    ("merge", r"<<", "<"),
):
    Loader.add_implicit_resolver(_TAG + _kind, re.compile(rf"(?:{_pattern})\Z"), [*_first, ""])


class Builder:
    """Builds plain data and marks from a graph of nodes. Limits the size after aliases are expanded."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.marks: dict[Place, tuple[tuple[int, int], tuple[int, int]]] = {(): ((1, 1), (1, 1))}
        self._nodes = 0
        self._open: set[int] = set()

    def report(self, node: yaml.Node, message: str, place: Place) -> None:
        self.problems.append(Problem(message, format_path(place), self.file, *start_of(node)))

    def build(self, node: yaml.Node, place: Place) -> Any:
        self._nodes += 1
        if isinstance(node, yaml.ScalarNode) and self._nodes <= MAX_NODES:
            return self._scalar(node, place)
        refusals = {
            f"holds more than {MAX_NODES:,} values when its aliases are expanded": self._nodes > MAX_NODES,
            "an alias refers to what it is part of": id(node) in self._open,
            f"holds more than {MAX_DEPTH} levels when its aliases are expanded": len(self._open) >= MAX_DEPTH,
        }
        for message, refused in refusals.items():
            if refused:
                raise InputError([Problem(message, "", self.file, *start_of(node))])
        self._open.add(id(node))
        kind = "map" if isinstance(node, yaml.MappingNode) else "seq"
        if node.tag != _TAG + kind:
            self._report_tag(node, place)
        built = self._mapping(node, place) if kind == "map" else self._sequence(node, place)
        self._open.discard(id(node))
        return built

    def _report_tag(self, node: yaml.Node, place: Place) -> None:
        tag = node.tag.replace(_TAG, "!!")
        self.report(node, f"tag {tag!r} is not supported here; write plain YAML without it", place)

    def _scalar(self, node: yaml.ScalarNode, place: Place) -> Any:
        kind, text = node.tag.removeprefix(_TAG), node.value
        # An escape such as "\\e" produces a character that the file itself may not contain.
        if unprintable := _UNPRINTABLE.search(text):
            self.report(node, _not_printable(unprintable), place)
            return None
        if kind in ("str", "merge"):
            return text
        if (kind, text) in _CONSTANT:
            return _CONSTANT[kind, text]
        if kind not in _NUMERAL or not _NUMERAL[kind].fullmatch(text):
            self._report_tag(node, place)
        elif len(text) > MAX_DIGITS:
            self.report(node, f"must be a number of at most {MAX_DIGITS} digits; got {len(text)}", place)
        elif kind == "int":
            if abs(number := int(text, {"0x": 16, "0o": 8}.get(text[:2], 10))) < LARGEST:
                return number
            self.report(node, TOO_LARGE, place)
        else:
            return float(re.sub(r"\.(?=[in])", "", text.lower()))
        return None

    def _sequence(self, node: yaml.Node, place: Place) -> list[Any]:
        items = []
        for index, item in enumerate(node.value):
            self.marks[(*place, index)] = (start_of(item), start_of(item))
            items.append(self.build(item, (*place, index)))
        return items

    def _mapping(self, node: yaml.Node, place: Place) -> dict[str, Any]:
        built: dict[str, Any] = {}
        for key, value in node.value:
            if key.tag == _TAG + "merge":
                sources = value.value if isinstance(value, yaml.SequenceNode) else [value]
                for source in reversed(sources):  # the first of several wins
                    merged = self.build(source, place)
                    if isinstance(merged, dict):
                        built |= merged
                    else:
                        self.report(value, f"'<<' must name mappings; got {shown(merged)}", place)
        lines: dict[str, int] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self.report(key, "a key must be text, not a list or a mapping", place)
                continue
            here = (*place, key.value)
            if key.value in lines:
                self.report(key, f"duplicate key {shown(key.value)}; first given on line {lines[key.value]}", here)
                continue
            lines[key.value] = start_of(key)[0]
            if unprintable := _UNPRINTABLE.search(key.value):
                self.report(key, _not_printable(unprintable), here)
                continue
            if key.tag == _TAG + "merge":
                continue
            if not key.tag.startswith(_TAG):
                self._report_tag(key, here)
            self.marks[here] = (start_of(key), start_of(value))
            built[key.value] = self.build(value, here)
        return built


def _not_printable(unprintable: re.Match[str]) -> str:
    return f"must be printable text; character {unprintable[0]!r} is not"


def _syntax_message(error: yaml.MarkedYAMLError, text: str) -> str:
    problem = error.problem or "is not YAML"
    opened = f" on line {error.context_mark.line + 1}" if error.context_mark else ""
    rest = text[error.problem_mark.index :] if error.problem_mark else ""
    if "cannot start any token" in problem:
        if rest.startswith("\t"):
            return "a tab cannot be used for indentation; use spaces"
        return f"text cannot start with {rest[:1]!r}; put it in quotes"
    plain = {
        "mapping values are not allowed": "unexpected ':'; check the indentation, or quote text with ': '",
        "unexpected end of stream": f"the quote opened{opened} is not closed",
        "',' or": f"expected ',' or a closing bracket for the bracket opened{opened}",
        "did not find expected key": f"expected another key of the mapping that starts{opened}; check the "
        "indentation, and that quotes enclose the whole value",
        "'-' indicator": f"expected another '- ' of the list that starts{opened}; check the indentation",
        "undefined alias": "this alias has no anchor above it",
        "second occurrence": f"this anchor is already defined{opened}",
        "another document": "must be a single YAML document; remove '---' and what follows",
        "holds more than": problem,
        # libyaml stops at its own limit (1000 since 0.2.6) before ours applies.
        "maximum nesting depth": f"holds more than {MAX_DEPTH} levels",
    }
    for part, message in plain.items():
        if part in problem:
            return message
    return f"is not YAML: {problem}" + (f" {error.context}" if error.context else "")
