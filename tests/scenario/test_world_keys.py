"""Users, segments, capacity, retries, timeline, telemetry and router in a scenario file: what is refused, where and why."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from sim.errors import InputError
from sim.scenario.reading import read
from tests.scenario.small import HEAD
from tests.worlds import behaves, make_scenario, make_world

BASE = (
    HEAD
    + """\
policies:
  - {name: ab, kind: ab, evidence: {kind: fixed_horizon, sample: 5000}}
"""
)
METRICS = "metrics: [{name: conversion, role: primary}, {name: latency, role: guardrail}]\n"


def problems(tmp_path: Path, text: str, metrics: str = METRICS) -> list[str]:
    file = tmp_path / "scenario.yaml"
    file.write_text(BASE + metrics + dedent(text), encoding="utf-8")
    try:
        read(file)
    except InputError as error:
        return [str(problem).removeprefix(f"{tmp_path}/") for problem in error.problems]
    return []


def test_every_key_at_once_is_read_and_written_again(tmp_path: Path) -> None:
    text = """\
        users: {count: 1000, activity: {pareto: 1.5}, assignment: request, similarity: 20%}
        segments:
          - {name: mobile, share: 60%, relative: {conversion: -20%}}
          - {name: desktop, share: 40%}
        timeline:
          - {kind: drift, arm: challenger, metric: conversion, at: 2h, duration: 5h, to: -10%}
          - {kind: novelty, arm: challenger, metric: conversion, effect: 15%, half_life: 1h}
          - {kind: errors, arm: challenger, at: 6h, duration: 30m, rate: 20%}
          - {kind: slowdown, arm: champion, at: 6h, duration: 1h, factor: 3}
          - {kind: leak, arm: challenger, at: 0m, per_hour: 10%, restart: 12h}
          - {kind: outage, pool: main, at: 6h, duration: 1h, replicas: 1}
        telemetry: {lag: 20m, loss: 1%}
        router: {misrouted: {challenger: 2%}}
        pools:
          main:
            replicas: 4
            concurrency: 8
            queue: 200
            timeout: 2s
            arms: [champion, challenger]
            scaling: {least: 2, most: 10, target: 70%, cold_start: 2m, cool_down: 10m}
        retries: {attempts: 3, on: [error, timeout, rejection], backoff: 100ms, factor: 2, longest: 10s, jitter: 50%}
        """
    metrics = "metrics: [{name: conversion, role: primary, delay: {lognormal: {median: 2h, p99: 1d}}}]\n"
    assert problems(tmp_path, text, metrics) == []
    scenario, _ = read(tmp_path / "scenario.yaml")
    assert type(scenario).model_validate(scenario.dump()) == scenario


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "capacity: {chalenger: {replicas: 1}}",
            "11:23 capacity.chalenger: no arm 'chalenger'; there are champion, challenger",
        ),
        ("capacity: {champion: {replicas: 0}}", "11:33 capacity.champion.replicas: must be at least 1; got 0"),
        (
            "capacity: {champion: {replicas: 1, concurrency: 0, queue: 5}}",
            "11:49 capacity.champion.concurrency: must be at least 1, or measured; got 0",
        ),
        (
            "capacity: {champion: {replicas: 2000, concurrency: 2000}}",
            "11:33 capacity.champion.replicas: at most 1,000,000 calls can be served at once, got 4,000,000",
        ),
        ("capacity: {champion: {replicas: 1, queue: -1}}", "11:43 capacity.champion.queue: must be at least 0; got -1"),
        (
            "capacity: {champion: {replicas: 1, queue: 10000000000000000000}}",
            "11:43 capacity.champion.queue: must be at most 1000000; got 10000000000000000000",
        ),
        (
            "capacity: {champion: {replicas: 2}}\npools: {main: {replicas: 1, arms: [champion, challenger]}}",
            "12:36 pools.main.arms[0]: champion has servers in capacity already; an arm is in one pool at most",
        ),
        (
            "pools: {a: {replicas: 1, arms: [champion]}, b: {replicas: 1, arms: [champion]}}",
            "11:69 pools.b.arms[0]: champion has servers in pools.a already; an arm is in one pool at most",
        ),
        ("pools: {a: {replicas: 1, arms: [x]}}", "11:33 pools.a.arms[0]: no arm 'x'; there are champion, challenger"),
        (
            "capacity: {champion: {replicas: 1}}\npools: {champion: {replicas: 1, arms: [challenger]}}",
            "12:19 pools.champion: capacity names a pool 'champion' already",
        ),
        (
            "capacity: {champion: {replicas: 1, scaling: {least: 3, most: 2}}}",
            "11:53 capacity.champion.scaling.least: must not exceed most, got least 3 and most 2",
        ),
        (
            "capacity: {champion: {replicas: 1, scaling: {least: 2, most: 4}}}",
            "11:33 capacity.champion.replicas: must lie within least and most of scaling, 2 to 4, got 1",
        ),
        (
            "capacity: {champion: {replicas: 1, scaling: {most: 4, target: 0%}}}",
            "11:63 capacity.champion.scaling.target: must be above 0; got '0%'",
        ),
        (
            "capacity: {champion: {replicas: 1, scaling: {most: 4, target: 120%}}}",
            "11:63 capacity.champion.scaling.target: must be a share from 0% to 100%, such as 10% or 0.1; got '120%'",
        ),
        (
            "capacity: {champion: {replicas: 1, scaling: {most: 4, cool_down: 15m}}}",
            "11:66 capacity.champion.scaling.cool_down: must be a whole number of ticks of 10m, got 15m",
        ),
        ("retries: {attempts: 1}", "11:21 retries.attempts: must be at least 2; got 1"),
        ("retries: {attempts: 11}", "11:21 retries.attempts: must be at most 10; got 11"),
        ("retries: {factor: 0.5}", "11:19 retries.factor: must be at least 1; got 0.5"),
        ("retries: {on: [crash]}", "11:16 retries.on[0]: must be one of error, timeout, rejection; got 'crash'"),
        ("retries: {on: [error, error]}", "11:23 retries.on[1]: error is listed twice"),
        ("retries: {on: [timeout]}", "11:16 retries.on[0]: timeout never happens: no pool has a timeout"),
        (
            "capacity: {champion: {replicas: 1, timeout: 1s}}\nretries: {on: [timeout, rejection]}",
            "12:25 retries.on[1]: rejection never happens: no pool has a limit to its queue",
        ),
        (
            "retries: {backoff: 1s, longest: 100ms}",
            "11:33 retries.longest: must not be below backoff, got longest 100ms and backoff 1s",
        ),
        (
            "retries: {backoff: 0s}",
            "11:20 retries.backoff: must be a duration above zero with its unit (w, d, h, m, s, ms, us or ns), such as 10m, "
            "14d or 1h30m; got '0s'",
        ),
        ("users: {count: 0}", "11:16 users.count: must be at least 1; got 0"),
        ("users: {activity: even}", "11:8 users.count: is required"),
        ("users: {count: 5, similarity: 120%}", "11:31 users.similarity: must be a share from 0% to 100%"),
        ("users: {count: 5, activity: odd}", "11:29 users.activity: must be"),
        ("segments: [{name: a, share: 50%}, {name: b, share: 60%}]", "11:11 segments: shares must sum to 100%, got 110.0000%"),
        ("segments: [{name: a, share: 50%}, {name: a, share: 50%}]", "11:42 segments[1].name: two segments are called 'a'"),
        (
            "segments: [{name: a, share: 100%, relative: {clicks: 1%}}]",
            "11:54 segments[0].relative.clicks: no metric 'clicks'; there is conversion",
        ),
        (
            "segments: [{name: a, share: 100%, relative: {latency: 1%}}]",
            "11:55 segments[0].relative.latency: latency cannot be varied here; there is conversion",
        ),
        (
            "timeline: [{kind: drift, arm: x, metric: conversion, to: 1%}]",
            "11:31 timeline[0].arm: no arm 'x'; there are champion, challenger",
        ),
        (
            "timeline: [{kind: drift, arm: challenger, metric: clicks, to: 1%}]",
            "11:51 timeline[0].metric: no metric 'clicks'; there are conversion, latency, error_rate",
        ),
        (
            "timeline: [{kind: drift, arm: challenger, metric: agreement, to: 1%}]",
            "11:51 timeline[0].metric: agreement cannot be varied here; there are conversion, latency, error_rate",
        ),
        (
            "timeline: [{kind: drift, arm: challenger, metric: error_rate, to: -1%}]",
            "11:67 timeline[0].to: for error_rate must be a share from 0% to 100% of calls that fail in addition, got -1%",
        ),
        (
            "timeline: [{kind: novelty, arm: challenger, metric: latency, effect: 1%, half_life: 1d}]",
            "11:53 timeline[0].metric: latency cannot be varied here; there is conversion",
        ),
        (
            "timeline: [{kind: errors, arm: challenger, at: 1d, duration: 10m, rate: 1%}]",
            "11:48 timeline[0].at: must lie within the horizon of 1d, got 1d",
        ),
        (
            "timeline: [{kind: errors, arm: challenger, at: 5m, duration: 10m, rate: 1%}]",
            "11:48 timeline[0].at: must be a whole number of ticks of 10m, got 5m",
        ),
        (
            "timeline: [{kind: slowdown, arm: challenger, at: 0s, duration: 15m, factor: 2}]",
            "11:64 timeline[0].duration: must be a whole number of ticks of 10m, got 15m",
        ),
        (
            "timeline: [{kind: leak, arm: challenger, per_hour: 10%, restart: 25m}]",
            "11:66 timeline[0].restart: must be a whole number of ticks of 10m, got 25m",
        ),
        ("timeline: [{kind: leak, arm: challenger, per_hour: -1%}]", "11:52 timeline[0].per_hour: must be above 0; got '-1%'"),
        (
            "timeline: [{kind: leak, arm: challenger, per_hour: 1.0e+300}]",
            "11:52 timeline[0].per_hour: must be at most 1000000; got 1e+300",
        ),
        (
            "timeline: [{kind: outage, pool: main, at: 0s, duration: 10m}]",
            "11:33 timeline[0].pool: no pool 'main'; there is none",
        ),
        (
            "capacity: {champion: {replicas: 2}}\n"
            "timeline: [{kind: outage, pool: champion, at: 0s, duration: 10m, replicas: 3}]",
            "12:76 timeline[0].replicas: champion never has more than 2, got 3",
        ),
        ("timeline: [{kind: storm, arm: challenger}]", "11:19 timeline[0].kind: must be one of drift, novelty, errors"),
        ("telemetry: {lag: 15m}", "11:18 telemetry.lag: must be a whole number of ticks of 10m, got 15m"),
        ("telemetry: {lag: 1d}", "11:18 telemetry.lag: must lie within the horizon of 1d, got 1d"),
        ("telemetry: {loss: 100%}", "11:19 telemetry.loss: must be below 1; got '100%'"),
        (
            "router: {misrouted: {champion: 1%}}",
            "11:32 router.misrouted.champion: no challenger 'champion'; there is challenger",
        ),
        ('capacity: {"no such": {replicas: 1}}', "11:23 capacity[\"no such\"]: no arm 'no such'; there are champion"),
        ('pools: {"my pool": {replicas: 1, arms: [x]}}', "11:41 pools[\"my pool\"].arms[0]: no arm 'x'; there are champion"),
        ('truth: {"chal lenger": {}}', "11:24 truth[\"chal lenger\"]: no challenger 'chal lenger'; there is challenger"),
        (
            'segments: [{name: a, share: 100%, relative: {"x y": 1%}}]',
            "11:53 segments[0].relative[\"x y\"]: no metric 'x y'; there is conversion",
        ),
        ("router: {misrouted: {challenger: 101%}}", "11:34 router.misrouted.challenger: must be a share from 0% to 100%"),
    ],
)
def test_what_makes_no_sense_is_refused_at_its_line(tmp_path: Path, text: str, expected: str) -> None:
    found = problems(tmp_path, text)
    assert len(found) == 1
    assert found[0].startswith(f"scenario.yaml:{expected}")


def test_names_are_told_in_words_what_they_may_be(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, "", 'metrics: [{name: "a b", role: primary}]\n')
    assert found == (
        "scenario.yaml:10:18 metrics[0].name: must be a name of at most 64 letters, digits, _ and -, "
        "a letter or a digit first; got 'a b'"
    )


def test_a_delay_is_for_what_users_do(tmp_path: Path) -> None:
    metrics = "metrics: [{name: conversion, role: primary}, {name: latency, role: guardrail, delay: {constant: 1h}}]\n"
    (found,) = problems(tmp_path, "", metrics)
    assert found.startswith(
        "scenario.yaml:10:86 metrics[1].delay: is for what users do after an answer; latency is known as soon"
    )


@pytest.mark.parametrize(("grid", "rule"), [(".inf", "a finite number"), ("1.0e+300", "at most"), ("1.0e-300", "at least")])
def test_a_grid_that_no_sum_can_be_kept_on_is_refused(tmp_path: Path, grid: str, rule: str) -> None:
    (found,) = problems(tmp_path, "", f"metrics: [{{name: revenue, role: primary, grid: {grid}}}]\n")
    assert found.startswith(f"scenario.yaml:10:48 metrics[0].grid: must be {rule}")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("until_known: failure", "metrics[0].until_known: needs a delay: without one, conversion is known as a call ends"),
        ("attribution_window: 1h", "metrics[0].attribution_window: needs a delay"),
        (
            "delay: {exponential: 1h}, attribution_window: 15m",
            "metrics[0].attribution_window: must be a whole number of ticks",
        ),
        (
            "delay: {exponential: 1h}, attribution_window: 1m",
            "metrics[0].attribution_window: must be a whole number of ticks",
        ),
        (
            "delay: {constant: 3h}, attribution_window: 2h",
            "metrics[0].delay.constant: must not exceed the attribution window",
        ),
        (
            "delay: {by_arm: {challenger: {by_outcome: {success: {constant: 3h}}}}}, attribution_window: 2h",
            "metrics[0].delay.by_arm.challenger.by_outcome.success.constant: must not exceed the attribution window of 2h",
        ),
        ("delay: {by_arm: {chalenger: {exponential: 1h}}}", "metrics[0].delay.by_arm.chalenger: no arm 'chalenger'"),
        ("delay: {by_arm: {champion: {expo: 1h}}}", "metrics[0].delay.by_arm.champion.expo: unknown key 'expo'"),
        (
            "delay: {by_outcome: {failure: window}}",
            "metrics[0].delay.by_outcome.failure: window needs an attribution_window",
        ),
        ("delay: {by_outcome: {}}", "metrics[0].delay.by_outcome: needs success, failure or both"),
        (
            "delay: {by_outcome: {success: {constant: 1h}, failure: {constant: 1h}}}, until_known: failure",
            "metrics[0].delay.by_outcome.failure: does not matter with until_known: failure",
        ),
        ("delay: {by_outcome: {failure: never}}", "metrics[0].delay.by_outcome.failure: must be one of"),
        ("until_known: lost", "metrics[0].until_known: must be one of unknown, failure"),
    ],
)
def test_feedback_that_cannot_be_is_refused_at_its_line(tmp_path: Path, said: str, expected: str) -> None:
    (found,) = problems(tmp_path, "", f"metrics: [{{name: conversion, role: primary, {said}}}]\n")
    assert found.startswith("scenario.yaml:10:")
    assert found.partition(" ")[2].startswith(expected)


@pytest.mark.parametrize("said", ["until_known: failure", "attribution_window: 1h"])
def test_built_in_metrics_are_known_as_a_call_ends(tmp_path: Path, said: str) -> None:
    metrics = f"metrics: [{{name: conversion, role: primary}}, {{name: error_rate, role: guardrail, {said}}}]\n"
    (found,) = problems(tmp_path, "", metrics)
    assert f"metrics[1].{said.partition(':')[0]}: is for what users do after an answer; error_rate is known" in found


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("evidence: {kind: betting}", "evidence.kind: bets on the outcomes of a tick"),
        ("allocation: {kind: thompson, window: 2h}", "allocation.window: forgets by tick"),
        ("allocation: {kind: thompson, discount: 90%}", "allocation.discount: forgets by tick"),
        ("allocation: {kind: ucb1, lowest: 1, highest: 9}", "allocation.lowest: must not exceed 0: with until_known: failure"),
    ],
)
def test_parts_that_read_outcomes_by_their_tick_refuse_failures_that_are_corrected(
    tmp_path: Path, policy: str, expected: str
) -> None:
    kind = "bandit" if "allocation" in policy else "ab"
    evidence = ", evidence: {kind: posterior, threshold: 95%}" if kind == "bandit" else ""
    for until_known in ("unknown", "failure"):
        said = f"{{name: conversion, role: primary, delay: {{exponential: 1h}}, until_known: {until_known}}}"
        file = tmp_path / f"{until_known}.yaml"
        file.write_text(f"{HEAD}policies: [{{name: it, kind: {kind}, {policy}{evidence}}}]\nmetrics: [{said}]\n")
    read(tmp_path / "unknown.yaml")
    with pytest.raises(InputError) as raised:
        read(tmp_path / "failure.yaml")
    (problem,) = raised.value.problems
    assert f"policies[0].{expected}" in str(problem)


def test_events_that_come_after_their_answers_are_not_compared_with_those_of_a_tick(tmp_path: Path) -> None:
    check = "checks: [{kind: rate_increase, metric: complaints}]"
    policies = f"policies: [{{name: it, kind: canary, steps: [{{weight: 10%, bake: 1h}}], {check}}}]\n"
    for until_known in ("unknown", "failure"):
        late = f"direction: decrease, delay: {{exponential: 1h}}, until_known: {until_known}"
        metrics = f"metrics: [{{name: conversion, role: primary}}, {{name: complaints, {late}}}]\n"
        (tmp_path / f"{until_known}.yaml").write_text(f"{HEAD}{policies}{metrics}")
    read(tmp_path / "unknown.yaml")
    with pytest.raises(InputError) as raised:
        read(tmp_path / "failure.yaml")
    (problem,) = raised.value.problems
    assert "policies[0].checks[0].metric: with until_known: failure, events of complaints come after" in str(problem)


def test_delays_of_arms_and_outcomes_are_read_and_written_again(tmp_path: Path) -> None:
    by_arm = "{champion: {exponential: 1h}, challenger: {by_outcome: {success: {constant: 1h}, failure: window}}}"
    metrics = f"metrics: [{{name: conversion, role: primary, attribution_window: 2h, delay: {{by_arm: {by_arm}}}}}]\n"
    assert problems(tmp_path, "", metrics) == []
    scenario, _ = read(tmp_path / "scenario.yaml")
    assert type(scenario).model_validate(scenario.dump()) == scenario


@pytest.mark.parametrize("by_arm", [False, True])
def test_an_amount_has_no_successes_to_be_late(by_arm: bool) -> None:
    delay: dict[str, Any] = {"by_outcome": {"success": {"constant": "1h"}}}
    said = {"by_arm": {"champion": delay}} if by_arm else delay
    scenario = make_scenario(metrics=[{"name": "revenue", "role": "primary", "delay": said}])
    with pytest.raises(InputError) as raised:
        make_world(scenario, [behaves(outcomes={"revenue": {"lognormal": {"mean": 30.0, "sd": 20.0}}})] * 2)
    (problem,) = raised.value.problems
    place = "metrics[0].delay.by_arm.champion.by_outcome" if by_arm else "metrics[0].delay.by_outcome"
    assert problem.path == place
    assert "is for successes and failures of a binary metric" in problem.message


def test_a_delay_is_written_as_a_latency_is(tmp_path: Path) -> None:
    metrics = "metrics: [{name: conversion, role: primary, delay: {expontial: 1h}}]\n"
    (found,) = problems(tmp_path, "", metrics)
    assert "metrics[0].delay.expontial: unknown key 'expontial'; did you mean 'exponential'?" in found


def test_what_a_clock_of_nanoseconds_cannot_count_is_refused_at_its_line(tmp_path: Path) -> None:
    text = """\
        horizon: 8000w
        capacity:
          champion:
            replicas: 2
            timeout: 20000w
            scaling: {least: 1, most: 2, cold_start: 20000w, cool_down: 1e250w}
        retries: {backoff: 500w}
        timeline:
          - {kind: slowdown, arm: champion, at: 500w, duration: 1e300w, factor: 2}
        """
    file = tmp_path / "scenario.yaml"
    file.write_text(BASE.replace("horizon: 1d\n", "") + METRICS + dedent(text), encoding="utf-8")
    with pytest.raises(InputError) as raised:
        read(file)
    where = {problem.path: problem.line for problem in raised.value.problems}
    assert where == {
        "horizon": 10, "capacity.champion.timeout": 14, "capacity.champion.scaling.cold_start": 15,
        "capacity.champion.scaling.cool_down": 15, "retries.backoff": 16, "timeline[0].at": 18, "timeline[0].duration": 18,
    }  # fmt: skip
    assert all("must be at most 9 years (3285d); got" in problem.message for problem in raised.value.problems)


def test_a_tick_is_a_nanosecond_at_least(tmp_path: Path) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text(BASE.replace("horizon: 1d\ntick: 10m", "horizon: 1ns\ntick: 0.1ns") + METRICS, encoding="utf-8")
    with pytest.raises(InputError, match=r"scenario.yaml:3:7 tick: must be at least 1ns, got 1e-10s"):
        read(file)


def test_a_metric_may_have_the_name_that_telemetry_shows_for_mirrored_calls(tmp_path: Path) -> None:
    assert problems(tmp_path, "", "metrics: [{name: mirror, role: primary}]\n") == []
