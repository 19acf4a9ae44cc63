"""Blocks: a fixed number of replications run together, the unit of work and of checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sim.engine.catalogue import ENGINES, make
from sim.policy.forms import Form, build
from sim.run.plan import Plan, PlannedPoint
from sim.run.trial import Play, play
from sim.world.world import Truth, World

# Sums of users in every arm that a block keeps, at 16 bytes each.
_MOST_TALLIES = 20_000_000
# Ticks at which a trajectory is sampled, and samples times replications of a policy that are held at once.
_SAMPLES, _MOST_SAMPLED = 400, 8_000_000

Which = tuple[int, str]
"""The number of a point, and a policy that is played there."""


@dataclass(frozen=True)
class Task:
    """One policy at one point of a run, in one block of replications: from `first` up to but without `end`."""

    policy: str
    block: int
    first: int
    end: int
    point: int = 0

    @property
    def name(self) -> str:
        """What its checkpoint is called."""
        return f"{self.point}.{self.policy}.{self.first}-{self.end}"

    @property
    def which(self) -> Which:
        """The point and policy that it is a part of."""
        return self.point, self.policy


Watch = Callable[[Task, bool], None]
"""Is called with a finished task, and whether a checkpoint of an interrupted run already had it."""


@dataclass(frozen=True)
class Work:
    """What every worker needs to play any task of one point of a run."""

    world: World
    forms: Mapping[str, Form]
    engine: str
    samples: int


def works_of(plan: Plan, samples: int | None = None) -> list[Work]:
    """What there is to know of each point. Trajectories are sampled at up to `samples` ticks (default: as memory allows)."""
    scenario = plan.scenario
    if samples is None:
        samples = max(20, min(_SAMPLES, _MOST_SAMPLED // (scenario.replications * len(scenario.arms))))
    return [Work(point.world, point.forms, point.engine.name, samples) for point in plan.points]


def tasks_of(plan: Plan) -> list[Task]:
    """What there is to play, point by point and policy by policy, so that an interrupt leaves finished policies."""
    found: list[Task] = []
    for at, point in enumerate(plan.points):
        replications, ticks = point.scenario.replications, point.world.ticks
        found += tasks([*point.forms], replications, ticks, point.engine.name, at, _tallies(point))
    return found


def by_policy(todo: Iterable[Task]) -> dict[Which, list[Task]]:
    """The tasks of each policy at each point, in order."""
    found: dict[Which, list[Task]] = {}
    for task in todo:
        found.setdefault(task.which, []).append(task)
    return found


def _tallies(point: PlannedPoint) -> int:
    """How many sums of users a replication keeps, where some policy needs them."""
    population = point.world.population
    if population is None or not any(column.by_user for column in point.needs()):
        return 0
    return population.users * len(point.world.arms)


def tasks(policies: Sequence[str], replications: int, ticks: int, engine: str, point: int = 0, tallies: int = 0) -> list[Task]:
    """Every policy of a point in every block, policy by policy.

    `tallies` are the sums of users that a replication keeps.

    >>> [task.name for task in tasks(["a", "b"], 1500, 100, "aggregate")]
    ['0.a.0-1000', '0.a.1000-1500', '0.b.0-1000', '0.b.1000-1500']
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
        work = self.works[task.point]
        which = (task.point, task.first, task.end)
        if self._kept is None or self._kept[0] != which:
            self._kept = (which, work.world.realise(np.arange(task.first, task.end)))
        policy = build(work.forms[task.policy], work.forms, work.world.arms)
        return play(self._kept[1], policy, make(work.engine), work.samples)
