"""Rules of what changes with the hour and the day of the week, and of shocks, as far as they stand in the file."""

from __future__ import annotations

from collections.abc import Iterator

from sim.errors import Problem, format_path
from sim.policy.guardrails import BUILT_IN
from sim.policy.hours import WEEK_S, keeps_hours
from sim.scenario.schema import MetricSpec, Scenario, TimedEffect
from sim.units import format_clock, format_duration

CYCLES = ("daily", "weekly", "shocks")
"""The keys of a metric that move its mean in all arms together."""


def cycle_problems(scenario: Scenario) -> Iterator[Problem]:
    """Problems of cycles, shocks and effects by the hour that show without the registry."""
    for index, metric in enumerate(scenario.metrics):
        yield from _metric(scenario, metric, f"metrics[{index}]")
    for arm, effects in scenario.truth.items():
        for name, effect in effects.items():
            path = format_path(("truth", arm, name, "when"))
            if effect.when and name in BUILT_IN:
                yield Problem(f"is for outcomes; {name} is built in", path=path)
            yield from _windows(scenario, effect.when, path)
    yield from _start(scenario)


def _metric(scenario: Scenario, metric: MetricSpec, path: str) -> Iterator[Problem]:
    for key in CYCLES:
        if getattr(metric, key) is not None and metric.name in BUILT_IN:
            yield Problem(f"is for outcomes; {metric.name} is built in", path=f"{path}.{key}")
    if metric.weekly is not None and sum(metric.weekly) == 0:
        yield Problem("at least one day must have outcomes, got seven zeros", path=f"{path}.weekly")
    if metric.shocks is not None and metric.shocks.correlation_time < scenario.tick:
        tick, got = format_duration(scenario.tick), format_duration(metric.shocks.correlation_time)
        yield Problem(
            f"must be at least a tick, {tick}, within which a shock is constant; got {got}",
            path=f"{path}.shocks.correlation_time",
        )


def _windows(scenario: Scenario, windows: tuple[TimedEffect, ...], path: str) -> Iterator[Problem]:
    start, end = scenario.traffic.start, scenario.traffic.start + scenario.horizon
    for index, window in enumerate(windows):
        for before, other in enumerate(windows[:index]):
            shared = [
                (low, high)
                for one in window.spans
                for two in other.spans
                if (low := max(one[0], two[0])) < (high := min(one[1], two[1]))
            ]
            if shared:
                day, second = divmod(shared[0][0], WEEK_S / 7)
                at = f"day {day + 1:.0f} at {format_clock(second)}"
                yield Problem(f"holds at the same time as when[{before}], on {at}; only one can", path=f"{path}[{index}]")
                break
        # The run starts on the first day of a week, and may go on beyond its end.
        reached = end - start >= WEEK_S or any(
            max(low + week, start) < min(high + week, end) for low, high in window.spans for week in (0.0, WEEK_S)
        )
        if not reached:
            rule = f"never holds: the run lasts {format_duration(scenario.horizon)} from {format_clock(start)} of day 1"
            yield Problem(rule, path=f"{path}[{index}]")


def _start(scenario: Scenario) -> Iterator[Problem]:
    """With recorded traffic, the time of day at which the run starts is said where outcomes or people follow it, else not."""
    traffic = scenario.traffic
    if traffic.trace is None:
        return
    hourly = [metric.name for metric in scenario.metrics if metric.daily is not None or metric.weekly is not None]
    hourly += [name for effects in scenario.truth.values() for name, effect in effects.items() if effect.when]
    hourly += [policy.name for policy in scenario.policies if keeps_hours(policy)]
    if hourly and "start" not in traffic.model_fields_set:
        rule = f"is required with a trace where something follows the time of day, as {hourly[0]} does"
        yield Problem(f"{rule}: the time of day at which the trace starts", path="traffic.start")
    # A scenario that was written out with its defaults says 00:00.
    if traffic.start and not hourly:
        yield Problem("cannot be given with a trace, which says when requests arrive", path="traffic.start")
