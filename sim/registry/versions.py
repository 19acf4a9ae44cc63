"""The versions that a scenario names: resolves aliases once, reads behaviours without running a model's code."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from sim.errors import InputError, Problem, visible
from sim.registry.behaviour import Behaviour, digest_of
from sim.registry.profile import Profile
from sim.registry.publish import BEHAVIOUR, DIGEST, KIND
from sim.registry.served import Served
from sim.registry.store import client, reaching
from sim.scenario.examples import registering
from sim.spelling import there_are
from sim.units import AS_WRITTEN

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

__all__ = ["Version", "artifacts", "artifacts_of", "client", "find", "model_id_of", "registered", "resolve", "signature_of"]


@dataclass(frozen=True)
class Version:
    """One arm's model version, as the registry had it when the scenario was resolved.

    `uri` is as in the scenario; `pinned` names the version itself. The behaviour of a "replay" version has no outcomes;
    its latency and error rate are measured, and `served` is what was found of it behind a server, if anything. `digest` changes
    whenever any of them does.
    """

    arm: str
    uri: str
    name: str
    version: str
    model_id: str | None
    run_id: str | None
    aliases: tuple[str, ...]
    kind: Literal["behaviour", "replay"]
    digest: str
    behaviour: Behaviour
    tags: dict[str, str] = field(compare=False)
    served: Served | None = None

    @property
    def pinned(self) -> str:
        """models:/NAME/VERSION, whatever alias the scenario uses."""
        return f"models:/{self.name}/{self.version}"


_URI = re.compile(r"models:/([^/:@]+)(?:@([^/:@]+)|/([^/:@]+))?")
_RULE = "must be models:/NAME@ALIAS or models:/NAME/VERSION; got {!r}"


def misspelt(uris: Iterable[str]) -> list[Problem]:
    """The URIs that name no version in any registry, by their form alone.

    >>> [str(problem) for problem in misspelt(["models:/ranker@champion", "runs:/abc/model"])]
    ["models[1].uri: must be models:/NAME@ALIAS or models:/NAME/VERSION; got 'runs:/abc/model'"]
    """
    wrong = [(index, uri) for index, uri in enumerate(uris) if not _URI.fullmatch(uri)]
    return [Problem(_RULE.format(uri), path=f"models[{index}].uri") for index, uri in wrong]


def unregistered(uris: Iterable[str]) -> list[Problem]:
    """The problems that `resolve` would report for well-formed URIs in an empty registry."""
    names = [match[1] if (match := _URI.fullmatch(uri)) else uri for uri in uris]
    return [Problem(_nothing_registered(name), path=f"models[{at}].uri") for at, name in enumerate(names)]


def _command(name: str) -> str:
    """The command that registers a model of the examples; empty for any other name."""
    from sim.registry.demo import BIOPSIES, MODEL

    return "sim models demo" if name in (MODEL, BIOPSIES) else registering(name)


def _nothing_registered(name: str) -> str:
    command = _command(name)
    how = f"`{command}` registers that of the examples" if command else "register a models file with `sim models register FILE`"
    return f"no model {name!r} in the registry; the registry is empty: {how}"


def resolve(models: Sequence[tuple[str, str]], client: MlflowClient, *, unmeasured: bool = False) -> list[Version]:
    """The versions that (arm, URI) pairs name, in order; URIs are models:/NAME@ALIAS or models:/NAME/VERSION.

    With `unmeasured`, for measuring, a real version without a latency profile is accepted with a latency of 1 s. Raises
    `InputError` with a problem at models[i].uri for every URI that names no usable version, and `TrackingError` if the
    registry cannot be reached.
    """
    versions: list[Version] = []
    problems: list[Problem] = []
    registered: dict[str, RegisteredModel] = {}
    for index, (arm, uri) in enumerate(models):
        try:
            with reaching(client):
                model, entity = _find(uri, client, registered)
                kind, behaviour, digest, served = _read(entity, client, unmeasured)
        except _Unusable as error:
            problems.append(Problem(visible(str(error)), path=f"models[{index}].uri"))
            continue
        version = str(entity.version)
        aliases = sorted(alias for alias, number in model.aliases.items() if str(number) == version)
        versions.append(
            Version(
                arm=arm,
                uri=uri,
                name=model.name,
                version=version,
                model_id=model_id_of(entity),
                run_id=entity.run_id or None,
                aliases=tuple(aliases),
                kind=kind,
                digest=digest,
                behaviour=behaviour,
                tags=dict(entity.tags),
                served=served,
            )
        )
    if problems:
        raise InputError(problems)
    return versions


def artifacts(version: Version, client: MlflowClient, path: str = "") -> Path:
    """The version's files, or one of them, on this machine; downloaded if they are elsewhere."""
    return _download(version.name, version.version, client, path)


