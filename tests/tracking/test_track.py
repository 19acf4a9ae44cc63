"""A run folder becomes a run with nested runs, once, whatever happened before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mlflow import MlflowClient

from sim.errors import FileError, InputError, TrackingError
from sim.registry import store
from sim.registry.behaviour import ModelsFile
from sim.registry.register import register
from sim.registry.versions import resolve
from sim.tracking.log import Logged
from sim.tracking.track import track
from tests.tracking.folders import write_folder
from tests.tracking.stores import children, closed_port, here

START_MS, END_MS = 1767323045678, 1767323105678


@pytest.fixture
def digest(request: pytest.FixtureRequest) -> str:
    """A digest of the test's own, for all share one store."""
    return f"{request.node.name}"[:100].replace("[", "-").replace("]", "")


def marker(folder: Path) -> dict[str, object]:
    return dict(json.loads((folder / "tracking.json").read_text()))


def test_a_finished_run(tmp_path: Path, uri: str, mlflow: MlflowClient, digest: str) -> None:
    folder = write_folder(tmp_path, digest=digest, ticks=2016, chosen="canary")
    tracked = track(folder, tracking_uri=uri, timeout_s=600)
    assert tracked.created
    assert tracked.url_or_hint == f"mlflow ui --backend-store-uri {uri}"
    run = mlflow.get_run(tracked.run_id)
    assert (run.info.run_name, run.info.status) == ("checkout-ranker", "FINISHED")
    assert (run.info.start_time, run.info.end_time) == (START_MS, END_MS)
    assert run.data.params["seed"] == "7"
    assert run.data.metrics == {"wrong_ship": 1.25}
    assert run.data.tags["sim.arm.challenger.model"] == "ranker"
    assert {file.path for file in mlflow.list_artifacts(tracked.run_id)} == {
        "run.json", "scenario.yaml", "summary.json", "trials.parquet", "timeline.parquet", "report.html",
    }  # fmt: skip
    assert [each.dataset.name for each in run.inputs.dataset_inputs] == ["checkout-ranker traffic"]

    canary, hold = children(mlflow, tracked.run_id)
    assert (canary.info.run_name, hold.info.run_name) == ("canary", "hold")
    assert {canary.info.status, hold.info.status} == {"FINISHED"}
    assert canary.data.metrics["wrong_ship"] == 1.25
    history = mlflow.get_metric_history(canary.info.run_id, "over hours/regret")
    assert [point.step for point in history][:2] == [1, 3]
    assert len(history) == 200
    assert {point.timestamp for point in history} == {START_MS}
    assert not mlflow.list_artifacts(canary.info.run_id)
    assert marker(folder)["complete"] is True
    assert marker(folder)["run_id"] == tracked.run_id


def test_again_adds_nothing(tmp_path: Path, uri: str, mlflow: MlflowClient, digest: str) -> None:
    folder = write_folder(tmp_path, digest=digest)
    first = here(folder, uri)
    before = children(mlflow, first.run_id)
    again = here(folder, uri)
    assert (again.run_id, again.created) == (first.run_id, False)
    after = children(mlflow, first.run_id)
    assert [run.to_dictionary() for run in after] == [run.to_dictionary() for run in before]


