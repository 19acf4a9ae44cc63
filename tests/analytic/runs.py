"""Runs of an engine to compare with theory, on its record of every call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import scipy.stats
from numpy.typing import NDArray

from sim.engine.reference.engine import SimpyEngine
from sim.jit import missing
from sim.policy.base import Routing
from sim.world.capacity import Pool
from sim.world.world import World
from tests.thorough import plays
from tests.worlds import behaves, make_scenario, make_world

Calls = NDArray[np.void]
S = 1e9
WARM_S = 500.0
"""Queues start empty: what arrives before this does not count."""
TICK_S = 200


@dataclass(frozen=True)
class Runner:
    """An engine, and how much of it: `replications` of so many requests and a mean service time of a second."""

    name: str
    make: Callable[..., Any]
    replications: int
    requests: int

    def calls(self, rate: float, mirror: float = 0.0, latency: Any = None, live: float = 1.0, **changes: Any) -> list[Calls]:
        """What was called in each replication. `live` is the champion's share; `changes` are fields of the world."""
        world = world_of(rate, round((WARM_S + self.requests / rate) / TICK_S), latency, **changes)
        shares, copied = np.array([[live, 1 - live]]), np.array([[0.0, mirror]])
        tables = []
        for replication in range(self.replications):
            engine = self.make(world.realise(np.array([replication])), (), mirror > 0, record=True)
            for _ in range(world.ticks):
                engine.step(Routing(np.zeros(1, np.int64), shares, copied, np.zeros(1, np.int64)))
            engine.settle(np.array([0]), np.array([-1]))
            tables.append(engine.calls)
        return tables

    def agrees(
        self, tables: list[Calls], what: Callable[[Calls], float], expected: float, within: float, since_s: float = WARM_S
    ) -> None:
        """The mean over replications is as expected, within 4 standard errors, which are small enough to mean something.

        The standard error is itself estimated, from few replications: so the limit is Student's, at the same level.
        """
        samples = np.array([what(table[table["arrive_ns"] >= since_s * S]) for table in tables])
        error = samples.std(ddof=1) / np.sqrt(samples.size)
        # Few requests by SimPy, many by the compiled engine.
        assert error < within * (1.0 if self.name == "simpy" else plays(50, 25) / 100)
        limit = scipy.stats.t.isf(scipy.stats.norm.sf(4), samples.size - 1)
        assert abs(samples.mean() - expected) < limit * error


def runner(name: str) -> Runner:
    """SimPy on few requests, the compiled engine on many."""
    if name == "simpy":
        return Runner(name, SimpyEngine, 16, 3000)
    if missing:
        pytest.skip(f"nothing is compiled: {missing}")
    from sim.engine.compiled.engine import CompiledEngine

    return Runner(name, CompiledEngine, plays(20, 40), plays(20_000, 40_000))


def world_of(rate: float, ticks: int, latency: Any = None, **changes: Any) -> World:
    """Two arms that serve alike, exponentially with a mean of a second unless said, and never fail."""
    scenario = make_scenario(tick=f"{TICK_S}s", horizon=f"{ticks * TICK_S}s", traffic={"rate": f"{rate}/s"}, seed=20)
    said = behaves(latency=latency or {"exponential": "1s"}, error_rate=0.0)
    return replace(make_world(scenario, [said, said]), **changes)


def pool(
    servers: int, queue: int | None = None, timeout_s: float | None = None, arms: tuple[int, ...] = (0, 1),
    patience_s: float | None = None,
) -> Pool:  # fmt: skip
    """Servers for both arms."""
    timeout_ns, patience_ns = (None if limit_s is None else round(limit_s * S) for limit_s in (timeout_s, patience_s))
    return Pool(f"pool {arms}", arms, 1, servers, queue, timeout_ns, patience_ns=patience_ns)


def waits_s(calls: Calls) -> NDArray[np.float64]:
    """How long calls waited for a server, of those that got one."""
    served = calls[calls["start_ns"] >= 0]
    waited: NDArray[np.float64] = (served["start_ns"] - served["arrive_ns"]) / S
    return waited


def share(calls: Calls, outcome: int) -> float:
    """The share of calls with an outcome."""
    return float((calls["outcome"] == outcome).mean())