def artifacts_of(entity: ModelVersion, client: MlflowClient, path: str = "") -> Path:
    """`artifacts` of a version as the registry answers it."""
    return _download(entity.name, str(entity.version), client, path)


def model_id_of(entity: ModelVersion) -> str | None:
    """The id of the logged model that the version was made of, or None."""
    if entity.model_id:
        return str(entity.model_id)
    # The SQL store does not return the id, but the location of a logged model contains it.
    match = re.search(r"(?:^models:|/models)/(m-[0-9a-f]{32})(?:/|$)", entity.source or "")
    return match[1] if match else None


def signature_of(version: Version, client: MlflowClient) -> Any:
    """The `mlflow.models.ModelSignature` of the version, or None; read without running the model's code."""
    from mlflow.models import Model

    with reaching(client):
        return Model.load(str(artifacts(version, client, "MLmodel"))).signature


def find(uri: str, client: MlflowClient) -> tuple[RegisteredModel, ModelVersion]:
    """The model and the version that a URI names, whatever its kind. Raises `InputError` at `uri` where there is none."""
    try:
        with reaching(client):
            return _find(uri, client, {})
    except _Unusable as error:
        raise InputError([Problem(visible(str(error)), path="uri")]) from None


def registered(name: str, client: MlflowClient) -> RegisteredModel:
    """The registered model of a name, which may be written models:/NAME. Raises `InputError` where there is none."""
    try:
        with reaching(client):
            return _model(name.removeprefix("models:/"), client)
    except _Unusable as error:
        raise InputError([Problem(visible(str(error)), path="name")]) from None


class _Unusable(Exception):
    """A URI that names no version that can be simulated, with the reason."""


def _find(uri: str, client: MlflowClient, registered: dict[str, RegisteredModel]) -> tuple[RegisteredModel, ModelVersion]:
    match = _URI.fullmatch(uri)
    if match is None:
        raise _Unusable(_RULE.format(uri))
    name, alias, number = match.groups()
    if name not in registered:
        registered[name] = _model(name, client)
    model = registered[name]
    aliases = {alias: str(version) for alias, version in model.aliases.items()}
    are = "aliases are" if len(aliases) > 1 else "alias is"
    listing = f"its {are} {', '.join(sorted(aliases))}" if aliases else "it has no alias"
    if alias is None and (number is None or not re.fullmatch(r"[0-9]{1,9}", number)):
        what = "no version is named" if number is None else f"{number!r} is not a version"
        if number == "latest":
            what = "'latest' changes from run to run"
        elif number in ("Production", "Staging", "Archived", "None"):
            what = f"{number!r} is a stage, which MLflow has given up"
        raise _Unusable(f"{what}: name an alias or a number, as in models:/{name}@champion; {listing}; got {uri!r}")
    if alias is not None:
        if alias not in aliases:
            near = _did_you_mean(alias, aliases)
            raise _Unusable(f"model {name!r} has no alias {alias!r}{near}; {listing}")
        number = aliases[alias]
    return model, _version(name, number, client)


def _model(name: str, client: MlflowClient) -> RegisteredModel:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
    names = [model.name for model in client.search_registered_models(max_results=1000)]
    if not names:
        raise _Unusable(_nothing_registered(name))
    some = there_are(sorted(names)[:10]) + (", …" if len(names) > 10 else "")
    command = _command(name)
    example = f": `{command}` registers that of the examples" if command else ""
    raise _Unusable(f"no model {name!r} in the registry{example}{_did_you_mean(name, names)}; {some}")


