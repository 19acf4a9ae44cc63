"""KL-UCB: the tighter bound."""

from __future__ import annotations

import numpy as np
import pytest

from sim.policy.allocation import KlUcb, Ucb1
from sim.policy.base import Allocation
from sim.stats.bandits import kl_bernoulli
from sim.testing.contract import AllocationContract
from tests.policy.test_ucb1 import live


class TestBinary(AllocationContract):
    @pytest.fixture
    def part(self) -> Allocation:
        return KlUcb(floor="3%")


class TestBounded(AllocationContract):
    @pytest.fixture
    def part(self) -> Allocation:
        return KlUcb(lowest=-100, highest=120)


def test_the_highest_bound_gets_the_tick() -> None:
    """Against bounds read off a fine grid."""
    rng = np.random.default_rng(2)
    grid = np.linspace(0, 1, 200_001)
    for _ in range(20):
        count = rng.integers(1, 300, 3)
        total = rng.binomial(count, rng.uniform(0.3, 0.6, 3))
        bounds = [
            grid[count[arm] * kl_bernoulli(total[arm] / count[arm], grid) <= np.log(count.sum())].max() for arm in range(3)
        ]
        shares = live(KlUcb(), *zip(count, total, strict=True))
        assert shares[int(np.argmax(bounds))] > 0


def test_it_gives_up_sooner_than_ucb1_where_outcomes_vary_little() -> None:
    arms = ((1000, 950), (50, 40))
    assert live(Ucb1(), *arms) == [0, 1]
    assert live(KlUcb(), *arms) == [1, 0]
