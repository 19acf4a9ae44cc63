"""The verbs, as a user types them: what they print, what they leave, and their exit codes."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from sim.cli import main
from tests.end_to_end.conftest import ROOT, SMALL


def run(store: str, tmp_path: Path, file: Path, *more: str) -> int:
    return main(["run", str(file), "--reports", str(tmp_path / "reports"), "--tracking-uri", store, "--quiet", *more])


def folder_in(tmp_path: Path) -> Path:
    (folder,) = (each for each in (tmp_path / "reports").iterdir() if not each.name.startswith("."))
    return folder


def test_a_run_leaves_a_folder_and_an_mlflow_run(
    store: str, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from mlflow import MlflowClient

    assert run(store, tmp_path, small, "--display", "plain") == 0
    out = capsys.readouterr().out
    assert "canary" in out
    assert "report: " in out
    folder = folder_in(tmp_path)
    left = {file.name for file in folder.iterdir()}
    assert {"scenario.yaml", "trials.parquet", "summary.json", "timeline.parquet", "report.html", "run.json"} <= left
    assert len(pd.read_parquet(folder / "trials.parquet")) == 3 * 40
    run_id = next(line for line in out.splitlines() if line.startswith("mlflow: ")).split(" run ")[1].split()[0]
    logged = MlflowClient(store).get_run(run_id)
    assert logged.info.status == "FINISHED"
    assert main(["track", str(folder), "--tracking-uri", store]) == 0
    assert "was there already" in capsys.readouterr().out
    assert main(["report", str(folder), "--baseline", "hold", "--display", "plain"]) == 0
    assert json.loads((folder / "summary.json").read_text())["run"]["baseline"] in ("hold", "ab")


def test_the_resolved_scenario_gives_the_same_trials(store: str, small: Path, tmp_path: Path) -> None:
    assert run(store, tmp_path, small, "--no-tracking") == 0
    folder = folder_in(tmp_path)
    first = pd.read_parquet(folder / "trials.parquet")
    again = tmp_path / "again"
    assert run(store, again, folder / "scenario.yaml", "--no-tracking") == 0
    pd.testing.assert_frame_equal(first, pd.read_parquet(folder_in(again) / "trials.parquet"))


def test_a_breached_threshold_exits_3(store: str, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small.write_text(SMALL + "thresholds: {canary.undecided: '> 50%'}\n")
    assert run(store, tmp_path, small, "--no-tracking") == 3
    assert "canary" in capsys.readouterr().err


@pytest.mark.faults
def test_an_unreachable_server_exits_4_and_the_results_are_saved(
    store: str, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reports = str(tmp_path / "reports")
    down = ["--tracking-uri", "http://127.0.0.1:9", "--registry-uri", store]
    assert main(["run", str(small), "--reports", reports, "--quiet", *down]) == 4
    assert "sim track" in capsys.readouterr().err
    assert (folder_in(tmp_path) / "report.html").exists()
    assert main(["track", str(folder_in(tmp_path)), "--tracking-uri", store]) == 0


def test_a_registry_that_is_named_wins_over_that_of_the_environment(
    store: str, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loading a registered model runs its code: it comes from where the user said."""
    other = tmp_path / "other.db"
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", f"sqlite:///{other}")
    assert run(store, tmp_path, small, "--no-tracking") == 2
    assert run(store, tmp_path, small, "--no-tracking", "--registry-uri", store) == 0
    assert not other.exists()


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("models:/checkout-ranker@champion", "models:/checkout-rankr@champion", 9, "did you mean"),
        ("models:/checkout-ranker@challenger", "models:/checkout-ranker@chalenger", 10, "no alias"),
        ("split: [50%, 50%]", "split: [50%, 60%]", 16, "must sum to 100%"),
        ("tick: 30m", "tick: 2d", 6, "must not exceed the horizon"),
        ("name: conversion", "name: conversions", 12, "no model"),
        ("baseline: ab", "baseline: a", 21, "no policy 'a'"),
        ("kind: hold", "kind: holt", 15, "did you mean 'hold'"),
        ("min_requests: 50", "min_request: 50", 20, "did you mean 'min_requests'"),
        ("horizon: 1d", "horizon: 1", 5, "write a unit"),
        ("seed: 3", "seed: 3\nseed: 4", 4, "duplicate key"),
        ("max: 1%, trip", "max: 1%, every: 45m, trip", 20, "whole number of ticks"),
        ("sample: 20000", "mde: 2000%", 16, "mde"),
        ("  - {name: hold, kind: hold}", "  - {name: hold, kind: stages, stages: [ab, nowhere]}", 15, "no policy 'nowhere'"),
    ],
)  # fmt: skip
def test_bad_input_is_named_at_its_line_and_leaves_nothing(
    store: str, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, line: int, says: str
) -> None:
    assert old in SMALL
    small.write_text(SMALL.replace(old, new, 1))
    assert run(store, tmp_path, small) == 2
    err = capsys.readouterr().err
    assert f"small.yaml:{line}:" in err
    assert says in err
    assert "Traceback" not in err
    assert not (tmp_path / "reports").exists() or not any(
        not each.name.startswith(".") for each in (tmp_path / "reports").iterdir()
    )


