"""Kubernetes objects, and other manifests, as files hold them: several documents, lists of objects, lines of fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sim.errors import InputError, Place, Problem, format_path
from sim.scenario.loading import Document, parse_documents, parse_path, read_text
from sim.units import shown

_LEFTOVERS = (
    ("{{", "}}", "holds a template of Helm or Jinja; render it first, as `helm template` does"),
    ("$(", ")", "holds a variable that nothing has set; build it first, as `kustomize build` does"),
    ("${", "}", "holds a variable that nothing has set; set it first, as `envsubst` does"),
)


@dataclass(frozen=True)
class Object:
    """One object of a manifest. `base` leads to it in its document, which has other objects beside it in a List.

    Places are from the object.

    >>> (rollout,) = objects_of("kind: Rollout\\nmetadata: {name: shop}\\nspec:\\n  replicas: 3\\n", "a.yaml")
    >>> rollout.kind, rollout.name, rollout.get(("spec", "replicas")), rollout.line(("spec", "replicas"))
    ('Rollout', 'shop', 3, 4)
    """

    document: Document
    base: Place = ()

    @property
    def file(self) -> str:
        """The file that it is read from."""
        return self.document.path

    @property
    def data(self) -> dict[str, Any]:
        """Its fields."""
        value: Any = self.document.data
        for step in self.base:
            value = value[step]
        return value if isinstance(value, dict) else {}

    @property
    def kind(self) -> str:
        """What kind it says it is; empty without one."""
        kind = self.data.get("kind")
        return kind if isinstance(kind, str) else ""

    @property
    def name(self) -> str:
        """Its name; empty without one."""
        metadata = self.data.get("metadata")
        name = metadata.get("name", metadata.get("generateName")) if isinstance(metadata, dict) else None
        return name if isinstance(name, str) else ""

    def get(self, place: Place) -> Any:
        """The value at a place; None where there is none."""
        value: Any = self.data
        for step in place:
            if isinstance(value, dict):
                value = value.get(step)
            elif isinstance(value, list) and isinstance(step, int) and step < len(value):
                value = value[step]
            else:
                return None
        return value

    def line(self, place: Place) -> int:
        """The line of the key of a place, or of what it would be in."""
        return self.document.mark((*self.base, *place), key=True)[0]

    def column(self, path: str) -> int:
        """The column of the key at a path."""
        return self.document.mark((*self.base, *parse_path(path)), key=True)[1]

    def problem(self, place: Place, message: str) -> Problem:
        """A problem at a place."""
        line, column = self.document.mark((*self.base, *place), key=True)
        return Problem(message, format_path(place), self.file, line, column)


def read_files(files: Sequence[Path]) -> dict[str, str]:
    """The texts of files, by file, in order. Raises `InputError` with every file that cannot be read."""
    found: dict[str, str] = {}
    problems: list[Problem] = []
    for file in files:
        try:
            found[str(file)] = read_text(file)
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    return found


def read_objects(texts: Mapping[str, str]) -> list[Object]:
    """The objects of texts, by file, in order. Raises `InputError` with what is wrong with any of them."""
    found: list[Object] = []
    problems: list[Problem] = []
    for file, text in texts.items():
        try:
            found += objects_of(text, file)
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    return found


def objects_of(text: str, file: str) -> list[Object]:
    """The objects of a text, without those that are empty; the items of a List each on its own.

    Raises `InputError` for text that is no YAML. Where that is because of a template, this is said.
    """
    try:
        documents = parse_documents(text, file)
    except InputError as error:
        raise InputError([_blamed(problem, text) for problem in error.problems], error.more) from None
    return [each for document in documents for each in _items(Object(document))]


def _items(whole: Object) -> Iterable[Object]:
    items = whole.data.get("items")
    if not whole.kind.endswith("List") or not isinstance(items, list):
        return [whole]
    return [
        each
        for index, item in enumerate(items)
        if isinstance(item, dict)
        for each in _items(Object(whole.document, (*whole.base, "items", index)))
    ]


def _blamed(problem: Problem, text: str) -> Problem:
    """The problem, with the template that stands at its line."""
    lines = text.splitlines()
    line = lines[problem.line - 1] if 0 < problem.line <= len(lines) else ""
    why = left_over(line)
    return replace(problem, message=f"{problem.message}; the line {why}") if why else problem


def left_over(text: str) -> str:
    """What is said of text that a program was to fill in before; empty of text that is whole.

    >>> left_over("5m"), left_over("$(INTERVAL)")
    ('', 'holds a variable that nothing has set; build it first, as `kustomize build` does')
    """
    for opening, closing, why in _LEFTOVERS:
        start = text.find(opening)
        if start >= 0 and (closing in text[start:] or opening == "{{"):
            return why
    return ""


def not_a(what: str, value: Any) -> str:
    """The rule that a value of a field breaks, with what is there."""
    why = left_over(value) if isinstance(value, str) else ""
    return f"must be {what}; got {shown(value)}{', which ' if why else ''}{why}"
