"""Numbers that are to be calibrated: how a file writes them, and what of it is refused."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.cli import main
from sim.compare.measures import MEASURES
from sim.errors import InputError
from sim.scenario.calibrate import ERRORS
from sim.scenario.check import open_numbers
from sim.scenario.put import Change
from sim.scenario.reading import read
from sim.scenario.schema import Scenario
from sim.scenario.sweep import points

TEXT = """\
name: written
horizon: 10d
tick: 1h
traffic: {rate: 75/m}
models:
  - {arm: champion, uri: "models:/checkout-ranker@champion"}
  - {arm: challenger, uri: "models:/checkout-ranker@challenger"}
metrics:
  - {name: conversion, role: primary}
policies:
  - {name: looks, kind: ab, evidence: {kind: peeking, every: 1d, sample: 2000, alpha: ALPHA}}
  - {name: ramp, kind: canary, steps: [{weight: 5%, bake: 1h}], checks: [{metric: error_rate, max: MAX, trip: 2}]}
"""


def written(alpha: str = "5%", most: str = "1%") -> str:
    return TEXT.replace("ALPHA", alpha).replace("MAX", most)


def test_every_error_that_numbers_are_calibrated_for_is_a_measure_of_trials_with_it() -> None:
    assert [(MEASURES[name].unit, MEASURES[name].better) for name in ERRORS] == [("share", "lower")] * len(ERRORS)


def test_a_word_and_a_mapping_say_what_a_number_is_to_hold() -> None:
    scenario, _ = read(written("calibrated", "{calibrate: {false_rollback: 2%}, between: [0.1%, 3%], replications: 300}"))
    alpha, most = open_numbers(scenario)
    assert (alpha.path, alpha.policy, alpha.promise) == ("policies[0].evidence.alpha", "looks", ("aa_declared", 0.05))
    assert (most.path, most.promise, most.between) == ("policies[1].checks[0].max", ("false_rollback", 0.02), (0.001, 0.03))
    assert most.replications == 300


def test_a_scenario_that_is_dumped_still_says_that_a_number_is_to_be_found() -> None:
    scenario, _ = read(written("calibrated"))
    again = Scenario.model_validate(scenario.dump())
    assert open_numbers(again) == open_numbers(scenario) != []


def test_other_values_undo_and_ask_for_a_calibration() -> None:
    fixed, _ = read(written("calibrated"), changes=[Change("policies[0].evidence.alpha", "3%")])
    assert not open_numbers(fixed)
    asked, _ = read(written(), changes=[Change("policies[0].evidence.alpha", {"calibrate": {"aa_ship": "1%"}})])
    assert open_numbers(asked)[0].promise == ("aa_ship", 0.01)


def test_a_sweep_calibrates_where_it_says_so() -> None:
    scenario, document = read(written() + 'sweep: {"policies[0].evidence.alpha": [5%, calibrated]}\n')
    fixed, found = points(scenario, document)
    assert (open_numbers(fixed.scenario), fixed.numbers) == ([], (0.05,))
    assert (len(open_numbers(found.scenario)), found.texts, found.numbers) == (1, ("calibrated",), (None,))


@pytest.mark.parametrize(
    ("alpha", "place", "says"),
    [
        ("{calibrate: {wrong_shipp: 5%}}", "alpha.calibrate", "no error 'wrong_shipp' to calibrate for; did you mean"),
        ("{calibrate: {regret: 5%}}", "alpha.calibrate", "no error 'regret'"),
        ("{calibrate: {wrong_ship: 0%}}", "alpha.calibrate.wrong_ship", "must be above 0; got '0%'"),
        ("{calibrate: {wrong_ship: 5%, aa_ship: 5%}}", "alpha.calibrate", "must have exactly 1 key; got 2"),
        ("{calibrate: {wrong_ship: 5%}, betwen: 1}", "alpha.betwen", "did you mean 'between'?"),
        ("{calibrate: {wrong_ship: 5%}, between: [5%, 1%]}", "alpha.between", "a smaller and a larger number, got 5% and 1%"),
        ("{calibrate: {wrong_ship: 5%}, between: [1%, 100%]}", "alpha.between[1]", "100% cannot stand here"),
        ("{calibrate: {wrong_ship: 5%}, replications: 3}", "alpha.replications", "must be at least 100; got 3"),
    ],
)
def test_what_is_not_written_as_it_must_be_is_told_at_its_line(alpha: str, place: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        read(written(alpha))
    (problem,) = caught.value.problems
    assert (problem.path, problem.line) == (f"policies[0].evidence.{place}", 11)
    assert says in problem.message


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (written("calibrated", "{calibrate: {false_rollback: 2%}}"), "needs at least one of max, min"),
        (written().replace("trip: 2", "trip: {calibrate: {false_rollback: 2%}}"), "needs the smallest and the largest"),
        (written().replace("sample: 2000", "sample: {calibrate: {aa_ship: 2%}}"), "has no default"),
        (written("calibrate"), "did you mean 'calibrated'?"),
        (written().replace("sample: 2000", "sample: calibrated"), "'calibrated' is for alpha, and of any other number"),
        (written().replace("kind: peeking", "kind: {calibrate: {wrong_ship: 5%}}"), "is no number to be found; must be one of"),
        (
            written("calibrated").replace("sample: 2000", "sample: {calibrate: {aa_ship: 2%}, between: [100, 9000]}"),
            "one number of a policy can be calibrated",
        ),
        (
            written().replace("weight: 5%", "weight: {calibrate: {aa_ship: 2%}, between: [1%, 2%]}"),
            "only numbers of rules of evidence and of guardrails",
        ),
        (written().replace("kind: peeking, every: 1d", "kind: posterior, min_outcomes: {calibrate: {}}"), "exactly 1 key"),
        (written() + "calibrated: {seed: {calibrate: {aa_ship: 2%}}}\n", "must be the path of a number of a policy"),
        (written() + 'calibrated: {"policies[7].evidence.alpha": {}}\n', "must be the path of a number of a policy"),
        (written() + 'calibrated: {"policies[0].evidence.kind": {}}\n', "it is no number"),
        (
            written("calibrated").replace("sample: 2000", "sample: 2000, hypothesis: equivalence, margin: 2%"),
            "does not say how",
        ),
    ],
)
def test_what_cannot_be_calibrated_is_refused(text: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        read(text)
    assert any(says in problem.message for problem in caught.value.problems), caught.value


KEYS = st.sampled_from(["calibrate", "between", "replications", "x"])
NODES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(KEYS, below, max_size=4),
    max_leaves=8,
)


@given(NODES)
def test_whatever_stands_there_is_read_or_refused(node: object) -> None:
    data = read(written())[0].dump()
    data["policies"][0]["evidence"]["alpha"] = node
    with suppress(InputError):
        assert read(data)[0].policies


def test_check_says_what_is_to_be_found_and_plays_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "written.yaml"
    file.write_text(written("calibrated"))
    assert main(["check", str(file)]) == 0
    said = capsys.readouterr().out
    assert "policies[0].evidence.alpha is found before the run, so that aa_declared of looks is 5%" in said
    assert [each.name for each in tmp_path.iterdir()] == ["written.yaml"]
