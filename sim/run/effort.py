"""What a run will take: time, memory and processes, foreseen before it starts."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sim.engine.aggregate import aged
from sim.errors import InputError, Problem
from sim.run.blocks import Task, Which, Work, tasks_of, works_of
from sim.run.checkpoints import Checkpoints
from sim.run.crew import current
from sim.run.growing import GROUP_ROWS
from sim.run.machine import free_bytes, no_second_process, processors
from sim.run.plan import Plan
from sim.scenario.schema import Scenario

# Below this many seconds of work, starting a second process takes more time than it saves.
_WORTH_A_PROCESS_S = 3.0
# About as many ticks of replications take as long.
_ROW_TICKS = 2_000_000
# More processes than this for each processor only take memory.
_MOST_PER_PROCESSOR = 4
# What a policy that decides at once costs where no request is played, of what one costs that plays to the horizon.
_AT_ONCE = 0.02
# Outcomes that become known by a law with an age take so many times as long as those that are known at once.
_AGED = 6
PROCESS_BYTES = 250_000_000
"""A process that plays, with its imports."""
FIRST_BYTES = 350_000_000
"""The process of a run, with its imports: it also writes tables, compares, and draws."""
# A row of `trials.parquet` in memory, with the copies that tables and measures make of it.
_TRIAL_BYTES = 1_500
# What is told of a policy at a point, in all forms.
_SUMMARY_BYTES = 400_000
# Copies of the trajectories of one policy, as its timeline is made.
_COPIES = 3


@dataclass(frozen=True)
class Effort:
    """What a run will take.

    expected: seconds of each task; if nothing is decided early, until a glance tells more (`sim.run.glance`). workers:
    processes. memory: bytes of all processes at their peak. free: bytes that this machine has for them, None where it does not
    say. note: why there are fewer processes than asked for; empty if there are not. before: tasks that an interrupted run
    finished, which take no time. seen: the policies whose seconds a glance has measured on this machine.
    """

    expected: dict[Task, float]
    workers: int
    memory: float
    free: int | None
    note: str = ""
    before: Collection[Task] = field(default=frozenset())
    seen: frozenset[str] = frozenset()

    @property
    def seconds(self) -> float:
        """How long it takes to play what is left, on this many processes."""
        return sum(seconds for task, seconds in self.expected.items() if task not in self.before) / self.workers


def effort_of(plan: Plan, asked: int | None = None, *, in_memory: bool = False, folder: Path | None = None) -> Effort:
    """The effort of a plan with the processes that are `asked` for; None as many as are worth it, and have room in memory.

    With `in_memory`, nothing is put on disk on the way. What an interrupted run finished in its `folder` is not played
    again. Raises `InputError` if the memory of this machine is too small.
    """
    todo, works = tasks_of(plan), works_of(plan)
    expected = expected_of(works, todo)
    before = frozenset() if folder is None else Checkpoints(folder, plan.digest).finished(todo)
    workers, note = _workers({task: seconds for task, seconds in expected.items() if task not in before}, asked)
    # There may be a million tasks, and only a few kinds of them.
    blocks = {(task.point, task.end - task.first) for task in todo}
    kept, block = _kept_bytes(plan, works, in_memory), max(block_bytes(works[point], rows) for point, rows in blocks)
    free = free_bytes()

    if (crew := current()) is not None:
        # Its workers have memory of their own, but for those that are on this machine.
        memory = FIRST_BYTES + kept + crew.here * (PROCESS_BYTES + block)
        if free is not None and memory > free:
            raise InputError([_too_large(plan, kept, block, memory, free)])
        return Effort(expected, max(1, min(crew.workers, len(todo))), memory, free, "", before)

    def needed(count: int) -> float:
        # One process plays by itself; several are beside the one that collects.
        return FIRST_BYTES + kept + (block if count == 1 else count * (PROCESS_BYTES + block))

    if free is not None and needed(workers) > free:
        fitting = max((count for count in range(1, workers) if needed(count) <= free), default=0)
        if not fitting:
            raise InputError([_too_large(plan, kept, block, needed(1), free)])
        if asked is not None:
            why = f"{workers} processes need {size(needed(workers))} of memory, and {size(free)} are free"
            raise InputError([Problem(f"must be at most {fitting} here: {why}; got {asked}", path="--workers")])
        workers, note = fitting, f"{fitting} of {workers} processes, as {size(free)} of memory are free"
    return Effort(expected, workers, needed(workers), free, note, before)


def may_be_worth(scenario: Scenario, asked: int | None) -> bool:
    """Whether more than one process is likely to play a scenario, by its size alone, so that others can be started early."""
    points = math.prod(len(values) for values in (scenario.sweep or {}).values())
    row_ticks = scenario.replications * scenario.ticks * len(scenario.policies) * points
    return processors() > 1 and current() is None and (row_ticks >= _ROW_TICKS if asked is None else asked > 1)


def workers_for(works: Sequence[Work], tasks: Sequence[Task], asked: int | None) -> int:
    """The number of processes: `asked`, or the available processors; 1 if there is little work."""
    return _workers(expected_of(works, tasks), asked)[0]


def expected_of(works: Sequence[Work], tasks: Sequence[Task]) -> dict[Task, float]:
    """The seconds of each task if no replication is decided before the horizon."""
    costs: dict[tuple[Which, int], float] = {}
    for task in tasks:
        kind = task.which, task.end - task.first
        if kind not in costs:
            costs[kind] = block_s(works[task.point], *kind)
    return {task: costs[task.which, task.end - task.first] for task in tasks}


def block_s(work: Work, which: Which, rows: int) -> float:
    """The seconds of a block of so many replications if none is decided before the horizon."""
    world, at_once = work.world, work.forms[which[1]].build(work.forms, work.world.arms).immediate is not None
    requests = rows * float(world.requests.sum())
    cost = work.entry.cost_s(world.ticks, cells_of(work, rows * world.ticks), requests)
    if at_once:
        return max(_AT_ONCE * cost, work.entry.cost_s(0, 0, requests))
    return cost * (work.trial + (work.alike is not None))


def cells_of(work: Work, row_ticks: float) -> float:
    """What is drawn in so many ticks of replications: a count for each arm, and one more for each value that amounts may take.

    The outcomes of a tick that become known over many ticks, by a law with an age, take as long as `_AGED` more. Engines that
    play every request draw each amount and each delay with its request.
    """
    values = 0
    if not work.entry.tells_calls:
        values = sum(max(each.atoms.shape[1] - 1, 0) for each in work.world.outcomes)
        values += _AGED * sum(map(aged, work.world.feedback.values()))
    return row_ticks * len(work.world.arms) * (1 + values)


def size(count: float) -> str:
    """A number of bytes, for people.

    >>> size(250_000_000), size(33.5e9)
    ('250 MB', '33.5 GB')
    """
    return f"{count / 1e9:.3g} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


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


def block_bytes(work: Work, rows: int) -> float:
    """The bytes that a process needs to play a block of so many replications, beside itself."""
    world, entry = work.world, work.entry
    cells = rows * world.ticks * len(world.arms)
    return entry.cell_bytes * cells + entry.request_bytes * float(world.requests.max())


def _kept_bytes(plan: Plan, works: Sequence[Work], in_memory: bool) -> float:
    """What is kept of the results at once: rows of trials, trajectories of a policy, and what is told of every policy.

    Trials are on disk, but for a row group, a point and the other worlds, unless all are kept in memory or judged in rounds.
    """
    rows, arms = plan.scenario.replications, len(plan.scenario.arms)
    policies = sum(len(point.forms) for point in plan.points)
    trials = sum(len(point.forms) * point.scenario.replications for point in plan.worlds)
    if not in_memory and plan.scenario.enough is None:
        of_point = max(len(point.forms) * point.scenario.replications for point in plan.points)
        elsewhere = sum(len(each.point.forms) * each.point.scenario.replications for each in plan.variants)
        trials = min(trials, GROUP_ROWS + of_point + elsewhere)
    sampled = 8 * rows * (min(works[0].samples, max(work.world.ticks for work in works) + 1)) * (1 + 2 * arms)
    return trials * _TRIAL_BYTES + policies * _SUMMARY_BYTES + sampled * (_COPIES + (policies if in_memory else 0))


def _too_large(plan: Plan, kept: float, block: float, needed: float, free: int) -> Problem:
    """The problem of a run that this machine has too little memory for, at the key that takes most of it."""
    got = f"needs about {size(needed)} of memory, and {size(free)} are free"
    if kept > block:
        return Problem(f"{got}: take fewer replications, got {plan.scenario.replications:,}", path="replications")
    busiest = max(float(point.world.requests.max()) for point in plan.worlds)
    if any(point.engine.entry.request_bytes * busiest > block / 2 for point in plan.worlds):
        ticks = max(point.world.ticks for point in plan.worlds)
        return Problem(f"{got}: take a shorter tick; the busiest of {ticks:,} ticks has {busiest:,.0f} requests", path="tick")
    return Problem(f"{got}: take a longer tick, a shorter horizon or fewer arms", path="horizon")
