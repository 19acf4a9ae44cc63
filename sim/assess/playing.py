"""Playing rollouts in worlds: what becomes of every release, as the engines and workers of any run play it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from sim.arrays import Bools, Floats
from sim.assess.question import Worse
from sim.assess.rollout import Rollout
from sim.policy.base import Verdict
from sim.run.blocks import Task, Work, tasks_of, works_of
from sim.run.effort import expected_of, workers_for
from sim.run.execute import execute
from sim.run.plan import Plan, PlannedPoint
from sim.run.trial import Play

# Trajectories are not looked at.
_SAMPLES = 2
# Work that is expected to take less is played by this process alone. Most versions are caught long before the horizon, so that
# some quarter of it comes to pass, and starting others takes longer than they save.
_ALONE_S = 40.0


@dataclass(frozen=True)
class Case:
    """A rollout that meets a version, at a rate (None: its own traffic)."""

    rollout: Rollout
    worse: Worse
    rate_per_s: float | None = None


@dataclass(frozen=True)
class Releases:
    """What became of the releases of a case, (R,) each; the same replication of two cases has the same seeds.

    back: the version was rolled back; paused: it ended in doubt; shipped: it serves all. What is none of these was not over by
    the horizon. end_s: seconds from the start until it was over, inf where it was not. bad: how many more
    answers were bad than the champion's would have been; bad_per_day: as many a day afterwards.
    """

    back: Bools
    paused: Bools
    shipped: Bools
    end_s: Floats
    bad: Floats
    bad_per_day: Floats
    engine: str

    def __len__(self) -> int:
        return self.back.size


Watch = Callable[[int, int], None]
"""Is called with how many tasks of how many are done."""


def planned(case: Case, replications: int, seed: int) -> PlannedPoint:
    """The point of a case. Raises `InputError`."""
    return case.rollout.point(case.worse, case.rate_per_s, replications, seed)


def play(
    cases: Sequence[Case], replications: int, seed: int, workers: int | None = None, watch: Watch | None = None
) -> list[Releases]:
    """The releases of every case. Results depend on neither the other cases nor the workers."""
    points = [planned(case, replications, seed) for case in cases]
    plan, works, tasks = _laid(points, cases)
    found: dict[int, dict[int, Play]] = {number: {} for number in range(len(cases))}
    done = 0
    if workers is None and sum(expected_of(works, tasks).values()) < _ALONE_S:
        workers = 1
    with closing(execute(works, tasks, workers_for(works, tasks, workers))) as played:
        for task, result, _ in played:
            found[task.point][task.first] = result
            done += 1
            if watch:
                watch(done, len(tasks))
    return [
        _releases([parts[first] for first in sorted(parts)], point.engine.name)
        for parts, point in zip(found.values(), plan.points, strict=True)
    ]


def cost_s(cases: Sequence[Case], replications: int, seed: int) -> float:
    """About how many seconds of one processor it takes to play the cases, if nothing is decided early."""
    _, works, tasks = _laid([planned(case, replications, seed) for case in cases], cases)
    return sum(expected_of(works, tasks).values())


def _laid(points: Sequence[PlannedPoint], cases: Sequence[Case]) -> tuple[Plan, list[Work], list[Task]]:
    """The work of all points, and the tasks of the policy of each: a scenario may have others.

    Block by block: a worker draws the arrivals of a block once for all the cases that share them.
    """
    plan = Plan(points[0].scenario, tuple(points))
    tasks = [task for task in tasks_of(plan) if task.policy == cases[task.point].rollout.name]
    tasks.sort(key=lambda task: (task.first, task.point))
    return plan, works_of(plan, _SAMPLES), tasks


def _releases(parts: Sequence[Play], engine: str) -> Releases:
    def column(name: str) -> Floats:
        return np.concatenate([np.asarray(part.columns[name], np.float64) for part in parts])

    verdict = np.concatenate([part.columns["verdict"] for part in parts])
    end_s = column("time_to_end_s")
    return Releases(
        verdict == Verdict.KEEP,
        verdict == Verdict.INCONCLUSIVE,
        verdict == Verdict.SHIP,
        np.where(np.isnan(end_s), np.inf, end_s),
        column("failed_more") + column("slow_more"),
        column("failed_more_per_day") + column("slow_more_per_day"),
        engine,
    )
