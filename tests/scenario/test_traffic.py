"""The `traffic` part of a scenario file: what is read, and what a person who made a mistake is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from sim.errors import InputError
from sim.scenario.reading import read
from sim.scenario.traffic import Traffic, traffic_problems

DAY = 86_400.0
BURSTS = {"factor": 5, "every": "1h", "duration": "2m"}
CROWD = {"at": "2h", "factor": 8, "rise": "5m", "duration": "20m", "decay": "1h"}
TIMES = {"file": "a.csv", "time": "t"}
COUNTS = {"file": "a.csv", "count": "requests", "interval": "1m"}

SCENARIO = """\
name: small
horizon: 1d
traffic:
  {}
models:
  - {{arm: champion, uri: "models:/m/1"}}
  - {{arm: challenger, uri: "models:/m/2"}}
metrics: [{{name: conversion, role: primary}}]
policies: [{{name: hold, kind: hold}}]
"""


@pytest.mark.parametrize(
    "said",
    [
        {"rate": "40/s"},
        {"rate": "40/s", "arrivals": "regular", "daily": {"peak": "20:00", "amplitude": "60%"}, "start": "12:00"},
        {"rate": "40/s", "bursts": BURSTS, "flash_crowds": [CROWD, {"at": 0, "factor": 2, "duration": "1m"}]},
        {"trace": TIMES},
        {"trace": {**COUNTS, "repeat": True}, "rate": "3/s"},
    ],
)
def test_what_is_written_out_is_read_as_the_same(said: dict[str, Any]) -> None:
    traffic = Traffic.model_validate(said)
    assert Traffic.model_validate(traffic.model_dump(mode="json")) == traffic
    assert not list(traffic_problems(traffic, DAY))


@pytest.mark.parametrize(
    ("said", "rule"),
    [
        ({}, "needs a rate, such as 40/s, or a trace; got neither"),
        ({"rate": "1/s", "arrivals": "even"}, "'poisson' or 'regular'"),
        ({"rate": "1/s", "bursts": {**BURSTS, "factor": 1}}, "greater than 1"),
        ({"rate": "1/s", "bursts": {**BURSTS, "factor": float("inf")}}, "finite"),
        ({"rate": "1/s", "bursts": {**BURSTS, "every": "0s"}}, "above zero"),
        ({"rate": "1/s", "flash_crowds": [{**CROWD, "at": "-1h"}]}, "must be zero or a duration with its unit"),
        ({"trace": {"file": "a.csv"}}, "needs exactly one of time and count; got neither"),
        ({"trace": {**COUNTS, "time": "t"}}, "needs exactly one of time and count; got both"),
        ({"trace": {"file": "a.csv", "count": "n"}}, "needs the interval of a row with count; got count 'n' alone"),
        ({"trace": {**TIMES, "interval": "1m"}}, "interval is for count; got it with time 't'"),
    ],
)
def test_a_traffic_that_is_none_is_refused(said: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValidationError, match=rule):
        Traffic.model_validate(said)


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"rate": "1/s", "weekly": [0] * 7}, "traffic.weekly: at least one day must have traffic, got seven zeros"),
        (
            {"rate": "1/s", "flash_crowds": [CROWD, {**CROWD, "at": "1d"}]},
            "traffic.flash_crowds[1].at: must lie within the horizon of 1d, got 1d",
        ),
        (
            {"rate": "1/s", "flash_crowds": [{"at": "1h", "factor": 8, "duration": "0s"}]},
            "traffic.flash_crowds[0].duration: a crowd must last for some time, got a rise, duration and decay of 0s",
        ),
        ({"rate": "1/s", "bursts": {**BURSTS, "duration": "10us"}}, "traffic.bursts.duration: must be at least 1ms, got 10us"),
        (
            {"rate": "1/s", "bursts": {"factor": 5, "every": "1s", "duration": "1ms"}},
            "traffic.bursts.every: must leave at most 50,000 bursts in the horizon, got 1s, which makes 86,314",
        ),
        *(
            ({"trace": TIMES, key: value}, f"traffic.{key}: cannot be given with a trace, which says when requests arrive")
            for key, value in {
                "daily": {"peak": "20:00", "amplitude": "60%"}, "weekly": [1] * 7, "bursts": BURSTS,
                "flash_crowds": [CROWD],
            }.items()
        ),
    ],
)  # fmt: skip
def test_keys_that_do_not_go_together_are_named(said: dict[str, Any], problem: str) -> None:
    assert [str(each) for each in traffic_problems(Traffic.model_validate(said), DAY)] == [problem]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{rate: 1/s, bursts: {factor: .5, every: 1h, duration: 1m}}", "4:32 traffic.bursts.factor: must be above 1; got 0.5"),
        ("{arrivals: regular}", "3:1 traffic: needs a rate, such as 40/s, or a trace; got neither"),
        (
            "{trace: {file: a.csv, time: t}, weekly: [1, 1, 1, 1, 1, 1, 1]}",
            "4:43 traffic.weekly: cannot be given with a trace, which says when requests arrive",
        ),
        (
            "{rate: 1e300/s}",
            "4:10 traffic.rate: a replication must have fewer than 10^12 requests, up to which draws are exact; got 8.64e+304",
        ),
    ],
)
def test_a_mistake_is_reported_at_its_place_in_the_file(tmp_path: Path, line: str, told: str) -> None:
    file = tmp_path / "f.yaml"
    file.write_text(SCENARIO.format(line))
    with pytest.raises(InputError) as caught:
        read(file)
    assert [str(problem) for problem in caught.value.problems] == [f"{file}:{told}"]