DIGITS = """\
name: digits
replications: 5
horizon: 1d
tick: 1h
traffic: {rate: 10/m}
models:
  - {arm: champion, uri: "models:/digits@champion"}
  - {arm: challenger, uri: "models:/digits@challenger"}
data: DATA
metrics:
  - {name: accuracy, role: primary, reward: correct}
policies:
  - {name: ab, kind: ab, evidence: {kind: fixed_horizon, mde: 5%}}
"""


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("{file: missing.csv}", "missing.csv"),
        ("{file: other.csv}", "pixel"),
        ("{sklearn: digits, target: label}", "label"),
    ],
)
def test_data_that_does_not_fit_is_named(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], data: str, says: str
) -> None:
    (tmp_path / "other.csv").write_text("a,target\n1,2\n3,4\n")
    file = tmp_path / "digits.yaml"
    file.write_text(DIGITS.replace("DATA", data))
    assert run(store, tmp_path, file) == 2
    err = capsys.readouterr().err
    assert "digits.yaml:9:" in err
    assert says in err


def test_real_models_are_replayed(store: str, tmp_path: Path) -> None:
    file = tmp_path / "digits.yaml"
    file.write_text(DIGITS.replace("DATA", "{sklearn: digits}"))
    assert run(store, tmp_path, file, "--no-tracking") == 0
    trials = pd.read_parquet(folder_in(tmp_path) / "trials.parquet")
    assert (trials["best_arm"] == "challenger").all()
    assert json.loads((folder_in(tmp_path) / "run.json").read_text())["data"]["rows"] > 500


def test_all_examples_pass_the_check(capsys: pytest.CaptureFixture[str]) -> None:
    files = sorted(str(file) for file in (ROOT / "scenarios").glob("*.yaml"))
    assert len(files) >= 6
    assert main(["check", *files]) == 0
    assert capsys.readouterr().out.count(": ok") == len(files)


def test_every_problem_of_every_file_is_shown_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in (1, 2):
        (tmp_path / f"{number}.yaml").write_text(SMALL.replace("tick: 30m", "tick: soon").replace("hold}", "hodl}"))
    assert main(["check", str(tmp_path / "1.yaml"), str(tmp_path / "2.yaml")]) == 2
    err = capsys.readouterr().err
    for number in (1, 2):
        assert f"{number}.yaml:6:" in err
        assert f"{number}.yaml:15:" in err


def test_a_uri_that_names_no_version_is_refused_without_a_registry(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small.write_text(SMALL.replace("models:/checkout-ranker@champion", "runs:/0123456789abcdef/model"))
    assert main(["check", str(small)]) == 2
    assert "small.yaml:9:" in (err := capsys.readouterr().err)
    assert "models[0].uri: must be models:/NAME@ALIAS or models:/NAME/VERSION" in err


def test_a_refused_run_makes_no_store(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path, small) == 2
    err = capsys.readouterr().err
    for line in (9, 10):
        assert f"small.yaml:{line}:" in err
    assert "no model 'checkout-ranker' in the registry; the registry is empty: 'sim models register checkout'" in err
    assert "`" not in err
    assert [file.name for file in tmp_path.iterdir()] == ["small.yaml"]


def test_a_terminal_that_lacks_a_letter_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", shown)
    assert main(["verify", "--quiet", "--only", "queues.mm4", "--json", str(tmp_path / "found.json")]) == 0
    shown.seek(0)
    assert " ? = " in shown.read()
    assert (tmp_path / "found.json").exists()


def test_a_billion_laughs_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    levels = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 10))
    (tmp_path / "laughs.yaml").write_text(f"l0: &l0 [ha]\n{levels}\n")
    assert main(["check", str(tmp_path / "laughs.yaml")]) == 2
    assert "laughs.yaml:" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="sends a POSIX signal")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.faults
def test_an_interrupt_exits_130_and_marks_the_runs_killed(
    store: str, small: Path, tmp_path: Path, sent: signal.Signals
) -> None:
    from mlflow import MlflowClient

    text = SMALL.replace("replications: 40", "replications: 6000").replace("tick: 30m", "tick: 1m")
    small.write_text(text + "sensitivity: off\n")
    command = [sys.executable, "-m", "sim", "run", str(small), "--reports", str(tmp_path / "reports"), "--workers", "2"]
    process = subprocess.Popen(
        [*command, "--tracking-uri", store, "--experiment", f"ended by {sent.name}", "--display", "plain"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        # A shell lets what it starts in the background ignore interrupts, and a test started there hands that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    deadline = time.monotonic() + 300
    try:
        # Each policy has six blocks, and is played after the one before. Once the second has its third, the first is finished.
        while not list((tmp_path / "reports").glob("*/.checkpoint/0.1-*.2000-*")):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, "no checkpoint of the second policy"
            time.sleep(0.05)
        process.send_signal(sent)
        _out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert "run again to go on" in err
    assert "Traceback" not in err
    assert json.loads((folder_in(tmp_path) / "run.json").read_text())["completed"] == ["hold"]
    client = MlflowClient(store)
    experiment = client.get_experiment_by_name(f"ended by {sent.name}")
    statuses = {run.data.tags["mlflow.runName"]: run.info.status for run in client.search_runs([experiment.experiment_id])}
    assert statuses["small"] == "KILLED"
    assert "RUNNING" not in statuses.values()
    again = subprocess.run(
        [*command, "--registry-uri", store, "--no-tracking", "--display", "none"],
        capture_output=True, text=True, cwd=ROOT, timeout=300, check=False,
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    assert re.search(r"going on: \d+ of 18 parts were played before", again.stderr)
