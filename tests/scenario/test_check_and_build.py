"""What `sim check` accepts can be built, and knowing the models takes no problem back, for files that a generator makes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from sim.errors import InputError, Problem
from sim.scenario.check import check
from sim.scenario.loading import parse_yaml, read_yaml, validate
from sim.scenario.schema import Scenario
from sim.workflow import load_scenario
from sim.world.build import build
from tests.thorough import plays
from tests.worlds import behaves, make_versions

FOLDER = Path(__file__).parents[1] / "kinds"
FILES = [file for file in sorted(FOLDER.glob("*.yaml")) if "models" not in file.name and "replayed" not in file.name]
SAID = {file.name: read_yaml(file).data for file in FILES}
# What models may have registered of every metric. A policy that passed the check suits some of them.
OUTCOMES: tuple[dict[str, Any], ...] = (
    {"bernoulli": 0.2},
    {"normal": {"mean": 3, "sd": 1}},
    {"zero_inflated": {"rate": 0.3, "amount": {"lognormal": {"mean": 8, "sd": 5}}}},
    # Within any bounds that a file sets.
    {"beta": {"mean": 0.4, "sd": 0.1}},
)

Place = tuple[str | int, ...]


def places(value: Any, place: Place = ()) -> Iterator[Place]:
    """Where every value of a file stands."""
    if place:
        yield place
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from places(inner, (*place, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from places(inner, (*place, index))


def at(value: Any, place: Place) -> Any:
    for part in place:
        value = value[part]
    return value


# By the last key of a place, all that is written there in any file: what another file says is often allowed, and often not.
WRITTEN: dict[str, list[Any]] = {}
for _said in SAID.values():
    for _place in places(_said):
        if isinstance(_place[-1], str) and at(_said, _place) not in WRITTEN.setdefault(_place[-1], []):
            WRITTEN[_place[-1]].append(at(_said, _place))


@st.composite
def files(draw: st.DrawFn) -> dict[str, Any]:
    """A scenario of tests/kinds with one policy, and up to three keys left out or taken from another file."""
    name = draw(st.sampled_from(sorted(SAID)))
    said = deepcopy(SAID[name])
    said.pop("sweep", None)
    others = [policy for other in SAID.values() for policy in other["policies"]]
    said["policies"] = [deepcopy(draw(st.sampled_from([*said["policies"], *others])))]
    said.pop("baseline", None)
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.sampled_from([each for each in places(said) if isinstance(each[-1], str)]))
        inside = at(said, place[:-1])
        if draw(st.booleans()):
            del inside[place[-1]]
        else:
            inside[place[-1]] = deepcopy(draw(st.sampled_from(WRITTEN[place[-1]])))
    if "trace" in said.get("traffic", {}):
        # A recorded file is read with the world.
        said["traffic"] = {"rate": "100/h"}
    return said


def read(said: Mapping[str, Any]) -> tuple[Scenario, list[Problem]] | None:
    """The scenario of a file and what `sim check` says of it; None where it is not even a scenario by its schema."""
    try:
        scenario = validate(parse_yaml(json.dumps(said), "generated.yaml"), Scenario)
    except InputError:
        return None
    return scenario, list(check(scenario))


def refused(scenario: Scenario, outcome: Mapping[str, Any]) -> list[Problem]:
    """Why there is no world in which all metrics are of a kind; nothing where there is one."""
    names = [metric.name for metric in scenario.metrics if metric.name not in ("error_rate", "latency", "agreement")]
    behaviour = behaves(outcomes=dict.fromkeys(names, outcome), agreement="95%")
    try:
        build(scenario, make_versions(scenario, [behaviour] * len(scenario.models)))
    except InputError as error:
        return list(error.problems)
    return []


@settings(max_examples=plays(120, 300), suppress_health_check=list(HealthCheck), deadline=None)
@given(files())
def test_what_the_check_accepts_is_built_with_some_models_and_nothing_else_is(said: dict[str, Any]) -> None:
    """Six kinds were once refused from every file, because not known yet was taken for not binary."""
    found = read(said)
    assume(found is not None)
    assert found is not None
    scenario, problems = found
    # Not told by the check yet: that failures, which an event makes sure, count as less than a part's `lowest`.
    assume(not any(metric.failure is not None and metric.failure.worth < 0 for metric in scenario.metrics))
    event("refused by the check" if problems else "accepted by the check")
    said_of = [refused(scenario, outcome) for outcome in OUTCOMES]
    if problems:
        assert all(each == problems for each in said_of)
    else:
        assert not all(said_of), said_of


@pytest.mark.parametrize("kind", ["ucb1", "kl_ucb", "track_and_stop", "kl_lucb"])
def test_bounds_are_for_amounts_and_said_once_it_is_known(kind: str) -> None:
    said = {key: value for key, value in SAID["allocations.yaml"].items() if key != "baseline"}
    allocation = {"kind": kind, "lowest": -9, "highest": 9} if kind.endswith(("ucb1", "kl_ucb")) else {"kind": kind}
    said["policies"] = [{"name": "bandit", "kind": "bandit", "allocation": allocation}]
    found = read(said)
    assert found is not None
    scenario, problems = found
    assert problems == []
    binary, normal, *_ = (refused(scenario, outcome) for outcome in OUTCOMES)
    wrong, right = (binary, normal) if "highest" in allocation else (normal, binary)
    assert len(wrong) == (2 if "highest" in allocation else 1)
    assert right == []


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"capacity": {"champion": {"replicas": 2}}}, "capacity: requests compete for servers"),
        ({"retries": {}}, "retries: an attempt depends on the ones before it"),
        ({"users": {"count": 10}}, "users.assignment: the requests of a sticky user go to one arm together"),
        ({"traffic": {"rate": "1/s", "arrivals": "regular"}}, "traffic.arrivals: regular arrivals depend on each other"),
    ],
)
def test_what_the_engine_that_is_named_cannot_play_is_said_by_the_check(said: dict[str, Any], words: str) -> None:
    scenario = {**SAID["truth.yaml"], "engine": "aggregate", **said}
    scenario.pop("sweep")
    with pytest.raises(InputError) as error:
        load_scenario(scenario)
    assert f"engine: aggregate cannot play this: {words}" in str(error.value)
    load_scenario({**scenario, "engine": "auto"})
