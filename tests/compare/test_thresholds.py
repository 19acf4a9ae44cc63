"""Thresholds: what is read, what is refused, and when they are breached."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.compare.comparison import Comparison, compare
from sim.compare.measures import MEASURES
from sim.compare.result import Judgement
from sim.compare.thresholds import judge as judge_points
from sim.compare.thresholds import parse, problems
from sim.errors import InputError
from sim.scenario.loading import parse_path, parse_yaml
from tests.compare.synthetic import WORSE, decided, frame, write

KINDS = {"switch": "switch", "ab": "ab", "slow": "stages"}


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    ship = decided("ship", 0.0, shipped_worse=True, **WORSE)
    ab = [decided("keep", 3600.0, **WORSE)] * 9 + [decided("ship", 3600.0, **WORSE)]
    trials = frame({"switch": [ship] * 10, "ab": ab, "slow": [WORSE] * 10})
    return compare(write(tmp_path_factory.mktemp("run"), trials, KINDS))


def judge(comparison: Comparison, thresholds: dict[str, str]) -> tuple[Judgement, ...]:
    return judge_points(comparison.run.model_copy(update={"thresholds": thresholds}), comparison.points)


@pytest.mark.parametrize(
    ("key", "rule", "value"),
    [
        ("wrong_ship", "< 5%", 0.05), ("correct", ">=0.9", 0.9), ("ab.correct", "> 80%", 0.8),
        ("time_to_decision", "<= 2h", 7200.0), ("time_to_keep_if_worse", " <  1h30m ", 5400.0),
        ("harmed_requests", "< 1e4", 10_000.0), ("regret", "<12.5", 12.5),
    ],
)  # fmt: skip
def test_values_are_read_in_the_unit_of_the_measure(key: str, rule: str, value: float) -> None:
    assert problems({key: rule}) == []
    assert parse(key, rule).value == value


@pytest.mark.parametrize(
    ("key", "rule", "message"),
    [
        ("wrong_shp", "< 5%", "thresholds.wrong_shp: no measure 'wrong_shp'; did you mean wrong_ship?"),
        ("zzz", "< 5%", "thresholds.zzz: no measure 'zzz'; there are ship, keep"),
        ("wrong_ship", "5%", "must be <, <=, > or >= and a value"),
        ("wrong_ship", "== 5%", "must be <, <=, > or >= and a value"),
        ("wrong_ship", "<", "must be <, <=, > or >= and a value"),
        ("wrong_ship", "< 500%", "must be a share from 0% to 100%"),
        ("wrong_ship", "< 2h", "must be a share from 0% to 100%"),
        ("time_to_decision", "< 5%", "must be a duration above zero"),
        ("time_to_decision", "< 300", "write a unit, such as 10m; got '300'"),
        ("regret", "< 5%", "must be a number, such as 1000; got '5%'"),
        ("regret", "< nan", "must be a number"),
        ("abc.regret", "< 5", "thresholds[\"abc.regret\"]: no policy 'abc'; did you mean ab?"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(key: str, rule: str, message: str) -> None:
    found = problems({key: rule}, ["ab", "canary"])
    assert len(found) == 1
    assert parse_path(found[0].path) == ("thresholds", key)
    assert message in str(found[0])


@pytest.mark.parametrize("key", ["ab.wrong_ship", "a b[.wrong_ship", "no.such", ""])
def test_a_problem_is_told_at_the_line_of_its_key(key: str) -> None:
    document = parse_yaml(f"thresholds:\n  regret: '< 5'\n  '{key}': oops\n", "a.yaml")
    (found,) = problems(document.data["thresholds"], ["canary"])
    placed = document.place(found)
    assert (placed.line, placed.column) == (3, len(key) + 7)


def test_every_problem_is_found_at_once() -> None:
    assert len(problems({"wrong_ship": "5%", "correct": "> 80%", "nothing": "< 1", "regret": "< x"})) == 3


@given(st.sampled_from(sorted(MEASURES)), st.text(max_size=12))
def test_any_text_is_read_or_refused_as_input(key: str, rule: str) -> None:
    assert len(problems({key: rule})) <= 1


def test_a_bare_measure_is_about_every_policy_but_the_baselines(comparison: Comparison) -> None:
    rows = judge(comparison, {"wrong_ship": "< 5%"})
    assert [(row.policy, row.breached) for row in rows] == [("ab", True), ("slow", False)]
    assert str(rows[0]) == "ab.wrong_ship < 5%: breached, 10% (0.51–40%)"
    assert str(rows[1]).startswith("slow.wrong_ship < 5%: met, 0% (0–")


def test_a_named_policy_may_be_a_baseline(comparison: Comparison) -> None:
    (row,) = judge(comparison, {"switch.wrong_ship": "< 5%"})
    assert (row.policy, row.breached, row.estimate.estimate) == ("switch", True, 1.0)


@pytest.mark.parametrize(
    ("rule", "breached"), [("< 10%", True), ("<= 10%", False), ("> 10%", True), (">= 10%", False), ("> 9%", False)]
)
def test_the_point_estimate_is_compared(comparison: Comparison, rule: str, breached: bool) -> None:
    assert judge(comparison, {"ab.wrong_ship": rule})[0].breached is breached


def test_no_data_breaches_nothing_and_says_so(comparison: Comparison) -> None:
    (row,) = judge(comparison, {"ab.missed_win": "< 1%"})
    assert (row.breached, str(row)) == (False, "ab.missed_win < 1%: not judged, no case")


def test_a_time_that_is_never_reached_is_later_than_the_horizon(comparison: Comparison) -> None:
    (row,) = judge(comparison, {"slow.time_to_decision_p50": "< 2h"})
    assert (row.breached, str(row)) == (True, "slow.time_to_decision_p50 < 2h: breached, not reached")
    assert not judge(comparison, {"slow.time_to_decision_p50": "> 2h"})[0].breached
    assert not judge(comparison, {"slow.time_to_decision_p50": "< 15d"})[0].breached


def test_a_policy_that_was_not_run_has_no_data(tmp_path: Path) -> None:
    folder = write(tmp_path, frame({"ab": [decided("keep", 1.0)]}), KINDS, status="interrupted", thresholds={"correct": "> 1%"})
    assert [(row.policy, row.breached) for row in compare(folder).thresholds] == [("ab", True), ("slow", False)]


def test_thresholds_that_cannot_be_read_are_refused(comparison: Comparison) -> None:
    with pytest.raises(InputError, match=r'thresholds\["abc\.correct"\]: no policy'):
        judge(comparison, {"abc.correct": "> 1%"})
