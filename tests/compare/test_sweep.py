"""A sweep compared: the same numbers as each point alone, thresholds at every point, and what the verdict claims."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sim.compare.along import _points_told
from sim.compare.comparison import compare
from sim.compare.summary import write_summary
from sim.compare.trials import _rows_of
from sim.errors import InputError
from sim.run.record import read_run
from tests.compare.sweeps import EFFECT, KINDS, at_effect, write_sweep
from tests.compare.synthetic import write


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sweep(tmp_path_factory.mktemp("sweep"), thresholds={"wrong_ship": "< 5%", "ab.correct": "> 50%"})


def test_each_point_has_the_numbers_that_it_has_alone(folder: Path, tmp_path: Path) -> None:
    sweep = compare(folder)
    assert [point.label for point in sweep.points] == ["0%", "2%", "4%"]
    for at, effect in enumerate((0.0, 0.02, 0.04)):
        alone = compare(write(tmp_path / str(at), at_effect(effect, 200, at), KINDS, baseline="ab"))
        found = sweep.points[at]
        (only,) = alone.points
        assert [policy.measures for policy in found.policies] == [policy.measures for policy in only.policies]
        assert [policy.differences for policy in found.policies] == [policy.differences for policy in only.policies]
        assert found.best == only.best


def test_summary_json_has_every_point(folder: Path) -> None:
    sweep = compare(folder)
    summary = json.loads(write_summary(sweep, folder).read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert summary["run"]["sweep"]["paths"] == [EFFECT]
    assert [point["values"] for point in summary["points"]] == [["0%"], ["2%"], ["4%"]]
    ships = [point["policies"][1]["measures"]["ship"]["estimate"] for point in summary["points"]]
    assert ships == sorted(ships)
    assert "thresholds" in summary
    rows = sweep.to_pandas()
    assert rows["point"].unique().tolist() == [0, 1, 2]
    assert rows.loc[(rows["policy"] == "ab") & (rows["measure"] == "ship"), "estimate"].tolist() == ships


def test_thresholds_apply_to_every_point_and_name_it(folder: Path) -> None:
    sweep = compare(folder)
    assert sweep.breached
    found = {row.name: row.breached for row in sweep.thresholds}
    # No challenger is wrong to ship where it is better: judged at 0% only.
    assert {name for name in found if "wrong_ship" in name} == {"ab.wrong_ship at 0%", "canary.wrong_ship at 0%"}
    assert found["canary.wrong_ship at 0%"]
    assert {name for name in found if name.startswith("ab.correct")} == {f"ab.correct at {each}" for each in ("0%", "2%", "4%")}
    assert str(sweep.thresholds[0]).startswith("ab.wrong_ship at 0% < 5%: ")


def test_a_threshold_without_data_anywhere_is_kept(tmp_path: Path) -> None:
    sweep = compare(write_sweep(tmp_path, (0.01, 0.02), thresholds={"ab.wrong_ship": "< 5%"}))
    assert [(row.estimate.n, row.breached) for row in sweep.thresholds] == [(0, False), (0, False)]


def test_the_verdict_tells_how_often_each_ships_and_errs(folder: Path) -> None:
    taken, ships = compare(folder).memo
    assert taken == (
        "Take canary at 0% and 2%; take ab at 4%. At 2 of 3 points the replications cannot tell which of several is best, "
        "and the one of them is taken that does the least harm, or else is quickest."
    )
    assert ships.startswith(f"Over 3 values of {EFFECT}, the share of trials that ship a challenger: ab ")
    assert " at 4%, wrongly at most " in ships
    assert "hold" not in ships


def test_of_more_policies_than_are_told_of_those_that_are_taken_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sim.compare.along.MOST_NAMED", 1)
    taken, ships = compare(write_sweep(tmp_path, (0.0, 0.02))).memo
    assert taken.startswith("Take canary at every point.")
    assert "that ship a challenger: canary " in ships
    assert "ab " not in ships


def test_a_grid_has_a_point_for_every_pair(tmp_path: Path) -> None:
    sweep = compare(write_sweep(tmp_path, (0.0, 0.04), second=("1", "2")))
    assert [point.label for point in sweep.points] == ["0% × 1", "0% × 2", "4% × 1", "4% × 2"]
    assert sweep.memo[0].startswith("Take canary at 0% × 1 and 0% × 2; take ab at 4% × 1 and 4% × 2.")
    assert sweep.memo[1].startswith("Over 4 points, ")


def test_another_baseline_is_paired_with_at_every_point(folder: Path) -> None:
    sweep = compare(folder, "hold")
    assert {point.baseline for point in sweep.points} == {"hold"}
    with pytest.raises(InputError, match="did you mean canary"):
        compare(folder, "cannary")


def test_an_interrupted_sweep_compares_what_there_is(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path, status="interrupted")
    trials = pd.read_parquet(folder / "trials.parquet")
    trials[(trials["point"] == 0) | ((trials["point"] == 1) & (trials["policy"] == "hold"))].to_parquet(
        folder / "trials.parquet"
    )
    sweep = compare(folder)
    assert [len(point.policies) for point in sweep.points] == [3, 1, 0]
    assert sweep.verdict.startswith("Interrupted: ")
    write_summary(sweep, folder)


def test_an_interrupted_sweep_speaks_of_the_points_that_were_run(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path, status="interrupted")
    trials = pd.read_parquet(folder / "trials.parquet")
    trials[trials["point"] == 2].to_parquet(folder / "trials.parquet")
    taken, shares = compare(folder).memo
    assert taken == "Interrupted: not every policy was run at every point. Take ab at 4%."
    assert shares.startswith(f"Over 1 of 3 values of {EFFECT}, the share of trials that ship ")
    assert [shares.count(f"% at {label}") for label in ("0%", "2%", "4%")] == [0, 0, 2], "one share of each policy"


@pytest.mark.parametrize("second", [("1", "2"), ()])
def test_a_policy_that_ships_as_often_at_every_point_is_said_to(tmp_path: Path, second: tuple[str, ...]) -> None:
    folder = write_sweep(tmp_path, (0.0, 0.0 if second else 0.01), second=second)
    frame = pd.read_parquet(folder / "trials.parquet")
    frame.assign(verdict="undecided", decided=False).to_parquet(folder / "trials.parquet")
    assert "ab 0% throughout, never wrongly; canary 0% throughout" in compare(folder).verdict


def test_a_baseline_that_a_point_lacks_is_not_replaced_there(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path, status="interrupted")
    trials = pd.read_parquet(folder / "trials.parquet")
    trials[(trials["point"] == 0) | (trials["policy"] != "canary")].to_parquet(folder / "trials.parquet")
    comparison = compare(folder, "canary")
    assert [point.baseline for point in comparison.points] == ["canary", None, None]
    assert comparison.points[1].policies[0].differences == {}


def test_points_that_the_run_does_not_have_are_refused(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path)
    pd.read_parquet(folder / "trials.parquet").assign(point=7).to_parquet(folder / "trials.parquet")
    with pytest.raises(InputError, match="point must be one of 0 to 2, got 7"):
        compare(folder)
    pd.read_parquet(folder / "trials.parquet").drop(columns="point").to_parquet(folder / "trials.parquet")
    with pytest.raises(InputError, match="lacks the columns point"):
        compare(folder)


def test_what_a_point_has_of_its_own_comes_before_what_is_shared(tmp_path: Path) -> None:
    own = [point.run for point in read_run(write_sweep(tmp_path, seed=1)).points]
    assert [(each.engine, each.digest, each.seed) for each in own] == [("aggregate", f"{at}" * 10, 1) for at in range(3)]


def test_rows_of_a_point_are_found_wherever_they_stand() -> None:
    for points in ([0, 0, 1, 1, 2], [1, 0, 2, 0, 1], [2, 2, 1], [0]):
        values = np.array(points)
        for place in range(3):
            assert np.arange(values.size)[_rows_of(values, place)].tolist() == np.flatnonzero(values == place).tolist()


def test_many_points_that_follow_each_other_are_told_by_their_ends(folder: Path) -> None:
    first = compare(folder).points[0]
    points = [replace(first, values=(f"{number}/s",)) for number in range(20)]
    assert _points_told(points, range(3, 17)) == "3/s to 16/s"
    assert _points_told(points, range(4)) == "0/s, 1/s, 2/s and 3/s"
    # With one of another choice between them, they are not the whole of what is between the ends.
    assert _points_told(points, [*range(9), *range(10, 20)]) == "0/s, 1/s, 2/s, 3/s and 15 more"
    grid = [replace(first, values=("a", f"{number}/s")) for number in range(20)]
    assert _points_told(grid, range(20)).endswith("16 more")
