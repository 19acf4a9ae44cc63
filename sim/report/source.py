"""Read and check the files of a run folder for a report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim.arrays import Floats
from sim.compare.result import Comparison, PointComparison
from sim.compare.summary import read_summary
from sim.errors import InputError, Problem
from sim.files import reading
from sim.run.record import Record, read_run
from sim.run.timeline import read_timeline


@dataclass(frozen=True)
class Source:
    """A finished (or interrupted) run: `summary.json` with `run.json`, the scenario's text and the timeline.

    `timeline` holds, for each policy of a run of one point, its columns as arrays (T,) of the T ticks that were kept.
    """

    comparison: Comparison
    scenario: str
    timeline: dict[str, dict[str, Floats]]

    @property
    def run(self) -> Record:
        """The record in `run.json`."""
        return self.comparison.run

    @property
    def only(self) -> PointComparison | None:
        """The point of a run with one point, for charts over time; None if there are several points."""
        return self.comparison.points[0] if len(self.comparison.points) == 1 else None


def read(folder: Path, told: Path | None = None) -> Source:
    """Read the files that a report shows. Raises `InputError` naming every file that is missing or unreadable.

    `told` is the folder of `summary.json`, where that is another.
    """
    run = read_run(folder)
    readers: tuple[Callable[[], Any], ...] = (
        lambda: read_summary(told or folder, run),
        lambda: _text(folder / "scenario.yaml"),
        lambda: read_timeline(folder, run),
    )
    problems: list[Problem] = []
    contents: list[Any] = []
    for reader in readers:
        try:
            contents.append(reader())
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    return Source(*contents)


def _text(file: Path) -> str:
    with reading(file):
        return file.read_text(encoding="utf-8")
