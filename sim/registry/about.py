"""What the registry knows of models and versions: where each came from, how it scored, how fast it is, where it was rehearsed.

Nothing of a model is loaded, so that no code of it runs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sim.registry.demo import LIVE, TRAINING_DIGEST, TRAINING_ROWS
from sim.registry.demo import OFFLINE as OFFLINE_OF_DEMO
from sim.registry.profile import Profile
from sim.registry.publish import BEHAVIOUR, KIND
from sim.registry.rehearsals import Rehearsed, rehearsals
from sim.registry.scores import Score, scores
from sim.registry.served import SERVED, Served
from sim.registry.store import reaching
from sim.registry.versions import artifacts_of, find, model_id_of, registered

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

_OLD_SCORES = {OFFLINE_OF_DEMO: "on unseen rows of its own training set", LIVE: "on the rows that traffic is replayed from"}


@dataclass(frozen=True)
class Row:
    """A version in a list: its kind is "behaviour" or "real"; `rehearsals` counts those that its tags keep."""

    name: str
    version: str
    aliases: tuple[str, ...]
    kind: str
    created: str
    measured: bool
    scores: Mapping[str, float]
    rehearsals: int
    status: str

    def to_dict(self) -> dict[str, Any]:
        """The row as plain data, as `sim models list --json` prints it."""
        return asdict(self)


@dataclass(frozen=True)
class Origin:
    """The run that made a version. `found` is false where this tracking store has no such run (any more)."""

    run: str
    found: bool
    name: str = ""
    experiment: str = ""
    user: str = ""
    started: str = ""
    status: str = ""
    source: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class DataUsed:
    """A data set that a run had as input; rows are None where nobody said how many."""

    name: str
    digest: str
    rows: int | None
    context: str


@dataclass(frozen=True)
class About:
    """All that is known of one version. `signature` is in words, with one text per column; None where it has none."""

    name: str
    version: str
    kind: str
    created: str
    status: str
    aliases: tuple[str, ...]
    description: str
    source: str
    model_id: str | None
    origin: Origin | None
    data: tuple[DataUsed, ...]
    signature: Mapping[str, tuple[str, ...]] | None
    flavors: tuple[str, ...]
    behaviour: Mapping[str, Any] | None
    scores: tuple[Score, ...]
    stated_scores: Mapping[str, str]
    latency: Profile | None
    served: Served | None
    rehearsals: tuple[Rehearsed, ...]
    damaged: tuple[str, ...]
    tags: Mapping[str, str]

    @property
    def uri(self) -> str:
        """models:/NAME/VERSION."""
        return f"models:/{self.name}/{self.version}"

    def to_dict(self) -> dict[str, Any]:
        """The version as plain data, as `sim models show --json` prints it."""
        return {"uri": self.uri, **asdict(self)}


def rows(client: MlflowClient, name: str | None = None) -> list[Row]:
    """The versions of a model, or of every model, by name and number. Raises `InputError` for a name that is not there."""
    models = [registered(name, client)] if name is not None else _models(client)
    return [_row(model, version) for model in models for version in _versions(client, model.name)]


def about(uri: str, client: MlflowClient) -> About:
    """All that is known of the version that a URI names. Raises `InputError` at `uri` where there is none."""
    model, entity = find(uri, client)
    with reaching(client):
        run = _run(client, entity.run_id)
        logged = _logged_file(client, entity)
    tags = dict(entity.tags)
    rehearsed, damaged = rehearsals(tags)
    scored, damaged_scores = scores(tags)
    try:
        latency, wrong = Profile.from_tags(tags), []
    except ValueError:
        latency, wrong = None, ["sim.latency"]
    try:
        served = Served.from_tags(tags)
    except ValueError:
        served, wrong = None, [*wrong, SERVED]
    return About(
        name=model.name,
        version=str(entity.version),
        kind=_kind(tags, logged),
        created=_iso(entity.creation_timestamp),
        status=str(entity.status),
        aliases=_aliases(model, entity),
        description=entity.description or "",
        source=str(entity.source or ""),
        model_id=model_id_of(entity),
        origin=_origin(client, entity.run_id, run),
        data=_data(run, tags),
        signature=_signature(logged),
        flavors=tuple(sorted(logged.flavors)) if logged is not None else (),
        behaviour=_behaviour(tags),
        scores=tuple(scored),
        stated_scores={f"{key} ({_OLD_SCORES[key]})": tags[key] for key in _OLD_SCORES if key in tags},
        latency=latency,
        served=served,
        rehearsals=tuple(rehearsed),
        damaged=(*damaged, *damaged_scores, *wrong),
        tags=tags,
    )


def _models(client: MlflowClient) -> list[RegisteredModel]:
    with reaching(client):
        found: list[RegisteredModel] = []
        token = None
        while True:
            page = client.search_registered_models(max_results=1000, page_token=token)
            found += page
            token = page.token
            if not token:
                return sorted(found, key=lambda model: model.name)


def _versions(client: MlflowClient, name: str) -> list[ModelVersion]:
    quoted = name.replace("'", "''")
    with reaching(client):
        found: list[ModelVersion] = []
        token = None
        while True:
            page = client.search_model_versions(f"name='{quoted}'", max_results=1000, page_token=token)
            found += page
            token = page.token
            if not token:
                return sorted(found, key=lambda version: int(version.version))


def _row(model: RegisteredModel, entity: ModelVersion) -> Row:
    tags = entity.tags
    estimates = {score.metric: score.estimate for score in scores(tags)[0]}
    measured = "sim.latency" in tags
    return Row(
        model.name, str(entity.version), _aliases(model, entity), _kind(tags, None), _iso(entity.creation_timestamp), measured,
        estimates, len(rehearsals(tags)[0]), str(entity.status),
    )  # fmt: skip


def _aliases(model: RegisteredModel, entity: ModelVersion) -> tuple[str, ...]:
    return tuple(sorted(alias for alias, version in model.aliases.items() if str(version) == str(entity.version)))


def _kind(tags: Mapping[str, str], logged: Any) -> str:
    if tags.get(KIND) == "behaviour" or BEHAVIOUR in tags:
        return "behaviour"
    config = logged.flavors.get("python_function", {}).get("config") if logged is not None else None
    return "behaviour" if isinstance(config, dict) and "behaviour" in config else "real"


def _behaviour(tags: Mapping[str, str]) -> Mapping[str, Any] | None:
    try:
        value = json.loads(tags[BEHAVIOUR])
    except (KeyError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _run(client: MlflowClient, run_id: str | None) -> Run | None:
    from mlflow.exceptions import MlflowException

    if not run_id:
        return None
    try:
        return client.get_run(run_id)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        return None


def _origin(client: MlflowClient, run_id: str | None, run: Run | None) -> Origin | None:
    if not run_id:
        return None
    if run is None:
        return Origin(run_id, found=False)
    with reaching(client):
        experiment = client.get_experiment(run.info.experiment_id)
    tags = run.data.tags
    return Origin(
        run_id, True, run.info.run_name or "", experiment.name if experiment else "", tags.get("mlflow.user", ""),
        _iso(run.info.start_time), run.info.status, tags.get("mlflow.source.name", ""), dict(run.data.metrics),
    )  # fmt: skip


def _data(run: Run | None, tags: Mapping[str, str]) -> tuple[DataUsed, ...]:
    used = []
    for each in run.inputs.dataset_inputs if run is not None and run.inputs else ():
        context = next((tag.value for tag in each.tags if tag.key == "mlflow.data.context"), "")
        used.append(DataUsed(each.dataset.name, each.dataset.digest, _profile_rows(each.dataset.profile), context))
    if not used and TRAINING_DIGEST in tags:
        rows = tags.get(TRAINING_ROWS, "")
        used.append(DataUsed("", tags[TRAINING_DIGEST], int(rows) if rows.isdecimal() else None, "training"))
    return tuple(used)


def _profile_rows(profile: str | None) -> int | None:
    try:
        value = json.loads(profile or "")
        return int(value["num_rows"])
    except (ValueError, KeyError, TypeError):
        return None


def _logged_file(client: MlflowClient, entity: ModelVersion) -> Any:
    """The `mlflow.models.Model` of the version's MLmodel file; None where it has none that can be read."""
    from mlflow.exceptions import MlflowException
    from mlflow.models import Model

    try:
        return Model.load(str(artifacts_of(entity, client, "MLmodel")))
    except (MlflowException, OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _signature(logged: Any) -> Mapping[str, tuple[str, ...]] | None:
    signature = logged.signature if logged is not None else None
    if signature is None:
        return None
    parts = {"inputs": signature.inputs, "outputs": signature.outputs, "params": signature.params}
    return {name: tuple(map(_column, part)) for name, part in parts.items() if part is not None}


def _column(spec: Any) -> str:
    """One column of a signature in words: its name and type, as MLflow prints it."""
    return re.sub(r"\s+", " ", str(spec)).replace("'", "")


def _iso(ms: int | None) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds") if ms else ""
