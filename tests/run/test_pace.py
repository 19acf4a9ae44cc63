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
    pace, ends, clock, told = Pace(expected, workers), [], 0.0, []
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
    pace = Pace({first: 1.0, second: 1.0, third: 1.0}, workers=1)
    pace.note(first, None)
    assert pace.share == 0
    assert pace.left_s == 2
    pace.note(second, 9.0)
    assert (pace.share, pace.left_s) == (0.5, 9.0)
    pace.note(third, 9.0)
    assert (pace.share, pace.left_s) == (1.0, 0.0)
