"""From a scenario to all that changes on the way: its timeline, the cycles and shocks of its outcomes, effects by the hour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sim.arrays import Floats
from sim.scenario.schema import MetricSpec, Scenario
from sim.world.capacity import Pool
from sim.world.change import Change
from sim.world.cycles import daily, weekly
from sim.world.shocks import Shocks
from sim.world.timed import timed_of
from sim.world.timeline import change


def course(scenario: Scenario, pools: Sequence[Pool]) -> Change | None:
    """What changes; None where nothing does."""
    ticks, tick_s, start_s = scenario.ticks, scenario.tick, scenario.traffic.start
    windows = {arm: {name: each.when for name, each in effects.items()} for arm, effects in scenario.truth.items()}
    timed = timed_of(windows, scenario.arms, start_s, ticks, tick_s)
    shocks = tuple(
        Shocks.of(metric.name, metric.shocks.sd, metric.shocks.correlation_time, tick_s)
        for metric in scenario.metrics
        if metric.shocks is not None
    )
    cycles = {metric.name: parts for metric in scenario.metrics if (parts := _cycles(metric, start_s, ticks, tick_s))}
    found = change(scenario.timeline, scenario.arms, pools, ticks, tick_s)
    if found is None:
        if not (timed or shocks or cycles):
            return None
        found = Change.none(ticks, len(scenario.arms), len(pools))
    factors = dict(found.factors)
    for name, parts in cycles.items():
        for part in parts.values():
            factors[name] = factors.get(name, np.ones((ticks, len(scenario.arms)))) * part[:, None]
    if scenario.has_baseline_arm:
        for name, factor in factors.items():
            factors[name] = np.column_stack([factor[:, :-1], factor[:, 0]])
    bounds = {
        name: {key: (float(part.min()), float(part.max())) for key, part in parts.items()} for name, parts in cycles.items()
    }
    for each in shocks:
        bounds[each.metric] = {**bounds.get(each.metric, {}), "shocks": (each.least, each.most)}
    return replace(found, factors=factors, shocks=shocks, timed=timed, bounds=bounds)


def _cycles(metric: MetricSpec, start_s: float, ticks: int, tick_s: float) -> dict[str, Floats]:
    """{key: (T,)} the cycles of a metric's mean, which multiply."""
    found: dict[str, Floats] = {}
    if metric.daily is not None:
        found["daily"] = daily(metric.daily, start_s, ticks, tick_s)
    if metric.weekly is not None:
        found["weekly"] = weekly(metric.weekly, start_s, ticks, tick_s)
    return found
