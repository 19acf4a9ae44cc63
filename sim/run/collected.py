"""The tables of a run, collected while it is played: on disk as policies finish, or in memory where rounds are judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sim.errors import SimError
from sim.run import frames
from sim.run.blocks import Task, Which, by_policy
from sim.run.checkpoints import Checkpoints
from sim.run.folder import SENSITIVITY, TABLES
from sim.run.growing import Growing
from sim.run.plan import Plan
from sim.run.trial import Play

if TYPE_CHECKING:
    import pandas as pd

_GROWS = "growing."


class Collected:
    """The finished policies of a run, in the order of the plan, whatever the order in which their tasks finish.

    Of a plan with rounds `tables` are those of the current one, which are judged. Else a policy is written to disk as soon as
    all before it are, and nothing of it stays in memory.
    """

    def __init__(self, plan: Plan, todo: Iterable[Task], checkpoints: Checkpoints) -> None:
        self._plan, self._checkpoints = plan, checkpoints
        self._parts = by_policy(todo)
        self._order = list(self._parts)
        self._left = {which: set(tasks) for which, tasks in self._parts.items()}
        self._files = {name: Growing(checkpoints.folder / f"{_GROWS}{name}") for name in (*TABLES, SENSITIVITY)}
        self._begin()
        self._rounds = plan.scenario.enough is not None
        self._end = 0
        # Of the last round that was played to its end, and of the one that is played now.
        self._before: dict[Which, frames.Tables] = {}
        self._now: dict[Which, frames.Tables] = {}

    def _begin(self) -> None:
        """Nothing is written yet."""
        self._next = 0
        self._written: dict[Which, None] = {}
        self._cut = False

    @property
    def tables(self) -> dict[Which, frames.Tables]:
        """The tables of the round that was played last, of a plan with rounds; else none."""
        return {which: self._now[which] for which in self._order if which in self._now}

    def round(self, end: int) -> None:
        """Begin a round, of the replications up to `end`."""
        self._before, self._now, self._end = self.tables, {}, end

    def note(self, task: Task) -> None:
        """The result of a task is among the checkpoints."""
        left = self._left[task.which]
        left.discard(task)
        if self._rounds and self._of_run(task.which):
            if not any(other.end <= self._end for other in left):
                self._now[task.which] = frames.tables(self._plan, task.which, self._plays(task.which))
            return
        self._grow(skip=False)

    def end(self, *, interrupted: bool) -> list[Which]:
        """Write what is finished, and say what it is: each point or other world, and policy.

        Of an interrupted run, that is without those whose checkpoints cannot be read any more.
        """
        if self._cut:
            # An interrupt or an error came while a policy was written.
            self.drop()
            self._begin()
        if self._rounds:
            # An interrupted round is worth less than the one before, where there was one.
            whole = self.tables if len(self._now) >= len(self._before) else self._before
            for which in [which for which in whole if which not in self._written]:
                self._add(which, whole[which])
        self._grow(skip=interrupted)
        return [which for which in self._order if which in self._written]

    def keep(self, folder: Path) -> None:
        """Move the tables into a folder of new files."""
        for name, file in self._files.items():
            file.keep(folder / name)

    def drop(self) -> None:
        """Take away what was not kept."""
        for file in self._files.values():
            file.drop()

    def _grow(self, *, skip: bool) -> None:
        """Write all that is finished up to the first policy that is not; with `skip`, past it."""
        while self._next < len(self._order):
            which = self._order[self._next]
            by_rounds = self._rounds and self._of_run(which)
            if not by_rounds:
                if self._left[which] and not skip:
                    return
                if not self._left[which] and which not in self._written:
                    self._write(which, skip=skip)
            self._next += 1

    def _write(self, which: Which, *, skip: bool) -> None:
        try:
            plays = self._plays(which)
        except SimError:
            if skip:
                return
            raise
        if self._of_run(which):
            self._add(which, frames.tables(self._plan, which, plays))
        else:
            self._append(which, {SENSITIVITY: frames.varied(self._plan, which, plays)})

    def _add(self, which: Which, tables: frames.Tables) -> None:
        self._append(which, dict(zip(TABLES, tables, strict=True)))

    def _append(self, which: Which, tables: Mapping[str, pd.DataFrame]) -> None:
        self._cut = True
        for name, frame in tables.items():
            self._files[name].add(frame)
        self._written[which] = None
        self._cut = False

    def _of_run(self, which: Which) -> bool:
        return which[0] < len(self._plan.points)

    def _plays(self, which: Which) -> list[Play]:
        own = [task for task in self._parts[which] if not self._end or task.end <= self._end or not self._of_run(which)]
        return [self._again(task) for task in own]

    def _again(self, task: Task) -> Play:
        play = self._checkpoints.load(task)
        if play is None:
            raise SimError(f"checkpoints in {self._checkpoints.folder} were removed while it was running; run again")
        return play
