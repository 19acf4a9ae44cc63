"""A scenario file, read and checked as far as that goes without the registry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from sim.errors import InputError, Problem
from sim.scenario.check import check
from sim.scenario.loading import Document, document_of, validate
from sim.scenario.schema import Scenario
from sim.scenario.sweep import points

Source = str | Path | Mapping[str, Any]
"""A scenario: the path of its file, its text (of several lines), or what it says."""


More = Callable[[Scenario, Path], Iterable[Problem]]


def read(source: Source, more: More | None = None) -> tuple[Scenario, Document]:
    """The scenario, and the document that knows its lines. `more` finds problems that this layer cannot, of a scenario whose
    files are relative to a folder.

    Raises `InputError` with every problem, each at its line.
    """
    document = document_of(source, "scenario")
    scenario = validate(document, Scenario)
    folder = Path(document.path).resolve().parent

    def later(point: Scenario) -> Iterable[Problem]:
        return more(point, folder) if more else ()

    problems: list[Problem] = [document.place(problem) for problem in (*check(scenario), *later(scenario))]
    try:
        points(scenario, document, later)
    except InputError as error:
        # A sweep has the problems of its scenario at every point.
        problems += [problem for problem in error.problems if problem not in problems]
    if problems:
        problems.sort(key=lambda problem: (problem.line, problem.column))
        raise InputError(problems)
    return scenario, document
