"""Log a run folder to MLflow: a run for the scenario, nested runs for its policies or points. Logging again adds nothing."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sim.errors import TrackingError
from sim.registry import store
from sim.tracking import inputs
from sim.tracking.entries import KEY, LOGGED, Entry, nested_entries, scenario_entry
from sim.tracking.folder import RunFolder, read_folder
from sim.tracking.marker import Marker, read_marker, write_marker

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

EXPERIMENT = "rollout-simulations"
"""The default experiment."""

_PARENT = "mlflow.parentRunId"
# MLflow's limits for one request: metrics; params, and as many tags.
_METRICS, _SETTINGS = 1000, 100


@dataclass(frozen=True)
class Tracked:
    """Where a run folder was logged.

    `url_or_hint` is the run's page on a server, else a command that shows it; without a password. `created` is true if
    the scenario's run is new.
    """

    run_id: str
    tracking_uri: str
    experiment_id: str
    url_or_hint: str
    created: bool


def track(folder: Path, *, tracking_uri: str | None = None, experiment: str | None = None) -> Tracked:
    """Log one finished or interrupted run folder. Runs that are logged already are found and completed.

    `tracking_uri` is the URI of a store or server, `registry.store.default_uri()` if left out. The experiment is
    `experiment`, else the one that the folder was logged to before, else that of MLFLOW_EXPERIMENT_NAME or
    MLFLOW_EXPERIMENT_ID, else `EXPERIMENT`. Inside `mlflow run`, the scenario is logged to the run that MLFLOW_RUN_ID names; if
    that run records another folder already, it becomes the parent. A policy that did not run to its end is not logged.

    Raises `InputError` if the folder is no run folder or a file in it cannot be read. Raises `TrackingError`, with how to
    log the folder later, if the store cannot be reached or refuses.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as empty:
    ...     track(Path(empty))
    Traceback (most recent call last):
    sim.errors.InputError: ...: is not a run folder: it has no run.json
    """
    run_folder = read_folder(folder)
    parent, nested = scenario_entry(run_folder), nested_entries(run_folder)
    uri = tracking_uri or store.default_uri()
    shown = store.shown(uri)
    marker = read_marker(folder)
    if marker is None or (marker.key, marker.tracking_uri) != (parent.key, shown):
        marker = Marker(key=parent.key, tracking_uri=shown)
    try:
        client = store.client(uri, uri)
        with store.reaching(client):
            run, created = _parent(client, parent, run_folder, experiment, marker)
            run_id, experiment_id = str(run.info.run_id), str(run.info.experiment_id)
            marker = Marker(key=parent.key, tracking_uri=shown, experiment_id=experiment_id, run_id=run_id)
            if run.data.tags.get(LOGGED) != run_folder.fingerprint:
                write_marker(folder, marker)
                _log_all(client, run, parent, nested, run_folder)
    except TrackingError as error:
        write_marker(folder, marker.model_copy(update={"complete": False, "logged_at": None}))
        later = f"the results in {folder} are safe; to log them later: sim track {folder}"
        raise TrackingError(f"{error}\n{later}") from error
    logged_at = datetime.now(UTC).isoformat(timespec="seconds")
    write_marker(folder, marker.model_copy(update={"complete": True, "logged_at": logged_at}))
    return Tracked(run_id, shown, experiment_id, _where(shown, experiment_id, run_id), created)


def _where(shown: str, experiment_id: str, run_id: str) -> str:
    """The address of a run's page, or the command that shows it.

    >>> _where("http://mlflow.example.org/", "1", "ab")
    'http://mlflow.example.org/#/experiments/1/runs/ab'
    >>> _where("sqlite:////team/mlflow.db", "1", "ab")
    'mlflow ui --backend-store-uri sqlite:////team/mlflow.db'
    """
    if shown.startswith(("http://", "https://")):
        return f"{shown.rstrip('/')}/#/experiments/{experiment_id}/runs/{run_id}"
    return f"mlflow ui --backend-store-uri {shown}"


def _parent(client: MlflowClient, entry: Entry, folder: RunFolder, experiment: str | None, marker: Marker) -> tuple[Run, bool]:
    """The scenario's run, and whether it is new."""
    around = _run_of_environment(client)
    tags = {}
    if around is not None:
        if around.data.tags.get(KEY, entry.key) == entry.key:
            return around, False
        tags[_PARENT] = around.info.run_id
        experiment_id = around.info.experiment_id
    else:
        before = _run(client, marker.run_id) if experiment is None and marker.run_id else None
        if before is not None and before.info.lifecycle_stage == "active" and before.data.tags.get(KEY) == entry.key:
            return before, False
        experiment_id = _experiment(client, experiment)
    runs = client.search_runs([experiment_id], f"tags.`{KEY}` = '{entry.key}'", order_by=["start_time"], max_results=1)
    return (runs[0], False) if runs else (_create(client, entry, folder, experiment_id, tags), True)


