"""Log a run folder to MLflow within a given time, and say what was logged and how to go on."""

from __future__ import annotations

import shlex
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sim.errors import TrackingError
from sim.registry import store
from sim.run.record import read_run
from sim.tracking.child import Child, Late
from sim.tracking.limits import LONGEST_S, TIMEOUT_S
from sim.tracking.log import Progress
from sim.tracking.marker import Marker, read_marker, write_marker
from sim.tracking.page import address


@dataclass(frozen=True)
class Tracked:
    """Where a run folder was logged.

    `url_or_hint` is the run's page on a server, else a command that shows it; without a password. `created` is true if
    the scenario's run is new. `unmarked` says why the versions in the registry do not name the run; empty if they do.
    """

    run_id: str
    tracking_uri: str
    experiment_id: str
    url_or_hint: str
    created: bool
    unmarked: str = ""


def track(
    folder: Path,
    *,
    tracking_uri: str | None = None,
    experiment: str | None = None,
    timeout_s: float = TIMEOUT_S,
    child: Child | None = None,
    registry_uri: str | None = None,
    annotate: bool = False,
) -> Tracked:
    """Log one finished or interrupted run folder. Runs that are logged already are found and completed.

    `tracking_uri` is the URI of a store or server, `registry.store.default_uri()` if left out. With `experiment`, the folder is
    logged there. Without, its runs are completed in whatever experiment they are; new ones go to that of MLFLOW_EXPERIMENT_NAME
    or MLFLOW_EXPERIMENT_ID, else to `sim.tracking.log.EXPERIMENT`. Inside `mlflow run`, the scenario is logged to the run that
    MLFLOW_RUN_ID names; if that run records another folder already, it becomes the parent. A policy that did not run to its end
    is not logged.

    The versions in the registry `registry_uri` (default: that of the environment, else the store) then name the run, each on a
    tag; with `annotate`, their descriptions say what the rehearsal found, in a section of its own.

    `timeout_s` is for everything that is asked of the store, whatever it does. `child` is a process for the same
    store that may have been started before.

    Raises `InputError` if the folder is no run folder or a file in it cannot be read. Raises `TrackingError`, with what was
    logged and how to go on, if the store cannot be reached, refuses, or takes too long.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as empty:
    ...     track(Path(empty))
    Traceback (most recent call last):
    sim.errors.InputError: ...: is not a run folder: it has no run.json
    """
    key = read_run(folder).key
    uri = tracking_uri or store.default_uri()
    shown = store.shown(uri)
    marker = _marker(folder, key, shown)
    # The marker is there before anything is created at the store: whatever ends this process, the next one goes on.
    write_marker(folder, marker)
    try:
        with nullcontext(child) if child else Child(uri) as process:
            where = store.addresses(uri, registry_uri).registry
            logged = process.log(
                str(folder), experiment, marker.unfinished, timeout_s=timeout_s, registry_uri=where, annotate=annotate
            )
    except Late as late:
        what = f"the MLflow store {shown} did not take everything within {timeout_s:g} s: {_so_far(late.progress)}"
        longer = ("--timeout", f"{min(max(4 * timeout_s, TIMEOUT_S), LONGEST_S):g}")
        raise TrackingError(f"{what}\n{_later(folder, tracking_uri, experiment, *longer)}") from None
    except TrackingError as error:
        raise TrackingError(f"{error}\n{_later(folder, tracking_uri, experiment)}") from error
    logged_at = datetime.now(UTC).isoformat(timespec="seconds")
    ids = {"experiment_id": logged.experiment_id, "run_id": logged.run_id}
    write_marker(folder, Marker(key=key, tracking_uri=shown, **ids, logged_at=logged_at, complete=True))
    page = _where(shown, logged.experiment_id, logged.run_id)
    return Tracked(logged.run_id, shown, logged.experiment_id, page, logged.created, logged.unmarked)


def _marker(folder: Path, key: str, shown: str) -> Marker:
    """The marker while the folder is being logged, with what earlier results of the folder left unfinished in this store."""
    before = read_marker(folder)
    if before is None or before.tracking_uri != shown:
        return Marker(key=key, tracking_uri=shown)
    unfinished = [*before.unfinished, *([] if before.complete else [before.key])]
    return Marker(key=key, tracking_uri=shown, unfinished=tuple(each for each in dict.fromkeys(unfinished) if each != key))


def _so_far(progress: Progress | None) -> str:
    """What was logged in time.

    >>> _so_far(Progress(1, 3, 0, 7))
    'it has 1 of 3 runs and 0 of 7 files'
    """
    if progress is None:
        return "nothing is logged yet"
    return f"it has {progress.runs} of {progress.of_runs} runs and {progress.files} of {progress.of_files} files"


def _later(folder: Path, tracking_uri: str | None, experiment: str | None, *more: str) -> str:
    """How to log the folder later.

    >>> _later(Path("reports/a b"), "http://ann:secret@mlflow", None)
    "the results in reports/a b are safe; to log them later: sim track 'reports/a b' --tracking-uri http://mlflow"
    """
    command = ["sim", "track", str(folder)]
    command += ["--tracking-uri", store.shown(tracking_uri)] if tracking_uri else []
    command += ["--experiment", experiment] if experiment else []
    return f"the results in {folder} are safe; to log them later: {shlex.join([*command, *more])}"


def _where(shown: str, experiment_id: str, run_id: str) -> str:
    """The address of a run's page, or the command that shows it.

    >>> _where("http://mlflow.example.org/", "1", "ab")
    'http://mlflow.example.org/#/experiments/1/runs/ab?workflowType=machine_learning'
    >>> _where("sqlite:////team/mlflow.db", "1", "ab")
    'mlflow ui --backend-store-uri sqlite:////team/mlflow.db'
    """
    if shown.startswith(("http://", "https://")):
        return f"{shown.rstrip('/')}/{address(experiment_id, run_id)}"
    return f"mlflow ui --backend-store-uri {shown}"