def test_a_run_that_was_left_half_logged_is_completed(
    tmp_path: Path, uri: str, mlflow: MlflowClient, digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_folder(tmp_path, digest=digest)
    log_batch, calls = MlflowClient.log_batch, 0

    def failing(*args: object, **keywords: object) -> object:
        nonlocal calls
        calls += 1
        if calls >= 2:
            raise ConnectionResetError("gone")
        return log_batch(*args, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(MlflowClient, "log_batch", failing)
    with pytest.raises(TrackingError, match="gone"):
        here(folder, uri)
    monkeypatch.undo()
    tracked = here(folder, uri)
    assert not tracked.created
    canary, hold = children(mlflow, tracked.run_id)
    for run in (canary, hold):
        assert run.info.status == "FINISHED"
        assert len(mlflow.get_metric_history(run.info.run_id, "over hours/decided")) == 5
    assert mlflow.get_run(tracked.run_id).info.status == "FINISHED"


def test_a_comparison_made_anew_corrects_what_was_logged(tmp_path: Path, uri: str, mlflow: MlflowClient, digest: str) -> None:
    folder = write_folder(tmp_path, digest=digest, chosen="canary")
    tracked = here(folder, uri)
    summary = json.loads((folder / "summary.json").read_text())
    summary["points"][0]["policies"][1]["measures"]["wrong_ship"]["estimate"] = 0.125
    (folder / "summary.json").write_text(json.dumps(summary))
    for _ in range(2):
        assert here(folder, uri).run_id == tracked.run_id
    canary, _ = children(mlflow, tracked.run_id)
    assert canary.data.metrics["wrong_ship"] == 0.125
    assert mlflow.get_run(tracked.run_id).data.metrics["wrong_ship"] == 0.125
    assert len(mlflow.get_metric_history(canary.info.run_id, "wrong_ship")) == 2


def test_an_interrupted_run_is_killed_and_completed_when_it_goes_on(
    tmp_path: Path, uri: str, mlflow: MlflowClient, digest: str
) -> None:
    folder = write_folder(tmp_path, completed=["hold"], digest=digest)
    tracked = here(folder, uri)
    assert mlflow.get_run(tracked.run_id).info.status == "KILLED"
    assert [run.info.run_name for run in children(mlflow, tracked.run_id)] == ["hold"]
    write_folder(tmp_path, digest=digest)
    assert here(folder, uri).run_id == tracked.run_id
    assert mlflow.get_run(tracked.run_id).info.status == "FINISHED"
    assert [run.info.run_name for run in children(mlflow, tracked.run_id)] == ["canary", "hold"]


def test_another_run_of_the_scenario_is_another(tmp_path: Path, uri: str, digest: str) -> None:
    first = here(write_folder(tmp_path, digest=digest), uri)
    write_folder(tmp_path, digest=digest, started_at="2026-01-03T00:00:00Z", finished_at="2026-01-03T00:01:00Z")
    second = here(tmp_path, uri)
    assert second.created
    assert second.run_id != first.run_id


def test_the_experiment_is_the_one_named(
    tmp_path: Path, uri: str, mlflow: MlflowClient, digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_folder(tmp_path, digest=digest)

    def name(tracked: Logged) -> str:
        return str(mlflow.get_experiment(tracked.experiment_id).name)

    assert name(here(folder, uri, "ranking")) == "ranking"
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "team")
    assert name(here(folder, uri)) == "ranking", "it is there already, and nobody asked for another place"
    assert name(here(folder, uri, "team")) == "team"
    assert name(here(write_folder(tmp_path / "new", digest=f"{digest}-new"), uri)) == "team"


def test_inside_mlflow_run_the_run_is_the_one_that_it_made(
    tmp_path: Path, uri: str, mlflow: MlflowClient, digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = mlflow.create_run(store.experiment(mlflow, "project"), run_name="by mlflow run")
    mlflow.log_param(made.info.run_id, "seed", "written by mlflow run")
    monkeypatch.setenv("MLFLOW_RUN_ID", made.info.run_id)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    tracked = here(write_folder(tmp_path / "one", digest=digest), uri)
    assert (tracked.run_id, tracked.experiment_id, tracked.created) == (made.info.run_id, made.info.experiment_id, False)
    run = mlflow.get_run(tracked.run_id)
    assert (run.info.status, run.data.params["seed"]) == ("RUNNING", "written by mlflow run")
    assert [run.info.run_name for run in children(mlflow, tracked.run_id)] == ["canary", "hold"]

    other = here(write_folder(tmp_path / "two", digest=f"{digest}-2"), uri)
    assert other.created
    assert mlflow.get_run(other.run_id).data.tags["mlflow.parentRunId"] == made.info.run_id


def test_a_run_of_the_environment_that_is_not_there_is_named(
    tmp_path: Path, uri: str, digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_RUN_ID", "ab" * 16)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(TrackingError, match="MLFLOW_RUN_ID names the run 'abab"):
        here(write_folder(tmp_path / "run", digest=digest), uri)
    # It is no run of another store.
    assert here(tmp_path / "run", f"sqlite:///{tmp_path / 'other.db'}").created


def test_versions_and_data_are_linked(tmp_path: Path, uri: str, mlflow: MlflowClient, digest: str) -> None:
    file = ModelsFile.model_validate(
        {
            "model": "linked",
            "versions": [
                {"alias": "champion", "outcomes": {"conversion": {"bernoulli": "5%"}}, "latency": {"constant": "45ms"}},
            ],
        }
    )
    register(file, mlflow)
    (version,) = resolve([("champion", "models:/linked@champion")], mlflow)
    record = {"arm": "champion", "uri": version.uri, "name": "linked", "version": "1", "model_id": version.model_id}
    elsewhere = {**record, "arm": "challenger", "model_id": "m-" + "0" * 32}
    wrong = {**record, "arm": "wrong", "model_id": "../../users"}
    data = {"name": "digits", "digest": "cd" * 32, "rows": 719}
    folder = write_folder(tmp_path, digest=digest, versions=[record, elsewhere, wrong], data=data)
    run = mlflow.get_run(here(folder, uri).run_id)
    assert [each.model_id for each in run.inputs.model_inputs] == [version.model_id]
    assert run.data.tags["sim.arm.champion.model_id"] == version.model_id
    assert {each.dataset.name for each in run.inputs.dataset_inputs} == {"checkout-ranker traffic", "digits"}


def test_names_from_outside_reach_no_path(tmp_path: Path, uri: str, mlflow: MlflowClient, digest: str) -> None:
    names = ("../../escape", "a'b`c\\", "x" * 1000)
    tracked = here(write_folder(tmp_path, names, digest=digest, name="../up"), uri)
    assert {run.data.tags["sim.policy"] for run in children(mlflow, tracked.run_id)} == set(names)
    assert here(tmp_path, uri).created is False


def test_a_wrong_folder_asks_no_store(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a run folder"):
        track(tmp_path, tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert not (tmp_path / "mlflow.db").exists()


def test_an_unreachable_server_leaves_the_folder_to_be_logged_later(
    tmp_path: Path, uri: str, monkeypatch: pytest.MonkeyPatch, digest: str
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    folder = write_folder(tmp_path, digest=digest)
    with pytest.raises(TrackingError) as caught:
        track(folder, tracking_uri=f"http://ann:secret@127.0.0.1:{closed_port()}")
    assert "cannot be reached" in str(caught.value)
    assert f"sim track {folder}" in str(caught.value)
    assert "secret" not in str(caught.value) + (folder / "tracking.json").read_text()
    assert marker(folder)["complete"] is False
    assert track(folder, tracking_uri=uri, timeout_s=600).created
    assert marker(folder)["complete"] is True


def test_a_folder_that_takes_no_marker_is_logged_all_the_same(
    tmp_path: Path, uri: str, digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise FileError("tracking.json: cannot be written: read-only")

    monkeypatch.setattr("sim.tracking.marker.write_json", refuse)
    assert track(write_folder(tmp_path, digest=digest), tracking_uri=uri, timeout_s=600).created
    assert not (tmp_path / "tracking.json").exists()


def test_artifacts_that_cannot_be_written_are_said_in_plain_words(
    tmp_path: Path, uri: str, mlflow: MlflowClient, digest: str
) -> None:
    (tmp_path / "file").write_text("in the way")
    mlflow.create_experiment(digest, artifact_location=(tmp_path / "file" / "artifacts").as_uri())
    with pytest.raises(TrackingError, match="the artifacts cannot be written to"):
        here(write_folder(tmp_path / "run", digest=digest), uri, digest)
