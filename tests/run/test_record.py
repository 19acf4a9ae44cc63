"""`run.json`: whoever reads a run folder gets a whole record, or every problem of it before anything is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sim.errors import InputError
from sim.run.record import Record, read_run
from sim.tracking.folder import read_folder
from sim.workflow import report_run
from tests.compare.sweeps import write_sweep

POINT = {"values": ["0%"], "numbers": [0.0], "run": {}}


def point(**changes: Any) -> dict[str, Any]:
    return {"sweep": {"paths": ["seed"], "points": [{**POINT, **changes}]}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_sweep(tmp_path, effects=(0.0, 0.02), replications=20)


def changed(folder: Path, changes: dict[str, Any]) -> None:
    run = {**json.loads((folder / "run.json").read_text()), **changes}
    (folder / "run.json").write_text(json.dumps({key: value for key, value in run.items() if value != "missing"}))


def test_what_is_written_is_read_again(folder: Path) -> None:
    record = read_run(folder)
    assert Record.model_validate_json(json.dumps(record.to_dict())) == record
    assert [point.run.sweep for point in record.points] == [None, None]


def test_points_are_made_once_and_those_of_a_copy_are_its_own(folder: Path) -> None:
    record = read_run(folder)
    assert record.points is record.points
    copied = record.model_copy(update={"question": "Another?"})
    assert {point.run.question for point in copied.points} == {"Another?"}
    assert {point.run.question for point in record.points} == {record.question}
    assert record == read_run(folder)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"horizon_s": 0}, "horizon_s: is corrupt"),
        ({"horizon_s": -5.0}, "horizon_s: is corrupt"),
        ({"horizon_s": "soon"}, "horizon_s: is corrupt"),
        ({"horizon_s": float("nan")}, "horizon_s: is corrupt"),
        ({"tick_s": 0.0}, "tick_s: is corrupt"),
        ({"tick_s": 1e12}, "tick_s must not exceed horizon_s"),
        ({"replications": 0}, "replications: is corrupt"),
        ({"arms": ["champion"]}, "arms: is corrupt"),
        ({"arms": "champion"}, "arms: is corrupt"),
        ({"primary": {"name": "x", "sign": 0}}, "primary.sign: is corrupt"),
        ({"primary": "conversion"}, "primary: is corrupt"),
        ({"policies": []}, "policies: is corrupt"),
        ({"policies": [{"name": "ab"}]}, "policies[0].kind: is corrupt"),
        ({"policies": [{"name": "ab", "kind": "ab"}] * 2}, "policies must differ in their names"),
        ({"baseline": "nobody"}, "must name policies, got 'nobody'"),
        ({"baseline": None}, "baseline: is corrupt"),
        ({"completed": ["nobody"]}, "must name policies, got 'nobody'"),
        ({"completed": None}, "completed: is corrupt"),
        ({"status": "running"}, "status: is corrupt"),
        ({"started_at": "missing"}, "started_at: is corrupt"),
        ({"started_at": "2026-01-02T03:04:05"}, "started_at: is corrupt"),
        ({"started_at": "0001-01-01T00:00:00+14:00"}, "started_at: is corrupt"),
        ({"finished_at": "9999-12-31T23:59:59-14:00"}, "finished_at: is corrupt"),
        ({"requests_expected": None}, "requests_expected: is corrupt"),
        ({"smallest_effect": "little"}, "smallest_effect: is corrupt"),
        ({"thresholds": ["wrong_ship"]}, "thresholds: is corrupt"),
        ({"thresholds": {"wrong_ship": 5}}, "thresholds.wrong_ship: is corrupt"),
        ({"versions": [{"arm": "champion"}]}, "versions[0].uri: is corrupt"),
        ({"data": "digits"}, "data: is corrupt"),
        ({"sweep": {}}, "sweep.paths: is corrupt"),
        ({"sweep": {"paths": ["seed"], "points": []}}, "sweep.points: is corrupt"),
        (point(values=[]), "point 0 must have a value and a number for each of 1 paths"),
        (point(numbers=["many"]), "sweep.points[0].numbers[0]: is corrupt"),
        (point(run=None), "sweep.points[0].run: is corrupt"),
        (point(run={"horizon_s": "soon"}), "sweep.points[0].run: horizon_s: "),
        (point(run={"versions": "none"}), "sweep.points[0].run: versions: "),
        (point(run={"policies": [{"name": "ab", "kind": "ab"}], "baseline": "ab", "completed": []}), "must keep the policies"),
        (point(run={"sweep": {"paths": ["seed"], "points": [POINT]}}), "must keep the policies"),
    ],
)
def test_what_no_run_can_be_is_refused_by_all_before_anything_is_written(
    folder: Path, changes: dict[str, Any], told: str
) -> None:
    changed(folder, changes)
    for reader in (read_run, report_run, read_folder):
        with pytest.raises(InputError) as caught:
            reader(folder)
        assert told in str(caught.value)
        assert str(caught.value).startswith(f"{folder / 'run.json'}")
    assert not (folder / "summary.json").exists()
