"""Rounds of replications, until there are enough."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from sim.run import frames
from sim.run.about import about
from sim.run.blocks import Task, Which, Work
from sim.run.effort import workers_for
from sim.run.found import EnoughRecord, TargetRecord
from sim.run.plan import Plan
from sim.run.record import Record
from sim.scenario.enough import Enough

if TYPE_CHECKING:
    import pandas as pd

Judge = Callable[[Record, "pd.DataFrame", Enough], tuple[TargetRecord, ...]]
"""(run, trials, what is asked for) to how near each target is. The trials are as in `trials.parquet`."""


def judged(
    plan: Plan, tables: Mapping[Which, frames.Tables], end: int, started: datetime, judge: Judge | None
) -> EnoughRecord | None:  # fmt: skip
    """What was reached with so many replications of every policy; None of a plan that does not ask for it.

    Without a `judge` no target is met, so that all replications are played. What is judged depends on the trials of a whole
    round alone: not on the order in which they came, on workers, or on an interrupt.
    """
    asked = plan.scenario.enough
    if asked is None:
        return None
    so_far = EnoughRecord(replications=end, least=min(asked.min, plan.scenario.replications), most=plan.scenario.replications)
    if judge is None:
        return so_far
    run = Record.model_validate(about(plan, tables, started, enough=so_far))
    trials, _ = frames.joined(tables.values())
    return so_far.model_copy(update={"targets": judge(run, trials, asked)})


def workers_in_round(plan: Plan, works: Sequence[Work], left: Sequence[Task], asked: int | None) -> int:
    """The number of processes for what is left of a round: what is worth several of them in all may not be so in one round."""
    count = workers_for(works, left, asked)
    return count if plan.scenario.enough is None else min(count, workers_for(works, left, None))
