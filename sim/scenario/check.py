"""Rules between the keys of a scenario, which pydantic cannot express."""

from __future__ import annotations

from collections.abc import Iterator

from sim.errors import Problem, format_path
from sim.policy.forms import Form, beyond, declared_problems, registered_problems
from sim.policy.guardrails import BUILT_IN, CHECK_ONLY
from sim.policy.setting import DeclaredMetric, DeclaredSetting, Setting
from sim.scenario.check_calibrated import OpenNumber, calibrated_problems, opened_numbers
from sim.scenario.check_world import world_problems
from sim.scenario.offline import offline_problems
from sim.scenario.schema import CHAMPION, ERRORS, Scenario
from sim.scenario.traffic import MOST_REQUESTS, too_many, traffic_problems
from sim.scenario.value import value_problems
from sim.spelling import there_are
from sim.units import format_duration

MOST_TICKS = 1_000_000


def check(scenario: Scenario) -> list[Problem]:
    """Every problem that shows without the registry; paths are as in the file."""
    rules = (_time, _arms, _metrics, _truth, world_problems, _policies, _calibrated, _value)
    return [problem for rule in rules for problem in rule(scenario)]


def declared_setting(scenario: Scenario) -> DeclaredSetting:
    """The setting that policies know from the file alone, before the models are resolved."""
    metrics = {
        metric.name: DeclaredMetric(
            metric.name,
            1 if metric.direction == "increase" else -1,
            covariate=None if metric.covariate is None else metric.covariate.correlation,
            delayed=metric.delay is not None,
            provisional=metric.until_known == "failure",
            failed=metric.failure.worth if metric.failure is not None and scenario.analysis == "requests" else None,
        )
        for metric in scenario.metrics
        if metric.name not in BUILT_IN
    }
    primary = next((metric.name for metric in scenario.metrics if metric.role == "primary"), "")
    users = scenario.users
    return DeclaredSetting(
        scenario.told_arms, scenario.replications, scenario.ticks, scenario.tick, primary, metrics,
        users is not None, users is not None and users.assignment == "sticky",
        {segment.name: segment.share for segment in scenario.segments}, scenario.traffic.start, scenario.data is not None,
        baseline=scenario.has_baseline_arm,
    )  # fmt: skip


def open_numbers(scenario: Scenario) -> list[OpenNumber]:
    """The numbers to calibrate of a scenario that has passed `check`, those first that other policies take stages with."""
    return opened_numbers(scenario, declared_setting(scenario)) if scenario.calibrated else []


def registered_policy_problems(scenario: Scenario, setting: Setting) -> Iterator[Problem]:
    """Problems of the policies with the registered behaviour of the models, in a scenario that passed `check`."""
    others: dict[str, Form] = {policy.name: policy for policy in scenario.policies}
    for index, policy in enumerate(scenario.policies):
        for key, message in registered_problems(policy, others, setting):
            yield Problem(message, path=f"policies[{index}].{key}")


def bound_problems(scenario: Scenario, setting: Setting, between: tuple[float, float]) -> Iterator[Problem]:
    """Problems of the bounds that policies take outcomes to keep, where those of the primary metric are `between` two."""
    others: dict[str, Form] = {policy.name: policy for policy in scenario.policies}
    for index, policy in enumerate(scenario.policies):
        for key, message in beyond(policy, others, setting, *between):
            yield Problem(message, path=f"policies[{index}].{key}")


def _time(scenario: Scenario) -> Iterator[Problem]:
    if scenario.tick > scenario.horizon:
        tick, horizon = format_duration(scenario.tick), format_duration(scenario.horizon)
        yield Problem(f"must not exceed the horizon, got a tick of {tick} and a horizon of {horizon}", path="tick")
        return
    if scenario.tick < 1e-9:
        yield Problem(f"must be at least 1ns, got {format_duration(scenario.tick)}", path="tick")
    ticks = scenario.horizon / scenario.tick
    if abs(ticks - round(ticks)) > 1e-9 * ticks:
        yield Problem(f"must be a whole number of ticks, got {ticks:.6g} ticks", path="horizon")
    if ticks > MOST_TICKS:
        yield Problem(f"must be at most {MOST_TICKS:,} ticks, got {ticks:,.0f}: take a longer tick", path="horizon")
    requests = (scenario.traffic.rate or 0.0) * scenario.horizon
    if not requests < MOST_REQUESTS:
        yield Problem(too_many(requests), path="traffic.rate")
    yield from traffic_problems(scenario.traffic, scenario.horizon)


