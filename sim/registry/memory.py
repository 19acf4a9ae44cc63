"""Model versions without a registry, made from behaviours in memory."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from sim.errors import InputError, Place, Problem, format_path
from sim.registry.behaviour import Behaviour, ModelsFile
from sim.registry.versions import Version
from sim.spelling import there_are
from sim.units import shown

Models = str | Path | Mapping[str, Any] | Sequence[Any]
"""Behaviours in the order of the arms, or by arm; or a models file: its path, its text, or its data as a mapping.

A behaviour is a `Behaviour`, or a mapping as for a version in a models file.
"""

_URI = re.compile(r"models:/([^/:@]+)(?:@([^/:@]+)|/([0-9]{1,9}))")


def in_memory(arms: Sequence[tuple[str, str]], models: Models) -> tuple[Version, ...]:
    """The version of every (arm, URI), in order. Where `models` is a models file, URIs name its versions.

    Raises `InputError` with every problem; paths are those of the scenario (`models[1].uri`) or of `models` (`models.a`).

    >>> behaviours = [{"outcomes": {"sale": {"bernoulli": rate}}, "latency": {"constant": "45ms"}} for rate in (0.05, 0.06)]
    >>> versions = in_memory([("champion", "models:/ranker/1"), ("challenger", "models:/ranker/2")], behaviours)
    >>> [(version.arm, version.pinned, version.behaviour.outcomes["sale"].mean) for version in versions]
    [('champion', 'models:/ranker/1', 0.05), ('challenger', 'models:/ranker/2', 0.06)]
    """
    if isinstance(models, str | Path) or (isinstance(models, Mapping) and "versions" in models):
        return _of_file(arms, _models_file(models))
    names = [arm for arm, _ in arms]
    if isinstance(models, Mapping):
        problems = [
            Problem(f"no arm {arm!r}; {there_are(names)}", format_path(("models", arm))) for arm in models if arm not in names
        ]
        problems += [Problem(f"says nothing of the arm {arm!r}", "models") for arm in names if arm not in models]
        items = [models.get(arm) for arm in names]
        places: list[Place] = [("models", arm) for arm in names]
    elif not isinstance(models, Sequence) or isinstance(models, bytes):
        rule = "must be behaviours in the order of the arms, or by arm, or a models file: its path, its text or a mapping"
        raise InputError([Problem(f"{rule}; got {shown(models)}", "models")])
    else:
        items, places = list(models), [("models", at) for at in range(len(models))]
        problems = []
        if len(items) != len(names):
            rule = f"must be one for each of the {len(names)} arms, {', '.join(names)}"
            problems = [Problem(f"{rule}; got {len(items)}", "models")]
    if problems:
        raise InputError(problems)
    behaviours = [_behaviour(entry, place) for entry, place in zip(items, places, strict=True)]
    return tuple(
        version(arm, uri, at, given) for at, ((arm, uri), given) in enumerate(zip(arms, behaviours, strict=True), start=1)
    )


def version(
    arm: str, uri: str, number: int, behaviour: Behaviour, kind: Literal["behaviour", "replay"] = "behaviour"
) -> Version:
    """An arm's version outside any registry; `number` is its version number if the URI names none."""
    match = _URI.fullmatch(uri)
    name, pinned = (match[1], match[3] or str(number)) if match else ("memory", str(number))
    return Version(
        arm=arm, uri=uri, name=name, version=pinned, model_id=None, run_id=None, aliases=(), kind=kind,
        digest=behaviour.digest(), behaviour=behaviour, tags={},
    )  # fmt: skip


def _behaviour(given: Any, place: Place) -> Behaviour:
    from sim.scenario.loading import Document, plain_data, validate

    where = format_path(place)
    if isinstance(given, Behaviour):
        return given
    if not isinstance(given, Mapping):
        raise InputError([Problem(f"must be a behaviour, or a mapping as in a models file; got {shown(given)}", where)])
    try:
        return validate(Document("", "", plain_data(given, where), {}), Behaviour, written=False)
    except InputError as error:
        found = [
            replace(each, file="", path=f"{where}{'.' * (each.path[:1] not in ('', '['))}{each.path}")
            for each in error.problems
        ]
        raise InputError(found) from None


def _models_file(models: str | Path | Mapping[str, Any]) -> ModelsFile:
    from sim.scenario.loading import document_of, validate

    return validate(document_of(models, "models"), ModelsFile)


def _of_file(arms: Sequence[tuple[str, str]], file: ModelsFile) -> tuple[Version, ...]:
    resolved, problems = [], []
    for index, (arm, uri) in enumerate(arms):
        match = _URI.fullmatch(uri)
        numbers = [
            number
            for number, spec in enumerate(file.versions, start=1)
            if match and match[1] == file.model and (spec.alias == match[2] if match[2] else str(number) == match[3])
        ]
        if numbers:
            resolved.append(version(arm, uri, numbers[0], file.versions[numbers[0] - 1].behaviour))
        else:
            named = [f"@{spec.alias}" if spec.alias else f"/{number}" for number, spec in enumerate(file.versions, start=1)]
            choices = there_are(f"models:/{file.model}{name}" for name in named)
            problems.append(
                Problem(f"names no version of the models that were given; {choices}; got {uri!r}", f"models[{index}].uri")
            )
    if problems:
        raise InputError(problems)
    return tuple(resolved)
