"""Every key of every file, misspelt by one letter: the key that was meant is suggested, at its place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from sim.errors import InputError, Place, Problem, format_path
from sim.registry.behaviour import ModelsFile
from sim.scenario.loading import Document, read_yaml, validate
from sim.scenario.opening import opened
from sim.scenario.schema import Scenario

ROOT = Path(__file__).parents[2]
FILES = sorted(file for folder in ("scenarios", "tests/kinds") for file in (ROOT / folder).rglob("*.yaml"))


def strict_models() -> list[type[BaseModel]]:
    """All that a file may hold."""

    def below(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
        for each in model.__subclasses__():
            yield each
            yield from below(each)

    found = {
        each for each in below(BaseModel) if each.__module__.startswith("sim.") and each.model_config.get("extra") == "forbid"
    }
    return sorted(found, key=lambda each: (each.__module__, each.__name__))


def slips(word: str) -> list[str]:
    """A letter left out, doubled, replaced, or swapped with the next."""
    found = []
    for place, letter in enumerate(word):
        before, after = word[:place], word[place + 1 :]
        found += [before + after, before + 2 * letter + after, before + "x" + after, before + after[:1] + letter + after[1:]]
    return [slip for slip in dict.fromkeys(found) if slip and slip != word]


def problems(data: dict[str, Any], model: type[BaseModel], document: Document | None = None) -> tuple[Problem, ...]:
    read = replace(document, data=data) if document else Document("", "a.yaml", data, {})
    try:
        if document is not None and model is Scenario:
            opened(read)
        else:
            validate(read, model)
    except InputError as error:
        return error.problems
    return ()


@pytest.mark.parametrize("model", strict_models(), ids=lambda model: model.__name__)
def test_every_key_of_the_schema_is_suggested(model: type[BaseModel]) -> None:
    keys = [field.alias or name for name, field in model.model_fields.items()]
    for key in keys:
        for slip in slips(key):
            if slip not in keys:
                said = [each.message for each in problems({slip: 1}, model) if each.path == format_path((slip,))]
                assert any(repr(key) in each.partition("did you mean")[2] for each in said), (key, slip, said)


def keys_of(value: Any, place: Place = ()) -> Iterator[Place]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield (*place, key)
            yield from keys_of(each, (*place, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from keys_of(each, (*place, index))


def renamed(value: Any, place: Place, name: str) -> Any:
    first, *rest = place
    if not rest:
        return {name if key == first else key: each for key, each in value.items()}
    if isinstance(value, dict):
        return {key: renamed(each, tuple(rest), name) if key == first else each for key, each in value.items()}
    return [renamed(each, tuple(rest), name) if index == first else each for index, each in enumerate(value)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_slip_in_a_file_is_told_where_it_stands(file: Path) -> None:
    """What stands around it, the kind of a part that is missing for instance, does not hide it."""
    document = read_yaml(file)
    model = ModelsFile if "model" in document.data else Scenario
    for place in keys_of(document.data):
        key = str(place[-1])
        for slip in (key[1:], key[:-1] + "x", key[:1] + key[2:3] + key[1:2] + key[3:]):
            if not slip or slip == key:
                continue
            found = problems(renamed(document.data, place, slip), model, document)
            at = format_path((*place[:-1], slip))
            # A name that a user gives, such as an arm's, is no key: it may be any, and is refused by its own rule.
            if not found or not any(each.path == at or each.path.startswith(at) for each in found):
                assert _is_a_name(place), (format_path(place), slip, [str(each) for each in found])
            elif not _is_a_name(place):
                assert any(each.path == at and repr(key) in each.message for each in found), (at, [str(each) for each in found])


# Below these, keys are names or numbers of the user's.
NAMED = (
    "truth",
    "capacity",
    "pools",
    "thresholds",
    "require",
    "per",
    "outcomes",
    "relative",
    "misrouted",
    "quantiles",
    "groups",
    "always_pass",
    "categorical",
    "prior",
    "by_arm",
    "calibrate",
    "target",
)


def _is_a_name(place: Place) -> bool:
    if len(place) < 2:
        return False
    # What a sweep or a sensitivity varies is read in its worlds; the keys of `truth` are arms, and below them metrics.
    varied = place[0] == "sweep" or (place[0] == "sensitivity" and place[1] != "replications")
    return varied or place[-2] in NAMED or (place[0] == "truth" and len(place) == 3)
