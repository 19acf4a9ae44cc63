"""Users, segments, and the rest of what a scenario makes of its world, in numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from sim.scenario.users import SegmentSpec, Users
from sim.world.feedback import Feedback
from sim.world.latency import Exponential
from sim.world.users import population, segments
from tests.worlds import behaves, make_scenario, make_world


@pytest.mark.parametrize("activity", ["even", {"pareto": 1.5}, {"lognormal": 1.2}])
def test_activities_are_the_quantiles_of_their_distribution(activity: Any) -> None:
    found = population(Users.model_validate({"count": 1000, "activity": activity}))
    assert found is not None
    level = (np.arange(1000) + 0.5) / 1000
    quantile = {
        "even": np.ones(1000), "pareto": stats.pareto.ppf(level, 1.5), "lognormal": stats.lognorm.ppf(level, 1.2),
    }[activity if isinstance(activity, str) else next(iter(activity))]  # fmt: skip
    assert found.activity == pytest.approx(quantile / quantile.sum())
    assert found.users == 1000


def test_the_most_unequal_activity_still_is_one() -> None:
    found = population(Users.model_validate({"count": 1_000_000, "activity": {"pareto": 0.1}}))
    assert found is not None
    assert np.isfinite(found.activity).all()
    assert found.activity.sum() == pytest.approx(1)


def test_assignment_is_sticky_unless_the_scenario_says_otherwise() -> None:
    said = [population(Users.model_validate({"count": 2, **more})) for more in ({}, {"assignment": "request"})]
    assert [found.sticky for found in said if found is not None] == [True, False]
    assert population(None) is None


def test_segments_leave_the_mean_over_all_as_it_is() -> None:
    said = [
        SegmentSpec.model_validate({"name": "a", "share": "20%", "relative": {"conversion": "-50%", "revenue": "100%"}}),
        SegmentSpec.model_validate({"name": "b", "share": "30%", "relative": {"conversion": "+20%"}}),
        SegmentSpec.model_validate({"name": "c", "share": "50%"}),
    ]
    found = segments(said)
    assert found is not None
    for factors in found.factors.values():
        assert (found.share * factors).sum() == pytest.approx(1)
    conversion = found.factors["conversion"]
    assert conversion / conversion[2] == pytest.approx([0.5, 1.2, 1.0])
    assert found.factors["revenue"] == pytest.approx([2 / 1.2, 1 / 1.2, 1 / 1.2])
    assert segments(()) is None


def test_a_scenario_of_its_own_has_none_of_it() -> None:
    world = make_world(make_scenario())
    assert (world.population, world.segments, world.change, world.retry, world.misrouted) == (None,) * 5
    assert (world.pools, world.feedback, world.lag, world.loss) == ((), {}, 0, 0.0)
    assert not world.competing


def test_everything_else_comes_to_the_world_in_its_own_units() -> None:
    scaling = {"least": 2, "most": 6, "target": "60%", "cold_start": "90s", "cool_down": "20m"}
    scenario = make_scenario(
        metrics=[{"name": "conversion", "role": "primary", "delay": {"exponential": "2h"}}],
        capacity={"champion": {"replicas": 4, "concurrency": 8, "queue": 200, "timeout": "2s", "scaling": scaling}},
        pools={"new": {"replicas": 2, "arms": ["challenger"]}},
        retries={"on": ["error", "timeout"], "backoff": "100ms", "longest": "10s"},
        telemetry={"lag": "20m", "loss": "1%"},
        router={"misrouted": {"challenger": "2%"}},
    )
    world = make_world(scenario, [behaves()] * 2)
    own, shared = world.pools
    assert (own.name, own.arms, own.replicas, own.concurrency, own.queue, own.timeout_ns) == (
        "champion", (0,), 4, 8, 200, 2_000_000_000,
    )  # fmt: skip
    assert own.scaling is not None
    assert (own.scaling.least, own.scaling.most, own.scaling.target) == (2, 6, 0.6)
    assert (own.scaling.cold_start_ns, own.scaling.cool_down) == (90_000_000_000, 2)
    assert (shared.name, shared.arms, shared.servers, shared.queue, shared.timeout_ns) == ("new", (1,), 2, None, None)
    assert world.retry is not None
    assert (world.retry.attempts, world.retry.base_s, world.retry.longest_s) == (3, 0.1, 10.0)
    assert (world.retry.on_error, world.retry.on_timeout, world.retry.on_rejection) == (True, True, False)
    assert world.feedback == {"conversion": Feedback.same(Exponential(7200.0), 2)}
    assert (world.lag, world.loss) == (2, 0.01)
    assert world.misrouted is not None
    assert world.misrouted.tolist() == [0.0, 0.02]


def test_a_request_that_is_tried_again_fails_only_if_every_attempt_does() -> None:
    once = make_world(make_scenario(), [behaves(error_rate="10%")] * 2).realise(np.arange(1))
    thrice = make_world(make_scenario(retries={"on": ["error"]}), [behaves(error_rate="10%")] * 2).realise(np.arange(1))
    assert once.worths.overall.value[0] == pytest.approx([0.05 * 0.9] * 2)
    assert thrice.worths.overall.value[0] == pytest.approx([0.05 * 0.999] * 2)


@pytest.mark.parametrize("activity", ["even", {"pareto": 1.5}, {"lognormal": 1.2}])
def test_expected_users_are_those_that_draws_meet(activity: Any) -> None:
    found = population(Users.model_validate({"count": 500, "activity": activity}))
    assert found is not None
    rng, draws = np.random.default_rng(3), 2_000
    for requests in (1, 50, 400):
        met = np.array([np.unique(rng.choice(500, requests, p=found.activity)).size for _ in range(draws)])
        assert found.distinct(np.array([requests]))[0] == pytest.approx(met.mean(), abs=4 * met.std() / np.sqrt(draws) + 1e-9)


@pytest.mark.parametrize("activity", ["even", {"pareto": 1.1}, {"lognormal": 2.0}])
def test_groups_of_users_err_by_little(activity: Any) -> None:
    found = population(Users.model_validate({"count": 100_000, "activity": activity}))
    assert found is not None
    requests = np.array([0, 1, 1_000, 100_000, 10_000_000])
    exact = [-np.expm1(each * np.log1p(-found.activity)).sum() for each in requests]
    np.testing.assert_allclose(found.distinct(requests), exact, rtol=1e-3)
