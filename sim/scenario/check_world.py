"""Rules between the keys that describe the world: users, capacity, retries, timeline, telemetry, router."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from sim.distributions.latency import Constant
from sim.errors import Place, Problem, format_path
from sim.policy.guardrails import BUILT_IN
from sim.policy.telling import listed
from sim.scenario.capacity import MOST_SERVERS, Servers
from sim.scenario.check_cycles import CYCLES, cycle_problems
from sim.scenario.delays import DelayByArm, DelayByOutcome, by_outcome
from sim.scenario.schema import REWARDS, Scenario
from sim.scenario.timeline import Drift, Event, Leak, Novelty, Outage
from sim.spelling import there_are
from sim.units import format_duration, format_share


def world_problems(scenario: Scenario) -> Iterator[Problem]:
    """Problems of the world that show without the registry."""
    yield from _delays(scenario)
    yield from _covariates(scenario)
    yield from _segments(scenario)
    yield from cycle_problems(scenario)
    yield from _predictions(scenario)
    yield from _pools(scenario)
    yield from _retries(scenario)
    yield from _writes(scenario)
    yield from _turns(scenario)
    for index, event in enumerate(scenario.timeline):
        yield from _event(scenario, event, f"timeline[{index}]")
        if scenario.has_baseline_arm and isinstance(event, Drift | Novelty) and event.arm == scenario.arms[-1]:
            yield Problem("a baseline follows the champion, whose version it is", path=f"timeline[{index}].arm")
    yield from _span(scenario, scenario.telemetry.lag, "telemetry.lag")
    if scenario.telemetry.lag >= scenario.horizon:
        yield Problem(_within(scenario, scenario.telemetry.lag), path="telemetry.lag")
    for arm in scenario.router.misrouted:
        yield from _known(arm, scenario.arms[1:], "challenger", format_path(("router", "misrouted", arm)))


def _delays(scenario: Scenario) -> Iterator[Problem]:
    for index, metric in enumerate(scenario.metrics):
        path, window = f"metrics[{index}]", metric.attribution_window
        provisional = metric.until_known == "failure"
        said = {"delay": metric.delay is not None, "until_known": provisional, "attribution_window": window is not None}
        if metric.name in BUILT_IN:
            rule = f"is for what users do after an answer; {metric.name} is known as soon as a call ends"
            yield from (Problem(rule, path=f"{path}.{key}") for key, given in said.items() if given)
            continue
        if metric.delay is None:
            rule = f"needs a delay: without one, {metric.name} is known as a call ends"
            yield from (Problem(rule, path=f"{path}.{key}") for key, given in said.items() if given)
            continue
        if window is not None:
            yield from _span(scenario, window, f"{path}.attribution_window")
        if isinstance(metric.delay, DelayByArm):
            for arm in metric.delay.by_arm:
                yield from _known(arm, scenario.arms, "arm", format_path(("metrics", index, "delay", "by_arm", arm)))
        for place, apart in by_outcome(metric.delay):
            failure = format_path(("metrics", index, *place, "failure"))
            if apart.failure is not None and provisional:
                yield Problem("does not matter with until_known: failure: a failure counts as the call ends", path=failure)
            elif apart.failure == "window" and window is None:
                yield Problem("window needs an attribution_window, which closes", path=failure)
        if window is not None:
            yield from _too_late(scenario, index, window)


def _too_late(scenario: Scenario, index: int, window_s: float) -> Iterator[Problem]:
    """Delays after which the attribution window is always closed, so that an arm has no success."""
    delay = scenario.metrics[index].delay
    of_arms = {("by_arm", arm): each for arm, each in delay.by_arm.items()} if isinstance(delay, DelayByArm) else {(): delay}
    for place, of_arm in of_arms.items():
        apart = isinstance(of_arm, DelayByOutcome)
        late = of_arm.by_outcome.success if isinstance(of_arm, DelayByOutcome) else of_arm
        if isinstance(late, Constant) and late.value_s > window_s:
            rule = f"must not exceed the attribution window of {format_duration(window_s)}, after which nothing counts"
            path = ("metrics", index, "delay", *place, *(("by_outcome", "success") if apart else ()), "constant")
            yield Problem(f"{rule}, got {format_duration(late.value_s)}", path=format_path(path))


def _covariates(scenario: Scenario) -> Iterator[Problem]:
    for index, metric in enumerate(scenario.metrics):
        if metric.covariate is None:
            continue
        path, correlation = f"metrics[{index}].covariate", metric.covariate.correlation
        if metric.name in BUILT_IN:
            yield Problem(f"is for outcome metrics; {metric.name} is built in", path=path)
        most = 1.0 if scenario.users is None else math.sqrt(scenario.users.similarity)
        if correlation > most + 1e-12:
            rule = f"must not exceed the square root of users.similarity, {format_share(most)}"
            yield Problem(f"{rule}, got {format_share(correlation)}", path=f"{path}.correlation")


def _segments(scenario: Scenario) -> Iterator[Problem]:
    names = [segment.name for segment in scenario.segments]
    outcomes = _outcomes(scenario)
    for index, segment in enumerate(scenario.segments):
        path = f"segments[{index}]"
        if segment.name in names[:index]:
            yield Problem(f"two segments are called {segment.name!r}", path=f"{path}.name")
        for metric in segment.relative:
            yield from _outcome(metric, outcomes, format_path(("segments", index, "relative", metric)))
    total = sum(segment.share for segment in scenario.segments)
    if names and abs(total - 1) > 1e-9:
        yield Problem(f"shares must sum to 100%, got {total:.4%}", path="segments")


def _predictions(scenario: Scenario) -> Iterator[Problem]:
    """Problems of keys that vary outcomes of replayed models, whose predictions are fixed. A reward marks replayed models."""
    replayed = [metric.name for metric in scenario.metrics if metric.reward is not None]
    if not replayed:
        return
    rule = f"{replayed[0]} has a reward, so the models are replayed: their outcomes are their predictions and cannot be varied"
    if scenario.users is not None and scenario.users.similarity > 0:
        yield Problem(f"{rule}; leave similarity out", path="users.similarity")
    varied: list[Place] = [
        ("segments", index, "relative", name) for index, segment in enumerate(scenario.segments) for name in segment.relative
    ]
    for index, event in enumerate(scenario.timeline):
        if isinstance(event, Drift | Novelty) and event.metric not in BUILT_IN:
            varied.append(("timeline", index, "metric"))
    for index, metric in enumerate(scenario.metrics):
        if metric.name not in BUILT_IN:
            varied += [("metrics", index, key) for key in CYCLES if getattr(metric, key) is not None]
    yield from (Problem(rule, path=format_path(place)) for place in varied)
    for index, metric in enumerate(scenario.metrics):
        if metric.name not in BUILT_IN and metric.reward is None:
            message = f"is required for every outcome where models are replayed, as {replayed[0]} has one"
            yield Problem(f"{message}: {listed(REWARDS, 'or')}", path=f"metrics[{index}].reward")


def _writes(scenario: Scenario) -> Iterator[Problem]:
    """A filter of what writes, where nothing does."""
    others = {policy.name: policy for policy in scenario.policies}
    for index, policy in enumerate(scenario.policies if scenario.traffic.writes == 0 else ()):
        for placed in policy.placed(others, {policy.name}):
            if placed.here and placed.stage.allocation.copies_writes() < 1:
                path = format_path(("policies", index))
                rule = "filters nothing: no request writes without traffic.writes"
                yield Problem(rule, path=f"{path}.{placed.place('allocation.writes_filtered')}")


def _turns(scenario: Scenario) -> Iterator[Problem]:
    """Evidence that compares the turns of arms, where outcomes are shown in the turn of another arm, or users keep one."""
    others = {policy.name: policy for policy in scenario.policies}
    canary = scenario.users is not None and scenario.users.assignment == "canary"
    for index, policy in enumerate(scenario.policies if scenario.telemetry.lag or canary else ()):
        for placed in policy.placed(others, {policy.name}):
            if placed.here and placed.stage.evidence.of_turns:
                path = f"{format_path(('policies', index))}.{placed.place('evidence.kind')}"
                if scenario.telemetry.lag:
                    lag = format_duration(scenario.telemetry.lag)
                    yield Problem(f"takes what is shown in a period for its own, and monitoring is {lag} behind", path=path)
                if canary:
                    yield Problem(
                        "needs arms that get all traffic in their turn, and users keep the canary's cookie", path=path
                    )


def _pools(scenario: Scenario) -> Iterator[Problem]:
    taken: dict[str, str] = {}
    for arm, servers in scenario.capacity.items():
        path = format_path(("capacity", arm))
        yield from _known(arm, scenario.arms, "arm", path)
        yield from _servers(scenario, servers, path)
        taken[arm] = "capacity"
    for name, pool in scenario.pools.items():
        if name in scenario.capacity:
            yield Problem(f"capacity names a pool {name!r} already", path=format_path(("pools", name)))
        yield from _servers(scenario, pool, format_path(("pools", name)))
        if pool.concurrency == "measured":
            rule = "is measured of one version, and a pool serves several arms: give a number, or use capacity"
            yield Problem(f"{rule}, got measured", path=format_path(("pools", name, "concurrency")))
        for index, arm in enumerate(pool.arms):
            path = format_path(("pools", name, "arms", index))
            yield from _known(arm, scenario.arms, "arm", path)
            if arm in taken:
                yield Problem(f"{arm} has servers in {taken[arm]} already; an arm is in one pool at most", path=path)
            taken[arm] = f"pools.{name}"


def _servers(scenario: Scenario, servers: Servers, path: str) -> Iterator[Problem]:
    scaling = servers.scaling
    # What was measured is not known before the versions are.
    concurrency = 1 if servers.concurrency == "measured" else servers.concurrency
    most = concurrency * max(servers.replicas, scaling.most if scaling else 0)
    if most > MOST_SERVERS:
        yield Problem(f"at most {MOST_SERVERS:,} calls can be served at once, got {most:,}", path=f"{path}.replicas")
    if scaling is None:
        return
    if scaling.least > scaling.most:
        yield Problem(f"must not exceed most, got least {scaling.least} and most {scaling.most}", path=f"{path}.scaling.least")
    elif not scaling.least <= servers.replicas <= scaling.most:
        rule = f"must lie within least and most of scaling, {scaling.least} to {scaling.most}"
        yield Problem(f"{rule}, got {servers.replicas}", path=f"{path}.replicas")
    yield from _span(scenario, scaling.cool_down, f"{path}.scaling.cool_down")


def _retries(scenario: Scenario) -> Iterator[Problem]:
    retries = scenario.retries
    if retries is None:
        return
    if retries.longest is not None and retries.longest < retries.backoff:
        longest, backoff = format_duration(retries.longest), format_duration(retries.backoff)
        yield Problem(f"must not be below backoff, got longest {longest} and backoff {backoff}", path="retries.longest")
    pools: list[Servers] = [*scenario.capacity.values(), *scenario.pools.values()]
    possible = {
        "error": True,
        "timeout": any(pool.timeout is not None or pool.patience is not None for pool in pools),
        "rejection": any(pool.queue is not None for pool in pools),
    }
    missing = {"timeout": "no pool has a timeout or a patience", "rejection": "no pool has a limit to its queue"}
    for index, end in enumerate(retries.on or ()):
        path = f"retries.on[{index}]"
        if end in (retries.on or ())[:index]:
            yield Problem(f"{end} is listed twice", path=path)
        if not possible[end]:
            yield Problem(f"{end} never happens: {missing[end]}", path=path)


def _event(scenario: Scenario, event: Event, path: str) -> Iterator[Problem]:
    if isinstance(event, Outage):
        yield from _outage(scenario, event, path)
    else:
        yield from _known(event.arm, scenario.arms, "arm", f"{path}.arm")
    if isinstance(event, Novelty):
        yield from _outcome(event.metric, _outcomes(scenario), f"{path}.metric")
        return
    if isinstance(event, Drift):
        yield from _drift(scenario, event, path)
    yield from _span(scenario, event.at, f"{path}.at")
    if event.at >= scenario.horizon:
        yield Problem(_within(scenario, event.at), path=f"{path}.at")
    length, key = (event.restart, "restart") if isinstance(event, Leak) else (event.duration, "duration")
    if length is not None:
        yield from _span(scenario, length, f"{path}.{key}")


def _drift(scenario: Scenario, drift: Drift, path: str) -> Iterator[Problem]:
    if drift.metric not in ("latency", "error_rate"):
        yield from _outcome(drift.metric, [*_outcomes(scenario), "latency", "error_rate"], f"{path}.metric")
    if drift.metric == "error_rate" and not 0 <= drift.to <= 1:
        rule = "for error_rate must be a share from 0% to 100% of calls that fail in addition"
        yield Problem(f"{rule}, got {format_share(drift.to)}", path=f"{path}.to")


def _outage(scenario: Scenario, outage: Outage, path: str) -> Iterator[Problem]:
    pools: dict[str, Servers] = {**scenario.capacity, **scenario.pools}
    yield from _known(outage.pool, list(pools), "pool", f"{path}.pool")
    if outage.pool in pools:
        pool = pools[outage.pool]
        most = max(pool.replicas, pool.scaling.most if pool.scaling else 0)
        if outage.replicas > most:
            yield Problem(f"{outage.pool} never has more than {most}, got {outage.replicas}", path=f"{path}.replicas")


def _outcomes(scenario: Scenario) -> list[str]:
    return [metric.name for metric in scenario.metrics if metric.name not in BUILT_IN]


def _outcome(metric: str, known: list[str], path: str) -> Iterator[Problem]:
    if metric in BUILT_IN and metric not in known:
        yield Problem(f"{metric} cannot be varied here; {there_are(known)}", path=path)
    else:
        yield from _known(metric, known, "metric", path)


def _known(name: str, known: Iterable[str], what: str, path: str) -> Iterator[Problem]:
    names = list(known)
    if name not in names:
        yield Problem(f"no {what} {name!r}; {there_are(names)}", path=path)


def _span(scenario: Scenario, length_s: float, path: str) -> Iterator[Problem]:
    ticks = length_s / scenario.tick
    if abs(ticks - round(ticks)) > 1e-9 * max(ticks, 1.0):
        rule = f"must be a whole number of ticks of {format_duration(scenario.tick)}"
        yield Problem(f"{rule}, got {format_duration(length_s)}", path=path)


def _within(scenario: Scenario, at_s: float) -> str:
    return f"must lie within the horizon of {format_duration(scenario.horizon)}, got {format_duration(at_s)}"
