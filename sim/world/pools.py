"""From the capacity, pools and retries of a scenario to what calls compete for."""

from __future__ import annotations

from sim.scenario.capacity import Retries, Servers
from sim.scenario.schema import Scenario
from sim.world.capacity import Pool, Retry, Scaling
from sim.world.clock import to_ns


def pools(scenario: Scenario) -> tuple[Pool, ...]:
    """The pools, those of `capacity` first, each named after its arm."""
    own = [_pool(name, (name,), servers, scenario) for name, servers in scenario.capacity.items()]
    shared = [_pool(name, pool.arms, pool, scenario) for name, pool in scenario.pools.items()]
    return (*own, *shared)


def _pool(name: str, arms: tuple[str, ...], servers: Servers, scenario: Scenario) -> Pool:
    scaling = None
    if servers.scaling is not None:
        said = servers.scaling
        cool_down = round(said.cool_down / scenario.tick)
        scaling = Scaling(said.least, said.most, said.target, to_ns(said.cold_start), cool_down)
    indices = tuple(scenario.arms.index(arm) for arm in arms)
    timeout_ns = None if servers.timeout is None else max(1, to_ns(servers.timeout))
    return Pool(name, indices, servers.replicas, servers.concurrency, servers.queue, timeout_ns, scaling)


def retry(said: Retries | None) -> Retry | None:
    """How clients try again."""
    if said is None:
        return None
    on = said.on or ("error", "timeout", "rejection")
    longest = float("inf") if said.longest is None else said.longest
    return Retry(
        said.attempts, "error" in on, "timeout" in on, "rejection" in on, said.backoff, said.factor, longest, said.jitter
    )
