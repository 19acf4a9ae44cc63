"""One run: play every policy of a plan and write a run folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sim.errors import InputError, Problem, SimError
from sim.run import frames
from sim.run.about import about
from sim.run.blocks import Task, Watch, Which, by_policy, tasks_of, works_of
from sim.run.effort import workers_for
from sim.run.execute import execute
from sim.run.folder import CHECKPOINTS, Checkpoints, write_json, write_parquet, write_text
from sim.run.lock import withdraw, writing
from sim.run.plan import Plan
from sim.run.trial import Play


@dataclass(frozen=True)
class Run:
    """The folder of a run, whether it was interrupted, and the policies that ran to their end, each with its point."""

    folder: Path
    interrupted: bool
    completed: tuple[Which, ...]


def folder_of(plan: Plan, reports: Path) -> Path:
    """The folder of a run of this plan: the scenario's name and a digest of its resolved text."""
    return reports / f"{plan.scenario.name}-{plan.digest[:10]}"


def simulate(plan: Plan, reports: Path, *, workers: int | None = None, watch: Watch | None = None) -> Run:
    """Play every policy at every point, and write the folder.

    `watch` is called with every finished task and its seconds, None if it was loaded from a checkpoint. After an interrupt
    (Ctrl-C) or an error, the folder has the finished policies and the checkpoints; the next run continues from them.
    A new folder in which nothing was finished is taken away after an error, and a `SimError` says where the others are.
    Raises `InputError` if the folder cannot be made, or another run is writing to it.
    """
    folder = folder_of(plan, reports)
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError([Problem(f"cannot make the run folder: {error.strerror}", file=str(folder))]) from error
    with writing(folder, new=True):
        try:
            return _simulate(plan, folder, workers, watch)
        except BaseException as error:
            if made and withdraw(folder):
                with suppress(OSError):
                    for parent in made[1:]:
                        parent.rmdir()
            elif isinstance(error, SimError):
                error.kept = str(folder)
            raise


def _simulate(plan: Plan, folder: Path, workers: int | None, watch: Watch | None) -> Run:
    started = datetime.now(UTC)
    checkpoints = Checkpoints(folder)
    todo = tasks_of(plan)
    parts = by_policy(todo)
    works = works_of(plan)
    kept = {task for task in todo if checkpoints.load(task) is not None}
    for task in todo:
        if task in kept and watch:
            watch(task, None)
    left = [task for task in todo if task not in kept]
    tables: dict[Which, frames.Tables] = {}
    finished = set(kept)
    interrupted = False

    def collect(which: Which) -> None:
        if which not in tables and all(task in finished for task in parts[which]):
            plays = [_again(checkpoints, task, folder) for task in parts[which]]
            tables[which] = frames.tables(plan, which, plays)

    try:
        for which in parts:
            collect(which)
        if left:
            with closing(execute(works, left, workers_for(works, left, workers))) as played:
                for task, play, seconds in played:
                    checkpoints.save(task, play)
                    finished.add(task)
                    if watch:
                        watch(task, seconds)
                    collect(task.which)
    except KeyboardInterrupt:
        interrupted = True
    except Exception:
        _write(plan, folder, _in_order(tables, parts), started, interrupted=True)
        raise
    done = _in_order(tables, parts)
    _write(plan, folder, done, started, interrupted)
    if not interrupted:
        checkpoints.clear()
    return Run(folder, interrupted, tuple(done))


def _in_order(tables: Mapping[Which, frames.Tables], order: Iterable[Which]) -> dict[Which, frames.Tables]:
    """Tables in the order of points and policies in the plan, not in the order in which they finished."""
    return {which: tables[which] for which in order if which in tables}


def _again(checkpoints: Checkpoints, task: Task, folder: Path) -> Play:
    play = checkpoints.load(task)
    if play is None:
        raise SimError(f"checkpoints in {folder / CHECKPOINTS} were removed while it was running; run again")
    return play


def _write(plan: Plan, folder: Path, tables: Mapping[Which, frames.Tables], started: datetime, interrupted: bool) -> None:
    """Write the finished policies. Writes nothing if no policy is finished."""
    if not tables:
        return
    import yaml

    record = about(plan, tables, started, interrupted=interrupted)
    trials, timeline = frames.joined(tables.values())
    # Delete the reports of an earlier run of the same scenario: they describe other trials.
    for name in ("summary.json", "report.html", "report.md", "tracking.json"):
        (folder / name).unlink(missing_ok=True)
    text = yaml.safe_dump(plan.resolved(), sort_keys=False, allow_unicode=True, width=100)
    write_text(folder / "scenario.yaml", text)
    write_parquet(folder / "trials.parquet", trials)
    write_parquet(folder / "timeline.parquet", timeline)
    write_json(folder / "run.json", record)
