"""Telemetry that is late: what was, later, unless the stage has changed since."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.engine.aggregate.engine import AggregateEngine
from sim.engine.lag import Lagged, lagged
from sim.engine.reference.engine import SimpyEngine
from sim.policy.base import Routing, Telemetry
from sim.policy.columns import Count
from sim.world.world import Truth
from tests.worlds import make_scenario, make_world


class Counting:
    """Tick t counts 1000 * (t + 1) + row, in both arms."""

    ledger: Any = "the ledger"

    def __init__(self) -> None:
        self.tick = 0
        self.settled: Any = None

    def step(self, routing: Routing) -> Telemetry:
        counts = np.repeat((1000 * (self.tick + 1) + routing.rows)[:, None, None], 2, axis=1)
        telemetry = Telemetry(self.tick, counts, {Count("requests"): 0}, routing.live)
        self.tick += 1
        return telemetry

    def settle(self, *said: Any) -> None:
        self.settled = said


def shown(lag: int, steps: list[dict[int, int]]) -> list[dict[int, int]]:
    """{row: count of the champion} by tick, from {row: cohort} by tick."""
    engine = Lagged(Counting(), rows=3, lag=lag)
    seen = []
    for tick, cohorts in enumerate(steps):
        rows = np.array(list(cohorts), np.int64)
        shares = np.full((rows.size, 2), 0.5)
        telemetry = engine.step(Routing(rows, shares, np.zeros_like(shares), np.array(list(cohorts.values()), np.int64)))
        assert telemetry.tick == tick
        assert engine.tick == tick + 1
        seen.append(dict(zip(rows.tolist(), telemetry.counts[:, 0, 0].tolist(), strict=True)))
    return seen


def test_counts_come_as_many_ticks_later_and_nothing_before() -> None:
    assert shown(2, [{0: 0}] * 4) == [{0: 0}, {0: 0}, {0: 1000}, {0: 2000}]


def test_replications_that_are_decided_leave_and_the_others_stay_in_their_rows() -> None:
    assert shown(1, [{0: 0, 1: 0, 2: 0}, {1: 0, 2: 0}, {2: 0}]) == [{0: 0, 1: 0, 2: 0}, {1: 1001, 2: 1002}, {2: 2002}]


def test_what_an_earlier_stage_counted_is_not_shown() -> None:
    assert shown(1, [{0: 0, 1: 0}, {0: 0, 1: 1}, {0: 0, 1: 1}]) == [{0: 0, 1: 0}, {0: 1000, 1: 0}, {0: 2000, 1: 2001}]


@given(lag=st.integers(1, 4), ticks=st.integers(1, 8))
@settings(max_examples=20)
def test_it_is_the_engines_telemetry_moved(lag: int, ticks: int) -> None:
    seen = [each[0] for each in shown(lag, [{0: 0}] * ticks)]
    assert seen == ([0] * lag + [1000 * (tick + 1) for tick in range(ticks)])[:ticks]


def test_the_ledger_and_what_follows_a_verdict_are_the_engines_own() -> None:
    inner = Counting()
    engine = Lagged(inner, rows=3, lag=2)
    assert engine.ledger == "the ledger"
    engine.settle(np.array([1]), np.array([0]))
    assert inner.settled is not None


@pytest.mark.parametrize("make", [AggregateEngine, SimpyEngine])
def test_every_engine_can_be_late(make: Any) -> None:
    world = make_world(make_scenario(tick="10s", horizon="1m"))
    rows, half = np.arange(3), np.full((3, 2), 0.5)

    def play(truth: Truth) -> list[Any]:
        engine = lagged(make)(truth, (Count("requests"), Count("responses")), False)
        routing = Routing(rows, half, np.zeros_like(half), np.zeros(3, np.int64))
        return [engine.step(routing).counts for _ in range(5)]

    prompt, late = play(world.realise(rows)), play(replace(world, lag=2).realise(rows))
    assert np.array_equal(late[2:], prompt[:3])
    assert not np.any(late[:2])
