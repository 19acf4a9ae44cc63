"""What a run will take: time, memory and processes, foreseen before it starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sim.errors import InputError, Problem
from sim.run.blocks import Task, Work, tasks_of, works_of
from sim.run.machine import free_bytes, no_second_process, processors
from sim.run.plan import Plan

# Below this many seconds of work, starting a second process takes more time than it saves.
_WORTH_A_PROCESS_S = 3.0
# More processes than this for each processor only take memory.
_MOST_PER_PROCESSOR = 4
# What a policy that decides at once costs, of what one costs that plays to the horizon.
_AT_ONCE = 0.05
# A process with its imports; a row of `trials.parquet` in memory, with the copies that tables and measures make of it.
_PROCESS_BYTES, _TRIAL_BYTES = 250_000_000, 1_500
# Copies of the trajectories of one policy, as its timeline is made.
_COPIES = 3


@dataclass(frozen=True)
class Effort:
    """What a run will take.

    expected: seconds of each task, if nothing is decided early. workers: processes. memory: bytes of all processes at their
    peak. free: bytes that this machine has for them, None where it does not say. note: why there are fewer processes than asked
    for; empty if there are not.
    """

    expected: dict[Task, float]
    workers: int
    memory: float
    free: int | None
    note: str = ""

    @property
    def seconds(self) -> float:
        """The longest that playing takes on this many processes."""
        return sum(self.expected.values()) / self.workers


def effort_of(plan: Plan, asked: int | None = None, *, in_memory: bool = False) -> Effort:
    """The effort of a plan with the processes that are `asked` for; None as many as are worth it, and have room in memory.

    With `in_memory`, nothing is put on disk on the way. Raises `InputError` if the memory of this machine is too small.
    """
    todo, works = tasks_of(plan), works_of(plan)
    expected = expected_of(works, todo)
    workers, note = _workers(expected, asked)
    kept, block = _kept_bytes(plan, works, in_memory), max(_block_bytes(works[task.point], task) for task in todo)
    free = free_bytes()

    def needed(count: int) -> float:
        # One process plays by itself; several are beside the one that collects.
        return _PROCESS_BYTES + kept + (block if count == 1 else count * (_PROCESS_BYTES + block))

    if free is not None and needed(workers) > free:
        fitting = max((count for count in range(1, workers) if needed(count) <= free), default=0)
        if not fitting:
            raise InputError([_too_large(plan, kept, block, needed(1), free)])
        if asked is not None:
            why = f"{workers} processes need {size(needed(workers))} of memory, and {size(free)} are free"
            raise InputError([Problem(f"must be at most {fitting} here: {why}; got {asked}", path="--workers")])
        workers, note = fitting, f"{fitting} of {workers} processes, as {size(free)} of memory are free"
    return Effort(expected, workers, needed(workers), free, note)


def workers_for(works: Sequence[Work], tasks: Sequence[Task], asked: int | None) -> int:
    """The number of processes: `asked`, or the available processors; 1 if there is little work."""
    return _workers(expected_of(works, tasks), asked)[0]


def expected_of(works: Sequence[Work], tasks: Sequence[Task]) -> dict[Task, float]:
    """The seconds of each task if no replication is decided before the horizon."""
    rates: dict[tuple[int, str], float] = {}
    for task in tasks:
        if task.which not in rates:
            rates[task.which] = _row_s(works[task.point], task.policy)
    return {task: (task.end - task.first) * rates[task.which] for task in tasks}


def size(count: float) -> str:
    """A number of bytes, for people.

    >>> size(250_000_000), size(33.5e9)
    ('250 MB', '33.5 GB')
    """
    return f"{count / 1e9:.3g} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _row_s(work: Work, policy: str) -> float:
    world = work.world
    cost = work.entry.cost_s(world.ticks, float(world.requests.sum()))
    if work.forms[policy].build(work.forms, world.arms).immediate is not None:
        return _AT_ONCE * cost if not world.competing else cost
    return cost if work.alike is None else 2 * cost


def _workers(expected: dict[Task, float], asked: int | None) -> tuple[int, str]:
    """The number of processes, and why it is lower than was asked for."""
    worth = processors() if sum(expected.values()) >= _WORTH_A_PROCESS_S else 1
    most = min(len(expected), _MOST_PER_PROCESSOR * processors())
    count = max(1, min(worth if asked is None else asked, most))
    if count > 1 and (reason := no_second_process()):
        return 1, f"1 process, as no other can be started: {reason}"
    if asked is not None and count < asked:
        return count, f"{count} of {asked:,} processes, as there are {processors()} processors and {len(expected):,} tasks"
    return count, ""


def _block_bytes(work: Work, task: Task) -> float:
    """What a process needs to play a task, beside itself."""
    world, entry, rows = work.world, work.entry, task.end - task.first
    cells = rows * world.ticks * len(world.arms)
    return entry.cell_bytes * cells + entry.request_bytes * float(world.requests.max())


def _kept_bytes(plan: Plan, works: Sequence[Work], in_memory: bool) -> float:
    """What is kept of the results: a row of each trial, and trajectories, of one policy at a time where they are on disk."""
    rows, arms = plan.scenario.replications, len(plan.scenario.arms)
    policies = sum(len(point.forms) for point in plan.points)
    sampled = 8 * rows * (min(works[0].samples, max(work.world.ticks for work in works) + 1)) * (1 + 2 * arms)
    return policies * rows * _TRIAL_BYTES + sampled * (_COPIES + (policies if in_memory else 0))


def _too_large(plan: Plan, kept: float, block: float, needed: float, free: int) -> Problem:
    """The problem of a run that this machine has too little memory for, at the key that takes most of it."""
    got = f"needs about {size(needed)} of memory, and {size(free)} are free"
    if kept > block:
        return Problem(f"{got}: take fewer replications, got {plan.scenario.replications:,}", path="replications")
    busiest = max(float(point.world.requests.max()) for point in plan.points)
    if any(point.engine.entry.request_bytes * busiest > block / 2 for point in plan.points):
        ticks = max(point.world.ticks for point in plan.points)
        return Problem(f"{got}: take a shorter tick; the busiest of {ticks:,} ticks has {busiest:,.0f} requests", path="tick")
    return Problem(f"{got}: take a longer tick, a shorter horizon or fewer arms", path="horizon")
