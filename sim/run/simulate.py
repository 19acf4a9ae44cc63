"""One run: play every policy of a plan and write a run folder."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sim.errors import InputError, Problem, SimError
from sim.files import write_json, write_text
from sim.run.about import about
from sim.run.blocks import Task, Watch, Which, rounds_of, tasks_of, works_of
from sim.run.checkpoints import Checkpoints, played_by
from sim.run.collected import Collected
from sim.run.enough import Judge, judged, workers_in_round
from sim.run.execute import execute
from sim.run.folder import FILES, KEPT, TEXT, holding, replacement
from sim.run.found import EnoughRecord
from sim.run.held import digest_of, held
from sim.run.lock import withdraw
from sim.run.plan import Plan
from sim.run.record import Record, Span, now

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
    judge: Judge | None = None,
) -> Run:
    """Play every policy at every point, and write the folder: `out`, or else the plan's own in `reports`.

    `watch` is called with every finished task and its seconds, None if it was loaded from a checkpoint. `conclude` is
    called with a folder that holds the new files, to add reports, before they replace all those of an earlier run together.
    `judge` says after each round whether there are enough replications, of a plan that asks for it.
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
            return _simulate(plan, folder, workers, watch, conclude, judge)
        except BaseException as error:
            if made and withdraw(folder):
                with suppress(OSError):
                    for parent in made[1:]:
                        parent.rmdir()
            elif isinstance(error, SimError):
                error.kept = str(folder)
            raise


def _simulate(
    plan: Plan, folder: Path, workers: int | None, watch: Watch | None, conclude: Conclude | None, judge: Judge | None
) -> Run:  # fmt: skip
    before, damaged = _before(folder, plan)
    started = _started(before)
    checkpoints = Checkpoints(folder, plan.digest)
    todo = tasks_of(plan)
    works = works_of(plan)
    kept = checkpoints.finished(todo)
    interrupted = False
    reached: EnoughRecord | None = None
    played_at = _played(before)
    collected = Collected(plan, todo, checkpoints)
    of_run = {task.which for task in todo if task.point < len(plan.points)}
    others = [task for task in todo if task.which not in of_run]

    def play(now: Sequence[Task]) -> None:
        for task in now:
            if task in kept:
                collected.note(task)
                if watch:
                    watch(task, None)
        left = [task for task in now if task not in kept]
        if left:
            with closing(execute(works, left, workers_in_round(plan, works, left, workers))) as played:
                for task, result, seconds in played:
                    checkpoints.save(task, result)
                    played_at[task.which] = span_of(seconds, started).with_(played_at.get(task.which))
                    if watch:
                        watch(task, seconds)
                    collected.note(task)

    def write(*, interrupted: bool) -> Run:
        done = collected.end(interrupted=interrupted)
        of_points = tuple(which for which in done if which in of_run)
        keep = bool(of_points) and (not interrupted or (not damaged and _adds(done, before, reached)))
        if keep:
            record = about(plan, set(done), started, interrupted=interrupted, enough=reached, played=played_at)
            _write(plan, folder, collected, record, conclude)
        return Run(folder, interrupted, of_points, keep)

    try:
        try:
            start = 0
            for end in rounds_of(plan):
                if start == 0:
                    reached = judged(plan, {}, end, started, None)
                collected.round(end)
                own = [task for task in todo if task.which in of_run and start <= task.first < end]
                # Nothing is decided between the only round and the other worlds: workers go on without a pause.
                play(own if plan.scenario.enough is not None else [*own, *others])
                start, reached = end, judged(plan, collected.tables, end, started, judge)
                if reached is not None and reached.met:
                    break
            if plan.scenario.enough is not None:
                play(others)
        except KeyboardInterrupt:
            interrupted = True
        except Exception:
            # The error that stopped the run is what to tell, also where what is finished cannot be written either.
            with suppress(SimError):
                write(interrupted=True)
            raise
        run = write(interrupted=interrupted)
    finally:
        collected.drop()
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
    return before.started_at if before is not None and _goes_on(before) else now()


def _goes_on(before: Record) -> bool:
    return before.status == "interrupted" and before.sources == played_by()


def _played(before: Record | None) -> dict[Which, Span]:
    """When policies were played at points, of a run that goes on."""
    if before is None or not _goes_on(before):
        return {}
    return {(number, name): span for number, point in enumerate(before.points) for name, span in point.run.played.items()}


def span_of(seconds: float, started: datetime) -> Span:
    """When a task was played that ends now and took so many seconds, in a run that has `started`."""
    ended = max(now(), started)
    return Span(started_at=max(ended - timedelta(seconds=seconds), started), finished_at=ended)


def _adds(done: Collection[Which], before: Record | None, reached: EnoughRecord | None) -> bool:
    """Whether what was finished of an interrupted run takes nothing away from what the folder held before."""
    if before is None:
        return True
    worlds = [*(point.run for point in before.points), *before.variants]
    were = {(number, name) for number, run in enumerate(worlds) for name in run.completed}
    fewer = reached is not None and reached.replications < before.replications
    return before.status == "interrupted" and were <= set(done) and not fewer


def _write(
    plan: Plan, folder: Path, collected: Collected, record: Mapping[str, Any], conclude: Conclude | None
) -> None:  # fmt: skip
    """Write the finished policies, which replace all that the folder held of an earlier run."""
    with replacement(folder) as new:
        write_text(new / TEXT, plan.text)
        collected.keep(new)
        digests = {name: digest_of(new / name) for name in KEPT if (new / name).exists()}
        write_json(new / "run.json", {**record, "files": digests})
        if conclude:
            conclude(new)
        for name in FILES:
            if not (new / name).exists():
                # An empty file takes away what describes other trials.
                write_text(new / name, "")
