"""What is known late is weighed by the shares of the tick in which it was sent: in all engines, and from a file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sim.arrays import Floats, Ints
from sim.engine.aggregate.engine import AggregateEngine
from sim.engine.aggregate.refusals import refusals, visit_refusals
from sim.engine.base import Maker
from sim.engine.compiled.engine import CompiledEngine
from sim.engine.lag import lagged
from sim.engine.reference.engine import SimpyEngine
from sim.policy.base import Routing
from sim.policy.columns import MOMENTS, AtVisit, Moment
from sim.policy.contrast import share_of_two
from sim.stats.within_ticks import weigh
from sim.world.world import World
from tests.columns import moments
from tests.engine import test_together
from tests.engine.side_by_side import apart, spread_apart, three_families
from tests.engine.test_late_feedback import FIXED, WORLDS, late

PLAIN = tuple(column for name in ("conversion", "score", "revenue") for column in moments(name, *MOMENTS))
NEEDS = (*PLAIN, *(AtVisit(column) for column in PLAIN))
ENGINES = {"compiled": CompiledEngine, "simpy": SimpyEngine, "aggregate": AggregateEngine}
STEPS = np.array([[0.9, 0.05, 0.05], [0.9, 0.05, 0.05], [0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.2, 0.2, 0.6], [0.2, 0.2, 0.6]])


def weighed(make: Maker, world: World, replications: Ints, enters: int | None = None) -> tuple[Floats, Floats]:
    """(T, R, K, C) counts, and (T, 2, R, K - 1, C, 3) sums weighed at the visit, under shares that change every other tick.

    The shares of odd replications are those of the tick before. A new stage begins at the tick `enters`.
    """
    truth = world.realise(replications)
    engine = make(truth, NEEDS, False)
    rows = np.arange(truth.rows)
    counts, sums = [], []
    for tick in range(world.ticks):
        live = np.where(rows[:, None] % 2, STEPS[max(tick - 1, 0)], STEPS[tick])
        cohort = np.full(rows.size, int(enters is not None and tick >= enters))
        shown = engine.step(Routing(rows, live, np.zeros_like(live), cohort))
        counts.append(shown.counts[..., : len(PLAIN)])
        assert shown.weighed is not None
        assert not shown.counts[..., len(PLAIN) :].any()
        sums.append(shown.weighed)
    return np.stack(counts), np.stack(sums)


@pytest.mark.parametrize("said", WORLDS.values(), ids=WORLDS.keys())
def test_the_event_engines_agree_bit_for_bit(said: dict[str, Any]) -> None:
    world = three_families(**said)
    one, other = (weighed(engine, world, np.arange(6), enters=4) for engine in (CompiledEngine, SimpyEngine))
    assert all(np.array_equal(*pair) for pair in zip(one, other, strict=True))
    assert one[1].any()


TOGETHER = {name: test_together.WORLDS[name] for name in ("three that hang together closely", "lognormal and gamma")}


@pytest.mark.parametrize("said", (WORLDS | TOGETHER).values(), ids=(WORLDS | TOGETHER).keys())
def test_aggregate_agrees_with_the_compiled_engine_in_distribution(said: dict[str, Any]) -> None:
    world = three_families(**said)
    assert not list(refusals(world))
    assert not list(visit_refusals(NEEDS))
    shown = []
    for engine, first in ((CompiledEngine, 0), (AggregateEngine, 50_000)):
        sums = weighed(engine, world, np.arange(first, first + 3000))[1]
        shown.append(sums.transpose(2, 0, 1, 3, 4, 5)[::2].reshape(1500, world.ticks, -1))
    one, other = shown
    z = apart(one.reshape(len(one), -1), other.reshape(len(other), -1))
    # 648 means, of which many say the same.
    assert np.abs(z).max() < 4.8
    assert z[z != 0].std() < 1.5
    for tick in (2, 5):
        assert np.abs(spread_apart(one[:, tick, ::5], other[:, tick, ::5])).max() < 5.2


@pytest.mark.parametrize("engine", ENGINES)
def test_with_a_constant_delay_the_weights_are_those_of_the_tick_before(engine: str) -> None:
    """Calls of no length, and 10 s until all is known: what a tick shows was sent in the tick before."""
    delay = {"delay": {"constant": "10s"}}
    world = three_families(metrics=late(conversion=delay, score=delay, revenue=delay))
    world = replace(world, latency=tuple(replace_latency(each) for each in world.latency), error_rate=np.zeros(3))
    counts, sums = weighed(ENGINES[engine], world, np.arange(8))
    rows = np.arange(8)
    for tick in range(1, world.ticks):
        sent = tick - 1
        live = np.where(rows[:, None] % 2, STEPS[max(sent - 1, 0)], STEPS[sent])
        expected = np.stack(weigh(counts[tick].astype(float), share_of_two(live)))
        assert sums[tick] == pytest.approx(expected, rel=1e-7, abs=1e-6)
    assert not sums[0].any()


def replace_latency(latency: Any) -> Any:
    from sim.world.latency import Constant

    del latency
    return Constant(1e-6)


def test_late_monitoring_shows_the_sums_as_late_as_the_counts() -> None:
    world = three_families(metrics=late(conversion={"delay": FIXED}))
    prompt, behind = (
        weighed(lagged(CompiledEngine), replace(world, lag=lag), np.arange(4)) for lag in (0, 2)
    )  # fmt: skip
    assert not behind[1][:2].any()
    assert np.array_equal(behind[1][2:], prompt[1][:-2])
    assert np.array_equal(behind[0][2:], prompt[0][:-2])


def test_under_shares_that_follow_outcomes_single_requests_are_played() -> None:
    column = Moment("conversion", "count")
    assert [*visit_refusals([AtVisit(column, adaptive=True)])] == [
        "metrics.conversion.delay: where shares follow the outcomes, what is known in a tick was sent under the shares of many"
    ]
