"""From the capacity, pools and retries of a scenario to what calls compete for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sim.distributions.latency import Distribution
from sim.errors import Problem, format_path
from sim.registry.versions import Version
from sim.scenario.capacity import MOST_SERVERS, Retries, Servers
from sim.scenario.schema import Scenario
from sim.world.capacity import Pool, Retry, Scaling
from sim.world.clock import to_ns


def unmeasured(scenario: Scenario, versions: Sequence[Version]) -> Iterator[Problem]:
    """Problems of arms whose servers are to be as measured, and were not, or are more than can be played."""
    for version in versions:
        servers = scenario.capacity.get(version.arm)
        if servers is None or servers.concurrency != "measured":
            continue
        path = format_path(("capacity", version.arm, "concurrency"))
        if version.kind == "behaviour":
            yield Problem(f"{version.pinned} is a behaviour model, which no server is measured of: give a number", path=path)
        elif version.served is None:
            command = f"sim models measure {version.pinned} --serve --data FILE"
            yield Problem(f"{version.pinned} was not measured behind a server: run `{command}`, or give a number", path=path)
        else:
            most = version.served.concurrency * max(servers.replicas, servers.scaling.most if servers.scaling else 0)
            if most > MOST_SERVERS:
                rule = f"at most {MOST_SERVERS:,} calls can be served at once, got {most:,}"
                yield Problem(f"{rule}, as {version.served.concurrency} were measured of one replica", path=path)


def service(scenario: Scenario, version: Version) -> Distribution:
    """How long an answer takes where nothing waits: what a call holds a measured server for, else the whole response."""
    servers = scenario.capacity.get(version.arm)
    if servers is not None and servers.concurrency == "measured" and version.served is not None:
        return version.served.service
    return version.behaviour.latency


def pools(scenario: Scenario, versions: Sequence[Version]) -> tuple[Pool, ...]:
    """The pools, those of `capacity` first, each named after its arm. There must be no `unmeasured` problem."""
    served = {version.arm: version.served for version in versions}
    own = []
    for name, servers in scenario.capacity.items():
        found = served.get(name)
        concurrency = found.concurrency if servers.concurrency == "measured" and found is not None else servers.concurrency
        own.append(_pool(name, (name,), servers, concurrency, scenario))
    shared = [_pool(name, pool.arms, pool, pool.concurrency, scenario) for name, pool in scenario.pools.items()]
    return (*own, *shared)


def _pool(name: str, arms: tuple[str, ...], servers: Servers, concurrency: int | str, scenario: Scenario) -> Pool:
    assert isinstance(concurrency, int)
    scaling = None
    if servers.scaling is not None:
        said = servers.scaling
        cool_down = round(said.cool_down / scenario.tick)
        scaling = Scaling(said.least, said.most, said.target, to_ns(said.cold_start), cool_down)
    indices = tuple(scenario.arms.index(arm) for arm in arms)
    timeout_ns, patience_ns = (None if limit is None else max(1, to_ns(limit)) for limit in (servers.timeout, servers.patience))
    return Pool(name, indices, servers.replicas, concurrency, servers.queue, timeout_ns, scaling, patience_ns)


def retry(said: Retries | None) -> Retry | None:
    """How clients try again."""
    if said is None:
        return None
    on = said.on or ("error", "timeout", "rejection")
    longest = float("inf") if said.longest is None else said.longest
    return Retry(
        said.attempts, "error" in on, "timeout" in on, "rejection" in on, said.backoff, said.factor, longest, said.jitter
    )