def _run_of_environment(client: MlflowClient) -> Run | None:
    """The run that MLFLOW_RUN_ID names; None if `client` is not of the store that the environment names."""
    run_id = os.environ.get("MLFLOW_RUN_ID", "").strip()
    if not run_id or client.tracking_uri != store.default_uri():
        return None
    run = _run(client, run_id)
    if run is None or run.info.lifecycle_stage != "active":
        raise TrackingError(f"MLFLOW_RUN_ID names the run {run_id!r}, which {store.shown(client.tracking_uri)} does not have")
    return run


def _run(client: MlflowClient, run_id: str) -> Run | None:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_run(run_id)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        return None


def _experiment(client: MlflowClient, name: str | None) -> str:
    if name is None and not os.environ.get("MLFLOW_EXPERIMENT_NAME") and os.environ.get("MLFLOW_EXPERIMENT_ID"):
        return os.environ["MLFLOW_EXPERIMENT_ID"]
    return store.experiment(client, name or os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT)


def _create(client: MlflowClient, entry: Entry, folder: RunFolder, experiment_id: str, tags: dict[str, str]) -> Run:
    # Create the run with its key: after an interruption the run can be found again.
    own = {**tags, KEY: entry.key, "mlflow.source.name": "rollout-sim", "mlflow.source.type": "LOCAL", **_user()}
    return client.create_run(experiment_id, start_time=folder.record.start_ms, tags=own, run_name=entry.name)


def _user() -> dict[str, str]:
    import getpass

    # In a container the user may have a number but no name.
    with contextlib.suppress(OSError, KeyError, ImportError):
        return {"mlflow.user": getpass.getuser()}
    return {}


def _log_all(client: MlflowClient, run: Run, parent: Entry, entries: list[Entry], folder: RunFolder) -> None:
    """Log the scenario's own data first, then the nested runs, and last the tag that marks the log as complete."""
    _log(client, run, parent, folder)
    client.log_inputs(run.info.run_id, datasets=inputs.datasets(folder), models=inputs.models(folder, client))
    nested = {child.data.tags.get(KEY): child for child in _children(client, run)}
    for entry in entries:
        child = nested.get(entry.key)
        if child is None:
            child = _create(client, entry, folder, run.info.experiment_id, {_PARENT: run.info.run_id})
        if child.data.tags.get(LOGGED) != entry.fingerprint:
            _log(client, child, entry, folder)
            client.set_terminated(child.info.run_id, "FINISHED", folder.record.end_ms)
            client.set_tag(child.info.run_id, LOGGED, entry.fingerprint)
    for file in folder.files:
        with _uploading(run):
            client.log_artifact(run.info.run_id, str(file))
    interrupted = folder.record.status == "interrupted"
    # The process that started the run of MLFLOW_RUN_ID also ends it, by our exit code: a breached threshold fails the run.
    if interrupted or run.info.run_id != os.environ.get("MLFLOW_RUN_ID", "").strip():
        client.set_terminated(run.info.run_id, "KILLED" if interrupted else "FINISHED", folder.record.end_ms)
    client.set_tag(run.info.run_id, LOGGED, folder.fingerprint)


def _children(client: MlflowClient, run: Run) -> Iterator[Run]:
    token = None
    while True:
        where = f"tags.`{_PARENT}` = '{run.info.run_id}'"
        page = client.search_runs([run.info.experiment_id], where, max_results=1000, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _log(client: MlflowClient, run: Run, entry: Entry, folder: RunFolder) -> None:
    from mlflow.entities import Metric, Param, RunTag

    # A param is written once in MLflow; `mlflow run` may have written some.
    params = [Param(key, value) for key, value in entry.params.items() if key not in run.data.params]
    tags = [RunTag(key, value) for key, value in entry.tags.items()]
    metrics = [Metric(point.key, point.value, folder.record.start_ms, point.tick) for point in entry.series]
    for key, value in entry.estimates.items():
        before = run.data.metrics.get(key)
        if before != value:
            # Of two values at the same time MLflow shows the greater, so a corrected value needs a later time.
            at_ms = folder.record.end_ms if before is None else round(time.time() * 1000)
            metrics.append(Metric(key, value, at_ms, 0))
    run_id = run.info.run_id
    for at in range(0, max(len(params), len(tags)), _SETTINGS):
        client.log_batch(run_id, params=params[at : at + _SETTINGS], tags=tags[at : at + _SETTINGS])
    for at in range(0, len(metrics), _METRICS):
        client.log_batch(run_id, metrics=metrics[at : at + _METRICS])


@contextlib.contextmanager
def _uploading(run: Run) -> Iterator[None]:
    """Raise every failed upload as a `TrackingError`: each artifact store has its own library (boto3, azure, …) and errors."""
    try:
        yield
    except Exception as error:
        where = store.shown(str(run.info.artifact_uri))
        raise TrackingError(f"the artifacts cannot be written to {where}: {type(error).__name__}: {error}") from error
