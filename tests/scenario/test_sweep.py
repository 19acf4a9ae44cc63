"""The points of a sweep: what each is, and what is refused, where and why."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import InputError
from sim.scenario.loading import parse_yaml
from sim.scenario.reading import read
from sim.scenario.sweep import Point, points, replaced
from tests.scenario.small import HEAD

BASE = (
    HEAD
    + """\
metrics:
  - {name: conversion, role: primary}
policies:
  - {name: ab, kind: ab, evidence: {kind: fixed_horizon, mde: 2%}}
"""
)


def swept(tmp_path: Path, text: str) -> tuple[Point, ...]:
    file = tmp_path / "scenario.yaml"
    file.write_text(BASE + dedent(text), encoding="utf-8")
    return points(*read(file))


def problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        swept(tmp_path, text)
    return [str(problem).removeprefix(f"{tmp_path}/scenario.yaml:") for problem in caught.value.problems]


def test_each_point_is_the_scenario_with_its_value(tmp_path: Path) -> None:
    found = swept(tmp_path, "sweep: {traffic.rate: [1/s, 120/m, 1h30m]}".replace("1h30m", "3/s"))
    assert [point.label for point in found] == ["1/s", "120/m", "3/s"]
    assert [point.numbers for point in found] == [(1.0,), (2.0,), (3.0,)]
    assert [point.scenario.traffic.rate for point in found] == [1.0, 2.0, 3.0]
    assert all(point.scenario.sweep is None for point in found)
    rest = [point.scenario.model_copy(update={"traffic": None}) for point in found]
    assert rest[0] == rest[1] == rest[2]


def test_two_keys_make_a_grid(tmp_path: Path) -> None:
    found = swept(tmp_path, """\
        sweep:
          policies[0].evidence.mde: [1%, 2%]
          horizon: [1d, 12h, 6h]
        """)  # fmt: skip
    assert [point.texts for point in found] == [(mde, horizon) for mde in ("1%", "2%") for horizon in ("1d", "12h", "6h")]
    assert found[5].numbers == (0.02, 21_600.0)
    assert found[1].label == "1% × 12h"


def test_a_value_may_be_anything_that_the_key_takes(tmp_path: Path) -> None:
    text = "sweep: {truth.challenger.conversion.relative_effect: [0%, {normal: {mean: 0%, sd: 2%}}], models[1].uri: [a, b]}"
    found = swept(
        tmp_path, text.replace("models[1].uri", '"models[1].uri"').replace("[a, b]", '["models:/r/3", "models:/r/4"]')
    )
    assert [point.numbers for point in found] == [(0.0, None), (0.0, None), (None, None), (None, None)]
    assert found[2].texts == ("{normal: {mean: 0%, sd: 2%}}", "models:/r/3")


def test_without_a_sweep_the_scenario_is_the_only_point(tmp_path: Path) -> None:
    (point,) = swept(tmp_path, "")
    assert (point.texts, point.numbers, point.label, point.scenario.sweep) == ((), (), "", None)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "sweep: {traffic.rate: [1/s, fast]}",
            "12:29 traffic.rate: must be a rate above zero per ms, s, m, h, d, w or y, such as 40/s; got 'fast'; "
            "in the sweep at fast",
        ),
        ("sweep: {traffic.dayly: [1/s, 2/s]}", "12:25 traffic.dayly: unknown key 'dayly'; did you mean 'daily'?"),
        ("sweep: {traffic.rate: [1/s]}", "12:23 sweep[\"traffic.rate\"]: must have 2 to 10000 items; got 1"),
        ("sweep: {traffic.rate: [1/s, 1/s]}", '12:29 sweep["traffic.rate"][1]: 1/s is listed twice'),
        ("sweep: {traffic.rate.x: [1, 2]}",
         "12:9 sweep[\"traffic.rate.x\"]: there is no traffic.rate.x: traffic.rate is '2/s'"),
        (
            "sweep: {'policies[3].name': [1, 2]}",
            '12:9 sweep["policies[3].name"]: there is no policies[3]: policies is a list of 1, numbered from [0]',
        ),
        ("sweep: {a..b: [1, 2]}", '12:9 sweep["a..b"]: must be a path such as models[1].uri; got \'a..b\''),
        (
            "sweep: {replications: [1, 2]}",
            "12:9 sweep.replications: cannot be varied: name, question, replications, enough, baseline, require, thresholds, "
            "sweep and sensitivity are of the run as a whole",
        ),
        (
            "sweep: {traffic: [{rate: 1/s}, {rate: 2/s}], traffic.rate: [1/s, 2/s]}",
            '12:46 sweep["traffic.rate"]: must not be swept together with traffic: one is a part of the other',
        ),
        (
            "sweep: {'policies[0].name': [a, b]}",
            "10:1 policies: must keep its names and kinds in all worlds of a run",
        ),
        (
            "sweep: {'models[1].arm': [challenger, other]}",
            "5:1 models: must keep its arms in all worlds of a run; in the sweep at other",
        ),
        (f"sweep: {{seed: {list(range(10_001))}}}", "12:15 sweep.seed: must have 2 to 10000 items; got 10001"),
        (
            f"sweep: {{seed: {list(range(5_000))}, tick: [1h, 30m, 15m]}}",
            "12:8 sweep: must make at most 10,000 points, got 15,000; what is told of all of them is in memory at once: "
            "split the sweep into several scenarios",
        ),
        ("sweep: {horizon: [1d, 45m]}", "12:23 horizon: must be a whole number of ticks, got 4.5 ticks; in the sweep at 45m"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_at_its_line_and_point(tmp_path: Path, text: str, told: str) -> None:
    assert told in problems(tmp_path, text)


def test_what_is_wrong_at_several_points_is_told_once(tmp_path: Path) -> None:
    found = problems(tmp_path, "sweep: {horizon: [45m, 1d], seed: [1, 2, 3, 4, 5, 6]}")
    assert found == [
        "12:19 horizon: must be a whole number of ticks, got 4.5 ticks; in the sweep at 45m × 1; 45m × 2; 45m × 3; 45m × 4 "
        "and 2 more points"
    ]


def test_a_problem_of_the_scenario_is_not_told_again_for_each_point(tmp_path: Path) -> None:
    found = problems(tmp_path, "baseline: nobody\nsweep: {seed: [1, 2]}\n")
    assert found == ["12:11 baseline: no policy 'nobody'; there is ab"]


@given(
    st.recursive(
        st.integers() | st.text("ab", max_size=3),
        lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, min_size=1),
        max_leaves=8,
    ).filter(lambda data: isinstance(data, dict)),
    st.data(),
)  # fmt: skip
def test_a_replaced_value_is_the_only_change(data: dict[str, object], draw: st.DataObject) -> None:
    import copy
    import json

    document = parse_yaml(json.dumps({"base": data, "sweep": {"x": ["new"]}}), "a.yaml")
    before = copy.deepcopy(document.data)
    place: tuple[str | int, ...] = ("base",)
    here: object = data
    while isinstance(here, dict | list) and (place == ("base",) or draw.draw(st.booleans())):
        part = draw.draw(st.sampled_from(sorted(here) if isinstance(here, dict) else range(len(here))))
        here, place = here[part], (*place, part)
    found = replaced(document, place, document, ("sweep", "x", 0))
    assert found.mark(place) == document.mark(("sweep", "x", 0))
    assert document.data == before
    expected = copy.deepcopy(before)
    target: object = expected
    for part in place[:-1]:
        target = target[part]  # type: ignore[index]
    target[place[-1]] = "new"  # type: ignore[index]
    assert found.data == expected
