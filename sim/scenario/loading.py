"""Read YAML files into pydantic models; report all errors at once, each at its line and column.

YAML is read by the 1.2 core schema (https://yaml.org/spec/1.2.2/#103-core-schema), so that ``20:00``, ``on``
and ``no`` stay text. Keys are always the text as written. Only plain data is built: no tag makes an object.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

try:
    from yaml import CSafeLoader as _SafeLoader
except ImportError:  # PyYAML without libyaml: the same graph, ten times slower
    from yaml import SafeLoader as _SafeLoader  # type: ignore[assignment]

from sim.errors import InputError, Place, Problem, format_path
from sim.files import unreadable
from sim.scenario.explaining import Error, Explainer
from sim.units import AS_WRITTEN, shown

__all__ = [
    "Document",
    "Place",
    "document_of",
    "format_path",
    "load",
    "parse_path",
    "parse_value",
    "parse_yaml",
    "plain_data",
    "read_yaml",
    "validate",
]

M = TypeVar("M", bound=BaseModel)

MAX_BYTES = 4_000_000
MAX_NODES = 100_000
MAX_DEPTH = 64
MAX_DIGITS = 400
LARGEST = 10**300
"""Whole numbers are smaller, so that each of them is a number of floating point too."""
# So many of pydantic's errors are put into words: more than are ever shown.
_MOST_EXPLAINED = 1_000

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
_STEP = re.compile(r'\[([0-9]{1,9})\]|\[("(?:[^"\\]|\\.)*")\]|\.?([^.\[\]"\s]+)')


def parse_path(text: str) -> Place:
    """The inverse of `format_path`. Raises `InputError` for text that is not a path.

    >>> parse_path("models[1].uri")
    ('models', 1, 'uri')
    """
    place: list[str | int] = []
    position = 0
    while position < len(text):
        step = _STEP.match(text, position)
        try:
            if step is None or (text[position] == ".") != (bool(step[3]) and position > 0):
                raise ValueError
            place.append(int(step[1]) if step[1] else json.loads(step[2]) if step[2] else step[3])
        except ValueError:
            raise InputError([Problem(f"must be a path such as models[1].uri; got {shown(text)}")]) from None
        position = step.end()
    return tuple(place)


@dataclass(frozen=True)
class Document:
    """One parsed YAML file: plain `data` (dict, list, scalars), its `text` and its `path`.

    `marks` has the line and column, from 1, of the key and of the value at each place. Without text `marks` is empty.
    `origins` names the option that a value was given by, where that is not the file.

    >>> document = parse_yaml("traffic:\\n  rate: 40/s\\n", "a.yaml")
    >>> document.data, document.mark(("traffic", "rate"))
    ({'traffic': {'rate': '40/s'}}, (2, 9))
    >>> print(document.place(Problem("is too low", path="traffic.rate")))
    a.yaml:2:9 traffic.rate: is too low
    """

    text: str
    path: str
    data: dict[str, Any]
    marks: Mapping[Place, tuple[tuple[int, int], tuple[int, int]]] = field(repr=False)
    origins: Mapping[Place, str] = field(default_factory=dict, repr=False)

    def mark(self, place: Place, *, key: bool = False) -> tuple[int, int]:
        """Line and column, from 1, of the value at a place, or of its key if the value is on another line.

        With `key`, always those of the key. An absent place has the mark of its nearest ancestor.
        """
        for length in range(len(place), -1, -1):
            if place[:length] in self.marks:
                at_key, at_value = self.marks[place[:length]]
                return at_key if key or at_key[0] != at_value[0] else at_value
        return 1, 1

    def locate(self, place: Place, *, key: bool = False) -> tuple[str, int, int]:
        """The file with the line and column of a place, as in `mark`, or the option that gave its value; 0 without a line."""
        for length in range(len(place), -1, -1):
            if place[:length] in self.origins:
                return self.origins[place[:length]], 0, 0
            if place[:length] in self.marks:
                return (self.path, *self.mark(place, key=key))
        return self.path, 0, 0

    def place(self, problem: Problem) -> Problem:
        """The problem with its file, line and column filled in from its textual path, unless it has a file of its own."""
        if problem.file:
            return problem
        try:
            file, line, column = self.locate(parse_path(problem.path))
        except InputError:
            return replace(problem, file=self.path)
        return replace(problem, file=file, line=line, column=column)


def read_yaml(path: Path) -> Document:
    """Read and parse one file. Raises `InputError` if it cannot be read, is not UTF-8 or not plain YAML."""
    if reason := unreadable(path):
        raise InputError([Problem(reason, file=str(path))])
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError([Problem(error.strerror or str(error), file=str(path))]) from None
    if len(raw) > MAX_BYTES:
        raise InputError([Problem(f"must be at most {MAX_BYTES // 10**6} MB", file=str(path))])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8-sig", errors="replace")
        problem = Problem(f"must be UTF-8 text; byte 0x{raw[error.start]:02x} is not", file=str(path))
        raise InputError([_at(problem, before)]) from None
    return parse_yaml(text, str(path))


def document_of(source: str | Path | Mapping[str, Any], what: str) -> Document:
    """A document from a path, from YAML text (recognised by a line break), or from a mapping.

    Errors call text and mappings `what`; a mapping has no lines. Raises `InputError` as `read_yaml` does.

    >>> document_of("rate: 3\\nunit: s\\n", "traffic").data, document_of({"rate": 3}, "traffic").data
    ({'rate': 3, 'unit': 's'}, {'rate': 3})
    """
    if isinstance(source, Mapping):
        return Document("", what, plain_data(source, what), {})
    if isinstance(source, str) and "\n" in source:
        return parse_yaml(source, what)
    if isinstance(source, str | Path):
        return read_yaml(Path(source))
    raise InputError([Problem(f"must be a file, YAML text or a mapping; got {shown(source)}", file=what)])


def plain_data(value: Any, what: str, depth: int = 0) -> Any:
    """A copy of Python data in the form of a parsed file: dicts and lists, keys as text.

    Raises `InputError`, in which the data is called `what`, for data that is nested deeper than a file may be.
    """
    if depth > MAX_DEPTH:
        raise InputError([Problem(f"holds more than {MAX_DEPTH} levels", file=what)])
    if isinstance(value, Mapping):
        return {str(key): plain_data(inner, what, depth + 1) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain_data(inner, what, depth + 1) for inner in value]
    if isinstance(value, int) and abs(value) >= LARGEST:
        raise InputError([Problem(f"{_TOO_LARGE}; got {shown(value)}", file=what)])
    return value


def parse_yaml(text: str, file: str) -> Document:
    """Parse YAML text; `file` is the name that errors show. Raises `InputError` with every problem."""
    root = _composed(text, file)
    if root is None:
        raise InputError([Problem("is empty; a mapping (key: value) is needed", file=file)])
    builder = _Builder(file)
    data = builder.build(root, ())
    if not isinstance(data, dict) and not builder.problems:
        builder.report(root, f"must be a mapping (key: value) at the top; got {shown(data)}", ())
    if builder.problems:
        raise InputError(_in_order(builder.problems))
    return Document(text, file, data, builder.marks)


def parse_value(text: str, file: str) -> Any:
    """One value, as it may stand in a file. Raises `InputError` as `parse_yaml` does.

    >>> parse_value("20:00", "--set"), parse_value("{rate: 3/s}", "--set"), parse_value("null", "--set")
    ('20:00', {'rate': '3/s'}, None)
    """
    root = _composed(text, file)
    builder = _Builder(file)
    data = None if root is None else builder.build(root, ())
    if builder.problems:
        raise InputError(_in_order(builder.problems))
    return data


def _composed(text: str, file: str) -> yaml.Node | None:
    """The graph of nodes of a text; None of an empty one."""
    unprintable = _UNPRINTABLE.search(text)
    if unprintable:
        raise InputError([_at(Problem(_not_printable(unprintable), file=file), text[: unprintable.start()])])
    if len(text) > MAX_BYTES:
        raise InputError([Problem(f"must be at most {MAX_BYTES // 10**6} MB", file=file)])
    try:
        root: yaml.Node | None = yaml.compose(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        raise InputError([Problem(_syntax_message(error, text), "", file, line, column)]) from None
    except yaml.YAMLError as error:
        raise InputError([Problem(f"is not YAML: {error}", file=file)]) from None
    return root


def load(path: Path, model: type[M], *, check: Callable[[M], Iterable[Problem]] | None = None) -> M:
    """Read a file as a model, then apply `check` for rules that the model lacks. Raises `InputError` with all problems."""
    document = read_yaml(path)
    loaded = validate(document, model)
    problems = [document.place(problem) for problem in check(loaded)] if check else []
    if problems:
        raise InputError(_in_order(problems))
    return loaded


def validate(document: Document, model: type[M], *, written: bool = True, put: Collection[Place] = ()) -> M:
    """The document as a model. Raises `InputError` with all problems, by line: of thousands, with a thousand and a count.

    Where it is not `written` by people, quantities may be numbers without a unit. `put` are places of values that a sweep has
    put there.

    >>> class Traffic(BaseModel, extra="forbid"):
    ...     rate: float
    >>> validate(parse_yaml("rat: 1", "a.yaml"), Traffic)
    Traceback (most recent call last):
    sim.errors.InputError: a.yaml:1:1 rate: is required
    a.yaml:1:1 rat: unknown key 'rat'; did you mean 'rate'?
    """
    more = 0
    try:
        loaded = model.model_validate(document.data, context=AS_WRITTEN if written else None)
        problems = [
            document.place(Problem(f"must be a number; got {shown(value)}", format_path(place)))
            for place, value in _numbers_from_booleans(document.data, loaded, ())
        ]
        if not problems:
            return loaded
    except InputError as error:
        problems = [document.place(problem) for problem in error.problems]
    except ValidationError as error:
        details_of_all = error.errors(include_url=False, include_input=False)
        errors: list[Error] = [(details["loc"], details) for details in details_of_all[:_MOST_EXPLAINED]]
        more = len(details_of_all) - len(errors)
        explainer = Explainer(model.__pydantic_core_schema__, [*put, *document.origins])
        problems = [
            Problem(
                finding.message,
                format_path(finding.place),
                *document.locate(finding.place, key=finding.at_key),
            )
            for finding in explainer.explain(explainer.top, errors, (), document.data)
        ]
    raise InputError(_in_order(problems), more) from None


def _numbers_from_booleans(data: Any, read: Any, place: Place) -> Iterator[tuple[Place, bool]]:
    """Places where pydantic read true or false as the number 1 or 0."""
    if isinstance(data, bool) and isinstance(read, int | float) and not isinstance(read, bool):
        yield place, data
    elif isinstance(data, dict):
        if isinstance(read, BaseModel):
            read = {field_info.alias or name: getattr(read, name) for name, field_info in type(read).model_fields.items()}
        if isinstance(read, Mapping):
            for key in data.keys() & read.keys():
                yield from _numbers_from_booleans(data[key], read[key], (*place, key))
    elif isinstance(data, list) and isinstance(read, list | tuple):
        for index, (item, got) in enumerate(zip(data, read, strict=False)):
            yield from _numbers_from_booleans(item, got, (*place, index))


def _in_order(problems: Iterable[Problem]) -> list[Problem]:
    return sorted(dict.fromkeys(problems), key=lambda problem: (problem.line, problem.column))


def _at(problem: Problem, before: str) -> Problem:
    return replace(problem, line=before.count("\n") + 1, column=len(before) - before.rfind("\n"))


def _start(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


class _Loader(_SafeLoader):
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
    _Loader.add_implicit_resolver(_TAG + _kind, re.compile(rf"(?:{_pattern})\Z"), [*_first, ""])


class _Builder:
    """Builds plain data and marks from a graph of nodes. Limits the size after aliases are expanded."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.marks: dict[Place, tuple[tuple[int, int], tuple[int, int]]] = {(): ((1, 1), (1, 1))}
        self._nodes = 0
        self._open: set[int] = set()

    def report(self, node: yaml.Node, message: str, place: Place) -> None:
        self.problems.append(Problem(message, format_path(place), self.file, *_start(node)))

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
                raise InputError([Problem(message, "", self.file, *_start(node))])
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
            self.report(node, _TOO_LARGE, place)
        else:
            return float(re.sub(r"\.(?=[in])", "", text.lower()))
        return None

    def _sequence(self, node: yaml.Node, place: Place) -> list[Any]:
        items = []
        for index, item in enumerate(node.value):
            self.marks[(*place, index)] = (_start(item), _start(item))
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
            lines[key.value] = _start(key)[0]
            if unprintable := _UNPRINTABLE.search(key.value):
                self.report(key, _not_printable(unprintable), here)
                continue
            if key.tag == _TAG + "merge":
                continue
            if not key.tag.startswith(_TAG):
                self._report_tag(key, here)
            self.marks[here] = (_start(key), _start(value))
            built[key.value] = self.build(value, here)
        return built


_TOO_LARGE = "must be a number below 1e300"


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
