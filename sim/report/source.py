"""Read and check the files of a run folder for a report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

from sim.arrays import Floats
from sim.compare.result import Comparison, PointComparison
from sim.compare.summary import FILE, read_summary
from sim.errors import InputError, Problem
from sim.files import reading
from sim.run.folder import TEXT
from sim.run.held import check_intact
from sim.run.record import Record, read_run
from sim.run.story import Story, read_stories
from sim.run.timeline import FILE as TIMELINE
from sim.run.timeline import read_timeline
from sim.tables import read_table

T = TypeVar("T")


@dataclass(frozen=True)
class Source:
    """A finished (or interrupted) run: `summary.json` with `run.json`, the scenario's text and the timeline.

    `timeline` holds, for each policy of a run of one point, its columns as arrays (T,) of the T ticks that were kept.
    `stories` are those of single trials, which run folders of earlier versions lack.
    """

    comparison: Comparison
    scenario: str
    timeline: dict[str, dict[str, Floats]]
    stories: tuple[Story, ...] = ()

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
    problems: list[Problem] = []

    def attempt(reader: Callable[[], T]) -> T | None:
        try:
            return reader()
        except InputError as error:
            problems.extend(error.problems)
            return None

    if not (folder / "run.json").is_file():
        # Raises an error that tells a folder without a run from none.
        read_run(folder)
    run = attempt(lambda: read_run(folder))
    # Of a run that is not known, only whether its files can be read can be said.
    summary = told or folder
    comparison = attempt(lambda: read_summary(summary, run) if run else _text(summary / FILE))
    scenario = attempt(lambda: _scenario(folder, run))
    timeline = attempt(lambda: read_timeline(folder, run) if run else read_table(folder / TIMELINE))
    stories = attempt(lambda: read_stories(folder))
    if problems:
        raise InputError(problems)
    return Source(
        cast(Comparison, comparison), cast(str, scenario), cast(dict[str, dict[str, Floats]], timeline), stories or ()
    )  # fmt: skip


def _scenario(folder: Path, run: Record | None) -> str:
    """The scenario's text, as the run wrote it."""
    if run:
        check_intact(folder / TEXT, run)
    return _text(folder / TEXT)


def _text(file: Path) -> str:
    with reading(file):
        return file.read_text(encoding="utf-8")
