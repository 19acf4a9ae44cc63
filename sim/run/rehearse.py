"""Playing a plan in memory, without a folder and without checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sim.run import frames
from sim.run.about import about
from sim.run.blocks import Task, Watch, Which, by_policy, rounds_of, tasks_of, works_of
from sim.run.effort import effort_of
from sim.run.enough import Judge, judged, workers_in_round
from sim.run.execute import execute
from sim.run.found import EnoughRecord
from sim.run.plan import Plan
from sim.run.record import Record, now
from sim.run.trial import Play

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Rehearsal:
    """The same content as a run folder, in memory: `run.json`, `trials.parquet`, `timeline.parquet`, `sensitivity.parquet`.

    `sensitivity` is None where the plan has no other worlds.
    """

    record: Record
    trials: pd.DataFrame
    timeline: pd.DataFrame
    sensitivity: pd.DataFrame | None = None


def rehearse(
    plan: Plan,
    *,
    workers: int | None = None,
    watch: Watch | None = None,
    samples: int | None = None,
    judge: Judge | None = None,
) -> Rehearsal:
    """Play every policy at every point. The tables are the same as those that `simulate` writes to a folder.

    `watch` is called with every finished task. `samples` is the most ticks of the timeline, at least 2. `judge` says after each
    round whether there are enough replications, of a plan that asks for it.
    """
    import pandas as pd

    started = now()
    todo = tasks_of(plan)
    works = works_of(plan, samples)
    parts = by_policy(todo)
    plays: dict[Task, Play] = {}
    count = effort_of(plan, workers, in_memory=True).workers

    def play(now: Sequence[Task]) -> None:
        with closing(execute(works, now, workers_in_round(plan, works, now, count))) as played:
            for task, result, seconds in played:
                plays[task] = result
                if watch:
                    watch(task, seconds)

    own = {which: tasks for which, tasks in parts.items() if which[0] < len(plan.points)}
    tables: dict[Which, frames.Tables] = {}
    reached: EnoughRecord | None = None
    start = 0
    for end in rounds_of(plan):
        play([task for tasks in own.values() for task in tasks if start <= task.first < end])
        tables = {
            which: frames.tables(plan, which, [plays[task] for task in tasks if task.end <= end])
            for which, tasks in own.items()
        }
        start, reached = end, judged(plan, tables, end, started, judge)
        if reached is not None and reached.met:
            break
    play([task for task in todo if task.which not in own])
    varied = [frames.varied(plan, which, [plays[task] for task in tasks]) for which, tasks in parts.items() if which not in own]
    record = Record.model_validate(about(plan, parts, started, enough=reached))
    return Rehearsal(record, *frames.joined(tables.values()), pd.concat(varied, ignore_index=True) if varied else None)
