"""A sweep, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from sim.cli import main
from tests.end_to_end.conftest import SMALL
from tests.end_to_end.test_command_line import folder_in, run
from tests.logged_here import logged_here as logged_here

pytestmark = pytest.mark.drawn

SWEEP = """\
truth: {challenger: {conversion: {relative_effect: 0%}}}
sweep: {truth.challenger.conversion.relative_effect: [0%, 20%]}
thresholds: {ab.ship: "> 50%"}
"""


@pytest.fixture
def swept(tmp_path: Path) -> Path:
    file = tmp_path / "swept.yaml"
    file.write_text(SMALL + SWEEP)
    return file


def test_check_shows_the_points(swept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(swept)]) == 0
    assert "  sweep of truth.challenger.conversion.relative_effect: 0%, 20%" in capsys.readouterr().out


def test_a_sweep_is_run_reported_and_tracked(
    store: str, swept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(store, tmp_path, swept, "--display", "plain") == 3
    told = capsys.readouterr()
    assert "threshold breached: ab.ship at 0%" in told.err
    assert "ab.ship at 20%" not in told.err
    assert "mlflow: " in told.out
    folder = folder_in(tmp_path)
    trials = pd.read_parquet(folder / "trials.parquet")
    assert len(trials) == 2 * 3 * 40
    power = trials[trials["policy"] == "ab"].groupby("point")["verdict"].agg(lambda each: (each == "ship").mean())
    assert power[0] < 0.2 < 0.8 < power[1]
    assert len(json.loads((folder / "summary.json").read_text())["points"]) == 2
    assert main(["report", str(folder), "--baseline", "hold", "--display", "plain"]) == 0
    assert main(["track", str(folder), "--tracking-uri", store]) == 0
    capsys.readouterr()
    again = tmp_path / "again"
    assert run(store, again, folder / "scenario.yaml", "--no-tracking") == 3
    assert folder_in(again).name == folder.name
    pd.testing.assert_frame_equal(trials, pd.read_parquet(folder_in(again) / "trials.parquet"))


def test_what_the_registry_refuses_at_a_point_names_the_point(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "wrong.yaml"
    versions = '\n  models[1].uri: ["models:/checkout-ranker/2", "models:/checkout-ranker/99"]\n'
    file.write_text(SMALL + f"sweep:{versions}")
    assert run(store, tmp_path, file) == 2
    told = capsys.readouterr().err
    line = len(SMALL.splitlines()) + 2
    assert f"wrong.yaml:{line}:48 models[1].uri: " in told
    assert "in the sweep at models:/checkout-ranker/99" in told
    assert not (tmp_path / "reports").exists() or not list((tmp_path / "reports").glob("small-*"))


def test_nothing_of_a_sweep_stands_in_the_files_of_a_run_without_one(store: str, small: Path, tmp_path: Path) -> None:
    assert run(store, tmp_path, small, "--no-tracking") == 0
    folder = folder_in(tmp_path)
    trials = pd.read_parquet(folder / "trials.parquet")
    assert trials.columns[0] == "policy"
    for name in ("run.json", "summary.json", "scenario.yaml", "report.html"):
        assert "sweep" not in (folder / name).read_text()
