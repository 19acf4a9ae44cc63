"""Resolving URIs: what is found, and what every wrong URI is told."""

from __future__ import annotations

import pytest
from mlflow import MlflowClient

from sim.errors import InputError
from sim.registry.behaviour import ModelsFile
from sim.registry.profile import LATENCY
from sim.registry.publish import BEHAVIOUR, DIGEST, KIND, Registered
from sim.registry.register import register
from sim.registry.versions import resolve


@pytest.fixture(scope="module")
def ranker(registry: MlflowClient) -> MlflowClient:
    version = {"outcomes": {"sale": {"bernoulli": "5%"}}, "latency": {"constant": "45ms"}}
    versions = [version | {"alias": "champion"}, version | {"alias": "challenger", "error_rate": "1%"}]
    register(ModelsFile.model_validate({"model": "item-ranker", "versions": versions}), registry)
    return registry


def test_aliases_and_numbers_name_the_same_version(ranker: MlflowClient) -> None:
    by_alias, by_number = resolve(
        [("champion", "models:/item-ranker@champion"), ("challenger", "models:/item-ranker/1")], ranker
    )
    assert by_alias.arm == "champion"
    assert by_alias.pinned == by_number.pinned == "models:/item-ranker/1"
    assert by_alias.aliases == by_number.aliases == ("champion",)
    assert by_alias.digest == by_number.digest


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("models:/item-rankr@champion", "did you mean 'item-ranker'?"),
        ("models:/item-ranker@champ", "did you mean 'champion'?; its aliases are challenger, champion"),
        ("models:/item-ranker/7", "no version 7; its versions are 1, 2"),
        ("models:/item-ranker/latest", "'latest' changes from run to run: name an alias or a number"),
        ("models:/item-ranker/Production", "is a stage"),
        ("models:/item-ranker/99999999999999999999", "is not a version"),
        ("models:/item-ranker", "no version is named"),
        ("runs:/abc/model", "must be models:/NAME@ALIAS or models:/NAME/VERSION"),
        ("", "must be models:/NAME@ALIAS"),
        ("models:/o'brien@x", 'no model "o\'brien"'),
    ],
)
def test_a_wrong_uri_is_told_what_there_is(ranker: MlflowClient, uri: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        resolve([("champion", "models:/item-ranker@champion"), ("challenger", uri)], ranker)
    (problem,) = caught.value.problems
    assert said in problem.message
    assert problem.path == "models[1].uri"


def test_all_wrong_uris_are_reported_at_once(ranker: MlflowClient) -> None:
    with pytest.raises(InputError) as caught:
        resolve([("a", "models:/nothing@x"), ("b", "models:/item-ranker@x"), ("c", "nonsense")], ranker)
    assert [problem.path for problem in caught.value.problems] == [f"models[{i}].uri" for i in range(3)]


def test_a_behaviour_without_our_tags_is_read_from_the_model_file(ranker: MlflowClient) -> None:
    source = ranker.get_model_version("item-ranker", "2")
    ranker.create_registered_model("by-hand")
    ranker.create_model_version("by-hand", source=source.source, run_id=source.run_id)
    original, copy = resolve([("a", "models:/item-ranker/2"), ("b", "models:/by-hand/1")], ranker)
    assert copy.kind == "behaviour"
    assert copy.behaviour == original.behaviour
    assert copy.digest == original.digest


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({BEHAVIOUR: '{"latency": {"constant": "1ms"}}'}, "edited"),
        ({BEHAVIOUR: "{"}, "edited"),
        ({BEHAVIOUR: "{}"}, "cannot be read"),
    ],
)
def test_edited_tags_are_refused(ranker: MlflowClient, tags: dict[str, str], said: str) -> None:
    source = ranker.get_model_version("item-ranker", "1")
    made = ranker.create_model_version("item-ranker", source=source.source, run_id=source.run_id, tags=dict(source.tags) | tags)
    try:
        with pytest.raises(InputError, match=said):
            resolve([("a", f"models:/item-ranker/{made.version}")], ranker)
    finally:
        ranker.delete_model_version("item-ranker", made.version)


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({}, "is not measured: run `sim models measure models:/unmeasured/1 --data FILE`"),
        ({LATENCY: '{"levels": [0, 1]}'}, "cannot be read"),
        ({LATENCY: '{"levels": [0, 1], "values_s": [2, 1]}'}, "must not decrease"),
        ({LATENCY: "fast"}, "cannot be read"),
    ],
)
def test_a_real_version_needs_a_latency_profile(
    registry: MlflowClient, digits: list[Registered], tags: dict[str, str], said: str
) -> None:
    source = registry.get_model_version("digits", digits[0].version)
    registry.create_registered_model("unmeasured")
    registry.create_model_version("unmeasured", source=source.source, tags={KIND: "replay", DIGEST: "0"} | tags)
    try:
        with pytest.raises(InputError, match=said):
            resolve([("champion", "models:/unmeasured/1")], registry)
    finally:
        registry.delete_registered_model("unmeasured")


def test_a_new_profile_changes_the_digest(registry: MlflowClient, digits: list[Registered]) -> None:
    uri = digits[1].uri
    (before,) = resolve([("a", uri)], registry)
    slow = '{"levels":[0,1],"values_s":[0.5,0.6]}'
    registry.set_model_version_tag("digits", digits[1].version, LATENCY, slow)
    (after,) = resolve([("a", uri)], registry)
    registry.set_model_version_tag("digits", digits[1].version, LATENCY, before.tags[LATENCY])
    assert after.digest != before.digest
    assert resolve([("a", uri)], registry)[0].digest == before.digest
