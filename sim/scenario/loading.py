"""Read YAML files into pydantic models; report all errors at once, each at its line and column."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from sim.errors import InputError, Place, Problem, format_path
from sim.files import unreadable
from sim.scenario.plain_yaml import (
    LARGEST,
    MAX_BYTES,
    MAX_DEPTH,
    TOO_LARGE,
    Builder,
    all_composed,
    at_end_of,
    composed,
    in_order,
    start_of,
)
from sim.units import AS_WRITTEN, shown

if TYPE_CHECKING:
    from sim.scenario.explaining import Error

__all__ = [
    "Document",
    "Place",
    "document_of",
    "format_path",
    "load",
    "parse_documents",
    "parse_path",
    "parse_value",
    "parse_yaml",
    "plain_data",
    "read_text",
    "read_yaml",
    "validate",
]

M = TypeVar("M", bound=BaseModel)

# So many of pydantic's errors are put into words: more than are ever shown.
_MOST_EXPLAINED = 1_000

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
    return parse_yaml(read_text(path), str(path))


def read_text(path: Path) -> str:
    """The text of a file. Raises `InputError` if it cannot be read, is too large, or is not UTF-8."""
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
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8-sig", errors="replace")
        problem = Problem(f"must be UTF-8 text; byte 0x{raw[error.start]:02x} is not", file=str(path))
        raise InputError([at_end_of(problem, before)]) from None


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
        raise InputError([Problem(f"{TOO_LARGE}; got {shown(value)}", file=what)])
    return value


def parse_yaml(text: str, file: str) -> Document:
    """Parse YAML text; `file` is the name that errors show. Raises `InputError` with every problem."""
    root = composed(text, file)
    if root is None:
        raise InputError([Problem("is empty; a mapping (key: value) is needed", file=file)])
    builder = Builder(file)
    data = builder.build(root, ())
    if not isinstance(data, dict) and not builder.problems:
        builder.report(root, f"must be a mapping (key: value) at the top; got {shown(data)}", ())
    if builder.problems:
        raise InputError(in_order(builder.problems))
    return Document(text, file, data, builder.marks)


def parse_documents(text: str, file: str) -> list[Document]:
    """The documents of a YAML stream, with the lines that they have in it; empty ones are left out.

    Raises `InputError` as `parse_yaml` does, with the problems of all documents.

    >>> [(each.data, each.mark(("b",))) for each in parse_documents("a: 1\\n---\\n---\\nb: 2\\n", "a.yaml")]
    [({'a': 1}, (1, 1)), ({'b': 2}, (4, 4))]
    """
    documents, problems = [], []
    for root in all_composed(text, file):
        builder = Builder(file)
        data = builder.build(root, ())
        builder.marks[()] = (start_of(root), start_of(root))
        if data is not None and not isinstance(data, dict) and not builder.problems:
            builder.report(root, f"must be a mapping (key: value) at the top; got {shown(data)}", ())
        problems += builder.problems
        if isinstance(data, dict):
            documents.append(Document(text, file, data, builder.marks))
    if problems:
        raise InputError(in_order(problems))
    return documents


def parse_value(text: str, file: str) -> Any:
    """One value, as it may stand in a file. Raises `InputError` as `parse_yaml` does.

    >>> parse_value("20:00", "--set"), parse_value("{rate: 3/s}", "--set"), parse_value("null", "--set")
    ('20:00', {'rate': '3/s'}, None)
    """
    root = composed(text, file)
    builder = Builder(file)
    data = None if root is None else builder.build(root, ())
    if builder.problems:
        raise InputError(in_order(builder.problems))
    return data


def load(path: Path, model: type[M], *, check: Callable[[M], Iterable[Problem]] | None = None) -> M:
    """Read a file as a model, then apply `check` for rules that the model lacks. Raises `InputError` with all problems."""
    document = read_yaml(path)
    loaded = validate(document, model)
    problems = [document.place(problem) for problem in check(loaded)] if check else []
    if problems:
        raise InputError(in_order(problems))
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
        from sim.scenario.explaining import Explainer

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
    raise InputError(in_order(problems), more) from None


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
