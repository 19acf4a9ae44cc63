"""Every allocation keeps the contract; and what each is for."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

from sim.policy.allocation import EpsilonGreedy, Fixed, Mirror, Ramp, Thompson
from sim.policy.base import Allocation
from sim.testing.contract import AllocationContract, view_of
from sim.testing.settings import make_setting

STEPS = [{"weight": "10%", "bake": "20m"}, {"weight": "25%", "bake": "10m"}, {"weight": "50%", "bake": "30m"}]


class TestFixed(AllocationContract):
    @pytest.fixture
    def part(self) -> Allocation:
        return Fixed()

    def test_shares_are_as_told(self) -> None:
        part, setting = Fixed(weights=("80%", "20%")), make_setting()
        view = view_of(part, setting, np.zeros((1, 2, 0), np.int64), np.ones((1, 2), bool))
        assert part.live(view).tolist() == [[0.8, 0.2]]

    def test_wrong_shares_are_refused(self) -> None:
        setting = make_setting()
        assert Fixed(weights=("50%", "30%", "20%")).problems(setting)[0][1].endswith("got 3")
        assert "80%" in Fixed(weights=("50%", "30%")).problems(setting)[0][1].replace(".0000", "")


class TestRamp(AllocationContract):
    start: ClassVar[float | None] = 0.9

    @pytest.fixture
    def part(self) -> Allocation:
        return Ramp.model_validate({"steps": STEPS})

    def test_weights_follow_the_schedule_and_the_last_is_held(self, part: Ramp) -> None:
        setting, arms_in = make_setting(), np.ones((1, 2), bool)
        nothing = np.zeros((1, 2, 0), np.int64)
        weights = [part.live(view_of(part, setting, nothing, arms_in, age))[0, 1] for age in range(9)]
        assert weights == [0.1, 0.1, 0.25, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]
        assert part.length_s(setting) == 6 * 600

    def test_a_removed_challenger_leaves_its_share_to_the_others(self, part: Ramp) -> None:
        view = view_of(part, make_setting(4), np.zeros((1, 4, 0), np.int64), np.array([[True, True, False, True]]), age=3)
        np.testing.assert_allclose(part.live(view), [[0.5, 0.25, 0, 0.25]])

    def test_a_step_is_a_whole_number_of_ticks(self) -> None:
        part = Ramp.model_validate({"steps": [{"weight": "10%", "bake": "25m"}]})
        assert part.problems(make_setting()) == [("steps[0].bake", "must be a whole number of ticks of 10m, got 25m")]


class TestMirror(AllocationContract):
    start: ClassVar[float | None] = 1.0

    @pytest.fixture
    def part(self) -> Allocation:
        return Mirror(fraction="30%")

    def test_a_fraction_is_copied_to_every_challenger_still_in(self, part: Mirror) -> None:
        view = view_of(part, make_setting(3), np.zeros((1, 3, 0), np.int64), np.array([[True, True, False]]))
        assert part.mirror(view).tolist() == [[0, 0.3, 0]]


class TestThompson(AllocationContract):
    @pytest.fixture
    def part(self) -> Allocation:
        return Thompson(floor="5%")

    def test_shares_are_the_probability_of_being_best(self) -> None:
        """Against two million draws from the Beta posteriors, within 5 standard errors."""
        part, setting = Thompson(), make_setting(3)
        total = np.array([[[50, 10], [100, 22], [20, 6]]])
        live = part.live(view_of(part, setting, total, np.ones((1, 3), bool)))[0]
        draws = np.random.default_rng(1).beta(1 + total[0, :, 1], 1 + total[0, :, 0] - total[0, :, 1], (2_000_000, 3))
        seen = np.bincount(draws.argmax(axis=1), minlength=3) / len(draws)
        assert (np.abs(live - seen) < 5 * np.sqrt(seen * (1 - seen) / len(draws)) + 1e-4).all()

    def test_less_is_better_where_the_metric_says_so(self) -> None:
        part = Thompson()
        dear = [100, 100 * 1200, 100 * (1200**2 + 500**2)]
        cheap = [100, 100 * 1000, 100 * (1000**2 + 500**2)]
        for primary, best in (("revenue", 0), ("cost", 1)):
            view = view_of(part, make_setting(primary=primary), np.array([[dear, cheap]]), np.ones((1, 2), bool))
            assert part.live(view)[0].argmax() == best

    @pytest.mark.parametrize("outcome", [0, 7, 70_001])
    def test_an_arm_that_has_not_varied_is_not_given_up(self, outcome: int) -> None:
        """Revenue without a sale so far; the champion has had sales."""
        sold, alike = [1000, 20 * 1000, 20 * 1000**2], [100, 100 * outcome, 100 * outcome**2]
        view = view_of(Thompson(), make_setting(primary="revenue"), np.array([[sold, alike]]), np.ones((1, 2), bool))
        assert Thompson().live(view).tolist() == [[0.5, 0.5]]


class TestEpsilonGreedy(AllocationContract):
    @pytest.fixture
    def part(self) -> Allocation:
        return EpsilonGreedy(epsilon="20%", floor="2%")

    def test_the_best_gets_what_does_not_explore(self) -> None:
        part = EpsilonGreedy(epsilon="10%")
        view = view_of(part, make_setting(), np.array([[[10, 2], [10, 3]]]), np.ones((1, 2), bool))
        np.testing.assert_allclose(part.live(view), [[0.05, 0.95]])

    def test_an_arm_without_outcomes_is_tried(self) -> None:
        part = EpsilonGreedy(epsilon="0%")
        view = view_of(part, make_setting(), np.array([[[10, 9], [0, 0]]]), np.ones((1, 2), bool))
        assert part.live(view).tolist() == [[0, 1]]


@pytest.mark.parametrize("kind", [Thompson, EpsilonGreedy])
def test_a_floor_must_leave_something_to_allocate(kind: type[Thompson] | type[EpsilonGreedy]) -> None:
    assert kind(floor="25%").problems(make_setting(4)) == []
    assert kind(floor="30%").problems(make_setting(4)) == [
        ("floor", "floor times arms must not exceed 100%, got 0.3 x 4 = 120.0000%")
    ]
