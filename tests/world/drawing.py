"""What the event engines draw of a distribution: the potential outcomes of the requests of one tick."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from sim.world.latency import Latency
from sim.world.outcomes import Outcomes, Replayed
from sim.world.potential import Potential, Requests
from sim.world.world import Truth, World
from tests.worlds import make_scenario, make_world


def _world(count: int, seed: int) -> World:
    """At least so many requests in a tick, to one metric of two arms."""
    return replace(make_world(make_scenario(horizon="10m", traffic={"rate": f"{(count + 5 * count**0.5) / 600}/s"})), seed=seed)


def _drawn(truth: Truth, count: int) -> Requests:
    requests = Potential(truth, ("conversion",), False, False).draw(0, 0)
    assert requests.arrival_ns.size >= count
    return requests


@cache
def services_s(latency: Latency, count: int, seed: int) -> NDArray[np.float64]:
    """(count,) latencies in seconds."""
    truth = replace(_world(count, seed), latency=(latency,) * 2).realise(np.zeros(1, np.int64))
    return _drawn(truth, count).service_s[:count, 0, 0]


def values(outcome: Outcomes, count: int, seed: int) -> NDArray[np.int64]:
    """(count, 2) what requests earn from both arms, on the outcome's grid."""
    world = _world(count, seed)
    world = replace(world, outcomes=(replace(world.outcomes[0], grid=getattr(outcome, "grid", 1.0)),))
    if isinstance(outcome, Replayed):
        world = replace(world, answers_agree=np.ones(outcome.reward.shape, bool))
    truth = replace(world.realise(np.zeros(1, np.int64)), outcomes={"conversion": outcome})
    return _drawn(truth, count).values["conversion"][:count]
