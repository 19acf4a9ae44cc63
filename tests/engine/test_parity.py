"""The event engines are one definition: the same telemetry, calls, ledger and trials, bit for bit, in worlds full of ties."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import HealthCheck, example, given, settings

from sim.engine.catalogue import make
from sim.engine.compiled.engine import CompiledEngine
from sim.engine.reference.engine import SimpyEngine
from sim.policy.base import Routing
from sim.policy.columns import COUNTS, Above, Count, LatencySum, mean_of
from sim.run.trial import play
from sim.world.sampling import BLOCK
from tests.engine.generated import Said, Seen, differences, game, games, ledger, plain_games, played, scaled, swinging_games
from tests.engine.generated_scenarios import SCENARIOS, built
from tests.engine.heap_engine import HeapEngine
from tests.thorough import plays
from tests.worlds import behaves, make_scenario, make_world

# The same examples everywhere: a world that is found to differ is kept by name.
same = settings(deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


@given(games())
@settings(same, max_examples=plays(100, 300))
def test_the_compiled_engine_is_the_simpy_engine_bit_for_bit(said: Said) -> None:
    of = game(said)
    assert not differences(played(CompiledEngine, of), played(SimpyEngine, of))


# Of two orders of replicas that are not ready yet, the later one is cancelled first; and calls that drain are still at work.
CANCELLED = scaled(5, 1, [12, 12, 0, 12, 12, 0, 12, 12, 0], cold_start=10, timeout=2)
DRAINING = scaled(1, 3, [0, 0, 0, 0, 8, 0, 0, 0, 0], cold_start=0, out={2: 2, 6: 2})
# Hundreds of servers, of which so many are taken away and come back while they are busy; and as many that always stay.
CROWD = scaled(16, 20, [300, 300, 400, 0, 400, 200], cold_start=5, timeout=30, out={2: 1, 4: 2}, concurrency=150)
STEADY = {**CROWD, "changes": False, "pools": [{**CROWD["pools"][0], "concurrency": 310, "scaling": None}] * 2}
MIXED = [{"latency": (law, 16), "error_rate": 0.2, "pool": 0} for law in ("exponential", "quantiles")]


@given(swinging_games())
@example(CANCELLED)
@example(DRAINING)
@example(CROWD)
@example({**CROWD, "arms": MIXED})
@example({**STEADY, "arms": MIXED})
@settings(same, max_examples=plays(40, 120))
def test_replicas_that_come_and_go_do_so_at_the_same_moments(said: Said) -> None:
    of = game(said)
    assert not differences(played(CompiledEngine, of), played(SimpyEngine, of))


@given(plain_games())
@settings(same, max_examples=plays(50, 150))
def test_calls_played_in_passes_are_those_played_one_by_one(said: Said) -> None:
    of = game(said)
    # Copies in some ticks only: the others are played in passes, from where those have left the servers.
    of = replace(of, mirror=of.mirror * (np.arange(len(of.mirror)) % 4 == 2)[:, None, None])
    found = played(CompiledEngine, of, record=False)
    assert not differences(found, played(SimpyEngine, of, record=False))
    recorded = played(CompiledEngine, of)
    assert not differences(found, {name: recorded[name] for name in found})


@given(games() | swinging_games())
@settings(same, max_examples=plays(35, 100))
def test_a_third_engine_with_a_heap_of_events_says_the_same(said: Said) -> None:
    of = game(said)
    expected = played(HeapEngine, of)
    assert not differences(played(CompiledEngine, of), expected)
    assert not differences(played(SimpyEngine, of), expected)


def trial(engine: str, said: Said) -> Seen:
    """What a run writes down of four replications of a policy."""
    scenario, world = built(said)
    policies = {policy.name: policy for policy in scenario.policies}
    policy = policies["it"].build(policies, scenario.arms)
    found = play(world.realise(np.arange(4)), policy, make(engine), 10)
    way = {name: getattr(found, name) for name in ("regret", "live", "mirror", "decided", "verdict")}
    return {**{f"column {name}": np.asarray(column) for name, column in found.columns.items()}, **way}


@given(SCENARIOS)
@settings(same, max_examples=plays(25, 60))
def test_whole_trials_are_the_same_under_every_kind_of_policy(said: Said) -> None:
    assert not differences(trial("compiled", said), trial("simpy", said))


def test_a_queue_that_outlasts_the_clock_is_played_alike() -> None:
    # Six hundred calls of eight years, one after the other: 64 bits of nanoseconds are full after 292 years.
    scenario = make_scenario(horizon="10m", tick="1m", traffic={"rate": "1/s"}, capacity={"champion": {"replicas": 1}})
    world = make_world(scenario, [behaves(latency={"constant": "3000d"})] * 2)
    policies = {policy.name: policy for policy in scenario.policies}
    found = [
        play(world.realise(np.arange(2)), policies["ab"].build(policies, scenario.arms), make(engine), 10)
        for engine in ("compiled", "simpy")
    ]
    for name, column in found[1].columns.items():
        assert np.array_equal(found[0].columns[name], column, equal_nan=column.dtype.kind == "f"), name


def test_passes_over_many_blocks_and_many_servers_are_played_alike() -> None:
    # 2,400 requests a tick, more than a block; 24 servers, whose free times are a heap, and 10, whose free times are in order.
    pools = {"champion": {"replicas": 24, "timeout": "3s"}, "challenger": {"replicas": 10}}
    scenario = make_scenario(horizon="3m", tick="1m", traffic={"rate": "40/s"}, capacity=pools)
    world = make_world(
        scenario, [behaves(latency={"exponential": "1s"}, error_rate="5%"), behaves(latency={"exponential": "400ms"})]
    )
    rows = np.arange(2)
    routing = Routing(rows, np.full((2, 2), 0.5), np.zeros((2, 2)), np.zeros(2, np.int64))
    needs = (*COUNTS, LatencySum(), Above(1.0), *mean_of(scenario.metrics[0].name))
    compiled, simpy = (make(engine)(world.realise(rows), needs, False) for engine in ("compiled", "simpy"))
    for _ in range(world.ticks):
        counts = compiled.step(routing).counts
        assert np.array_equal(counts, simpy.step(routing).counts)
        assert counts[..., 0].min() > BLOCK // 2
        assert counts[:, 0, COUNTS.index(Count("timeouts"))].min() > 0
    for engine in (compiled, simpy):
        engine.settle(np.zeros(2, np.int64), np.full(2, -1))
    assert not differences(ledger(compiled.ledger), ledger(simpy.ledger))
