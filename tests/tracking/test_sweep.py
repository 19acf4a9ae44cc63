"""A sweep in MLflow: a run with every policy's curve, and nested in it a run for each point, with its values as params."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient

from sim.compare.comparison import compare
from sim.compare.summary import write_summary
from sim.errors import InputError
from sim.tracking.entries import nested_entries, scenario_entry
from sim.tracking.folder import read_folder
from tests.compare.sweeps import changed, write_sweep
from tests.tracking.stores import here

PARAM = "sweep.truth.challenger.conversion.relative_effect"


def swept(path: Path, digest: str = "0123456789", second: tuple[str, ...] = ()) -> Path:
    folder = write_sweep(path, replications=40, second=second, digest=digest)
    write_summary(compare(folder), folder)
    return folder


def test_each_point_is_a_nested_run_with_its_value(tmp_path: Path, uri: str, mlflow: MlflowClient) -> None:
    folder = swept(tmp_path, "a-sweep-of-three")
    tracked = here(folder, uri)
    sweep = mlflow.get_run(tracked.run_id)
    assert sweep.data.tags["sim.kind"] == "sweep"
    assert (sweep.data.params["sweep"], sweep.data.params["points"]) == (PARAM.removeprefix("sweep."), "3")
    curve = {each.step: each.value for each in mlflow.get_metric_history(tracked.run_id, "sweep/ab/ship")}
    where = f"tags.`mlflow.parentRunId` = '{tracked.run_id}'"
    points = mlflow.search_runs([tracked.experiment_id], where, order_by=["tags.`sim.point`"])
    assert [point.info.run_name for point in points] == [f"relative_effect = {each}" for each in ("0%", "2%", "4%")]
    assert [point.data.params[PARAM] for point in points] == ["0", "0.02", "0.04"]
    assert {at: point.data.metrics["ab/ship"] for at, point in enumerate(points)} == curve
    assert not here(folder, uri).created
    assert len(mlflow.search_runs([tracked.experiment_id], where)) == 3


def test_a_grid_has_two_params(tmp_path: Path) -> None:
    first, *_ = nested_entries(read_folder(swept(tmp_path, second=("1", "2"))))
    assert first.name == "relative_effect = 0%, seed = 1"
    assert (first.params[PARAM], first.params["sweep.seed"]) == ("0", "1")


def test_a_point_that_is_not_finished_is_not_logged(tmp_path: Path) -> None:
    folder = swept(tmp_path)
    points = [each.model_dump() for each in read_folder(folder).record.sweep.points]  # type: ignore[union-attr]
    points[1]["run"]["completed"] = ["hold"]
    changed(folder, status="interrupted", sweep={"paths": ["x"], "points": points})
    found = read_folder(folder)
    assert [entry.tags["sim.point"] for entry in nested_entries(found)] == ["0", "2"]
    assert scenario_entry(found).tags["sim.status"] == "interrupted"


def test_a_comparison_of_other_points_is_refused(tmp_path: Path) -> None:
    folder = swept(tmp_path)
    points = [each.model_dump() for each in read_folder(folder).record.sweep.points]  # type: ignore[union-attr]
    changed(folder, sweep={"paths": ["x"], "points": points[:2]})
    with pytest.raises(InputError, match=r"must have the 2 points of run\.json, got 3"):
        read_folder(folder)
