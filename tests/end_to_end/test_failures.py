"""A challenger that converts more and fails more, from a file: analysed by request it is not shipped, by success it is."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from sim.cli import main

MODELS = """\
model: brittle-ranker
versions:
  - {alias: champion, outcomes: {conversion: {bernoulli: 5%}}, latency: {constant: 50ms}, error_rate: 0.1%}
  - {alias: challenger, outcomes: {conversion: {bernoulli: 5.2%}}, latency: {constant: 50ms}, error_rate: 8%}
"""
SCENARIO = """\
name: brittle
seed: 3
replications: 100
horizon: 7d
tick: 1h
aa: false
traffic: {rate: 10/s}
models:
  - {arm: champion, uri: "models:/brittle-ranker@champion"}
  - {arm: challenger, uri: "models:/brittle-ranker@challenger"}
metrics: [{name: conversion, role: primary}]
analysis: requests
policies: [{name: ab, kind: ab, evidence: {kind: fixed_horizon, mde: 4%}}]
"""
WARNING = "outcomes of requests that fail are left out"


@pytest.fixture(scope="module")
def brittle(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URI of a store with a challenger that fails."""
    folder = tmp_path_factory.mktemp("brittle")
    (folder / "models.yaml").write_text(MODELS)
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    assert main(["models", "register", str(folder / "models.yaml"), "--tracking-uri", uri]) == 0
    return uri


@pytest.mark.parametrize("engine", ["aggregate", "compiled"])
def test_what_fails_more_is_shipped_only_if_failures_are_left_out(
    brittle: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], engine: str
) -> None:
    # What a request earns: +4% of 92%, where the champion answers 99.9%.
    truly = 1.04 * 0.92 / 0.999 - 1
    file = tmp_path / "brittle.yaml"
    file.write_text(SCENARIO if engine == "aggregate" else SCENARIO.replace("100\n", "12\n").replace("7d", "4d"))
    file.write_text(f"engine: {engine}\nsweep: {{analysis: [requests, successes]}}\n{file.read_text()}")
    command = ["run", str(file), "--registry-uri", brittle, "--no-tracking", "--quiet", "--reports", str(tmp_path)]
    assert main(command) == 0
    assert capsys.readouterr().err.count(WARNING) == 1
    (folder,) = (path.parent for path in tmp_path.glob("*/run.json"))
    trials = pd.read_parquet(folder / "trials.parquet")
    by = {point: of for point, of in trials.groupby("point")}
    assert len(by) == 2
    requests, successes = by[0], by[1]
    assert requests["best_effect"].to_numpy() == pytest.approx(truly)
    assert successes["best_effect"].to_numpy() == pytest.approx(truly)
    assert requests["effect_true"].to_numpy() == pytest.approx(truly)
    assert successes["effect_true"].to_numpy() == pytest.approx(0.04)
    # The estimates are of what is true of them: within four standard errors of their mean.
    for trial in (requests, successes):
        error = trial["effect_estimate"] - trial["effect_true"]
        assert abs(error.mean()) < 4 * trial["effect_se"].mean() / len(trial) ** 0.5
    shipped = requests["verdict"].eq("ship").mean(), successes["verdict"].eq("ship").mean()
    assert shipped[0] == 0
    assert requests["verdict"].eq("keep").mean() > 0.5
    # 80% by plan; four standard errors of 12 or 100 trials.
    assert abs(shipped[1] - 0.8) < 4 * (0.16 / len(successes)) ** 0.5


def test_leaving_failures_out_is_warned_of_at_its_line(
    brittle: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "brittle.yaml"
    check = ["check", str(file), "--registry-uri", brittle]
    file.write_text(SCENARIO)
    assert main(check) == 0
    assert "warning" not in capsys.readouterr().err
    file.write_text(SCENARIO.replace("analysis: requests", "analysis: successes"))
    assert main(check) == 0
    error = capsys.readouterr().err
    assert f"{file}:12:11 analysis: {WARNING}" in error
    assert "use analysis: requests" in error
    file.write_text(SCENARIO.replace("analysis: requests", "analysis: answers"))
    assert main(check) == 2
    error = capsys.readouterr().err
    assert f"{file}:12:" in error
    assert "must be one of requests, successes; got 'answers'" in error


def test_a_worth_that_monitoring_cannot_count_is_warned_of_at_its_line(
    brittle: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "brittle.yaml"
    file.write_text(SCENARIO.replace("role: primary", "role: primary, failure: {worth: -3}"))
    assert main(["check", str(file), "--registry-uri", brittle]) == 0
    error = capsys.readouterr().err
    assert f"{file}:11:" in error
    assert "metrics[0].failure.worth: monitoring counts a failed request as 0, as conversion is 0 or 1" in error
