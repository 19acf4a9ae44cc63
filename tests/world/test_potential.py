"""Potential outcomes: the same whatever is asked besides, and distributed as the truth says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sim.world.capacity import Retry
from sim.world.feedback import Feedback
from sim.world.latency import Exponential
from sim.world.population import Population, Segments
from sim.world.potential import Potential, Requests
from sim.world.world import World
from tests.worlds import behaves, make_replayed_world, make_scenario, make_world

METRICS = [{"name": "conversion", "role": "primary"}, {"name": "score"}]
OUTCOMES = {"conversion": {"bernoulli": 0.3}, "score": {"normal": {"mean": 5.0, "sd": 1.0}}}
RETRY = Retry(3, True, True, True, 0.2, 2.0, 0.3, 0.5)


def world(arms: tuple[str, ...] = ("champion", "a"), **changes: Any) -> World:
    behaviours = [
        behaves(outcomes=OUTCOMES, error_rate=f"{10 * (1 + arm)}%", latency={"exponential": f"{1 + arm}s"}, agreement="80%")
        for arm in range(len(arms))
    ]
    made = make_world(make_scenario(arms=arms, metrics=METRICS, traffic={"rate": "20/s"}), behaviours)
    return replace(made, **changes)


def drawn(of: World, replication: int = 0, tick: int = 0, metrics: tuple[str, ...] = ("conversion", "score")) -> Requests:
    """Everything that can be asked of one replication in one tick."""
    return Potential(of.realise(np.array([replication])), metrics, True, True).draw(0, tick)


def test_requests_arrive_in_order_within_their_half_open_tick() -> None:
    truth = world().realise(np.arange(2))
    potential = Potential(truth, (), False, False)
    for tick in range(3):
        requests = potential.draw(1, tick)
        assert requests.arrival_ns.size == truth.arrivals[1, tick]
        assert requests.first == truth.arrivals[1, :tick].sum()
        assert (np.diff(requests.arrival_ns) >= 0).all()
        assert requests.arrival_ns[0] >= tick * 600 * 10**9
        assert requests.arrival_ns[-1] < (tick + 1) * 600 * 10**9


def test_what_else_is_asked_and_which_block_it_is_in_changes_no_draw() -> None:
    small, large = world().realise(np.array([5])), world(("champion", "a", "b"), retry=RETRY).realise(np.arange(8))
    some, more = Potential(small, ("score",), False, False), Potential(large, ("conversion", "score"), True, True)
    for tick in range(2):
        one, other = some.draw(0, tick), more.draw(5, tick)
        assert one.mirror is None
        assert one.agree is None
        for field in ("first", "arrival_ns", "user", "segment", "route", "misroute"):
            assert np.array_equal(getattr(one, field), getattr(other, field))
        for field in ("service_s", "error", "lost"):
            assert np.array_equal(getattr(one, field), getattr(other, field)[:, :2, :1])
        assert np.array_equal(one.values["score"], other.values["score"][:, :2])
        assert other.service_s.shape == (other.route.size, 3, 3)
        assert other.backoff_ns.shape == (other.route.size, 2)


def test_every_stream_and_every_request_has_draws_of_its_own() -> None:
    requests = drawn(world(("champion", "a"), retry=RETRY))
    n = requests.route.size
    assert requests.mirror is not None
    columns = np.column_stack(
        [requests.route, requests.misroute, requests.mirror, requests.error.reshape(n, -1), requests.service_s.reshape(n, -1),
         requests.backoff_ns, requests.values["score"]]
    )  # fmt: skip
    correlation = np.corrcoef(columns.T) - np.eye(columns.shape[1])
    # The largest of some 250 coefficients of standard error 1 / sqrt(n).
    assert np.abs(correlation).max() < 4.5 / np.sqrt(n)
    following = [np.corrcoef(column[:-1], column[1:])[0, 1] for column in columns.T]
    assert np.abs(following).max() < 4.5 / np.sqrt(n)


def test_shares_and_means_are_those_of_the_truth() -> None:
    some = world(loss=0.1, retry=RETRY, feedback={"score": Feedback.same(Exponential(90.0), 2)})
    requests = drawn(some)
    n = requests.route.size
    assert requests.mirror is not None
    assert requests.agree is not None
    grid = some.setting(1).metrics["score"].grid
    for sample, mean in (
        (requests.route, 0.5), (requests.misroute, 0.5), (requests.mirror[:, 1], 0.5), (requests.error[:, 1, 2], 0.5),
        (requests.lost[:, 0, 1], 0.1), (requests.agree[:, 1], 0.8), (requests.service_s[:, 1, 0], 2.0),
        (requests.values["conversion"][:, 0], 0.3), (requests.values["score"][:, 1] * grid, 5.0),
        # 200 ms, then 400 ms of which at most 300 ms are waited, each less up to a half.
        (requests.backoff_ns[:, 0] / 1e9, 0.15), (requests.backoff_ns[:, 1] / 1e9, 0.225),
        (requests.delay_ns["score"][:, 1] / 1e9, 90.0),
    ):  # fmt: skip
        assert abs(sample.mean() - mean) < 4 * sample.std() / np.sqrt(n)
    assert not requests.delay_ns["conversion"].any()


def test_without_a_population_every_request_is_a_user_of_its_own() -> None:
    truth = world().realise(np.arange(1))
    potential = Potential(truth, (), False, False)
    users = np.concatenate([potential.draw(0, tick).user for tick in range(2)])
    assert users.tolist() == list(range(users.size))


def test_users_come_as_often_as_they_are_active_and_keep_their_segment() -> None:
    activity = np.array([0.1, 0.2, 0.3, 0.4])
    segments = Segments(("mobile", "desktop"), np.array([0.6, 0.4]), {})
    requests = drawn(world(population=Population(activity, True, 0.0), segments=segments))
    n = requests.user.size
    for user in range(4):
        own = requests.user == user
        assert abs(own.mean() - activity[user]) < 4 * np.sqrt(activity[user] * (1 - activity[user]) / n)
        assert np.unique(requests.segment[own]).size == np.unique(requests.route[own]).size == 1


def test_segments_have_their_shares_and_their_means() -> None:
    share, factor = np.array([0.6, 0.4]), np.array([0.5, 1.75])
    requests = drawn(world(segments=Segments(("mobile", "desktop"), share, {"conversion": factor})))
    for segment in range(2):
        own = requests.segment == segment
        assert abs(own.mean() - share[segment]) < 4 * np.sqrt(0.24 / own.size)
        earned = requests.values["conversion"][own, 0]
        assert abs(earned.mean() - 0.3 * factor[segment]) < 4 * earned.std() / np.sqrt(own.sum())
        score = requests.values["score"][own, 0]
        assert abs(score.mean() - requests.values["score"][:, 0].mean()) < 4 * score.std() / np.sqrt(own.sum())


def test_what_changes_on_the_way_counts_in_the_tick_of_the_arrival() -> None:
    drift = {"kind": "drift", "arm": "challenger", "metric": "conversion", "at": "20m", "duration": "10m", "to": "100%"}
    scenario = make_scenario(metrics=METRICS, traffic={"rate": "20/s"}, timeline=[drift])
    truth = make_world(scenario, [behaves(outcomes=OUTCOMES)] * 2).realise(np.arange(1))
    potential = Potential(truth, ("conversion",), True, True)
    for tick, mean in ((1, 0.3), (2, 0.45), (3, 0.6)):
        earned = potential.draw(0, tick).values["conversion"]
        for arm, expected in ((0, 0.3), (1, mean)):
            assert abs(earned[:, arm].mean() - expected) < 4 * np.sqrt(expected * (1 - expected) / len(earned))


def test_a_replayed_request_has_one_row_for_every_arm_metric_and_agreement() -> None:
    right = np.array([[1, 1], [0, 1], [1, 0], [0, 0]])
    worth = right * np.array([2, 3, 5, 7])[:, None]
    metrics = [
        {"name": "right", "role": "primary", "reward": "correct"},
        {"name": "worth", "reward": {"column": "price"}, "grid": 1.0},
    ]
    agree = [[1, 1], [1, 0], [1, 0], [1, 1]]
    replayed = make_replayed_world(
        make_scenario(metrics=metrics, data={"sklearn": "digits"}), {"right": right, "worth": worth}, agree
    )
    requests = drawn(replayed, metrics=("right", "worth"))
    assert requests.agree is not None
    seen = {tuple(map(int, row)) for row in np.hstack([requests.values["right"], requests.values["worth"], requests.agree])}
    assert seen == {(1, 1, 2, 2, 1, 1), (0, 1, 0, 3, 1, 0), (1, 0, 5, 0, 1, 0), (0, 0, 0, 0, 1, 1)}


@pytest.mark.parametrize("latency", ["1ns", "0.4ns"])
def test_a_service_takes_at_least_a_nanosecond(latency: str) -> None:
    from sim.engine.reference.engine import SimpyEngine
    from sim.policy.base import Routing

    instant = make_world(make_scenario(horizon="10m"), [behaves(latency={"constant": "1us"})] * 2)
    truth = instant.realise(np.arange(1))
    truth.latency_scale[:] = float(latency.removesuffix("ns")) / 1000
    engine = SimpyEngine(truth, (), False, record=True)
    engine.step(Routing(np.arange(1), np.array([[0.5, 0.5]]), np.zeros((1, 2)), np.zeros(1, np.int64)))
    assert len(engine.calls) > 100
    assert (engine.calls["end_ns"] - engine.calls["start_ns"] == 1).all()
