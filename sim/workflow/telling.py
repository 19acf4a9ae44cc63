"""What is told of a run folder: the comparison of its policies, in every format."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sim.compare.comparison import Comparison
    from sim.report.beside import Draws
    from sim.run.plan import Plan


FORMATS = {
    "html": "report.html", "md": "report.md", "csv": "measures.csv", "png": "policies.png", "json": "summary.json"
}  # fmt: skip
"""What is told of a run, by the format, and its file in the run folder."""


def report_run(folder: str | Path, *, baseline: str | None = None, formats: Iterable[str] = tuple(FORMATS)) -> Comparison:
    """Compare the policies of a run folder, and write what is told of it (`FORMATS`) into it, all or none.

    Files of other formats than `formats` stay as they are.
    """
    from sim.run.folder import holding

    folder = Path(folder)
    with holding(folder):
        return write_report(folder, baseline, formats)


def write_report(folder: Path, baseline: str | None = None, formats: Iterable[str] = tuple(FORMATS)) -> Comparison:
    """As `report_run`, of a folder that is held already."""
    from sim.run.folder import replacement
    from sim.run.held import check_all_intact
    from sim.run.record import read_run

    # Raises an error that tells a folder without a run, or a changed one, before anything is made in it.
    check_all_intact(folder, read_run(folder))
    with replacement(folder) as new:
        return tell(folder, new, baseline, formats)


def tell(
    folder: Path, into: Path, baseline: str | None = None, formats: Iterable[str] = tuple(FORMATS), drawing: Draws | None = None
) -> Comparison:  # fmt: skip
    """Compare the policies in the tables of a folder, and write what is told of them into another (or the same).

    `drawing` is another process that draws, where there is one already.
    """
    from sim.compare.comparison import compare
    from sim.compare.summary import write_summary
    from sim.report import beside, html, listed, markdown, picture
    from sim.run.record import read_run

    wanted = set(formats)
    shared = drawing is None and {"html", "png"} <= wanted and beside.pays(read_run(folder))
    # The process loads its libraries while policies are compared.
    with beside.beside(folder, into) if shared else nullcontext(drawing) as other:
        comparison = compare(folder, baseline)
        summary = write_summary(comparison, into)
        # All of them are made of the summary.
        if other:
            other.begin()
        if "md" in wanted:
            markdown.write(folder, into)
        if "csv" in wanted:
            listed.write(folder, into)
        if "html" in wanted:
            html.write(folder, into, other.sections if other else None)
        if "png" in wanted:
            picture.write(folder, into, other.picture() if other else None)
    if "json" not in wanted:
        summary.unlink()
    return comparison


def write_stories(plan: Plan, folder: Path) -> None:
    """Play the worst, a typical and the best trial of every policy again, and write what happened in them to a new result.

    None of a sweep, whose report has no charts over time, and of few trials, of which none is typical.
    """
    from sim.compare.decision import decide
    from sim.compare.picked import picked
    from sim.compare.trials import read_trials
    from sim.files import write_json
    from sim.run.blocks import works_of
    from sim.run.noting import LEAST_TRIALS, MOST_TICKS, stories
    from sim.run.record import read_run
    from sim.run.story import FILE

    told = []
    if not plan.paths and plan.scenario.replications >= LEAST_TRIALS and plan.scenario.ticks <= MOST_TICKS:
        run = read_run(folder)
        (trials,), work = read_trials(folder, run), works_of(plan)[0]
        by = decide(run, trials).aim
        told = [story for own in trials.values() for story in stories(work, own.policy, picked(own, by))]
    write_json(folder / FILE, [story.model_dump(mode="json") for story in told])
