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
from sim.registry.store import experiment, given, quiet, reaching, said, shown

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput
    from mlflow.models import Model

EXPERIMENT = "registered-models"
"""The experiment of the runs that made the versions."""

KIND = "sim.kind"
DIGEST = "sim.digest"
BEHAVIOUR = "sim.behaviour"
_OWN_STORES = ("sqlite", "postgresql", "mysql", "mssql", "file:", "/", ".")


@dataclass(frozen=True)
class Registered:
    """A version in the registry; `created` is true if it was not there before."""

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
class TrainedOn:
    """A data set that a version was trained on: its name, the sha256 of its rows, and how many these are."""

    name: str
    digest: str
    rows: int


@dataclass(frozen=True)
class Publication:
    """A version to publish: a function that saves its model, and its tags, params, metrics and training data.

    `save(path, model)` writes the model to the new folder `path`, with `model` as its MLmodel file.
    """

    save: Callable[[str, Model], None]
    tags: Mapping[str, str]
    description: str = ""
    params: Mapping[str, str | int | float] | None = None
    metrics: Mapping[str, float] | None = None
    trained_on: TrainedOn | None = None


def published(client: MlflowClient, name: str) -> dict[str, list[str]]:
    """Digest → versions of the model that carry it, oldest first. Empty where there is no such model."""
    with reaching(client):
        by_digest: dict[str, list[str]] = {}
        token = None
        quoted = name.replace("'", "''")
        while True:
            page = client.search_model_versions(f"name='{quoted}'", max_results=1000, page_token=token)
            for version in page:
                if version.status == "READY" and DIGEST in version.tags:
                    by_digest.setdefault(version.tags[DIGEST], []).append(str(version.version))
            token = page.token
            if not token:
                return {digest: sorted(versions, key=int) for digest, versions in by_digest.items()}


def publish(client: MlflowClient, name: str, publication: Publication) -> str:
    """Register a new version and return its number.

    The version is created last, together with all its tags: an interruption before leaves a run, but no incomplete
    version. Raises `InputError` if the store refuses the name, and `TrackingError` if the store cannot be reached.
    """
    from mlflow.entities import LoggedModelOutput
    from mlflow.exceptions import MlflowException
    from mlflow.models import Model

    experiment_id = experiment(client, EXPERIMENT)
    with reaching(client):
        run_id = str(given(client.create_run(experiment_id, run_name=name).info.run_id, "the id of a run", client))
        try:
            for key, value in (publication.params or {}).items():
                client.log_param(run_id, key, value)
            for key, number in (publication.metrics or {}).items():
                client.log_metric(run_id, key, number, timestamp=int(time.time() * 1000))
            if publication.trained_on is not None:
                client.log_inputs(run_id, datasets=[_dataset(publication.trained_on)])
            with _refusing(client, name):
                logged = client.create_logged_model(experiment_id, name=name, source_run_id=run_id)
            given(logged.model_id and logged.artifact_location, "the place of a model", client)
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
            # The source is not models:/ID, because MLflow looks the ID up in its global store, which may be another.
            version = client.create_model_version(
                name,
                source=logged.artifact_location,
                run_id=run_id,
                tags=dict(publication.tags),
                description=publication.description or None,
                model_id=logged.model_id,
            ).version
            given(version, "the number of a version", client)
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


def _dataset(data: TrainedOn) -> DatasetInput:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    # "code" is MLflow's word for a data set that a program made. It takes digests of up to 36 characters.
    source = json.dumps({"tags": {"mlflow.source.name": "rollout-sim", "mlflow.source.type": "LOCAL"}})
    profile = json.dumps({"num_rows": data.rows})
    dataset = Dataset(data.name, data.digest[:32], "code", source, profile=profile)
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])


def name_problems(name: str, tracking_uri: str) -> list[Problem]:
    """The reasons why the store of a tracking URI refuses a model name, as far as they are known without a request.

    MLflow's own stores refuse a dot; Unity Catalog requires dots (catalog.schema.model). A server has its own rule: its answer
    is reported by `publish`.

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
    """Turn the store's refusal of a model name into an `InputError`: the file is wrong, not the store."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        message = said(error, client.tracking_uri)
        if error.error_code != "INVALID_PARAMETER_VALUE" or "name" not in message.lower():
            raise
        raise InputError([Problem(f"{shown(client.tracking_uri)} refuses {name!r}: {message}", path="model")]) from None


def point(client: MlflowClient, name: str, alias: str | None, version: str) -> None:
    """Point the alias to the version, unless it does already."""
    if alias is None:
        return
    with reaching(client):
        if str(client.get_registered_model(name).aliases.get(alias)) != version:
            client.set_registered_model_alias(name, alias, version)