def _arms(scenario: Scenario) -> Iterator[Problem]:
    if scenario.arms[0] != CHAMPION:
        yield Problem(f"the first model must be the arm 'champion', got {scenario.arms[0]!r}", path="models[0].arm")
    for index, arm in enumerate(scenario.arms):
        if arm in scenario.arms[:index]:
            yield Problem(f"two models are the arm {arm!r}", path=f"models[{index}].arm")
    for index, model in enumerate(scenario.models):
        if model.role != "baseline":
            continue
        if index < len(scenario.models) - 1:
            yield Problem("a baseline must be the last model, and the only one", path=f"models[{index}].role")
        if index < 2:
            yield Problem("a baseline needs a champion and a challenger before it", path=f"models[{index}].role")
        if model.uri != scenario.models[0].uri:
            rule = f"a baseline is the champion's version: must be {scenario.models[0].uri}, got {model.uri}"
            yield Problem(rule, path=f"models[{index}].uri")


def _metrics(scenario: Scenario) -> Iterator[Problem]:
    names = [metric.name for metric in scenario.metrics]
    primary = [metric for metric in scenario.metrics if metric.role == "primary"]
    if len(primary) != 1:
        yield Problem(f"exactly one metric must have the role primary, got {len(primary)}", path="metrics")
    for index, metric in enumerate(scenario.metrics):
        if metric.name in names[:index]:
            yield Problem(f"two metrics are called {metric.name!r}", path=f"metrics[{index}].name")
        if metric.name in CHECK_ONLY:
            yield Problem(f"checks have a metric {metric.name} of their own: take another name", path=f"metrics[{index}].name")
        if metric.name in BUILT_IN and metric.role != "guardrail":
            yield Problem(f"{metric.name} can only be a guardrail, got {metric.role}", path=f"metrics[{index}].role")
        if metric.reward is not None and scenario.data is None:
            yield Problem("a reward rule needs `data`, which replayed models are scored on", path=f"metrics[{index}].reward")
        if metric.reward in ERRORS and metric.direction != "decrease":
            rule = f"must be decrease, as less of {metric.reward} is better; got {metric.direction}"
            yield Problem(rule, path=f"metrics[{index}].direction")
        if metric.smallest_effect and metric.role != "primary":
            yield Problem("is for the primary metric", path=f"metrics[{index}].smallest_effect")
        if metric.failure is not None and metric.role != "primary":
            yield Problem("is for the primary metric", path=f"metrics[{index}].failure")


def _truth(scenario: Scenario) -> Iterator[Problem]:
    names = [metric.name for metric in scenario.metrics if metric.name != "agreement"]
    for arm, effects in scenario.truth.items():
        if arm not in scenario.told_arms[1:]:
            challengers = there_are(scenario.told_arms[1:])
            yield Problem(f"no challenger {arm!r}; {challengers}", path=format_path(("truth", arm)))
        for metric in effects:
            if metric not in names:
                yield Problem(f"no metric {metric!r}; {there_are(names)}", path=format_path(("truth", arm, metric)))


def _value(scenario: Scenario) -> Iterator[Problem]:
    if not any(metric.role == "primary" for metric in scenario.metrics):
        return
    if scenario.margin and scenario.goal != "not_worse":
        yield Problem("is for `goal: not_worse`", path="margin")
    if scenario.primary.smallest_effect and scenario.goal == "not_worse":
        index = scenario.metrics.index(scenario.primary)
        message = "is for `goal: better`; `margin` says what `goal: not_worse` allows"
        yield Problem(message, path=f"metrics[{index}].smallest_effect")
    yield from value_problems(scenario, [metric.name for metric in scenario.metrics if metric.name not in BUILT_IN])


def _calibrated(scenario: Scenario) -> Iterator[Problem]:
    if scenario.calibrated:
        yield from calibrated_problems(scenario, declared_setting(scenario))


def _policies(scenario: Scenario) -> Iterator[Problem]:
    names = [policy.name for policy in scenario.policies]
    for index, name in enumerate(names):
        if name in names[:index]:
            yield Problem(f"two policies are called {name!r}", path=f"policies[{index}].name")
    if scenario.baseline is not None and scenario.baseline not in names:
        yield Problem(f"no policy {scenario.baseline!r}; {there_are(names)}", path="baseline")
    others: dict[str, Form] = {policy.name: policy for policy in scenario.policies}
    setting = declared_setting(scenario)
    for index, policy in enumerate(scenario.policies):
        for key, message in declared_problems(policy, others, setting):
            yield Problem(message, path=f"policies[{index}].{key}")
    yield from offline_problems(scenario, setting)
