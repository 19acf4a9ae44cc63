"""Processes that stay from one play to the next: started once, the same bits, and an error where one dies."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator

import pytest

import sim
from sim.errors import SimError
from sim.run import staying
from sim.run.blocks import tasks_of, works_of
from sim.run.execute import execute
from sim.workflow import plan_scenario
from tests.run.test_enough import MODELS, SCENARIO

SMALL = {**SCENARIO, "replications": 40, "sweep": {"traffic.rate": ["1000/h", "1500/h"]}}


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The numbers of processes of each pool that is started."""
    counts: list[int] = []
    make = staying.OnProcesses.__init__

    def counted(self: staying.OnProcesses, workers: int) -> None:
        counts.append(workers)
        make(self, workers)

    monkeypatch.setattr(staying.OnProcesses, "__init__", counted)
    yield counts
    for process in multiprocessing.active_children():
        process.join(30)
    assert not multiprocessing.active_children()


def test_processes_are_started_once_and_play_the_same(started: list[int]) -> None:
    alone = sim.rehearse(SMALL, MODELS).trials
    with staying.staying():
        for workers in (2, 1, 2):
            # One process plays by itself.
            assert sim.rehearse(SMALL, MODELS, workers=workers).trials.equals(alone)
        assert started == [2]
    assert staying.kept() is None


def test_a_process_that_dies_is_told(started: list[int]) -> None:
    plan = plan_scenario(SMALL, MODELS)
    works, todo = works_of(plan), tasks_of(plan)
    with staying.staying():
        assert len(list(execute(works, todo, 2))) == len(todo)
        for process in multiprocessing.active_children():
            process.kill()
            process.join()
        with pytest.raises(SimError, match="a worker process died: out of memory"):
            list(execute(works, todo, 2))
