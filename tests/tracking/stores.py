"""A folder logged in this process, and what a store must have afterwards."""

from __future__ import annotations

import socket
from collections import Counter
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run, ViewType

from sim.tracking.entries import nested_entries
from sim.tracking.folder import read_folder
from sim.tracking.log import Logged, log


def here(folder: Path, uri: str, experiment: str | None = None) -> Logged:
    """Log a folder in this process."""
    return log(read_folder(folder), uri, experiment)


def children(client: MlflowClient, run_id: str) -> list[Run]:
    """The nested runs of a run."""
    experiment = client.get_run(run_id).info.experiment_id
    return client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{run_id}'", order_by=["tags.`sim.policy`"])


def is_whole(client: MlflowClient, folder: Path) -> None:
    """Assert that the store has one whole set of the folder's runs, and that no run of it is RUNNING, deleted or not."""
    read = read_folder(folder)
    where = f"tags.`sim.folder` = '{read.record.key}'"
    experiments = [each.experiment_id for each in client.search_experiments()]
    runs = client.search_runs(experiments, where)
    keys = [read.record.key, *(entry.key for entry in nested_entries(read))]
    assert Counter(run.data.tags["sim.key"] for run in runs) == Counter(keys)
    (parent,) = (run for run in runs if run.data.tags["sim.key"] == read.record.key)
    assert {run.data.tags["mlflow.parentRunId"] for run in runs if run is not parent} == {parent.info.run_id}
    assert parent.data.tags["sim.logged"] == read.fingerprint
    assert {file.path for file in client.list_artifacts(parent.info.run_id)} == {file.name for file in read.files}
    by_key = {run.data.tags["sim.key"]: run for run in runs}
    for entry in nested_entries(read):
        run = by_key[entry.key]
        assert run.data.tags["sim.logged"] == entry.fingerprint
        assert run.data.metrics.items() >= entry.estimates.items()
    ever = client.search_runs(experiments, where, ViewType.ALL)
    assert {run.info.status for run in ever} <= {"FINISHED", "KILLED"}
    assert {run.info.status for run in runs} == {"FINISHED"}


def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
