"""A run folder in, a comparison out: the contract of summary.json, and folders that hold no run."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sim.compare.comparison import compare
from sim.compare.frontier import frontier, leaders
from sim.compare.measures import MEASURES
from sim.compare.summary import to_json, write_summary
from sim.errors import InputError
from sim.run.record import Record, read_run
from tests.compare.synthetic import HORIZON_S, KINDS, decided, frame, realistic, write


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("run"), realistic(200), KINDS, thresholds={"wrong_ship": "< 5%"})


def numbers(value: Any) -> list[float]:
    if isinstance(value, dict | list):
        return [each for item in (value.values() if isinstance(value, dict) else value) for each in numbers(item)]
    return [value] if isinstance(value, float) else []


def test_summary_json_is_the_contract(folder: Path) -> None:
    comparison = compare(folder)
    file = write_summary(comparison, folder)
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []
    summary = json.loads(file.read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert all(math.isfinite(number) for number in numbers(summary))
    assert Record.model_validate(summary["run"]) == read_run(folder)
    assert set(summary["measures"]) == set(MEASURES)
    assert set(summary["measures"]["regret"]) == {"label", "unit", "better", "about"}
    assert [policy["policy"] for policy in summary["points"][0]["policies"]] == list(KINDS)
    first, second = summary["points"][0]["policies"][:2]
    assert first["differences"] == {}
    assert set(second["measures"]) == set(second["differences"]) == set(MEASURES)
    assert second["differences"]["regret_cvar95"] is None
    assert set(second["measures"]["regret"]) == {"estimate", "lower", "upper", "n"}
    incidence = summary["points"][0]["policies"][2]["incidence"]
    assert incidence["time_s"][0] == 0
    assert incidence["time_s"][-1] == HORIZON_S
    for curve in ("ship", "keep", "inconclusive", "decided"):
        for bound in ("estimate", "lower", "upper"):
            assert len(incidence[curve][bound]) == len(incidence["time_s"]) <= 121
    assert incidence["decided"]["estimate"] == sorted(incidence["decided"]["estimate"])
    assert {row["policy"] for row in summary["thresholds"]} == {"ab", "bandit", "canary", "careful"}
    assert set(summary["thresholds"][0]) == {"policy", "measure", "rule", "estimate", "breached", "point"}


def test_the_incidence_ends_at_the_shares_of_verdicts(folder: Path) -> None:
    for policy in compare(folder).points[0].policies:
        for verdict in ("ship", "keep", "inconclusive"):
            curve = getattr(policy.incidence, verdict)
            assert curve.estimate[-1] == pytest.approx(policy.measures[verdict].estimate)


def test_rows_and_frame_hold_every_policy_and_measure(folder: Path) -> None:
    comparison = compare(folder)
    rows = comparison.to_dicts()
    assert len(rows) == len(KINDS) * len(MEASURES)
    data = comparison.to_pandas()
    assert isinstance(data, pd.DataFrame)
    regret = data.set_index(["policy", "measure"]).loc[("canary", "regret")]
    means = {name: comparison.points[0].policies[at].measures["regret"].estimate for at, name in enumerate(KINDS)}
    assert regret["estimate"] == means["canary"]
    assert regret["difference"] == pytest.approx(means["canary"] - means["switch"])  # type: ignore[operator]
    assert regret["difference_lower"] < regret["difference"] < regret["difference_upper"]


def test_a_difference_to_another_baseline_is_the_same_with_the_other_sign(folder: Path) -> None:
    forth, back = compare(folder, "ab"), compare(folder, "canary")
    one = next(policy for policy in forth.points[0].policies if policy.policy == "canary").differences["regret"]
    other = next(policy for policy in back.points[0].policies if policy.policy == "ab").differences["regret"]
    assert one is not None
    assert other is not None
    assert one.estimate == pytest.approx(-other.estimate)  # type: ignore[operator]
    assert one.lower == pytest.approx(-other.upper)  # type: ignore[operator]


def test_baselines_are_neither_on_the_frontier_nor_best(folder: Path) -> None:
    comparison = compare(folder)
    named = {name for names in (comparison.points[0].frontier, *comparison.points[0].best.values()) for name in names}
    assert named.isdisjoint({"switch", "hold"})
    assert comparison.points[0].frontier


def test_a_policy_that_seldom_decides_is_not_best_at_avoiding_mistakes(folder: Path) -> None:
    comparison = compare(folder)
    careful = comparison.points[0].policies[-1].measures
    assert careful["wrong_ship"].estimate < min(
        policy.measures["wrong_ship"].estimate for policy in comparison.points[0].policies[2:5]
    )
    assert "careful" not in comparison.points[0].best["wrong_ship"]


def test_frontier_keeps_ties_and_drops_what_is_beaten() -> None:
    assert frontier({"a": (1.0, 1.0), "b": (1.0, 1.0), "c": (1.0, 2.0), "d": (0.5, 3.0)}) == ("d", "a", "b")
    assert frontier({}) == ()


def test_leaders_are_those_whose_difference_to_the_best_may_be_zero(folder: Path) -> None:
    from sim.compare.trials import read_trials

    (trials,) = read_trials(folder, read_run(folder))
    pool = [trials["canary"], trials["ab"], trials["hold"]]
    means = {each.policy: float(each["regret"].mean()) for each in pool}
    found = leaders(MEASURES["regret"], pool)
    assert found[0] == min(means, key=means.__getitem__)
    assert "hold" not in found
    assert leaders(MEASURES["ship"], pool) == ()
    assert leaders(MEASURES["time_to_decision_p50"], pool[:2]) == ("canary",)


def test_an_interrupted_run_compares_what_there_is(tmp_path: Path) -> None:
    trials = frame({"ab": [decided("keep", 60.0)] * 5, "canary": [decided("keep", 30.0)] * 3})
    kinds = {"hold": "hold", "ab": "ab", "canary": "canary"}
    folder = write(tmp_path, trials, kinds, status="interrupted", completed=["ab"])
    comparison = compare(folder)
    assert [policy.policy for policy in comparison.points[0].policies] == ["ab", "canary"]
    assert comparison.points[0].baseline is None
    assert all(policy.differences == {} for policy in comparison.points[0].policies)
    assert comparison.verdict.startswith("Interrupted, with 2 of 3 policies run. Take canary: ")
    difference = compare(folder, "ab").points[0].policies[1].differences["time_to_decision"]
    assert difference is not None
    assert (difference.estimate, difference.n) == (-30.0, 3)


def test_no_trials_at_all(tmp_path: Path) -> None:
    comparison = compare(write(tmp_path, frame({}), KINDS, status="interrupted", completed=[]))
    assert comparison.points[0].policies == ()
    json.loads(to_json(comparison))
    assert comparison.to_dicts() == []
    assert "nothing to compare" in comparison.verdict


def test_one_replication_has_estimates_and_no_bounds(tmp_path: Path) -> None:
    folder = write(tmp_path, realistic(1), KINDS)
    comparison = compare(folder)
    regret = comparison.points[0].policies[2].measures["regret"]
    assert regret.estimate is not None
    assert (regret.lower, regret.n) == (None, 1)
    json.loads(to_json(comparison), parse_constant=pytest.fail)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "run.json").unlink(), "is not a run folder"),
        (lambda folder: (folder / "run.json").write_text("{"), "run.json: is corrupt: Invalid JSON"),
        (lambda folder: (folder / "run.json").write_text("[]"), "run.json: is corrupt: Input should be an object"),
        (lambda folder: (folder / "run.json").write_text('{"seed": NaN}'), "run.json seed: is corrupt"),
        (lambda folder: (folder / "trials.parquet").unlink(), "trials.parquet: cannot be read"),
        (lambda folder: (folder / "trials.parquet").write_text("no"), "trials.parquet: is corrupt"),
    ],
)
def test_what_is_no_run_folder_is_named(tmp_path: Path, spoil: Any, message: str) -> None:
    folder = write(tmp_path, frame({"ab": [{}]}), {"ab": "ab"})
    spoil(folder)
    with pytest.raises(InputError, match=message):
        compare(folder)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("regret", float("nan"), "regret must not be empty in any row"),
        ("verdict", "won", "verdict must be one of ship, keep, inconclusive, undecided, got 'won'"),
        ("policy", "abc", "policy must be one of ab, got 'abc'"),
        ("time_to_decision_s", -1.0, "time_to_decision_s must not be negative, got -1 in row 0"),
        ("replication", 1, "policy ab has two rows for replication 1"),
        ("worth_shipping", None, "worth_shipping must not be empty"),
    ],
)
def test_trials_that_cannot_be_are_refused(tmp_path: Path, column: str, value: object, message: str) -> None:
    trials = frame({"ab": [{}, {}]}).astype({"worth_shipping": object})
    trials.loc[0, column] = value
    with pytest.raises(InputError, match=message):
        compare(write(tmp_path, trials, {"ab": "ab"}))


def test_missing_columns_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="lacks the columns correct, regret"):
        compare(write(tmp_path, frame({"ab": [{}]}).drop(columns=["regret", "correct"]), {"ab": "ab"}))


def test_an_unknown_baseline_is_refused_with_the_nearest(folder: Path) -> None:
    with pytest.raises(InputError, match=r"baseline: must be a policy with trials .* got 'cannary'; did you mean canary"):
        compare(folder, "cannary")
