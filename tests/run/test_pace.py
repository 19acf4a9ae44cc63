"""The remaining time is right within a factor of two after a tenth of the work, whatever the mix of policies."""

from __future__ import annotations

import heapq
from collections.abc import Mapping

import pytest

from sim.run.blocks import Task
from sim.run.pace import Pace

BLOCKS = 200


def tasks(policies: Mapping[str, float], points: int = 1) -> list[Task]:
    """The tasks of policies at points in the order of a run: where a point has many blocks, the first blocks go first."""
    made = []
    for point in range(points):
        of_point = [
            Task(policy, block, 25 * block, 25 * block + 25, point)
            for policy in policies
            for block in range(BLOCKS if points == 1 else 1)
        ]
        made += sorted(of_point, key=lambda task: task.block > 0) if points == 1 else of_point
    return made


def errors(policies: Mapping[str, float], workers: int, points: int = 1, growth: float = 1.0) -> list[float]:
    """How many times too long or short remaining times are, told after a tenth of the work.

    Tasks take the seconds of their policy, `growth` times as long at each next point, and all were expected to take 1 s.
    """
    todo = tasks(policies, points)
    took = {task: policies[task.policy] * growth**task.point for task in todo}
    expected = {task: growth**task.point for task in todo}
    ends: list[tuple[float, int]] = []
    told: list[tuple[float, float]] = []
    clock = 0.0
    pace = Pace(expected, workers, lambda: clock)
    for number, task in enumerate(todo):
        heapq.heappush(ends, (clock + took[task], number))
        if len(ends) == workers:
            clock, done = heapq.heappop(ends)
            pace.note(todo[done], took[todo[done]])
            told.append((clock, pace.left_s))
    while ends:
        clock, done = heapq.heappop(ends)
        pace.note(todo[done], took[todo[done]])
        told.append((clock, pace.left_s))
    assert told[-1] == (clock, 0.0)
    longest = max(took.values())
    # In the last moments, what is left is a matter of single tasks.
    late = [(at, left) for at, left in told if at >= clock / 10 and clock - at > 3 * longest]
    assert late
    return [left / (clock - at) for at, left in late]


@pytest.mark.parametrize("workers", [1, 2, 7])
@pytest.mark.parametrize(
    "policies",
    [
        {"hold": 0.01, "switch": 0.01, "bandit": 30.0},
        {"bandit": 30.0, "hold": 0.01, "switch": 0.01},
        {"a": 1.0, "b": 5.0, "c": 25.0, "d": 125.0},
        {"d": 125.0, "c": 25.0, "b": 5.0, "a": 1.0},
        {"only": 3.0},
    ],
    ids=["cheap first", "dear first", "rising", "falling", "one"],
)
def test_whatever_the_mix_of_policies(policies: dict[str, float], workers: int) -> None:
    for error in errors(policies, workers):
        assert 0.5 < error < 2


@pytest.mark.parametrize("growth", [1.0, 1.05])
def test_along_a_sweep(growth: float) -> None:
    for error in errors({"hold": 0.01, "ab": 2.0, "bandit": 40.0}, workers=2, points=100, growth=growth):
        assert 0.5 < error < 2


def test_what_an_interrupted_run_had_finished_counts_for_nothing() -> None:
    first, second, third = (Task("ab", block, block, block + 1) for block in range(3))
    pace = Pace({first: 1.0, second: 1.0, third: 1.0}, workers=1, clock=lambda: 0.0)
    pace.note(first, None)
    assert pace.share == 0
    assert pace.left_s == 2
    pace.note(second, 9.0)
    assert (pace.share, pace.left_s) == (0.5, 9.0)
    pace.note(third, 9.0)
    assert (pace.share, pace.left_s) == (1.0, 0.0)


def test_what_was_decided_early_says_nothing_of_others() -> None:
    early, late, slow = (Task(policy, 0, 0, 1) for policy in ("early", "late", "slow"))
    pace = Pace({early: 10.0, late: 10.0, slow: 10.0}, workers=1, clock=lambda: 0.0)
    pace.note(early, 1.0)
    assert pace.left_s == 20
    # A machine that is slower than expected is slower for all.
    pace.note(late, 29.0)
    assert pace.left_s == 15


@pytest.mark.parametrize("workers", [1, 2])
def test_time_runs_down_while_tasks_are_played(workers: int) -> None:
    todo = [Task("ab", block, block, block + 1) for block in range(4)]
    now = 100.0
    pace = Pace(dict.fromkeys(todo, 10.0), workers, lambda: now)
    assert pace.left_s == 40 / workers
    now = 106.0
    assert pace.left_s == 40 / workers - 6
    assert pace.share == 6 * workers / 40
    # Tasks that take longer than expected: the others are still to come.
    now = 150.0
    assert pace.left_s == 40 / workers - 10
    pace.note(todo[0], 50.0)
    assert pace.left_s == 3 * 50 / workers
