"""Cycles, shocks and effects by the hour in a file: what is read, and what is refused at its line."""

from __future__ import annotations

from typing import Any

import pytest

from sim.errors import InputError
from sim.scenario.check import check
from sim.scenario.loading import parse_yaml, validate
from sim.scenario.schema import Scenario
from tests.worlds import make_scenario


def problems(**changes: Any) -> list[str]:
    return [str(problem) for problem in check(make_scenario(**changes))]


def metrics(**keys: Any) -> list[dict[str, Any]]:
    return [{"name": "conversion", "role": "primary", **keys}]


def effects(*windows: dict[str, Any], metric: str = "conversion") -> dict[str, Any]:
    when = [{"relative_effect": "5%", **window} for window in windows]
    return {"challenger": {metric: {"relative_effect": "0%", "when": when}}}


@pytest.mark.parametrize("key", ["daily", "weekly", "shocks"])
def test_what_is_built_in_has_no_cycle(key: str) -> None:
    said = {
        "daily": {"peak": "12:00", "amplitude": "10%"},
        "weekly": [1] * 7,
        "shocks": {"sd": "10%", "correlation_time": "6h"},
    }
    both = [*metrics(), {"name": "latency", "role": "guardrail", key: said[key]}]
    assert problems(metrics=both) == [f"metrics[1].{key}: is for outcomes; latency is built in"]
    assert not problems(metrics=metrics(**said))
    replayed = metrics(reward="correct", **{key: said[key]})
    assert problems(metrics=replayed, data={"sklearn": "digits"}) == [
        f"metrics[0].{key}: conversion has a reward, so the models are replayed: their outcomes are their predictions and "
        "cannot be varied"
    ]


def test_a_week_needs_a_day_with_outcomes_and_shocks_a_tick() -> None:
    assert problems(metrics=metrics(weekly=[0] * 7)) == [
        "metrics[0].weekly: at least one day must have outcomes, got seven zeros"
    ]
    assert problems(metrics=metrics(shocks={"sd": "10%", "correlation_time": "5m"})) == [
        "metrics[0].shocks.correlation_time: must be at least a tick, 10m, within which a shock is constant; got 5m"
    ]


@pytest.mark.parametrize(
    ("windows", "problem"),
    [
        (
            [{"between": ["22:00", "06:00"]}, {"days": [1]}],
            "[1]: holds at the same time as when[0], on day 1 at 00:00; only one can",
        ),
        (
            [{"between": ["22:00", "06:00"], "days": [1]}, {"between": ["21:00", "22:30"]}],
            "[1]: holds at the same time as when[0], on day 1 at 22:00; only one can",
        ),
        ([{"between": ["21:00", "22:00"]}, {"between": ["22:00", "21:00"]}], ""),
        ([{"days": [3]}], "[0]: never holds: the run lasts 1d from 00:00 of day 1"),
        ([{"days": [1, 2]}], ""),
    ],
)
def test_two_effects_cannot_hold_at_once_and_each_must_hold_at_some_time(windows: list[dict[str, Any]], problem: str) -> None:
    assert problems(truth=effects(*windows)) == ([f"truth.challenger.conversion.when{problem}"] if problem else [])


def test_a_run_that_goes_on_beyond_its_week_comes_to_its_first_day_again() -> None:
    late = {"rate": "2/s", "start": "23:00"}
    window = {"between": ["01:00", "02:00"], "days": [1]}
    assert problems(truth=effects(window), horizon="6d", tick="1h", traffic=late) != []
    assert problems(truth=effects(window), horizon="6d3h", tick="1h", traffic=late) == []


def test_an_effect_by_the_hour_is_for_outcomes() -> None:
    both = [*metrics(), {"name": "error_rate", "role": "guardrail"}]
    window = {"between": ["22:00", "06:00"]}
    assert problems(metrics=both, truth=effects(window, metric="error_rate")) == [
        "truth.challenger.error_rate.when: is for outcomes; error_rate is built in"
    ]


def test_with_recorded_traffic_the_time_of_day_is_said_where_it_matters() -> None:
    trace = {"trace": {"file": "counts.csv", "count": "n", "interval": "1h"}}
    daily = metrics(daily={"peak": "12:00", "amplitude": "10%"})
    assert problems(metrics=daily, traffic={**trace, "start": "00:00"}) == []
    assert problems(metrics=daily, traffic=trace) == [
        "traffic.start: is required with a trace where something follows the time of day, as conversion does: the time of "
        "day at which the trace starts"
    ]
    assert problems(traffic={**trace, "start": "06:00"}) == [
        "traffic.start: cannot be given with a trace, which says when requests arrive"
    ]


SMALL = """\
name: small
horizon: 1d
traffic: {rate: 2/s}
models: [{arm: champion, uri: "models:/a/1"}, {arm: challenger, uri: "models:/a/2"}]
metrics:
  - name: conversion
    role: primary
    daily: {peak: "20:00", amplitude: AMPLITUDE}
truth:
  challenger:
    conversion:
      relative_effect: 0%
      when:
        - WINDOW
policies: [{name: hold, kind: hold}]
"""


@pytest.mark.parametrize(
    ("amplitude", "window", "line", "message"),
    [
        ("120%", "{days: [1], relative_effect: 5%}", 8, "must be a share from 0% to 100%, such as 10% or 0.1; got '120%'"),
        ("10%", "{relative_effect: 5%}", 14, "needs hours (`between`), `days`, or both"),
        ("10%", "{between: ['06:00', '06:00'], relative_effect: 5%}", 14, "must be two different times of day"),
        ("10%", "{between: ['06:00'], relative_effect: 5%}", 14, "must have exactly 2 items; got 1"),
        ("10%", "{between: ['06:00', '24:00'], relative_effect: 5%}", 14, "must be a time of day from 00:00 to 23:59"),
        ("10%", "{days: [1, 3, 1], relative_effect: 5%}", 14, "days: must be different days, got 1 more than once"),
        ("10%", "{days: [8], relative_effect: 5%}", 14, "must be at most 7; got 8"),
        ("10%", "{days: [1], relative_effect: -100%}", 14, "must be a relative change above -100%"),
        ("10%", "{days: [1]}", 14, "is required"),
    ],
)
def test_a_file_is_refused_at_the_line(amplitude: str, window: str, line: int, message: str) -> None:
    document = parse_yaml(SMALL.replace("AMPLITUDE", amplitude).replace("WINDOW", window), "a.yaml")
    with pytest.raises(InputError) as raised:
        validate(document, Scenario)
    assert [problem.line for problem in raised.value.problems] == [line]
    assert message in str(raised.value)
