"""A glance at a few replications before a run: what each policy costs on this machine, and how early it decides."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from sim import ways
from sim.arrays import Floats
from sim.engine.base import Engine
from sim.engine.catalogue import make
from sim.policy.base import Routing
from sim.policy.machine import StagedPolicy
from sim.run.blocks import Which, Work, works_of
from sim.run.effort import Effort, block_s, cells_of
from sim.run.plan import Plan
from sim.run.trial import rounds
from sim.world.offline import scores
from sim.world.world import World

SHARE, LONGEST_S = 0.1, 10.0
"""A glance takes at most this share of what is to be played, and at most so many seconds."""
_ROWS, _FIRST_TICKS = 16, 3
# The second look is at a few ticks of many more replications, if there are.
_MANY_ROWS, _MANY_MORE = 256, 4
# So many seconds of work pay for loading what is compiled.
_COMPILED_FROM_S = 10.0
# No part of the costs is less than this, of what was expected.
_CHEAPEST = 0.1


@dataclass(frozen=True)
class Glance:
    """What was seen of a policy in a few replications of a world.

    seconds: what was spent on them. ended (r,): the tick in which each decided, or is foreseen to decide by its settings, or
    the horizon. longest: the tick by which every replication decides by the settings alone, or the horizon.
    last, row_ticks: how many ticks were played of the block, and of all of its replications. many: the same three of a look at
    many more replications, for a few ticks; None where there are no more.
    """

    seconds: float
    ended: Floats
    longest: float
    last: int
    row_ticks: int
    many: tuple[float, int, int] | None = None

    def block_s(self, work: Work, world: World, rows: int, *, settles: bool) -> float:
        """The seconds of a block of so many replications, if they decide as the few did.

        The last of many decides later than the last of a few: by the logarithm of how many more there are, as where moments of
        decision have an exponential tail. With `settles`, the requests after a verdict are played too.
        """
        mean = float(self.ended.mean())
        later = (mean - float(self.ended.min())) * max(math.log(rows / self.ended.size), 0.0)
        last = min(float(self.ended.max()) + later, self.longest)
        after = rows * (world.ticks - mean) * float(world.requests.mean()) if settles else 0.0
        return float(self._dearer(work, world) @ _costs_s(work, world, last, rows * mean)) + work.entry.cost_s(0, 0, after)

    def _dearer(self, work: Work, world: World) -> Floats:
        """(3,) how many times as dear as expected each part of the costs is.

        Looks at few replications and at many tell dear ticks from dear replications. Of one look alone: of all that
        explain the time that was spent, the nearest to what was expected. What is little of it may be most of a block.
        """
        costs = _costs_s(work, world, self.last, self.row_ticks)
        if self.many is not None:
            seconds, ticks, row_ticks = self.many
            parts = np.array([[each[0], each[1:].sum()] for each in (costs, _costs_s(work, world, ticks, row_ticks))])
            of_ticks = max(float(np.linalg.solve(parts, [self.seconds, seconds])[0]), _CHEAPEST)
            of_rows = max((seconds - of_ticks * parts[1, 0]) / parts[1, 1], _CHEAPEST)
            return np.array([of_ticks, of_rows, of_rows])
        dearer: Floats = np.maximum(1 + (self.seconds - costs.sum()) * costs / (costs @ costs), _CHEAPEST)
        return dearer


def glanced(plan: Plan, effort: Effort) -> Effort:
    """The effort with the seconds of each task as a glance at its policy tells them.

    Every policy is glanced at in one point of a sweep, the middle one, and in none of the other worlds of a plan, for a small
    share of what the run may take. The results of the run do not depend on it.
    """
    works = works_of(plan)
    number = len(plan.points) // 2
    sizes: dict[str, int] = {}
    for task in effort.expected:
        if task not in effort.before and task.point == number:
            sizes[task.policy] = max(sizes.get(task.policy, 0), task.end - task.first)
    # Where there is much to do, kernels do it: see `sim.ways`.
    with ways.only("compiled") if effort.seconds >= _COMPILED_FROM_S else nullcontext():
        return _glanced(effort, works[number], number, sizes)


def _glanced(effort: Effort, work: Work, number: int, sizes: dict[str, int]) -> Effort:
    """`glanced`, at policies and the rows (largest blocks) of each."""
    over = time.thread_time() + min(SHARE * effort.seconds * effort.workers, LONGEST_S)
    factors: dict[str, float | None] = {}
    for policy, rows in sizes.items():
        # What one policy leaves of the time is for those that come after it.
        budget_s = max(over - time.thread_time(), 0.0) / (len(sizes) - len(factors))
        factors[policy] = factor_of(work, (number, policy), rows, budget_s)
    expected = {task: seconds * (factors.get(task.policy) or 1.0) for task, seconds in effort.expected.items()}
    return replace(effort, expected=expected, seen=frozenset(policy for policy, factor in factors.items() if factor))


def factor_of(work: Work, which: Which, rows: int, budget_s: float) -> float | None:
    """How many times as long as expected the blocks of a policy take, seen in so many seconds; None where nothing was seen."""
    if work.forms[which[1]].build(work.forms, work.world.arms).immediate is not None:
        return None
    worlds = [*([work.world] if work.trial else []), *([] if work.alike is None else [work.alike])]
    # A tick is played whole: where the first ones alone would take longer than there is, nothing is played.
    if any(_cost_s(work, world, 2 * _FIRST_TICKS, 2 * _FIRST_TICKS) > budget_s / len(worlds) for world in worlds):
        return None
    took = 0.0
    for world in worlds:
        seen = _look(work, world, which[1], rows, budget_s / len(worlds))
        took += seen.block_s(work, world, rows, settles=world is work.world)
    return took / block_s(work, which, rows)


def _look(work: Work, world: World, name: str, rows: int, budget_s: float) -> Glance:
    """Play some of `rows` replications until all have decided, or time is over, and then a few ticks of many more."""
    most = min(2 * budget_s / _cost_s(work, world, 0, world.ticks), budget_s / _cost_s(work, world, 0, 2 * _FIRST_TICKS))
    count = min(rows, max(1, min(_ROWS, int(most))))
    # What is compiled or loaded at the first use takes time only once.
    for _ in islice(_begin(work, world, name, count)[2], _FIRST_TICKS):
        pass
    policy, engine, routings = _begin(work, world, name, count)
    started = time.thread_time()
    last = row_ticks = undecided = 0
    longest: Floats = np.zeros(0)
    for routing in routings:
        longest = longest if longest.size else policy.foreseen(0)
        last, row_ticks = engine.tick, row_ticks + undecided * (engine.tick - last)
        undecided = routing.rows.size
        if last and time.thread_time() - started > budget_s:
            break
    seconds = time.thread_time() - started
    ended, by = np.minimum(policy.foreseen(last), world.ticks), min(float(longest.max()), float(world.ticks))
    return Glance(seconds, ended, by, last, row_ticks, _look_at_many(work, world, name, rows, count, budget_s))


def _look_at_many(
    work: Work, world: World, name: str, rows: int, few: int, budget_s: float
) -> tuple[float, int, int] | None:  # fmt: skip
    """Seconds, ticks and ticks of replications of the first ticks of many replications; None where there are not many more."""
    affordable = int(budget_s / max(_cost_s(work, world, 0, 4 * _FIRST_TICKS), 1e-12))
    count = min(rows, _MANY_ROWS, affordable)
    if count < _MANY_MORE * few or world.ticks <= 2 * _FIRST_TICKS:
        return None
    _, engine, routings = _begin(work, world, name, count)
    # The first ticks have to do with the start, and are not like the others.
    undecided = count
    for routing in islice(routings, 1 + _FIRST_TICKS):
        undecided = routing.rows.size
    first = last = engine.tick
    started, row_ticks = time.thread_time(), 0
    for routing in islice(routings, _FIRST_TICKS):
        last, row_ticks = engine.tick, row_ticks + undecided * (engine.tick - last)
        undecided = routing.rows.size
    if last - first < _FIRST_TICKS:
        return None
    return time.thread_time() - started, last - first, row_ticks


def _begin(work: Work, world: World, name: str, count: int) -> tuple[StagedPolicy, Engine, Iterator[Routing]]:
    """A policy, its engine, and its routings, before the first, in so many replications of a world."""
    truth, setting = world.realise(np.arange(count)), world.setting(count, np.arange(count))
    policy = work.forms[name].build(work.forms, world.arms)
    engine = make(work.engine)(truth, policy.needs(setting), policy.mirrors())
    evaluated = scores(truth, policy.evaluations(setting))
    return policy, engine, rounds(policy, setting, engine, world.ticks, evaluated, strides=True)


def _costs_s(work: Work, world: World, ticks: float, row_ticks: float) -> Floats:
    """(3,) the parts of the seconds, of so many ticks of a block, and of all of its replications, that were expected."""
    return work.entry.costs_s(ticks, cells_of(work, row_ticks), row_ticks * float(world.requests.mean()))


def _cost_s(work: Work, world: World, ticks: float, row_ticks: float) -> float:
    return float(_costs_s(work, world, ticks, row_ticks).sum())
