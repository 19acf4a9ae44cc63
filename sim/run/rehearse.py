"""Playing a plan in memory, without a folder and without checkpoints."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sim.run import frames
from sim.run.about import about
from sim.run.blocks import Task, Watch, by_policy, tasks_of, works_of
from sim.run.effort import effort_of
from sim.run.execute import execute
from sim.run.plan import Plan
from sim.run.record import Record, now
from sim.run.trial import Play

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Rehearsal:
    """The same content as a run folder, in memory: `run.json`, `trials.parquet`, `timeline.parquet`."""

    record: Record
    trials: pd.DataFrame
    timeline: pd.DataFrame


def rehearse(plan: Plan, *, workers: int | None = None, watch: Watch | None = None, samples: int | None = None) -> Rehearsal:
    """Play every policy at every point. The tables are the same as those that `simulate` writes to a folder.

    `watch` is called with every finished task. `samples` is the most ticks of the timeline, at least 2.
    """
    started = now()
    todo = tasks_of(plan)
    works = works_of(plan, samples)
    plays: dict[Task, Play] = {}
    with closing(execute(works, todo, effort_of(plan, workers, in_memory=True).workers)) as played:
        for task, play, seconds in played:
            plays[task] = play
            if watch:
                watch(task, seconds)
    parts = by_policy(todo)
    tables = [frames.tables(plan, which, [plays[task] for task in tasks]) for which, tasks in parts.items()]
    return Rehearsal(Record.model_validate(about(plan, parts, started)), *frames.joined(tables))
