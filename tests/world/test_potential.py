"""Potential outcomes: drawn once, whatever is asked besides, and distributed as the truth says."""

from __future__ import annotations

import numpy as np
import pytest

from sim.world.potential import Potential
from sim.world.world import World
from tests.worlds import behaves, make_replayed_world, make_scenario, make_world

METRICS = [{"name": "conversion", "role": "primary"}, {"name": "score"}]
OUTCOMES = {"conversion": {"bernoulli": 0.3}, "score": {"normal": {"mean": 5.0, "sd": 1.0}}}


def world(arms: tuple[str, ...] = ("champion", "a")) -> World:
    behaviours = [
        behaves(outcomes=OUTCOMES, error_rate=f"{10 * (1 + arm)}%", latency={"exponential": f"{1 + arm}s"}, agreement="80%")
        for arm in range(len(arms))
    ]
    return make_world(make_scenario(arms=arms, metrics=METRICS, traffic={"rate": "20/s"}), behaviours)


def test_requests_arrive_in_order_within_their_half_open_tick() -> None:
    truth = world().realise(np.arange(2))
    potential = Potential(truth, 1, (), False, False)
    for tick in range(3):
        requests = potential.draw(tick)
        assert requests.arrival_ns.size == truth.arrivals[1, tick]
        assert (np.diff(requests.arrival_ns) >= 0).all()
        assert requests.arrival_ns[0] >= tick * 600 * 10**9
        assert requests.arrival_ns[-1] < (tick + 1) * 600 * 10**9


def test_what_else_is_asked_and_which_block_it_is_in_changes_no_draw() -> None:
    small, large = world().realise(np.array([5])), world(("champion", "a", "b")).realise(np.arange(8))
    some, more = Potential(small, 0, ("score",), False, False), Potential(large, 5, ("conversion", "score"), True, True)
    for tick in range(2):
        one, other = some.draw(tick), more.draw(tick)
        for field in ("arrival_ns", "route"):
            assert np.array_equal(getattr(one, field), getattr(other, field))
        for field in ("service_ns", "error"):
            assert np.array_equal(getattr(one, field), getattr(other, field)[:, :2])
        assert np.array_equal(one.values["score"], other.values["score"][:, :2])


def test_shares_and_means_are_those_of_the_truth() -> None:
    truth = world().realise(np.arange(1))
    drawn = Potential(truth, 0, ("conversion", "score"), True, True).draw(0)
    n = drawn.route.size
    assert drawn.mirror is not None
    assert drawn.agree is not None
    for sample, mean in (
        (drawn.error[:, 1], 0.2), (drawn.values["conversion"][:, 0], 0.3), (drawn.agree[:, 1], 0.8), (drawn.route, 0.5),
        (drawn.mirror[:, 1], 0.5), (drawn.service_ns[:, 1] / 1e9, 2.0),
        (drawn.values["score"][:, 1] * truth.world.setting(1).metrics["score"].grid, 5.0),
    ):  # fmt: skip
        assert abs(sample.mean() - mean) < 4 * sample.std() / np.sqrt(n)
    assert drawn.service_ns.min() >= 1
    # Arms are drawn apart.
    assert abs(np.corrcoef(drawn.service_ns.T)[0, 1]) < 4 / np.sqrt(n)


def test_a_replayed_request_has_one_row_for_every_arm_metric_and_agreement() -> None:
    right = np.array([[1, 1], [0, 1], [1, 0], [0, 0]])
    worth = right * np.array([2, 3, 5, 7])[:, None]
    metrics = [
        {"name": "right", "role": "primary", "reward": "correct"},
        {"name": "worth", "reward": {"payoff": "price"}, "grid": 1.0},
    ]
    agree = [[1, 1], [1, 0], [1, 0], [1, 1]]
    replayed = make_replayed_world(
        make_scenario(metrics=metrics, data={"sklearn": "digits"}), {"right": right, "worth": worth}, agree
    )
    drawn = Potential(replayed.realise(np.arange(1)), 0, ("right", "worth"), True, True).draw(0)
    assert drawn.agree is not None
    seen = {tuple(map(int, row)) for row in np.hstack([drawn.values["right"], drawn.values["worth"], drawn.agree])}
    assert seen == {(1, 1, 2, 2, 1, 1), (0, 1, 0, 3, 1, 0), (1, 0, 5, 0, 1, 0), (0, 0, 0, 0, 1, 1)}


@pytest.mark.parametrize("latency", ["1ns", "0.4ns"])
def test_a_service_takes_at_least_a_nanosecond(latency: str) -> None:
    instant = make_world(make_scenario(), [behaves(latency={"constant": "1us"})] * 2)
    truth = instant.realise(np.arange(1))
    truth.latency_scale[:] = float(latency.removesuffix("ns")) / 1000
    assert (Potential(truth, 0, (), False, False).draw(0).service_ns == 1).all()
