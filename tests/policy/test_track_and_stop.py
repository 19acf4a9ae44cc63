"""Track-and-Stop's sampling: which arm is behind, and where the shares end up."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sim.policy.allocation import TrackAndStop
from sim.policy.base import Allocation
from sim.stats.identification import best_arm_identification
from sim.testing.contract import AllocationContract, view_of
from sim.testing.settings import make_setting
from tests.policy.test_ucb1 import live

FOUR = np.array([0.5, 0.45, 0.43, 0.4])


class TestContract(AllocationContract):
    @pytest.fixture
    def part(self) -> Allocation:
        return TrackAndStop(floor="3%")


def arm_by_hand(count: np.ndarray, total: np.ndarray) -> int:
    """D-tracking as it is printed, one replication at a time."""
    t, arms = count.sum(), len(count)
    if count.min() < math.sqrt(t) - arms / 2:
        return int(count.argmin())
    return int((t * best_arm_identification(total / count).weights - count).argmax())


def test_the_arm_that_is_behind_gets_the_tick() -> None:
    rng = np.random.default_rng(3)
    for _ in range(60):
        count = rng.permutation(400)[:4] + 3
        total = np.clip(rng.binomial(count, FOUR), 1, count - 1)
        if np.unique(total / count).size == 4:
            assert live(TrackAndStop(), *zip(count, total, strict=True))[arm_by_hand(count, total)] == 1


def test_an_arm_with_few_outcomes_comes_first_however_bad_it_looks() -> None:
    assert live(TrackAndStop(), (100, 60), (100, 55), (10, 0)) == [0, 0, 1]
    assert live(TrackAndStop(), (100, 60), (100, 55), (0, 0)) == [0, 0, 1]


@pytest.mark.parametrize("requests", [1, 500])
def test_shares_keep_to_the_optimal_weights(requests: int) -> None:
    """Of outcomes that are always at their mean, one at a time and in batches."""
    part, setting = TrackAndStop(), make_setting(4)
    count = np.full((1, 4), 100)
    for _ in range(6000 if requests == 1 else 400):
        total = np.stack([count, np.rint(count * FOUR).astype(np.int64)], axis=2)
        shares = part.live(view_of(part, setting, total, np.ones((1, 4), bool)))
        assert shares.max() == 1
        count = count + np.rint(shares * requests).astype(np.int64)
    weights = best_arm_identification(FOUR).weights
    np.testing.assert_allclose(count[0] / count.sum(), weights, atol=max(0.003, 2 * requests / count.sum()))


def test_amounts_are_refused() -> None:
    assert TrackAndStop().problems(make_setting(primary="revenue")) == [
        ("kind", "track_and_stop is for a binary metric, and revenue is an amount")
    ]
