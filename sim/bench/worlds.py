"""The worlds of the benchmark: two M/M/4 stations at rho = 0.8 behind a 50/50 router; and a loop that plays them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sim.engine.base import Maker
from sim.engine.catalogue import make
from sim.policy.base import Routing
from sim.policy.columns import Above, Column, Count, mean_of
from sim.units import format_duration
from sim.workflow import plan_scenario
from sim.world.world import World

ARMS = ("champion", "challenger")
RATE_PER_S = 160.0
SERVERS = 4
RHO = 0.8
SERVICE_S = len(ARMS) * SERVERS * RHO / RATE_PER_S
LIMIT_S = 0.05
LONGEST_TICK_S = 600.0

PLAIN = (Count("requests"), Count("responses"), Count("errors"), Above(LIMIT_S), *mean_of("conversion"))
"""The telemetry columns of every row of our engines."""
EVERYTHING = (*PLAIN, Count("timeouts"), Count("rejections"), Count("retries"), Count("requests", mirrored=True))
"""The telemetry columns of the row with all features."""


def stations(requests: float, replications: int = 1) -> World:
    """About `requests` requests in all replications together, to two M/M/4 stations at rho = 0.8, without other features.

    >>> world = stations(1e6, 10)
    >>> [pool.servers for pool in world.pools], round(float(world.requests.sum()))
    ([4, 4], 100000)
    """
    return _world(requests, replications, capacity={arm: {"replicas": SERVERS} for arm in ARMS})


def everything(requests: float, replications: int = 1) -> World:
    """The same load on one shared pool that scales, with a finite queue, timeouts, errors and retries."""
    tick_s, _ = _ticks(requests / replications)
    pool = {
        "replicas": SERVERS, "concurrency": 2, "queue": 50, "timeout": format_duration(10 * SERVICE_S), "arms": ARMS,
        "scaling": {
            "least": 2, "most": 10, "target": "80%", "cold_start": format_duration(round(tick_s / 20, 6)),
            "cool_down": format_duration(3 * tick_s),
        },
    }  # fmt: skip
    retries = {"attempts": 3, "backoff": "50ms", "factor": 2, "longest": "5s", "jitter": "50%"}
    return _world(requests, replications, error_rate="1%", pools={"main": pool}, retries=retries)


def unlimited(requests: float, replications: int = 1) -> World:
    """The same load where requests do not compete, as the aggregate engine requires."""
    return _world(requests, replications)


def play(
    world: World, engine: str | Maker, replications: int = 1, needs: tuple[Column, ...] = PLAIN, mirror: float = 0.0
) -> float:
    """Play a world to its horizon at 50/50, with a share mirrored. Returns the number of requests that arrived.

    >>> play(unlimited(1000), "aggregate") > 800
    True
    """
    rows = np.arange(replications)
    truth = world.realise(rows)
    playing = (make(engine) if isinstance(engine, str) else engine)(truth, needs, mirror > 0)
    live = np.full((replications, len(ARMS)), 1 / len(ARMS))
    routing = Routing(rows, live, np.tile([0.0, mirror], (replications, 1)), np.zeros_like(rows))
    for _ in range(world.ticks):
        playing.step(routing)
    return float(truth.arrivals.sum())


def _ticks(requests: float) -> tuple[float, int]:
    """Seconds of a tick, in whole milliseconds, and the number of ticks until about `requests` requests have arrived."""
    horizon_s = requests / RATE_PER_S
    ticks = math.ceil(horizon_s / LONGEST_TICK_S)
    return max(round(horizon_s / ticks, 3), 0.001), ticks


def _world(requests: float, replications: int, error_rate: str | float = 0.0, **keys: Any) -> World:
    tick_s, ticks = _ticks(requests / replications)
    behaviour = {
        "outcomes": {"conversion": {"bernoulli": 0.05}}, "error_rate": error_rate,
        "latency": {"exponential": format_duration(SERVICE_S)},
    }  # fmt: skip
    scenario = {
        "name": "bench", "seed": 7, "replications": replications, "engine": "auto",
        "tick": format_duration(tick_s), "horizon": format_duration(ticks * tick_s),
        "traffic": {"rate": f"{RATE_PER_S}/s"}, "metrics": [{"name": "conversion", "role": "primary"}],
        "models": [{"arm": arm, "uri": f"models:/bench/{number}"} for number, arm in enumerate(ARMS, start=1)],
        "policies": [{"name": "hold", "kind": "hold"}], **keys,
    }  # fmt: skip
    (point,) = plan_scenario(scenario, [behaviour] * len(ARMS)).points
    return point.world
