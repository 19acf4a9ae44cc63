"""Model versions without a registry: behaviours that a program gives, as a registry would have resolved them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from sim.errors import InputError, Place, Problem, format_path
from sim.registry.behaviour import Behaviour, ModelsFile
from sim.registry.versions import Version

Models = str | Path | Mapping[str, Any] | Sequence[Any]
"""Behaviours in the order of the arms, or by arm; or a models file: its path, its text, or what it says.

A behaviour is a `Behaviour`, or what a models file says of a version.
"""

_URI = re.compile(r"models:/([^/:@]+)(?:@([^/:@]+)|/([0-9]{1,9}))")


def in_memory(arms: Sequence[tuple[str, str]], models: Models) -> tuple[Version, ...]:
    """The version of every (arm, URI), in order. Where `models` is a models file, URIs name its versions.

    Raises `InputError` with every problem; paths are those of the scenario (`models[1].uri`) or of what was given (`models.a`).

    >>> behaviours = [{"outcomes": {"sale": {"bernoulli": rate}}, "latency": {"constant": "45ms"}} for rate in (0.05, 0.06)]
    >>> versions = in_memory([("champion", "models:/ranker/1"), ("challenger", "models:/ranker/2")], behaviours)
    >>> [(version.arm, version.pinned, version.behaviour.outcomes["sale"].mean) for version in versions]
    [('champion', 'models:/ranker/1', 0.05), ('challenger', 'models:/ranker/2', 0.06)]
    """
    if isinstance(models, str | Path) or (isinstance(models, Mapping) and "versions" in models):
        return _of_file(arms, _models_file(models))
    names = [arm for arm, _ in arms]
    if isinstance(models, Mapping):
        found = [
            Problem(f"no arm {arm!r}; there are {', '.join(names)}", format_path(("models", arm)))
            for arm in models
            if arm not in names
        ]
        found += [Problem(f"says nothing of the arm {arm!r}", "models") for arm in names if arm not in models]
        given = [models.get(arm) for arm in names]
        places: list[Place] = [("models", arm) for arm in names]
    else:
        given, places = list(models), [("models", at) for at in range(len(models))]
        found = []
        if len(given) != len(names):
            found = [Problem(f"must be one for each of the {len(names)} arms, {', '.join(names)}; got {len(given)}", "models")]
    if found:
        raise InputError(found)
    behaviours = [_behaviour(said, place) for said, place in zip(given, places, strict=True)]
    return tuple(
        version(arm, uri, at, each) for at, ((arm, uri), each) in enumerate(zip(arms, behaviours, strict=True), start=1)
    )


def version(
    arm: str, uri: str, number: int, behaviour: Behaviour, kind: Literal["behaviour", "replay"] = "behaviour"
) -> Version:
    """An arm's version that no registry has; `number` is its version where the URI names none."""
    match = _URI.fullmatch(uri)
    name, said = (match[1], match[3] or str(number)) if match else ("memory", str(number))
    return Version(
        arm=arm, uri=uri, name=name, version=said, model_id=None, run_id=None, aliases=(), kind=kind, digest=behaviour.digest(),
        behaviour=behaviour, tags={},
    )  # fmt: skip


def _behaviour(said: Any, place: Place) -> Behaviour:
    if isinstance(said, Behaviour):
        return said
    try:
        return Behaviour.model_validate(said)
    except ValidationError as error:
        raise InputError(Problem(each["msg"], format_path((*place, *each["loc"]))) for each in error.errors()) from None


def _models_file(models: str | Path | Mapping[str, Any]) -> ModelsFile:
    from sim.scenario.loading import document_of, validate

    return validate(document_of(models, "models"), ModelsFile)


def _of_file(arms: Sequence[tuple[str, str]], file: ModelsFile) -> tuple[Version, ...]:
    found, problems = [], []
    for index, (arm, uri) in enumerate(arms):
        match = _URI.fullmatch(uri)
        numbers = [
            number
            for number, each in enumerate(file.versions, start=1)
            if match and match[1] == file.model and (each.alias == match[2] if match[2] else str(number) == match[3])
        ]
        if numbers:
            found.append(version(arm, uri, numbers[0], file.versions[numbers[0] - 1].behaviour))
        else:
            named = [f"@{each.alias}" if each.alias else f"/{number}" for number, each in enumerate(file.versions, start=1)]
            there = ", ".join(f"models:/{file.model}{name}" for name in named)
            problems.append(
                Problem(
                    f"names no version of the models that were given; there are {there}; got {uri!r}", f"models[{index}].uri"
                )
            )
    if problems:
        raise InputError(problems)
    return tuple(found)
