"""What is told of a world once its models are known: at its line, before anything is played."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sim.cli import main
from tests.end_to_end.conftest import SMALL

LINES = len(SMALL.splitlines())


def run(store: str, tmp_path: Path, text: str) -> int:
    file = tmp_path / "small.yaml"
    file.write_text(text)
    return main(["run", str(file), "--reports", str(tmp_path / "reports"), "--tracking-uri", store, "--no-tracking", "--quiet"])


def test_a_pool_that_cannot_keep_up_is_a_warning_at_its_line(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = SMALL.replace("replications: 40", "replications: 2").replace("rate: 2/s", "rate: 1/s")
    text = few + "capacity:\n  challenger: {replicas: 1, queue: 10}\ntimeline:\n  - {kind: slowdown, arm: challenger, "
    assert run(store, tmp_path, text + "at: 6h, duration: 1h, factor: 100}\n") == 0
    said = f"small.yaml:{LINES + 2}:15 capacity.challenger: if challenger serves all traffic, offered load reaches "
    warned = capsys.readouterr().err
    assert f"sim: warning: {tmp_path}/{said}" in warned
    assert "of capacity, and is above it for 1h of 1d (peak at 06:00)" in warned
    (folder,) = (each for each in (tmp_path / "reports").iterdir() if not each.name.startswith("."))
    (kept,) = json.loads((folder / "run.json").read_text())["warnings"]
    assert said in kept


def test_a_change_that_no_model_can_follow_is_refused_at_its_line(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = SMALL + "timeline:\n  - {kind: drift, arm: challenger, metric: conversion, to: 5000%}\n"
    assert run(store, tmp_path, text) == 2
    assert f"small.yaml:{LINES + 1}:1 timeline: takes conversion of challenger to " in capsys.readouterr().err
    assert not (tmp_path / "reports").exists() or not any(
        not each.name.startswith(".") for each in (tmp_path / "reports").iterdir()
    )