def _version(name: str, number: str, client: MlflowClient) -> ModelVersion:
    from mlflow.exceptions import MlflowException

    try:
        version = client.get_model_version(name, str(int(number)))
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        page = client.search_model_versions(f"name='{name.replace(chr(39), chr(39) * 2)}'", max_results=100)
        numbers = sorted(int(version.version) for version in page)
        listing = f"its versions are {', '.join(map(str, numbers))}" if numbers else "it has none"
        raise _Unusable(f"model {name!r} has no version {number}; {listing}") from None
    if version.status != "READY":
        raise _Unusable(f"version {number} of model {name!r} is not ready: its status is {version.status}")
    return version


def _did_you_mean(word: str, words: Sequence[str] | dict[str, str]) -> str:
    near = difflib.get_close_matches(word, words, n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(repr(name) for name in near)}?" if near else ""


def _read(
    entity: ModelVersion, client: MlflowClient, unmeasured: bool
) -> tuple[Literal["behaviour", "replay"], Behaviour, str, Served | None]:
    tags, uri = entity.tags, f"models:/{entity.name}/{entity.version}"
    try:
        kept = json.loads(tags[BEHAVIOUR]) if BEHAVIOUR in tags else None
    except ValueError as error:
        raise _Unusable(f"the tags of {uri} were edited: {BEHAVIOUR} is not JSON") from error
    if kept is None and tags.get(KIND) != "replay":
        kept = _logged_behaviour(entity, client)
    if kept is not None:
        try:
            behaviour = Behaviour.model_validate(kept, context=AS_WRITTEN)
        except ValidationError as error:
            raise _Unusable(f"{uri} holds a behaviour that cannot be read: {error.errors()[0]['msg']}") from error
        if tags.get(DIGEST, behaviour.digest()) != behaviour.digest():
            raise _Unusable(f"the tags of {uri} were edited: its behaviour is not the one that was registered")
        return "behaviour", behaviour, behaviour.digest(), None
    try:
        profile, served = Profile.from_tags(tags), Served.from_tags(tags)
    except ValueError as error:
        if not unmeasured:
            raise _Unusable(
                f"{uri} has a latency profile that cannot be read: {error}; run `sim models measure {uri} --data FILE`"
            ) from error
        profile, served = None, None
    if profile is None:
        if not unmeasured:
            raise _Unusable(f"{uri} is a real model whose latency is not measured: run `sim models measure {uri} --data FILE`")
        profile = Profile((0.0, 1.0), (1.0, 1.0), 0.0, 0, "")
    made = [entity.name, str(entity.version), entity.creation_timestamp, entity.source, entity.run_id]
    behaviour = Behaviour(latency=profile.latency, error_rate=profile.error_rate)
    measured = [served.to_tags()] if served is not None else []
    return "replay", behaviour, digest_of([made, behaviour.to_dict(), *measured]), served


def _logged_behaviour(entity: ModelVersion, client: MlflowClient) -> Any:
    """The behaviour in the MLmodel file: for a version that was registered by hand, without our tags."""
    import yaml

    file = _download(entity.name, str(entity.version), client, "MLmodel")
    try:
        read = yaml.safe_load(file.read_text("utf-8"))
        flavors = dict(read)["flavors"]
        config = dict(flavors.get("python_function", {})).get("config")
    except (yaml.YAMLError, UnicodeDecodeError, LookupError, TypeError, ValueError, AttributeError):
        name = f"models:/{entity.name}/{entity.version}"
        raise _Unusable(f"what the store gives as the MLmodel file of {name} is none: is it an MLflow server?") from None
    return config.get("behaviour") if isinstance(config, dict) else None


def _download(name: str, version: str, client: MlflowClient, path: str) -> Path:
    import mlflow.artifacts

    root = client.get_model_version_download_uri(name, version)
    return Path(
        mlflow.artifacts.download_artifacts(
            artifact_uri=f"{root.rstrip('/')}/{path}" if path else root,
            tracking_uri=client.tracking_uri,
        )
    )
