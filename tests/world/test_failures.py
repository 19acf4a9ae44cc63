"""What a failed request counts as: on the grid, within bounds, in what a team expects; and what a run warns of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sim.errors import InputError
from sim.world.failures import doubtful_failures
from sim.world.world import World
from tests.worlds import behaves, make_scenario, make_world

AMOUNT = {"revenue": {"gamma": {"mean": 10, "sd": 4}}}
NORMAL = {"revenue": {"normal": {"mean": 10, "sd": 4}}}
STARS = {"stars": {"categorical": {"1": "20%", "5": "80%"}}}


def world_of(metric: dict[str, Any], outcomes: Any, *errors: float, **changes: Any) -> World:
    """A world of one primary metric, whose arms fail as told."""
    scenario = make_scenario(metrics=[{"role": "primary", **metric}], **changes)
    return make_world(scenario, [behaves(outcomes=outcomes, error_rate=each) for each in errors or (0.08, 0.08)])


def refused(metric: dict[str, Any], outcomes: Any, *errors: float, **changes: Any) -> list[tuple[str, str]]:
    """(path, message) of what is wrong."""
    with pytest.raises(InputError) as caught:
        world_of(metric, outcomes, *errors, **changes)
    return [(problem.path, problem.message) for problem in caught.value.problems]


@pytest.mark.parametrize(("outcomes", "worth"), [(AMOUNT, -3.0), (AMOUNT, 0.0), (NORMAL, 25.0)])
def test_a_team_expects_what_requests_earn(outcomes: Any, worth: float) -> None:
    metric = {"name": "revenue", "failure": {"worth": worth}}
    setting = world_of(metric, outcomes).setting(1)
    answers = world_of(metric, outcomes, analysis="successes").setting(1).metrics["revenue"]
    never = world_of(metric, outcomes, 0.0, 0.08).setting(1).metrics["revenue"]
    assert (never.nominal_mean, never.nominal_sd, never.values) == (answers.nominal_mean, answers.nominal_sd, answers.values)
    drawn = np.random.default_rng(1).normal(answers.nominal_mean, answers.nominal_sd, 400_000)
    drawn[: int(0.08 * drawn.size)] = worth
    requests = setting.metrics["revenue"]
    assert requests.nominal_mean == pytest.approx(drawn.mean(), abs=4 * drawn.std() / drawn.size**0.5)
    assert requests.nominal_sd == pytest.approx(drawn.std(), rel=0.01)
    assert sum(requests.chances) == pytest.approx(1 if requests.values else 0)


def test_clients_who_try_again_fail_as_often_as_all_attempts_do() -> None:
    retries = {"attempts": 2, "on": ["error"], "backoff": "1s"}
    metric = world_of({"name": "revenue"}, AMOUNT, 0.3, 0.3, retries=retries).setting(1).metrics["revenue"]
    assert metric.nominal_mean == pytest.approx(10 * (1 - 0.09), rel=1e-3)


@pytest.mark.parametrize(
    ("metric", "outcomes", "counted"),
    [
        ({"name": "conversion"}, {"conversion": {"bernoulli": 0.1}}, 0.0),
        ({"name": "conversion", "direction": "decrease"}, {"conversion": {"bernoulli": 0.1}}, 1.0),
        ({"name": "conversion", "failure": {"worth": 1}}, {"conversion": {"bernoulli": 0.1}}, 1.0),
        ({"name": "conversion", "failure": {"worth": -3}}, {"conversion": {"bernoulli": 0.1}}, 0.0),
        ({"name": "conversion", "direction": "decrease", "failure": {"worth": 7}}, {"conversion": {"bernoulli": 0.1}}, 1.0),
        ({"name": "revenue"}, AMOUNT, 0.0),
        ({"name": "revenue", "failure": {"worth": -12.5}}, AMOUNT, -12.5),
        ({"name": "stars", "failure": {"worth": 0.5}}, STARS, 0.5),
    ],
)
def test_what_monitoring_counts_it_as(metric: dict[str, Any], outcomes: Any, counted: float) -> None:
    (outcome,) = world_of(metric, outcomes).outcomes
    assert outcome.failed_outcome == counted
    assert outcome.failed_value * outcome.grid == pytest.approx(counted)


def test_a_grid_that_is_stated_holds_it() -> None:
    ((path, message),) = refused({"name": "revenue", "grid": 0.5, "failure": {"worth": -0.3}}, NORMAL)
    assert (path, message) == (
        "metrics[0].failure.worth",
        "must be a whole number of steps of the grid of revenue (0.5), got -0.3",
    )
    assert world_of({"name": "revenue", "grid": 0.5, "failure": {"worth": -0.3}}, NORMAL, analysis="successes")
    ((path, message),) = refused({"name": "revenue", "failure": {"worth": -1e12}}, AMOUNT, traffic={"rate": "1000/s"})
    assert path == "metrics[0].failure.worth"
    assert "which reaches 1e+12" in message


def test_bounds_hold_it_where_requests_can_fail() -> None:
    bounded = [{"name": "bets", "kind": "ab", "evidence": {"kind": "betting", "lowest": 1, "highest": 5}}]
    found = refused({"name": "stars"}, STARS, policies=bounded)
    assert found == [("policies[0].evidence.lowest", "must be at most 0, the least stars that a request can have; got 1")]
    found = refused({"name": "stars", "failure": {"worth": 9}}, STARS, policies=bounded)
    assert found == [("policies[0].evidence.highest", "must be at least 9, the largest stars that a request can have; got 5")]
    assert world_of({"name": "stars"}, STARS, 0.0, 0.0, policies=bounded)
    assert world_of({"name": "stars"}, STARS, policies=bounded, analysis="successes")
    assert world_of({"name": "stars", "failure": {"worth": 1}}, STARS, policies=bounded)


ERRORS = {"kind": "errors", "arm": "challenger", "at": "1h", "duration": "1h", "rate": "10%"}
VARIED = {"challenger": {"error_rate": {"relative_effect": {"normal": {"mean": 0, "sd": 0.1}}}}}
GUARDED = [{"name": "conversion", "role": "primary"}, {"name": "error_rate", "role": "guardrail"}]


@pytest.mark.parametrize(
    ("errors", "changes", "warned"),
    [
        ((0.0, 0.0), {}, False),
        ((0.08, 0.08), {}, False),
        ((0.0, 0.08), {}, True),
        ((0.0, 0.0), {"timeline": [ERRORS]}, True),
        ((0.0, 0.0), {"timeline": [ERRORS, {**ERRORS, "arm": "champion"}]}, False),
        ((0.01, 0.01), {"truth": VARIED, "metrics": GUARDED}, True),
        ((0.0, 0.0), {"capacity": {"challenger": {"replicas": 2, "queue": 5}}}, True),
    ],
)
def test_leaving_failures_out_is_warned_of_where_the_arms_may_fail_unlike(
    errors: tuple[float, float], changes: dict[str, Any], warned: bool
) -> None:
    for analysis in ("requests", "successes"):
        scenario = make_scenario(**changes, analysis=analysis)
        world = make_world(scenario, [behaves(error_rate=each) for each in errors])
        found = [problem.path for problem in doubtful_failures(scenario, world)]
        assert found == (["analysis"] if warned and analysis == "successes" else [])


def test_a_worth_that_no_outcome_can_have_is_warned_of() -> None:
    scenario = make_scenario(metrics=[{"name": "conversion", "role": "primary", "failure": {"worth": -3}}])
    for error, warned in ((0.01, True), (0.0, False)):
        world = make_world(scenario, [behaves(error_rate=error)] * 2)
        assert [problem.path for problem in doubtful_failures(scenario, world)] == ["metrics[0].failure.worth"] * warned
