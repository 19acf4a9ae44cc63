"""What becomes of every field of a manifest: used, ignored (why it does not matter) or refused, each at its line.

A program's fields stand in one table, of which its page in the documents is made. The account of a manifest walks all of its
fields along the table: none is left out, and one that the table does not know is refused.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sim.errors import InputError, Place, Problem, format_path
from sim.interop.objects import Object
from sim.spelling import did_you_mean


class Status(StrEnum):
    """What becomes of a field."""

    USED = "used"
    IGNORED = "ignored"
    REFUSED = "refused"


@dataclass(frozen=True)
class Field:
    """A field that a program reads. `path` is from the object, with `[]` for each item of a list; `text` says what it does.

    `many` says that its value is a mapping or a list that is one value, such as the labels of a query.
    """

    path: str
    status: Status
    text: str
    many: bool = False


def used(path: str, text: str, *, many: bool = False) -> Field:
    """A field that the policy is made of."""
    return Field(path, Status.USED, text, many)


def ignored(path: str, text: str) -> Field:
    """A field with all that is in it, which changes nothing that is simulated."""
    return Field(path, Status.IGNORED, text, True)


def refused(path: str, text: str) -> Field:
    """A field that changes what is simulated, and that no policy here can say."""
    return Field(path, Status.REFUSED, text, True)


@dataclass(frozen=True)
class Row:
    """One field of a manifest, and what became of it."""

    file: str
    line: int
    path: str
    value: str
    status: Status
    text: str


@dataclass(frozen=True)
class Remark:
    """Something in a manifest that does another thing than it seems to: where, what it does, and the mend."""

    file: str
    line: int
    path: str
    text: str
    mend: str


_RECORDS = (
    "namespace", "labels", "annotations", "uid", "resourceVersion", "creationTimestamp", "generation", "finalizers",
    "managedFields", "ownerReferences", "selfLink",
)  # fmt: skip
_COMMON = (
    ignored("apiVersion", "the version of the format"),
    used("kind", "which program reads it"),
    used("metadata.name", "the name of the policy, or by which a rollout names it"),
    used("metadata.generateName", "the name of the policy, where there is no other"),
    *(ignored(f"metadata.{key}", "labels and records, which move no traffic") for key in _RECORDS),
    ignored("status", "what a controller wrote, not what it is to do"),
)


@dataclass
class Account:
    """The account of one object. A reader adds to it what it made of single fields; `rows` has them all.

    >>> from sim.interop.objects import objects_of
    >>> (thing,) = objects_of("kind: Thing\\nspec: {weight: 5, colour: red}\\n", "a.yaml")
    >>> account = Account(thing, (used("spec.weight", "the share"),))
    >>> [(row.line, row.path, row.status.value) for row in account.rows()]
    [(1, 'kind', 'used'), (2, 'spec.weight', 'used'), (2, 'spec.colour', 'refused')]
    """

    object: Object
    fields: tuple[Field, ...]
    said: dict[Place, tuple[Status, str]] = field(default_factory=dict)
    remarks: dict[Remark, None] = field(default_factory=dict)

    def use(self, place: Place, text: str) -> None:
        """Say what a field became."""
        self.said[place] = Status.USED, text

    def ignore(self, place: Place, text: str) -> None:
        """Say why a field that is used elsewhere does not matter here."""
        self.said.setdefault(place, (Status.IGNORED, text))

    def refuse(self, place: Place, text: str) -> None:
        """Say why a field cannot be carried. The first reason stays."""
        if self.said.get(place, (None, ""))[0] is not Status.REFUSED:
            self.said[place] = Status.REFUSED, text

    def remark(self, place: Place, text: str, mend: str) -> None:
        """Say what a field does that it does not seem to."""
        self.remarks[Remark(self.object.file, self.object.line(place), format_path(place), text, mend)] = None

    def rows(self) -> list[Row]:
        """All fields of the object by line, each once: the innermost that the table or a reader says something of."""
        table = {entry.path: entry for entry in (*_COMMON, *self.fields)}
        above = {place[:length] for place in self.said for length in range(len(place))}
        rows = [self._row(place, *told) for place, told in self._walk(self.object.data, (), table, above)]
        # What a reader refuses may not be written at all.
        there = {row.path for row in rows}
        absent = [(place, told) for place, told in self.said.items() if told[0] is Status.REFUSED]
        rows += [self._row(place, *told) for place, told in absent if format_path(place) not in there]
        return sorted(rows, key=lambda row: row.line)

    def problems(self) -> list[Problem]:
        """The refused fields as problems."""
        return [
            Problem(row.text, row.path, row.file, row.line, self.object.column(row.path))
            for row in self.rows()
            if row.status is Status.REFUSED
        ]

    def _row(self, place: Place, status: Status, text: str) -> Row:
        return Row(self.object.file, self.object.line(place), format_path(place), _brief(self.object.get(place)), status, text)

    def _walk(
        self, value: Any, place: Place, table: Mapping[str, Field], above: Collection[Place]
    ) -> Iterator[tuple[Place, tuple[Status, str]]]:
        """(place, (status, text)) of the fields of a value. `above` are the places within which a reader has said something."""
        pattern, said = pattern_of(place), self.said.get(place)
        entry = table.get(pattern)
        own = said or ((entry.status, entry.text) if entry else None)
        inner = isinstance(value, dict | list) and bool(value)
        below = place in above or not place or any(path.startswith((f"{pattern}.", f"{pattern}[")) for path in table)
        whole = (entry is not None and entry.many) or (said is not None and said[0] is not Status.USED)
        if own is not None and (whole or not inner or not below):
            yield place, own
            if own[0] is Status.USED:
                within = [each for each in self.said.items() if _within(each[0], place)] if place in above else []
                yield from ((other, told) for other, told in within if self.object.get(other) is not None)
        elif inner and below:
            if said is not None:
                yield place, said
            steps: Iterable[tuple[Any, Any]] = value.items() if isinstance(value, dict) else enumerate(value)
            for step, item in steps:
                yield from self._walk(item, (*place, step), table, above)
        elif below:
            yield place, (Status.IGNORED, "it is empty")
        else:
            yield place, (Status.REFUSED, _unknown(place, self.object.kind, table))


def table(objects: Mapping[str, Iterable[Field]]) -> str:
    """The fields of the objects of a program as a Markdown table."""
    lines = ["| object | field | here | what it does, or why not |", "| --- | --- | --- | --- |"]
    for name, fields in objects.items():
        for entry in fields:
            text = entry.text.replace("|", "\\|")
            lines.append(f"| {name} | `{entry.path}` | {entry.status.value} | {text} |")
    return "\n".join(lines)


def _within(place: Place, outer: Place) -> bool:
    return len(place) > len(outer) and place[: len(outer)] == outer


def pattern_of(place: Place) -> str:
    """The path of a place as a table of fields has it.

    >>> pattern_of(("spec", "steps", 3, "setWeight"))
    'spec.steps[].setWeight'
    """
    text = ""
    for part in place:
        text += "[]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _unknown(place: Place, kind: str, table: Mapping[str, Field]) -> str:
    """What is said of a field that no table has."""
    above = pattern_of(place[:-1])
    start = f"{above}." if above else ""
    known = {path[len(start) :].split(".")[0].split("[")[0] for path in table if path.startswith(start)}
    hint = did_you_mean(str(place[-1]), sorted(known))
    return f"is no field of a {kind} that is known here{'; ' if hint else ''}{hint}"


def _brief(value: Any) -> str:
    """A value in a few characters; empty for one of many parts."""
    if isinstance(value, dict | list):
        return "" if value else json.dumps(value)
    text = value if isinstance(value, str) else json.dumps(value)
    text = " ".join(str(text).split())
    return text if len(text) <= 48 else f"{text[:47]}…"


def check(accounts: Iterable[Account]) -> None:
    """Raise `InputError` with every field that is refused, by file and line."""
    problems = sorted(
        (problem for account in accounts for problem in account.problems()),
        key=lambda problem: (problem.file, problem.line, problem.column),
    )
    if problems:
        raise InputError(problems)
