"""The registry's store: its default address, a client, and plain errors if it cannot be reached."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from sim.errors import TrackingError

if TYPE_CHECKING:
    from mlflow import MlflowClient

Client: TypeAlias = "MlflowClient"
"""The client of a tracking server and registry, as a type that needs no import of MLflow."""

# MLflow's own defaults, 7 retries with back-off and 120 s each, block for over 4 minutes when a server is down. MLflow also
# prints progress bars and addresses of runs.
_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def default_uri(root: Path | None = None) -> str:
    """The URI that MLFLOW_TRACKING_URI names, else of an SQLite store in `root` (the current folder).

    >>> import os
    >>> named = os.environ.pop("MLFLOW_TRACKING_URI", None)
    >>> default_uri(Path("/team")).removeprefix("sqlite:///").endswith("/team/mlflow.db")
    True
    """
    if named := os.environ.get("MLFLOW_TRACKING_URI", "").strip():
        return named
    return f"sqlite:///{((root or Path.cwd()).resolve() / 'mlflow.db').as_posix()}"


def _sqlite_file(uri: str) -> Path | None:
    match = re.fullmatch(r"sqlite(?:\+\w+)?:///([^?]+)(?:\?.*)?", uri)
    return Path(match[1]).resolve() if match and match[1] != ":memory:" else None


def absent(tracking_uri: str, registry_uri: str | None = None) -> bool:
    """Whether the registry is an SQLite store that nobody has made yet."""
    file = _sqlite_file(_registry_of(tracking_uri, registry_uri))
    return file is not None and not file.exists()


def _registry_of(tracking_uri: str, registry_uri: str | None) -> str:
    """The registry that was named, else the one that MLFLOW_REGISTRY_URI names, else the tracking server."""
    return registry_uri or os.environ.get("MLFLOW_REGISTRY_URI", "").strip() or tracking_uri


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep MLflow's and Alembic's log lines, warnings and progress bars from the user's terminal."""
    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        # Recording keeps warnings off the terminal even where MLflow resets the filters to "always".
        with warnings.catch_warnings(record=True):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def shown(uri: str) -> str:
    """The URI without a password.

    >>> shown("https://ann:secret@mlflow.example.org")
    'https://mlflow.example.org'
    """
    return re.sub(r"://[^/@]*@", "://", uri)


@contextlib.contextmanager
def reaching(client: MlflowClient | str) -> Iterator[None]:
    """Run the block quietly, and raise every failure of the store as a `TrackingError` in plain words."""
    import requests
    import sqlalchemy.exc
    from mlflow.exceptions import MlflowException, RestException

    where = shown(client if isinstance(client, str) else client.tracking_uri)
    try:
        with quiet():
            yield
    except RestException as error:
        raise TrackingError(f"the MLflow server {where} refused: {_first_line(error)}") from error
    except (MlflowException, sqlalchemy.exc.SQLAlchemyError, requests.RequestException) as error:
        if re.search(r"out-of-date database schema", str(error)):
            advice = "was written by another version of MLflow: back it up, then run `mlflow db upgrade` on it"
            raise TrackingError(f"the store {where} {advice}") from error
        if where.startswith("http") and re.search(r"failed with exception|Max retries|timed out|Connection", str(error)):
            raise TrackingError(
                f"the MLflow server {where} cannot be reached: is it running, and is the address right?"
            ) from error
        raise TrackingError(f"the MLflow store {where} cannot be used: {_first_line(error)}") from error
    except OSError as error:
        raise TrackingError(f"the MLflow store {where} cannot be used: {error}") from error


def _first_line(error: Exception) -> str:
    return shown(str(error).strip().split("\n")[0][:300])


@contextlib.contextmanager
def _alone(name: str) -> Iterator[None]:
    """Let one process in at a time: processes that migrate a fresh SQLite file at the same time corrupt it."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    with open(Path(tempfile.gettempdir()) / f"sim-store-{os.getuid()}-{digest}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def prepare(uri: str) -> None:
    """Create the tables of a fresh SQLite store; does nothing for other stores. Call before workers start.

    Raises `TrackingError` if the file is no MLflow store, or a store of another MLflow version.
    """
    file = _sqlite_file(uri)
    if file is None:
        return
    if not file.parent.is_dir():
        raise TrackingError(f"the MLflow store {shown(uri)} cannot be made: there is no folder {file.parent}")
    with reaching(uri), _alone(str(file)):
        from mlflow import MlflowClient

        fresh = MlflowClient(tracking_uri=uri, registry_uri=uri)
        fresh.search_experiments(max_results=1)
        fresh.search_registered_models(max_results=1)


def client(tracking_uri: str | None, registry_uri: str | None = None) -> MlflowClient:
    """A client of one store and no other; `None` is `default_uri()`. A fresh SQLite store is prepared.

    Waits for a server at most 5 s and tries three times, unless MLflow's own environment variables say
    otherwise. Raises `TrackingError` where the store cannot be reached.
    """
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    tracking = tracking_uri or default_uri()
    registry = _registry_of(tracking, registry_uri)
    for uri in dict.fromkeys((tracking, registry)):
        prepare(uri)
    with reaching(tracking):
        from mlflow import MlflowClient

        opened = MlflowClient(tracking_uri=tracking, registry_uri=registry)
        opened.search_experiments(max_results=1)
    if registry != tracking:
        with reaching(registry):
            opened.search_registered_models(max_results=1)
    return opened


def experiment(client: MlflowClient, name: str) -> str:
    """The id of the experiment of that name, created where there is none (artifacts beside an SQLite file).

    Raises `TrackingError` where the experiment was deleted, or the store cannot be reached.
    """
    from mlflow.exceptions import MlflowException

    file = _sqlite_file(client.tracking_uri)
    location = (file.parent / "mlartifacts").as_uri() if file else None
    with reaching(client):
        existing = client.get_experiment_by_name(name)
        if existing is None:
            try:
                return str(client.create_experiment(name, artifact_location=location))
            except MlflowException:
                # Another process may have created it since.
                if (existing := client.get_experiment_by_name(name)) is None:
                    raise
    if existing.experiment_id and existing.lifecycle_stage != "active":
        raise TrackingError(
            f"the MLflow experiment {name!r} is deleted: restore it with "
            f"`mlflow experiments restore --experiment-id {existing.experiment_id}`"
        )
    return str(existing.experiment_id)
