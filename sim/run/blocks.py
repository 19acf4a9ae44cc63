"""Blocks: a fixed number of replications that are run together, as the unit of work and of checkpoints."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sim.arrays import Ints
from sim.engine.catalogue import ENGINES, Entry, make
from sim.policy.forms import Form
from sim.run.plan import Plan, PlannedPoint
from sim.run.trial import Play, play, play_alike
from sim.scenario.enough import rounds
from sim.world.alike import alike
from sim.world.world import Truth, World

# The most that a block keeps of users and of rows of the data, at 16 bytes each.
_MOST_KEPT = 20_000_000
# About the most seconds of a block: of what is finished, nothing is lost by an interrupt.
_LONGEST_S = 10.0
# From so many blocks on, the first ones are a small part of the work.
_MANY_BLOCKS = 10
# The most sampled ticks of a trajectory, and the most samples times replications times arms that are held at once.
_SAMPLES, _MOST_SAMPLED = 400, 8_000_000
# The start and the end.
_NO_SAMPLES = 2
_MOST_ARRIVALS_BYTES = 32_000_000

Which = tuple[int, str]
"""The number of a point, or after those of another world of the plan, and the name of a policy."""


@dataclass(frozen=True)
class Task:
    """One policy at one point of a run, in one block of replications: from `first` up to, but not including, `end`.

    `place` is the policy's place among those of the scenario. `point` counts on from the points to the other worlds of a plan.
    """

    policy: str
    block: int
    first: int
    end: int
    point: int = 0
    place: int = 0

    @property
    def name(self) -> str:
        """The name of its checkpoint: of every policy another, also where file names do not tell `ab` from `AB`."""
        policy = hashlib.sha256(self.policy.encode("utf-8", "surrogatepass")).hexdigest()[:12]
        return f"{self.point}.{self.place}-{policy}.{self.first}-{self.end}"

    @property
    def which(self) -> Which:
        """The point and the policy of the task."""
        return self.point, self.policy


Watch = Callable[[Task, float | None], None]
"""A function that is called with a finished task and its seconds, None if it was loaded from a checkpoint."""


@dataclass(frozen=True)
class Work:
    """All that a worker needs to play any task of one point of a run, or of one of its other worlds."""

    world: World
    forms: Mapping[str, Form]
    engine: str
    samples: int
    alike: World | None = None
    """The same world with arms that are alike, where every policy is also tried in an A/A test."""
    trial: bool = True
    """Whether policies are tried in the world itself; if not, in A/A tests alone."""

    @property
    def entry(self) -> Entry:
        """The properties of the engine."""
        return ENGINES[self.engine]


def works_of(plan: Plan, samples: int | None = None) -> list[Work]:
    """The work of each world. Trajectories are sampled at up to `samples` ticks (default: as memory allows).

    Of the other worlds of a plan no trajectory is kept.
    """
    scenario = plan.scenario
    if samples is None:
        samples = max(20, min(_SAMPLES, _MOST_SAMPLED // (scenario.replications * len(scenario.arms))))
    return [
        Work(
            point.world, point.forms, point.engine.name, samples if number < len(plan.points) else _NO_SAMPLES,
            alike(point.world) if point.scenario.aa else None,
        )
        for number, point in enumerate(plan.worlds)
    ]  # fmt: skip


def rounds_of(plan: Plan) -> list[int]:
    """The numbers of replications after which there may be enough; of a plan that does not ask, all of them."""
    scenario = plan.scenario
    if scenario.enough is None:
        return [scenario.replications]
    return list(rounds(scenario.enough.min, scenario.replications))


def tasks_of(plan: Plan) -> list[Task]:
    """All tasks of a plan, round by round, point by point and policy by policy, so that an interrupt leaves finished policies.

    Where there are many blocks, the first block of every policy comes before the others: it tells how long the policy takes.
    """
    todo: list[Task] = []
    ends = rounds_of(plan)
    for start, end in zip([0, *ends], ends, strict=False):
        for number, point in enumerate(plan.points):
            todo += _of_point(point, number, start, end)
    # Other worlds come last, and have as many replications as were planned.
    for number, variant in enumerate(plan.variants, start=len(plan.points)):
        todo += _of_point(variant.point, number, 0, variant.point.scenario.replications)
    return todo


def rows_of(point: PlannedPoint) -> int:
    """How many replications a block of a point has, at most."""
    requests = float(point.world.requests.sum())
    size = ENGINES[point.engine.name].rows(point.world.ticks, requests)
    # A block does not keep a worker for long, so that progress is told, and an interrupt loses little.
    quick = int(_LONGEST_S / max(point.engine.entry.cost_s(0, 0, requests), 1e-9))
    return max(1, min(size, _MOST_KEPT // max(_kept(point), 1), quick))


def _of_point(point: PlannedPoint, number: int, start: int, end: int) -> list[Task]:
    """The tasks of the replications from `start` up to `end` of a point, policy by policy."""
    of_point = tasks([*point.forms], end, rows_of(point), number, start)
    if len(of_point) >= _MANY_BLOCKS * len(point.forms):
        of_point.sort(key=lambda task: task.block > 0)
    return of_point


def by_policy(todo: Iterable[Task]) -> dict[Which, list[Task]]:
    """The tasks of each policy at each point, in order."""
    groups: dict[Which, list[Task]] = {}
    for task in todo:
        groups.setdefault(task.which, []).append(task)
    return groups


def _kept(point: PlannedPoint) -> int:
    """What a replication keeps, at 16 bytes each: sums of each user and arm, and the chances of rows of the data."""
    world, kept = point.world, 0
    if world.population is not None and any(column.by_user for column in point.needs()):
        kept = world.population.users * len(world.arms)
    if world.population is not None and world.population.ratchets:
        kept += 1 + world.population.users // 16
    if world.row_weights is None:
        return kept
    # Chances of rows where requests are drawn one by one, else those of each arm's payoffs, which are counted, too.
    by_payoff = sum(2 * outcome.atoms.size for outcome in world.outcomes if outcome.reward is not None)
    return kept + (world.row_weights.shift.size if point.engine.entry.tells_calls else by_payoff)


def tasks(policies: Sequence[str], replications: int, rows: int, point: int = 0, start: int = 0) -> list[Task]:
    """Every policy of a point in every block of up to `rows` replications, from `start` on, policy by policy.

    >>> [(task.policy, task.first, task.end) for task in tasks(["a", "b"], 1500, 1000)]
    [('a', 0, 1000), ('a', 1000, 1500), ('b', 0, 1000), ('b', 1000, 1500)]
    """
    firsts = range(start, replications, rows)
    return [
        Task(policy, block, first, min(first + rows, replications), point, place)
        for place, policy in enumerate(policies)
        for block, first in enumerate(firsts)
    ]


class _Arrivals:
    """The arrivals of a block, which worlds share that differ in other ways."""

    def __init__(self) -> None:
        self._rows: tuple[int, int] | None = None
        self._known: list[tuple[World, Ints]] = []

    def of(self, world: World, first: int, end: int) -> Ints:
        """(R, T) requests of a world in the replications of a block."""
        if self._rows != (first, end):
            self._rows, self._known = (first, end), []
        for other, counts in self._known:
            if other.seed == world.seed and other.arrivals.same(world.arrivals):
                return counts
        found = world.arrivals.counts(world.seed, np.arange(first, end))
        # Truths share them.
        found.flags.writeable = False
        self._known.append((world, found))
        while len(self._known) > 1 and sum(counts.nbytes for _, counts in self._known) > _MOST_ARRIVALS_BYTES:
            del self._known[0]
        return found


class Player:
    """Plays tasks, one after another. The truth of a block is the same for every policy, so the last truth is cached."""

    def __init__(self, works: Sequence[Work]) -> None:
        self.works = works
        self._kept: tuple[tuple[int, int, int], Truth | None, Truth | None] | None = None
        self._arrivals = _Arrivals()

    def play(self, task: Task) -> Play:
        """Play a task. The result has the same bits on every machine and in every order of tasks."""
        work = self.works[task.point]
        which = (task.point, task.first, task.end)
        if self._kept is None or self._kept[0] != which:
            self._kept = which, self._truth(work.world if work.trial else None, task), self._truth(work.alike, task)
        form, (_, truth, same) = work.forms[task.policy], self._kept
        played = Play.nothing()
        if truth is not None:
            played = play(truth, form.build(work.forms, work.world.arms), make(work.engine), work.samples)
        if same is None:
            return played
        columns = play_alike(same, form.build(work.forms, work.world.arms), make(work.engine))
        return replace(played, columns=played.columns | columns)

    def _truth(self, world: World | None, task: Task) -> Truth | None:
        if world is None:
            return None
        return world.realise(np.arange(task.first, task.end), arrivals=self._arrivals.of(world, task.first, task.end))
