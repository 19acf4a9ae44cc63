"""Which scenarios can be played live, and with which values of the file's keys."""

from __future__ import annotations

from collections.abc import Iterator

from sim.errors import Problem, format_path
from sim.policy.columns import Above, Agreement, Count, Moment
from sim.policy.forms import Form
from sim.policy.machine import StagedPolicy
from sim.scenario.put import Change
from sim.scenario.schema import MetricSpec, Scenario
from sim.spelling import did_you_mean, there_are
from sim.units import format_duration
from sim.world.world import World

MOST_PER_S = 100.0
"""Requests a second that the clients of one process can send on time."""
LONGEST_MINUTES = 24 * 60.0

_UNKNOWN = "is assumed, and real servers know nothing of it"
_LEFT_OUT = {
    **dict.fromkeys(("truth", "timeline", "users", "segments", "retries", "telemetry", "router"), _UNKNOWN),
    "calibrated": "is found by playing many trials, and there is one: give numbers in its place",
    "sweep": "makes several scenarios, and one is played",
}
_OF_METRICS = ("delay", "until_known", "attribution_window", "covariate", "daily", "weekly", "shocks")
_FILLED = (Count, Above, Moment, Agreement)


def changes(minutes: float, tick: str | None, rate: str | None) -> list[Change]:
    """The keys that a live rehearsal sets: how long it lasts, and what the servers of this machine are instead of assumed."""
    found = [
        Change("horizon", format_duration(60 * minutes), "--minutes"),
        Change("capacity", {}, "sim serve-check"),
        Change("pools", {}, "sim serve-check"),
        Change("engine", "compiled", "sim serve-check"),
        Change("sensitivity", "off", "sim serve-check"),
        Change("enough", None, "sim serve-check"),
    ]
    if tick is not None:
        found.append(Change("tick", tick, "--tick"))
    if rate is not None:
        found.append(Change("traffic.rate", rate, "--rate"))
    return found


def problems(scenario: Scenario, policy: str) -> Iterator[Problem]:
    """Why a scenario cannot be played live, as far as that stands in the file: what it assumes of the world is not so here."""
    if scenario.tick > scenario.horizon:
        lasts = (
            f"{format_duration(scenario.tick)} is longer than the rehearsal, which lasts {format_duration(scenario.horizon)}"
        )
        yield Problem(f"the control interval of {lasts}: name a shorter one, such as --tick 5s", file="--tick")
    names = [form.name for form in scenario.policies]
    if policy not in names:
        hint = did_you_mean(policy, names) or there_are(names)
        yield Problem(f"no policy {policy!r}; {hint}", file="--policy")
    if scenario.has_baseline_arm:
        path = format_path(("models", len(scenario.models) - 1, "role"))
        yield Problem("a baseline is not played live, where all servers are started together: leave the model out", path)
    yield from (_without(key, why, null) for key, why, null in _left_out(scenario))


def _left_out(scenario: Scenario) -> Iterator[tuple[str, str, str]]:
    """What a live rehearsal must not have: (path, why, how it is written that there is none)."""
    for key, why in _LEFT_OUT.items():
        usual = Scenario.model_fields[key].get_default(call_default_factory=True)
        if getattr(scenario, key) != usual:
            yield key, why, "[]" if usual == () else "null" if usual is None else "{}"
    if scenario.traffic.writes:
        yield "traffic.writes", _UNKNOWN, "0%"
    for index, model in enumerate(scenario.models):
        if model.warm_up is not None:
            yield format_path(("models", index, "warm_up")), _UNKNOWN, "null"
    for index, metric in enumerate(scenario.metrics):
        for key in _OF_METRICS:
            usual = MetricSpec.model_fields[key].get_default(call_default_factory=True)
            if getattr(metric, key) != usual:
                yield format_path(("metrics", index, key)), _UNKNOWN, "null" if usual is None else str(usual)
    if scenario.data is not None and scenario.data.shift.gap is not None:
        yield "data.shift.gap", _UNKNOWN, "null"


def _without(path: str, why: str, null: str) -> Problem:
    return Problem(f"{why}: play without it, by --set {path}={null}", path)


def unplayed(world: World, form: Form, agent: StagedPolicy) -> Iterator[Problem]:
    """Why a policy cannot be played live in a world."""
    if agent.immediate is not None:
        yield Problem(f"{form.name} decides before any request: there is nothing to play", path="--policy")
    elif agent.evaluations(world.setting(1)):
        rule = "scores versions on labelled data first, which is not played live: name a policy without an offline stage"
        yield Problem(f"{form.name} {rule}", path="--policy")
    rate = float(world.requests.max()) / world.tick_s
    if rate > MOST_PER_S:
        rule = f"at most {MOST_PER_S:g} requests a second can be sent on time from here"
        yield Problem(f"{rule}, got {rate:.3g}/s: lower it, by --rate", path="traffic.rate")
    foreign = [column for column in agent.needs(world.setting(1)) if not isinstance(column, _FILLED)]
    for column in foreign[:1]:
        yield Problem(f"{form.name} reads {column.name}, which is not counted of real calls", path="--policy")
