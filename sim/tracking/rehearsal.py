"""A rehearsal that somebody names: a run folder, or the MLflow run that it was logged to."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.compare.comparison import Comparison, compare
from sim.compare.trials import Trials, read_trials
from sim.errors import InputError, Problem
from sim.registry import store
from sim.run.record import Record, read_run
from sim.scenario.loading import read_yaml
from sim.tracking.marker import read_marker
from sim.tracking.runs import PARENT

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_NEEDED = ("run.json", "scenario.yaml", "trials.parquet")


@dataclass(frozen=True)
class Rehearsal:
    """A rehearsal, compared anew by this program. `where` is its MLflow run, or the folder where that is not known."""

    where: str
    record: Record
    scenario: Mapping[str, Any]
    comparison: Comparison
    trials: Sequence[Mapping[str, Trials]]


def read_rehearsal(word: str, client: MlflowClient) -> Rehearsal:
    """The rehearsal that a run folder, or the id of an MLflow run, names. Nothing in it is changed.

    Raises `InputError` where it names none, or one that is damaged or has no trials yet, and `TrackingError` where the store
    cannot be reached.
    """
    folder = Path(word)
    if folder.is_dir():
        marker = read_marker(folder)
        run = marker.run_id if marker and marker.complete and marker.key == read_run(folder).key else None
        return _read(folder, run or str(folder))
    if not re.fullmatch(r"[0-9a-f]{32}", word):
        raise InputError([Problem(f"must be a run folder, or the id of an MLflow run; got {word!r}", path="--because")])
    with _downloaded(word, client) as copy:
        return _read(copy, word)


def _read(folder: Path, where: str) -> Rehearsal:
    record = read_run(folder)
    scenario = read_yaml(folder / "scenario.yaml").data
    if not isinstance(scenario, Mapping):
        raise InputError([Problem("is corrupt: it must be a mapping of keys to values", file=str(folder / "scenario.yaml"))])
    return Rehearsal(where, record, scenario, compare(folder), read_trials(folder, record))


@contextmanager
def _downloaded(run_id: str, client: MlflowClient) -> Iterator[Path]:
    """The files of an MLflow run in a folder of their own, for as long as the block lasts."""
    with store.reaching(client), tempfile.TemporaryDirectory() as folder:
        run = _run(run_id, client)
        there = {file.path for file in client.list_artifacts(run_id)}
        if lacking := [name for name in _NEEDED if name not in there]:
            name = run.info.run_name
            raise InputError([Problem(f"the MLflow run {run_id} ({name}) has no {lacking[0]}: {_why(run)}", path="--because")])
        for name in _NEEDED:
            client.download_artifacts(run_id, name, folder)
        yield Path(folder)


def _run(run_id: str, client: MlflowClient) -> Run:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_run(run_id)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        where = store.shown(client.tracking_uri)
        raise InputError(
            [Problem(f"{where} has no run {run_id}; name a run folder, or another store", path="--because")]
        ) from None


def _why(run: Run) -> str:
    parent = run.data.tags.get(PARENT)
    if parent and "sim.policy" in run.data.tags:
        return f"it is that of one policy; name the rehearsal's own, {parent}"
    return "it is not the run of a rehearsal" if "sim.kind" not in run.data.tags else "it is not logged whole"
