"""The registry's store: a client of it, and its experiments."""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

from sim.errors import TrackingError
from sim.registry import databases, fresh, trust
from sim.registry.addresses import absent, addresses, default_uri, said, shown, sqlite_file
from sim.registry.answers import given, quiet, reaching

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModelInput

__all__ = [
    "Client", "absent", "addresses", "client", "default_uri", "experiment", "given", "logged_models", "prepare", "quiet",
    "reaching", "registry", "said", "shown", "user",
]  # fmt: skip

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


def prepare(uri: str) -> bool:
    """Make a store that is not there yet, whole or not at all. Call before workers start. Returns whether it was made.

    Nothing is made on a server: an MLflow server has its own store. Raises `TrackingError` where a store cannot be made, or
    what is there is none.
    """
    file = sqlite_file(uri)
    if file is not None:
        return fresh.prepare(uri, file)
    if databases.is_database(uri):
        databases.prepare(uri)
    return False


def client(tracking_uri: str | None, registry_uri: str | None = None) -> MlflowClient:
    """A client of one store and no other; what is None is as in `addresses`. A store that is not there yet is made.

    Waits for a server at most 5 s and tries three times, unless MLflow's own environment variables say otherwise. The
    registry's models may run code if the registry was named, or if this user's own `sim` made it (`trust`). Raises `InputError`
    for an address that cannot be one, and `TrackingError` where the store cannot be reached.
    """
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    where = addresses(tracking_uri, registry_uri)
    made = {uri: prepare(uri) for uri in dict.fromkeys((where.tracking, where.registry))}
    with reaching(where.tracking):
        from mlflow import MlflowClient

        opened = MlflowClient(tracking_uri=where.tracking, registry_uri=where.registry)
        opened.search_experiments(max_results=1)
    if where.registry != where.tracking:
        with reaching(where.registry):
            opened.search_registered_models(max_results=1)
    file = sqlite_file(where.registry)
    if not where.named and not made[where.registry] and file is not None:
        trust.doubted(opened, trust.doubt_of(file))
    return opened


def registry(tracking_uri: str | None, registry_uri: str | None = None) -> MlflowClient:
    """A client of the registry alone: the tracking server is not asked for anything."""
    where = addresses(tracking_uri, registry_uri)
    return client(where.registry, where.registry) if where.named else client(None)


def experiment(client: MlflowClient, name: str) -> str:
    """The id of the experiment of that name, created where there is none (artifacts beside an SQLite file).

    Raises `TrackingError` where the experiment was deleted, or the store cannot be reached.
    """
    from mlflow.exceptions import MlflowException

    file = sqlite_file(client.tracking_uri)
    location = (file.parent / "mlartifacts").as_uri() if file else None
    with reaching(client):
        existing = client.get_experiment_by_name(name)
        if existing is None:
            try:
                return str(given(client.create_experiment(name, artifact_location=location), "the id of an experiment", client))
            except MlflowException:
                # Another process may have created it since.
                if (existing := client.get_experiment_by_name(name)) is None:
                    raise
    found = str(given(existing.experiment_id, "the id of an experiment", client))
    if existing.lifecycle_stage != "active":
        raise TrackingError(
            f"the MLflow experiment {name!r} is deleted: restore it with `mlflow experiments restore --experiment-id {found}`"
        )
    return found


def logged_models(ids: Iterable[str | None], client: Client) -> list[LoggedModelInput]:
    """The logged models of some ids, each once, as far as this store has them: the registry may be in another store."""
    from mlflow.entities import LoggedModelInput
    from mlflow.exceptions import MlflowException

    inputs = []
    for model_id in dict.fromkeys(ids):
        # It may come from a file, and becomes a part of an address.
        if model_id is None or not re.fullmatch(r"m-[0-9a-zA-Z]{1,64}", model_id):
            continue
        try:
            client.get_logged_model(model_id)
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "ENDPOINT_NOT_FOUND", "NOT_FOUND"):
                raise
        else:
            inputs.append(LoggedModelInput(model_id))
    return inputs


def user() -> str | None:
    """The user's name; None in a container whose user has a number only."""
    with suppress(OSError, KeyError, ImportError):
        return getpass.getuser()
    return None
