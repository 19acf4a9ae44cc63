"""The compiled engine as a program: what it keeps in memory, how its arrays grow, and that it is compiled once."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import tracemalloc
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim.engine.compiled.engine import CompiledEngine, warm_up
from sim.engine.compiled.pool import _order
from sim.engine.reference.engine import SimpyEngine
from sim.policy.base import Routing
from sim.policy.columns import Above, mean_of
from sim.world.capacity import Pool, Retry
from sim.world.change import Change
from sim.world.world import World
from tests.columns import counts
from tests.worlds import behaves, make_scenario, make_world

ROOT = Path(__file__).parents[2]
NEEDS = (*counts("requests", "responses", "errors"), Above(0.1), *mean_of("conversion"))


def world(requests: float, ticks: int = 4, **changes: Any) -> World:
    """Two arms and so many requests a tick of ten seconds, at any traffic as busy."""
    scenario = make_scenario(tick="10s", horizon=f"{10 * ticks}s", traffic={"rate": f"{requests / 10}/s"})
    made = make_world(scenario, [behaves(latency={"exponential": "100ms"}, error_rate="5%")] * 2)
    return replace(made, **changes)


def stepped(of: World, rows: int = 1, record: bool = False, make: Any = CompiledEngine, ticks: int | None = None) -> Any:
    """An engine after all or so many ticks, half of the traffic to each arm."""
    engine = make(of.realise(np.arange(rows)), NEEDS, False, record=record)
    live, mirror = np.full((rows, 2), 0.5), np.zeros((rows, 2))
    for _ in range(of.ticks if ticks is None else ticks):
        engine.step(Routing(np.arange(rows), live, mirror, np.zeros(rows, np.int64)))
    return engine


def settled(engine: Any) -> Any:
    rows = engine.truth.rows
    engine.settle(np.zeros(rows, np.int64), np.full(rows, -1))
    return engine


def sizes(engine: CompiledEngine) -> dict[str, int]:
    """Bytes of each of the engine's arrays."""
    return {field.name: getattr(engine._arrays, field.name).nbytes for field in fields(engine._arrays)}


def busy(requests: float) -> dict[str, Any]:
    """As many servers as keep up, a queue, a timeout and retries after errors."""
    servers = max(1, round(requests / 10 * 0.1 * 1.2))
    pool = Pool("main", (0, 1), 1, servers, 50, 2_000_000_000)
    return {"pools": (pool,), "retry": Retry(3, True, False, False, 0.2, 2.0, 10.0, 0.5)}


@pytest.mark.parametrize("pools", [(), (Pool("main", (0, 1), 1, 6, None, 300_000_000),)])
def test_passes_and_events_come_to_the_same(pools: tuple[Pool, ...]) -> None:
    """A world that is played in passes, and once more event by event."""
    made = world(500, pools=pools)
    live, mirror, everyone = np.full((3, 2), 0.5), np.zeros((3, 2)), np.arange(3)
    plain, events = (CompiledEngine(made.realise(everyone), NEEDS, False) for _ in range(2))
    assert plain._arrays.run["plain"] == 1
    events._arrays.run["plain"] = 0
    for _ in range(made.ticks):
        shown = [each.step(Routing(everyone, live, mirror, np.zeros(3, np.int64))).counts for each in (plain, events)]
        assert shown[0].any()
        assert (shown[0] == shown[1]).all()
    for book in ("served", "calls", "lost", "errors", "slo_violations"):
        assert (getattr(plain.ledger, book) == getattr(events.ledger, book)).all(), book


@pytest.mark.parametrize("mirrors", [False, True])
def test_warming_up_compiles_for_nobody_and_leaves_the_collector_on(mirrors: bool) -> None:
    said: list[str] = []
    warm_up(world(100, ticks=1), [(NEEDS, mirrors), ((), False)], said.append)
    assert gc.isenabled()


@pytest.mark.parametrize("count", [0, 1, 2, 3, 10, 97])
def test_ends_of_calls_are_put_in_order(count: int) -> None:
    for seed in range(20):
        values = np.random.default_rng([seed, count]).integers(0, 50, count + 2)
        kept = values[count:].copy()
        expected = np.sort(values[:count])
        _order(values, count)
        assert (values[:count] == expected).all()
        assert (values[count:] == kept).all()


def test_what_it_keeps_between_ticks_does_not_grow_with_the_number_of_requests() -> None:
    few, many = (sizes(stepped(world(requests, ticks=2))) for requests in (10_000, 1_000_000))
    room = ("gaps", "offsets", "chosen", "work", "copied")
    for name in few:
        if name not in room:
            assert many[name] == few[name], name
    # Room for the arrivals of one tick of one replication, whatever the block.
    assert sum(many.get(name, 0) for name in room) < 50 * 1_000_000 * 1.3


