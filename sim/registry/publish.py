"""Log a model and register it as a version, through an explicit client and without MLflow's global state."""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sim.errors import InputError, Problem
from sim.registry.store import experiment, quiet, reaching, shown

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.models import Model

EXPERIMENT = "registered-models"
"""The experiment that holds the runs which made the versions."""

KIND = "sim.kind"
DIGEST = "sim.digest"
BEHAVIOUR = "sim.behaviour"
_OWN_STORES = ("sqlite", "postgresql", "mysql", "mssql", "file:", "/", ".")


@dataclass(frozen=True)
class Registered:
    """A version that is in the registry now; `created` says whether it was not before."""

    name: str
    version: str
    alias: str | None
    digest: str
    created: bool

    @property
    def uri(self) -> str:
        """models:/NAME/VERSION."""
        return f"models:/{self.name}/{self.version}"


@dataclass(frozen=True)
class Publication:
    """What becomes a version: how to save it, and what is recorded with it.

    `save(path, model)` writes the model to the new folder `path`, with `model` as its MLmodel file.
    """

    save: Callable[[str, Model], None]
    tags: Mapping[str, str]
    description: str = ""
    params: Mapping[str, str | int | float] | None = None
    metrics: Mapping[str, float] | None = None


def published(client: MlflowClient, name: str) -> dict[str, list[str]]:
    """Digest → versions of the model that carry it, oldest first. Empty where there is no such model."""
    with reaching(client):
        found: dict[str, list[str]] = {}
        token = None
        quoted = name.replace("'", "''")
        while True:
            page = client.search_model_versions(f"name='{quoted}'", max_results=1000, page_token=token)
            for version in page:
                if version.status == "READY" and DIGEST in version.tags:
                    found.setdefault(version.tags[DIGEST], []).append(str(version.version))
            token = page.token
            if not token:
                return {digest: sorted(versions, key=int) for digest, versions in found.items()}


def publish(client: MlflowClient, name: str, publication: Publication) -> str:
    """Register a new version and return its number.

    The version, with all its tags, is created last and at once: whoever is interrupted before leaves a
    run and no half-made version. Raises `InputError` where the store refuses the name, and `TrackingError` where it cannot be
    reached.
    """
    from mlflow.entities import LoggedModelOutput
    from mlflow.exceptions import MlflowException
    from mlflow.models import Model

    experiment_id = experiment(client, EXPERIMENT)
    with reaching(client):
        run_id = client.create_run(experiment_id, run_name=name).info.run_id
        try:
            for key, value in (publication.params or {}).items():
                client.log_param(run_id, key, value)
            for key, number in (publication.metrics or {}).items():
                client.log_metric(run_id, key, number, timestamp=int(time.time() * 1000))
            with _refusing(client, name):
                logged = client.create_logged_model(experiment_id, name=name, source_run_id=run_id)
            with tempfile.TemporaryDirectory() as folder:
                path = str(Path(folder) / "model")
                with quiet():
                    publication.save(path, Model(model_id=logged.model_id, run_id=run_id))
                client.log_model_artifacts(logged.model_id, path)
            client.finalize_logged_model(logged.model_id, "READY")
            client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
            try:
                with _refusing(client, name):
                    client.create_registered_model(name)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            # Not models:/ID: MLflow looks an ID up in its global store, which need not be this one.
            version = client.create_model_version(
                name,
                source=logged.artifact_location,
                run_id=run_id,
                tags=dict(publication.tags),
                description=publication.description or None,
                model_id=logged.model_id,
            ).version
        except BaseException as error:
            with contextlib.suppress(Exception):
                client.set_terminated(run_id, "FAILED")
                if isinstance(error, InputError):
                    client.delete_run(run_id)
            raise
        link = [{"name": name, "version": str(version)}]
        client.set_logged_model_tags(logged.model_id, {"mlflow.modelVersions": json.dumps(link)})
        client.set_terminated(run_id)
    return str(version)


def name_problems(name: str, tracking_uri: str) -> list[Problem]:
    """Why the store of a tracking URI takes no model of this name, as far as that is known without asking it.

    The stores that come with MLflow refuse a dot, which Unity Catalog asks for (catalog.schema.model). A server is asked: its
    rule is its own, and `publish` hands on what it says.

    >>> print(*name_problems("shop.ranker", "sqlite:///m.db"))
    model: the store sqlite:///m.db takes no dot in a model's name (MLflow's rule; other registries may); got 'shop.ranker'
    >>> name_problems("shop.ranker", "https://mlflow.example.org")
    []
    """
    if "." not in name or not tracking_uri.startswith(_OWN_STORES):
        return []
    whose = "(MLflow's rule; other registries may)"
    return [Problem(f"the store {shown(tracking_uri)} takes no dot in a model's name {whose}; got {name!r}", path="model")]


@contextlib.contextmanager
def _refusing(client: MlflowClient, name: str) -> Iterator[None]:
    """A name that the store refuses is wrong in the file; the store can be used."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        said = str(error).strip().split("\n")[0][:300]
        if error.error_code != "INVALID_PARAMETER_VALUE" or "name" not in said.lower():
            raise
        raise InputError([Problem(f"{shown(client.tracking_uri)} refuses {name!r}: {said}", path="model")]) from error


def point(client: MlflowClient, name: str, alias: str | None, version: str) -> None:
    """Let the alias point to the version, where it does not yet."""
    if alias is None:
        return
    with reaching(client):
        if str(client.get_registered_model(name).aliases.get(alias)) != version:
            client.set_registered_model_alias(name, alias, version)
