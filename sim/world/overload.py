"""Pools that cannot keep up: offered load against capacity, before anything is played."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from sim.arrays import Floats
from sim.errors import Problem, format_path
from sim.policy.forms import expand
from sim.scenario.schema import Scenario
from sim.units import format_clock, format_duration
from sim.world.capacity import Pool
from sim.world.change import LATENCY
from sim.world.priors import effects
from sim.world.world import World

_DAY_S = 86_400.0
# Replications whose drawn latencies stand for all.
_DRAWN = 1_000


def overloads(scenario: Scenario, world: World) -> Iterator[Problem]:
    """What to warn of: every arm of a pool that cannot serve all traffic, and shadows that its champion cannot bear beside it.

    The load is the expected rate times the mean service time over the servers (the most that scaling allows, less those that
    are down): at 1 or more a queue grows for as long as it lasts (Little 1961; Kleinrock 1975, ch. 2). Retries, which add to
    it, and times at which every replica is down are left out.
    """
    for pool in world.pools:
        path = format_path(("capacity" if pool.name in scenario.capacity else "pools", pool.name))
        for arm in pool.arms:
            said = _above(scenario, world, _load(world, pool, {arm: 1.0}))
            if said:
                yield Problem(f"if {world.arms[arm]} serves all traffic, {said}", path=path)
        if 0 in pool.arms and len(pool.arms) > 1 and not _above(scenario, world, _load(world, pool, {0: 1.0})):
            for name, fraction in _shadows(scenario).items():
                shares = {arm: fraction if arm else 1.0 for arm in pool.arms}
                said = _above(scenario, world, _load(world, pool, shares))
                if said:
                    yield Problem(f"while {name} mirrors to challengers, {said}", path=path)


def _shadows(scenario: Scenario) -> dict[str, float]:
    """The largest share that each policy mirrors."""
    others = {policy.name: policy for policy in scenario.policies}
    found: dict[str, float] = {}
    for policy in scenario.policies:
        for stage in expand(policy, others):
            if stage.allocation.mirrors:
                found[policy.name] = max(found.get(policy.name, 0.0), stage.allocation.most_mirrored())
    return found


def _load(world: World, pool: Pool, shares: Mapping[int, float]) -> Floats:
    """(T,) the work that comes in each tick, where arms get these shares of all requests, over what servers can do in it."""
    slowness = world.change.slowness if world.change else np.ones((world.ticks, len(world.arms)))
    work = sum(share * _mean_s(world, arm) * slowness[:, arm] for arm, share in shares.items())
    most = pool.scaling.most if pool.scaling else pool.replicas
    out = world.change.out[:, world.pools.index(pool)] if world.change else np.zeros(world.ticks, np.int64)
    servers = np.maximum(most - out, 0) * pool.concurrency
    load: Floats = np.where(servers > 0, world.requests / world.tick_s * work / np.maximum(servers, 1), 0.0)
    return load


def _mean_s(world: World, arm: int) -> float:
    """Mean service time of an arm, the mean over replications where it varies."""
    for varied, name, prior in world.effects:
        if (varied, name) == (arm, LATENCY):
            drawn = effects(prior, world.seed, np.arange(_DRAWN), f"{world.arms[arm]}.{LATENCY}")
            return world.latency[0].mean_s * float(1 + drawn.mean())
    return world.latency[arm].mean_s


def _above(scenario: Scenario, world: World, load: Floats) -> str:
    """How much, how long and when a load is above capacity; empty if it never is."""
    ticks = int((load >= 1).sum())
    if not ticks:
        return ""
    peak = int(load.argmax())
    clock = format_clock(float(round(scenario.traffic.start + peak * world.tick_s)) % _DAY_S)
    lasts, horizon = format_duration(ticks * world.tick_s), format_duration(world.ticks * world.tick_s)
    when = f"for {lasts} of {horizon} (peak at {clock})" if ticks < world.ticks else f"for all of {horizon}"
    return f"offered load reaches {load[peak]:.3g} of capacity, and is above it {when}"
