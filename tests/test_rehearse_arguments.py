"""Arguments that a program cannot mean: an `InputError` that names each, before anything is played."""

from __future__ import annotations

from typing import Any

import pytest

import sim
from tests.test_rehearse import NEW, OLD, SCENARIO

LIKE = {"latency": {"constant": "45ms"}}
LOOP: dict[str, Any] = {}
LOOP["again"] = LOOP


@pytest.mark.parametrize(
    ("given", "said"),
    [
        *(
            ({"workers": value}, "workers: must be a whole number of at least 1, or None; got")
            for value in (0, -1, 1.5, "2", True)
        ),
        ({"workers": float("nan")}, "workers: must be a whole number of at least 1, or None; got nan"),
        *(
            ({"samples": value}, "samples: must be a whole number of at least 2, or None; got")
            for value in (0, -1, 1, 1.5, "2")
        ),
        ({"baseline": 5}, "baseline: must be the name of a policy, or None; got 5"),
        ({"baseline": "abc"}, "baseline: no policy 'abc'; there are ab, bandit"),
        *(({"parts": value}, "parts: must be a list of Python files; got") for value in (5, None, [5], "x.py")),
        ({"tracking_uri": 5}, "tracking_uri: must be the URI of a server or a store, or None; got 5"),
        ({"registry_uri": ""}, "registry_uri: must be the URI of a server or a store, or None; got ''"),
        ({"models": 5}, "models: must be behaviours in the order of the arms, or by arm, or a models file"),
        ({"models": [OLD, (each for each in "x")]}, "models[1]: must be a behaviour, or a mapping as in a models file; got"),
        ({"models": [OLD, LOOP]}, "models[1]: holds more than 64 levels"),
        ({"models": LOOP}, "models.again: no arm 'again'"),
        ({"scenario": {**SCENARIO, "truth": LOOP}}, "scenario: holds more than 64 levels"),
        (
            {"workers": 0, "samples": 0},
            "workers: must be a whole number of at least 1, or None; got 0\nsamples: must be a whole",
        ),
    ],
)
def test_what_cannot_be_meant_is_said(given: dict[str, Any], said: str) -> None:
    with pytest.raises(sim.InputError) as error:
        sim.rehearse(**{"scenario": SCENARIO, "models": [OLD, NEW], **given})
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        ({"outcomes": {"sale": {"poisson": -1}}, **LIKE}, "models[1].outcomes.sale.poisson: must be at least 1e-12; got -1"),
        (
            {"outcomes": {"sale": {"poison": 1}}, **LIKE},
            "models[1].outcomes.sale.poison: unknown key 'poison'; did you mean 'poisson'?",
        ),
        ({"outcomes": {"a b": {"bernoulli": "5%"}}, **LIKE}, 'models[1].outcomes["a b"]: '),
        (
            {"outcomes": OLD["outcomes"], "latency": {"mixture": [{"constant": "1ms"}, {"constant": "no"}]}},
            "models[1].latency.mixture[1].constant: must be a duration",
        ),
    ],
)
def test_a_behaviour_is_told_as_in_a_file(behaviour: dict[str, Any], said: str) -> None:
    with pytest.raises(sim.InputError) as error:
        sim.rehearse(SCENARIO, [OLD, behaviour])
    (problem,) = error.value.problems
    assert said in str(problem)


def test_a_behaviour_of_a_program_may_have_numbers_for_durations() -> None:
    plan = sim.workflow.plan_scenario(SCENARIO, [OLD, {**NEW, "latency": {"constant": 0.045}}])
    assert plan.points[0].versions[1].behaviour.latency == plan.points[0].versions[0].behaviour.latency
