"""KL-LUCB's sampling: the leader and its contender."""

from __future__ import annotations

import numpy as np
import pytest

from sim.policy.allocation import KlLucb
from sim.policy.base import Allocation
from sim.stats.bandits import kl_upper
from sim.testing.contract import AllocationContract
from sim.testing.settings import make_setting
from tests.policy.test_ucb1 import live


class TestContract(AllocationContract):
    @pytest.fixture
    def part(self) -> Allocation:
        return KlLucb(floor="3%")


def test_the_leader_and_the_best_contender_share_the_tick() -> None:
    rng = np.random.default_rng(3)
    for _ in range(60):
        count = rng.permutation(400)[:4] + 3
        total = rng.binomial(count, 0.5)
        mean = total / count
        if np.unique(mean).size < 4:
            continue
        leader = int(mean.argmax())
        upper = [float(kl_upper(m, np.log((np.log(count.sum()) + 1) / 0.1) / n)) for m, n in zip(mean, count, strict=True)]
        contender = max((arm for arm in range(4) if arm != leader), key=upper.__getitem__)
        shares = live(KlLucb(alpha="10%"), *zip(count, total, strict=True))
        assert shares[leader] == shares[contender] == 0.5


def test_arms_that_look_best_alike_are_leaders_in_turn() -> None:
    """The third contends with neither: each of the two is the leader, and the other its contender."""
    assert live(KlLucb(), (100, 60), (100, 60), (100, 40)) == [0.5, 0.5, 0]
    # The third could be better than either.
    assert live(KlLucb(), (1000, 600), (1000, 600), (5, 2)) == [0.25, 0.25, 0.5]


def test_arms_without_outcomes_come_first() -> None:
    assert live(KlLucb(), (100, 60), (0, 0), (0, 0)) == [0, 0.5, 0.5]


def test_amounts_are_refused() -> None:
    assert KlLucb().problems(make_setting(primary="cost")) == [
        ("kind", "kl_lucb is for a binary metric, and cost is an amount")
    ]
