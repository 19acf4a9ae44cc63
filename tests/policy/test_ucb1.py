"""UCB1, and what it has in common with every bandit that follows an index."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sim.errors import InputError
from sim.policy.allocation import KlUcb, Ucb1
from sim.policy.base import Allocation
from sim.testing.contract import AllocationContract, view_of
from sim.testing.settings import make_setting

Index = type[Ucb1] | type[KlUcb]
BOTH = pytest.mark.parametrize("kind", [Ucb1, KlUcb])


class TestBinary(AllocationContract):
    @pytest.fixture
    def part(self) -> Allocation:
        return Ucb1(floor="3%")


class TestBounded(AllocationContract):
    @pytest.fixture
    def part(self) -> Allocation:
        return Ucb1(lowest=-100, highest=120)


def live(part: Allocation, *arms: tuple[int, ...], primary: str = "conversion") -> list[float]:
    """Shares after (outcomes, sum) of each arm, in units of telemetry."""
    total = np.array([arms])
    found = part.live(view_of(part, make_setting(len(arms), primary=primary), total, np.ones((1, len(arms)), bool)))
    return [float(share) for share in found[0]]


@pytest.mark.parametrize("total", [(50, 20, 10), (50, 10, 2), (50, 50, 50), (900, 40, 0)])
def test_the_highest_bound_gets_the_tick(total: tuple[int, int, int]) -> None:
    counts = (1000, 60, 50)
    index = [s / n + math.sqrt(2 * math.log(sum(counts)) / n) for n, s in zip(counts, total, strict=True)]
    assert int(np.argmax(live(Ucb1(), *zip(counts, total, strict=True)))) == index.index(max(index))


@BOTH
def test_an_arm_without_outcomes_comes_first(kind: Index) -> None:
    assert live(kind(), (10, 9), (0, 0), (0, 0)) == [0, 0.5, 0.5]


@BOTH
def test_ties_share_evenly(kind: Index) -> None:
    assert live(kind(), (10, 2), (10, 7), (10, 7)) == [0, 0.5, 0.5]


@BOTH
def test_the_one_that_is_known_less_gets_a_chance(kind: Index) -> None:
    assert live(kind(), (1000, 520), (10, 5)) == [0, 1]
    assert live(kind(), (1000, 520), (900, 450)) == [1, 0]


@BOTH
def test_less_is_better_where_the_metric_says_so(kind: Index) -> None:
    part = kind(lowest=0, highest=100)
    dear, cheap = (100, 100 * 6000), (100, 100 * 3000)
    assert live(part, dear, cheap, primary="revenue") == [1, 0]
    assert live(part, dear, cheap, primary="cost") == [0, 1]


@BOTH
def test_an_amount_is_a_reward_between_its_bounds(kind: Index) -> None:
    """Outcomes of 0 or 100 between these bounds are successes and failures."""
    rng = np.random.default_rng(4)
    for _ in range(50):
        count = rng.integers(1, 200, 3)
        good = rng.binomial(count, rng.random(3))
        binary = live(kind(), *zip(count, good, strict=True))
        amounts = live(kind(lowest=0, highest=100), *zip(count, 10_000 * good, strict=True), primary="revenue")
        assert binary == amounts


@BOTH
def test_outcomes_beyond_the_bounds_are_refused_by_name(kind: Index) -> None:
    with pytest.raises(InputError, match=r"highest: of (ucb1|kl_ucb) must bound revenue, .* got 0 to 20"):
        live(kind(highest=20), (10, 10_000), (10, 60_000), primary="revenue")


@BOTH
def test_a_floor_leaves_room_for_all_arms(kind: Index) -> None:
    ((key, message),) = kind.model_validate({"floor": "60%"}).problems(make_setting())
    assert key == "floor"
    assert "must not exceed 100%" in message
