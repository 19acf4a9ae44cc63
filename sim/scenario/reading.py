"""Read a scenario file and check all that can be checked without the registry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sim.errors import InputError, Problem
from sim.scenario.check import check
from sim.scenario.loading import Document, document_of
from sim.scenario.opening import opened
from sim.scenario.put import Change, changed
from sim.scenario.schema import Scenario
from sim.scenario.sweep import points
from sim.scenario.variants import keys_of, variants

Source = str | Path | Mapping[str, Any]
"""A scenario: the path of its file, its text (of several lines), or its data as a mapping."""


More = Callable[[Scenario, Path], Iterable[Problem]]


def read(source: Source, more: More | None = None, changes: Sequence[Change] = ()) -> tuple[Scenario, Document]:
    """The scenario, and its document, which has the line numbers. `changes` are other values than those of the source.

    `more(scenario, folder)` returns problems that this layer cannot find; files are relative to `folder`. Raises `InputError`
    with every problem, each at its line.
    """
    document = document_of(source, "scenario")
    if not changes:
        return _read(document, more)
    try:
        return _read(changed(document, changes), more)
    except InputError as error:
        raise InputError(_blamed(error, document, more, changes), error.more) from None


def _blamed(error: InputError, document: Document, more: More | None, changes: Sequence[Change]) -> Iterator[Problem]:
    """The problems of a changed file. Those at a line of the file that it has only with the changes name them."""
    try:
        _read(document, more)
        own: tuple[Problem, ...] = ()
    except InputError as unchanged:
        own = unchanged.problems
    # What a command changes by itself is no option, and nobody's to mend.
    asked = (change for change in changes if change.option.startswith("-"))
    given = ", ".join(dict.fromkeys(f"{change.option} {change.path}" for change in asked))
    for problem in error.problems:
        theirs = problem.file != document.path or problem in own or not given
        yield problem if theirs else replace(problem, message=f"{problem.message}; with {given}")


def _read(document: Document, more: More | None) -> tuple[Scenario, Document]:
    scenario = opened(document)
    folder = Path(document.path).resolve().parent

    def later(point: Scenario) -> Iterable[Problem]:
        return more(point, folder) if more else ()

    problems: list[Problem] = [document.place(problem) for problem in (*check(scenario), *later(scenario))]
    try:
        points(scenario, document, later)
        # The usual other worlds are made of a sound scenario, and are no problem of it.
        if keys_of(scenario) or not problems:
            variants(scenario, document, later)
    except InputError as error:
        # The problems of the scenario itself occur again at every point of its sweep.
        problems += [problem for problem in error.problems if problem not in problems]
    if problems:
        problems.sort(key=lambda problem: (problem.line, problem.column))
        raise InputError(problems)
    return scenario, document
