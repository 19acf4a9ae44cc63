"""Metrics whose mean is 0 for the champion: no effect is relative to that, and the run says what it can."""

from __future__ import annotations

import json
from pathlib import Path

from sim.cli import main
from tests.end_to_end.conftest import SMALL
from tests.end_to_end.test_command_line import folder_in, run

MODELS = """\
model: centred
versions:
  - alias: champion
    outcomes: {profit: {normal: {mean: 0, sd: 1}}}
    latency: {lognormal: {median: 45ms, p99: 180ms}}
    error_rate: 0.1%
  - alias: challenger
    outcomes: {profit: {normal: {mean: 0.1, sd: 1}}}
    latency: {lognormal: {median: 45ms, p99: 180ms}}
    error_rate: 0.1%
"""


def test_a_champion_with_a_mean_of_zero_is_played_and_reported(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    (tmp_path / "models.yaml").write_text(MODELS)
    assert main(["models", "register", str(tmp_path / "models.yaml"), "--tracking-uri", store]) == 0
    file = tmp_path / "centred.yaml"
    file.write_text(SMALL.replace("checkout-ranker", "centred").replace("name: conversion", "name: profit"))
    assert run(store, tmp_path, file, "--no-tracking") == 0
    summary = json.loads((folder_in(tmp_path) / "summary.json").read_text())
    (ab,) = (each["measures"] for each in summary["points"][0]["policies"] if each["policy"] == "ab")
    assert ab["ship"]["estimate"] > 0.9
    assert (ab["exaggeration"]["n"], ab["wrong_sign"]["n"], ab["effect_coverage"]["n"]) == (0, 0, 0)