def test_a_tick_takes_no_more_memory_than_its_arrivals() -> None:
    def peak(rows: int, ticks: int) -> int:
        of = world(100_000, ticks=ticks).realise(np.arange(rows))
        engine = CompiledEngine(of, NEEDS, False)
        live, mirror = np.full((rows, 2), 0.5), np.zeros((rows, 2))
        tracemalloc.start()
        try:
            for _ in range(ticks):
                engine.step(Routing(np.arange(rows), live, mirror, np.zeros(rows, np.int64)))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    stepped(world(100, ticks=1))  # Compiled code is loaded here, and not counted.
    one = peak(1, 1)
    assert one < 50 * 100_000 * 1.3
    assert peak(8, 4) < 1.5 * one


@pytest.mark.parametrize("requests", [1_000, 30_000])
def test_where_requests_compete_it_keeps_what_is_under_way_and_nothing_of_what_is_over(requests: int) -> None:
    engine = stepped(world(requests, ticks=6, **busy(requests)))
    pool = engine._arrays
    assert pool.leave.shape[2] < 100
    # Retries due at once: 5% of the calls of half a second, or the 64 that there is room for in any case.
    assert pool.heap.shape[1] <= max(64, 4 * 0.05 * requests / 10 * 0.6)
    settled(engine)
    assert engine.ledger.calls.sum() == engine.ledger.served.sum() + engine.ledger.retries.sum()


def outage(ticks: int, out: int) -> Change:
    plain = np.ones((ticks, 2))
    down = np.zeros((ticks, 1), np.int64)
    down[1:3] = out
    return Change(np.zeros((ticks, 2)), plain, {}, down)


def test_queue_heap_and_record_grow_as_far_as_they_must() -> None:
    pool = Pool("main", (0, 1), 1, 40, None, None)
    of = world(3_000, ticks=5, pools=(pool,), change=outage(5, 1), retry=Retry(2, True, False, False, 30.0, 1.0, 30.0, 0.0))
    engine, other = (settled(stepped(of, rows=2, record=True, make=make)) for make in (CompiledEngine, SimpyEngine))
    # Everybody who comes in two ticks waits, and everybody who fails waits for half a minute.
    assert engine._arrays.leave.shape[2] > 6_000
    assert engine._arrays.heap.shape[1] > 256
    assert len(engine._arrays.record) >= len(engine.calls) > 30_000
    assert np.array_equal(np.sort(engine.calls), np.sort(other.calls))


def test_a_queue_has_room_for_those_who_wait_and_not_for_all_who_may() -> None:
    pool = Pool("main", (0, 1), 1, 10, 10**15, None)
    # Three times what the servers can do, so that two in three wait, then nobody for as long as they need.
    arrivals = replace(world(1).arrivals, mean=np.array([3_000.0, 0.0, 0.0, 0.0]))
    of = world(1, arrivals=arrivals, pools=(pool,))
    engine, other = (settled(stepped(of, rows=2, record=True, make=make)) for make in (CompiledEngine, SimpyEngine))
    assert np.array_equal(np.sort(engine.calls), np.sort(other.calls))
    waited = engine.calls["start_ns"] > engine.calls["arrive_ns"]
    assert waited.sum() > 2_000
    assert engine._arrays.leave.shape[2] < 10_000


def test_nothing_is_counted_for_monitoring_after_a_verdict() -> None:
    engine = stepped(world(1_000, **busy(1_000)), ticks=1)
    before = engine._arrays.seen.copy()
    engine.settle(np.zeros(1, np.int64), np.ones(1, np.int64))
    assert np.array_equal(engine._arrays.seen, before)
    assert engine.ledger.served.sum() == engine.truth.arrivals.sum()


def test_a_pool_that_never_comes_back_answers_nobody() -> None:
    pool = Pool("main", (0, 1), 1, 40, None, None)
    change = replace(outage(3, 1), out=np.ones((3, 1), np.int64))
    engine = settled(stepped(world(1_000, ticks=3, pools=(pool,), change=change), record=True))
    assert engine.ledger.errors == engine.ledger.lost.sum() == engine.truth.arrivals.sum() == len(engine.calls)
    assert (engine.calls["end_ns"] == -1).all()


CODE = """
from sim.engine.compiled import kernel
from tests.engine.test_compiled import busy, settled, stepped, world
settled(stepped(world(100, **busy(100))))
print(sum(kernel.play.stats.cache_hits.values()), sum(kernel.play.stats.cache_misses.values()))
"""


def test_a_second_process_compiles_nothing() -> None:
    settled(stepped(world(100, **busy(100))))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["1", "0"], "hits and misses of the kept code"
