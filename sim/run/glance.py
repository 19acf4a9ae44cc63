"""A glance at a few replications before a run: what each policy costs on this machine, and how early it decides."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from sim.arrays import Ints
from sim.engine.catalogue import make
from sim.policy.base import Routing
from sim.policy.machine import StagedPolicy
from sim.run.blocks import Which, Work, works_of
from sim.run.effort import Effort, block_s
from sim.run.plan import Plan
from sim.run.trial import rounds
from sim.world.world import World

# A glance takes at most this share of what the run may take, and at most so many seconds.
_SHARE, _LONGEST_S = 0.1, 10.0
_ROWS = 16
_FIRST_TICKS = 3


@dataclass(frozen=True)
class Glance:
    """What was seen of a policy in a few replications of a world.

    seconds: what was spent on them. ended (r,): the tick in which each decided, or the horizon if it was not seen to decide.
    last, row_ticks: how many ticks were played of the block, and of all of its replications.
    """

    seconds: float
    ended: Ints
    last: int
    row_ticks: int

    def block_s(self, work: Work, world: World, rows: int, *, settles: bool) -> float:
        """The seconds of a block of so many replications, if they decide as the few did.

        The last of many decides later than the last of a few: by the logarithm of how many more there are, as where moments of
        decision have an exponential tail. With `settles`, the requests after a verdict are played too.
        """
        dearer = self.seconds / _cost_s(work, world, self.last, self.row_ticks)
        mean = float(self.ended.mean())
        later = (mean - float(self.ended.min())) * max(math.log(rows / self.ended.size), 0.0)
        last = min(float(self.ended.max()) + later, float(world.ticks))
        after = rows * (world.ticks - mean) * float(world.requests.mean()) if settles else 0.0
        return dearer * _cost_s(work, world, last, rows * mean) + work.entry.cost_s(0, 0, after)


def glanced(plan: Plan, effort: Effort) -> Effort:
    """The effort with the seconds of each task as a glance at its policy tells them.

    Every policy is glanced at in one point of a sweep, the middle one, and for a small share of what the run may take. The
    results of the run do not depend on it.
    """
    works = works_of(plan)
    number = len(works) // 2
    sizes: dict[str, int] = {}
    for task in effort.expected:
        if task not in effort.before and task.point == number:
            sizes[task.policy] = max(sizes.get(task.policy, 0), task.end - task.first)
    over = time.thread_time() + min(_SHARE * effort.seconds * effort.workers, _LONGEST_S)
    factors: dict[str, float] = {}
    for policy, rows in sizes.items():
        # What one policy leaves of the time is for those that come after it.
        budget_s = max(over - time.thread_time(), 0.0) / (len(sizes) - len(factors))
        factors[policy] = _factor(works[number], (number, policy), rows, budget_s)
    expected = {task: seconds * factors.get(task.policy, 1.0) for task, seconds in effort.expected.items()}
    return replace(effort, expected=expected)


def _factor(work: Work, which: Which, rows: int, budget_s: float) -> float:
    """How many times as long as expected the blocks of a policy take."""
    if work.forms[which[1]].build(work.forms, work.world.arms).immediate is not None:
        return 1.0
    worlds = [work.world, *([] if work.alike is None else [work.alike])]
    # A tick is played whole: where the first ones alone would take longer than there is, nothing is played.
    if any(_cost_s(work, world, 2 * _FIRST_TICKS, 2 * _FIRST_TICKS) > budget_s / len(worlds) for world in worlds):
        return 1.0
    took = 0.0
    for world in worlds:
        seen = _look(work, world, which[1], rows, budget_s / len(worlds))
        took += seen.block_s(work, world, rows, settles=world is work.world)
    return took / block_s(work, which, rows)


def _look(work: Work, world: World, name: str, rows: int, budget_s: float) -> Glance:
    """Play some of `rows` replications until all have decided, or time is over."""
    most = min(2 * budget_s / _cost_s(work, world, 0, world.ticks), budget_s / _cost_s(work, world, 0, 2 * _FIRST_TICKS))
    count = min(rows, max(1, min(_ROWS, int(most))))
    truth, setting = world.realise(np.arange(count)), world.setting(count)

    def begin() -> tuple[StagedPolicy, Iterator[Routing]]:
        policy = work.forms[name].build(work.forms, world.arms)
        engine = make(work.engine)(truth, policy.needs(setting), policy.mirrors())
        return policy, rounds(policy, setting, engine, world.ticks)

    # What is compiled or loaded at the first use takes time only once.
    for _ in islice(begin()[1], _FIRST_TICKS):
        pass
    started = time.thread_time()
    policy, routings = begin()
    last = row_ticks = undecided = 0
    for routing in routings:
        undecided = routing.rows.size
        if last and time.thread_time() - started > budget_s:
            break
        last, row_ticks = last + 1, row_ticks + undecided
    decided = policy.verdicts.decided_tick
    seconds = time.thread_time() - started
    return Glance(seconds, np.where(decided < 0, world.ticks, decided), last, row_ticks)


def _cost_s(work: Work, world: World, ticks: float, row_ticks: float) -> float:
    """The seconds of so many ticks of a block, and of all of its replications, that were expected."""
    return work.entry.cost_s(ticks, row_ticks * len(world.arms), row_ticks * float(world.requests.mean()))
