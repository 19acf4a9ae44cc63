"""Blocks: a fixed number of replications run together, the unit of work and of checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sim.engine.catalogue import ENGINES, make
from sim.policy.forms import Form, build
from sim.run.trial import Play, play
from sim.world.world import Truth, World

# Sums of users in every arm that a block keeps, at 16 bytes each.
_MOST_TALLIES = 20_000_000


@dataclass(frozen=True)
class Task:
    """One policy in one block of replications, from `first` up to but without `end`; of a sweep, at one point of it."""

    policy: str
    block: int
    first: int
    end: int
    point: int | None = None

    @property
    def name(self) -> str:
        """What its checkpoint is called."""
        return f"{'' if self.point is None else f'{self.point}.'}{self.policy}.{self.first}-{self.end}"


@dataclass(frozen=True)
class Work:
    """What every worker needs to play any task of a scenario, or of one point of a sweep."""

    world: World
    forms: Mapping[str, Form]
    engine: str
    samples: int


def tasks(
    policies: Sequence[str], replications: int, ticks: int, engine: str, point: int | None = None, tallies: int = 0
) -> list[Task]:
    """Every policy in every block, policy by policy, so that an interrupt leaves finished policies.

    `tallies` are the sums of users that a replication keeps.

    >>> [task.name for task in tasks(["a", "b"], 1500, 100, "aggregate")]
    ['a.0-1000', 'a.1000-1500', 'b.0-1000', 'b.1000-1500']
    """
    entry = ENGINES[engine]
    # What a block's arrivals take in memory is 16 bytes of each of its replications times ticks.
    rows = max(1, min(entry.most_rows, entry.cells // ticks, _MOST_TALLIES // max(tallies, 1)))
    firsts = range(0, replications, rows)
    return [
        Task(policy, block, first, min(first + rows, replications), point)
        for policy in policies
        for block, first in enumerate(firsts)
    ]


class Player:
    """Plays tasks, one after another. A block's truth is the same for every policy, so the last one is kept."""

    def __init__(self, works: Sequence[Work]) -> None:
        self.works = works
        self._kept: tuple[tuple[int, int, int], Truth] | None = None

    def play(self, task: Task) -> Play:
        """The same bits wherever and whenever it is played."""
        work = self.works[task.point or 0]
        which = (task.point or 0, task.first, task.end)
        if self._kept is None or self._kept[0] != which:
            self._kept = (which, work.world.realise(np.arange(task.first, task.end)))
        policy = build(work.forms[task.policy], work.forms, work.world.arms)
        return play(self._kept[1], policy, make(work.engine), work.samples)
