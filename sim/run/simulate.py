"""One run: play every policy of a plan and write a run folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sim.errors import FileError, InputError, Problem, SimError
from sim.files import write_json, write_parquet, write_text
from sim.run import frames
from sim.run.about import about
from sim.run.blocks import Task, Watch, Which, by_policy, tasks_of, works_of
from sim.run.checkpoints import Checkpoints, played_by
from sim.run.effort import workers_for
from sim.run.execute import execute
from sim.run.folder import FILES, TABLES, holding, replacement
from sim.run.held import digest_of, held
from sim.run.lock import withdraw
from sim.run.plan import Plan
from sim.run.record import Record, now
from sim.run.trial import Play

Conclude = Callable[[Path], None]
"""Adds what is told of a result, such as reports, to a folder that holds its new files."""


@dataclass(frozen=True)
class Run:
    """The folder of a run, whether it was interrupted, and the policies that ran to their end, each with its point.

    `kept` is whether the folder now holds what this run finished. It does not where nothing was finished, or less than what
    the folder held before.
    """

    folder: Path
    interrupted: bool
    completed: tuple[Which, ...]
    kept: bool


def folder_of(plan: Plan, reports: Path) -> Path:
    """The folder of a run of this plan: the scenario's name and a digest of its resolved text."""
    return reports / f"{plan.scenario.name}-{plan.digest[:10]}"


def simulate(
    plan: Plan,
    reports: Path,
    *,
    out: Path | None = None,
    workers: int | None = None,
    watch: Watch | None = None,
    conclude: Conclude | None = None,
) -> Run:
    """Play every policy at every point, and write the folder: `out`, or else the plan's own in `reports`.

    `watch` is called with every finished task and its seconds, None if it was loaded from a checkpoint. `conclude` is
    called with a folder that holds the new files, to add reports, before they replace all those of an earlier run together.
    After an interrupt (Ctrl-C) or an error, the folder has the finished policies and the checkpoints, unless what it held
    before is more; the next run continues from them. A new folder in which nothing was finished is taken away after an error,
    and a `SimError` says where the others are. Raises `InputError` if the folder cannot be made, or another run is writing to
    it, or its name holds a run of another scenario, and `FileError` where a file cannot be written.
    """
    folder = folder_of(plan, reports) if out is None else out
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError([Problem(f"cannot make the run folder: {error.strerror}", file=str(folder))]) from error
    with holding(folder, new=True):
        try:
            return _simulate(plan, folder, workers, watch, conclude)
        except BaseException as error:
            if made and withdraw(folder):
                with suppress(OSError):
                    for parent in made[1:]:
                        parent.rmdir()
            elif isinstance(error, SimError):
                error.kept = str(folder)
            raise


def _simulate(plan: Plan, folder: Path, workers: int | None, watch: Watch | None, conclude: Conclude | None) -> Run:
    before, damaged = _before(folder, plan)
    started = _started(before)
    checkpoints = Checkpoints(folder, plan.digest)
    todo = tasks_of(plan)
    parts = by_policy(todo)
    works = works_of(plan)
    kept = checkpoints.finished(todo)
    for task in todo:
        if task in kept and watch:
            watch(task, None)
    left = [task for task in todo if task not in kept]
    tables: dict[Which, frames.Tables] = {}
    finished = set(kept)
    interrupted = False

    def collect(which: Which) -> None:
        if which not in tables and all(task in finished for task in parts[which]):
            plays = [_again(checkpoints, task) for task in parts[which]]
            tables[which] = frames.tables(plan, which, plays)

    def write(*, interrupted: bool) -> Run:
        done = {which: tables[which] for which in parts if which in tables}
        keep = bool(done) and (not interrupted or (not damaged and _adds(done, before)))
        if keep:
            _write(plan, folder, done, started, interrupted, conclude)
        return Run(folder, interrupted, tuple(done), keep)

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
        # The error that stopped the run is what to tell, also where what is finished cannot be written either.
        with suppress(FileError):
            write(interrupted=True)
        raise
    run = write(interrupted=interrupted)
    if not interrupted:
        checkpoints.clear()
    return run


def _before(folder: Path, plan: Plan) -> tuple[Record | None, bool]:
    """The record of the result that the folder holds, None where it holds none; and whether it holds a damaged one.

    What is damaged may still be worth something to somebody: only a whole result replaces it.
    """
    try:
        before = held(folder)
    except InputError:
        return None, True
    if before is not None and before.digest != plan.digest:
        message = "holds a run of another scenario, by the digest in its run.json; move it away, or name another place"
        raise InputError([Problem(message, file=str(folder))])
    return before, False


def _started(before: Record | None) -> datetime:
    """When the run began: one that goes on began when it was first started, and so keeps its key."""
    goes_on = before is not None and before.status == "interrupted" and before.sources == played_by()
    return before.started_at if before is not None and goes_on else now()


def _adds(done: Mapping[Which, frames.Tables], before: Record | None) -> bool:
    """Whether what was finished of an interrupted run takes nothing away from what the folder held before."""
    if before is None:
        return True
    were = {(number, name) for number, point in enumerate(before.points) for name in point.run.completed}
    return before.status == "interrupted" and were <= set(done)


def _again(checkpoints: Checkpoints, task: Task) -> Play:
    play = checkpoints.load(task)
    if play is None:
        raise SimError(f"checkpoints in {checkpoints.folder} were removed while it was running; run again")
    return play


def _write(
    plan: Plan,
    folder: Path,
    tables: Mapping[Which, frames.Tables],
    started: datetime,
    interrupted: bool,
    conclude: Conclude | None,
) -> None:
    """Write the finished policies, which replace all that the folder held of an earlier run."""
    import yaml

    record = about(plan, tables, started, interrupted=interrupted)
    trials, timeline = frames.joined(tables.values())
    with replacement(folder) as new:
        text = yaml.safe_dump(plan.resolved(), sort_keys=False, allow_unicode=True, width=100)
        write_text(new / "scenario.yaml", text)
        for name, frame in zip(TABLES, (trials, timeline), strict=True):
            write_parquet(new / name, frame)
        write_json(new / "run.json", record | {"files": {name: digest_of(new / name) for name in TABLES}})
        if conclude:
            conclude(new)
        for name in FILES:
            if not (new / name).exists():
                # An empty file takes away what describes other trials.
                write_text(new / name, "")
