"""The estimators against closed forms, and over many logs whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from sim.arrays import Floats, Ints
from sim.offpolicy.estimators import (
    Bootstrap,
    Estimate,
    cell_means,
    doubly_robust,
    effective_size,
    ips,
    snips,
    switch_dr,
)

LOGGED = np.array([0.6, 0.3, 0.1])
SHARES = np.array([0.2, 0.5, 0.3])
# By cell and arm. The reward's mean is even over cells.
MEANS = np.array([[0.2, 0.5, 0.4], [0.4, 0.1, 0.8]])
TRUE = float((MEANS.mean(axis=0) * SHARES).sum())
LOGS, ROWS = 600, 1_500


def drawn(rng: np.random.Generator, rows: int = ROWS) -> tuple[Ints, Ints, Floats]:
    """A log's arms, cells and rewards."""
    arm, cell = rng.choice(3, rows, p=LOGGED), rng.integers(0, 2, rows)
    return arm, cell, (rng.random(rows) < MEANS[cell, arm]).astype(np.float64)


def estimates(arm: Ints, cell: Ints, reward: Floats, propensity: Floats, seed: int, at: float = 2.0) -> dict[str, Estimate]:
    weight = SHARES[arm] / propensity
    model = cell_means(reward, arm, cell, 3, 2, seed)
    return {
        "ips": ips(weight, reward),
        "snips": snips(weight, reward),
        "dr": doubly_robust(weight, reward, SHARES, arm, model),
        "switch-dr": switch_dr(weight, reward, SHARES, arm, model, at),
    }


def test_a_log_worked_out_by_hand() -> None:
    arm, reward, propensity = np.array([0, 1, 0, 1]), np.array([1.0, 0.0, 0.0, 1.0]), np.array([0.8, 0.2, 0.8, 0.2])
    weight = np.array([0.5, 0.5])[arm] / propensity  # 5/8, 5/2, 5/8, 5/2
    assert ips(weight, reward).value == pytest.approx((5 / 8 + 5 / 2) / 4)
    assert snips(weight, reward).value == pytest.approx((5 / 8 + 5 / 2) / (2 * 5 / 8 + 2 * 5 / 2))
    assert effective_size(weight) == pytest.approx((25 / 4) ** 2 / (2 * 25 / 64 + 2 * 25 / 4))
    model = np.tile([0.25, 0.75], (4, 1))
    shares = np.array([0.5, 0.5])
    # The model says 1/2; what is left over are 3/4, -3/4, -1/4 and 1/4.
    rest = (5 / 8 * 3 / 4 - 5 / 2 * 3 / 4 - 5 / 8 / 4 + 5 / 2 / 4) / 4
    assert doubly_robust(weight, reward, shares, arm, model).value == pytest.approx(0.5 + rest)
    assert switch_dr(weight, reward, shares, arm, model, 1.0).value == pytest.approx(0.5 + (5 / 8 * 3 / 4 - 5 / 8 / 4) / 4)


def test_standard_error_of_ips_is_that_of_theory() -> None:
    arm, _, reward = drawn(np.random.default_rng(5), 200_000)
    square = float((SHARES**2 / LOGGED * MEANS.mean(axis=0)).sum())
    found = ips(SHARES[arm] / LOGGED[arm], reward).standard_error
    assert found == pytest.approx(np.sqrt((square - TRUE**2) / len(arm)), rel=0.02)


def test_estimates_of_many_logs_are_unbiased_and_their_intervals_cover() -> None:
    values: dict[str, list[float]] = {}
    covered: dict[str, list[bool]] = {}
    by_bootstrap: dict[str, list[bool]] = {}
    for seed in range(LOGS):
        arm, cell, reward = drawn(np.random.default_rng([7, seed]))
        bootstrap = Bootstrap(ROWS, 200, seed)
        # Every weight is at most 3: the switch never leaves the weights.
        for name, estimate in estimates(arm, cell, reward, LOGGED[arm], seed, at=4.0).items():
            values.setdefault(name, []).append(estimate.value)
            covered.setdefault(name, []).append(abs(estimate.value - TRUE) <= 1.96 * estimate.standard_error)
            low, high = np.percentile(bootstrap.values(estimate), (2.5, 97.5))
            by_bootstrap.setdefault(name, []).append(bool(low <= TRUE <= high))
    for name, each in values.items():
        spread = np.std(each, ddof=1)
        assert abs(np.mean(each) - TRUE) < 4 * spread / np.sqrt(LOGS), name
        # 95% within four standard errors of a share of 600 logs; 200 resamples are a little short of percentiles.
        assert abs(np.mean(covered[name]) - 0.95) < 4 * np.sqrt(0.95 * 0.05 / LOGS), name
        assert abs(np.mean(by_bootstrap[name]) - 0.94) < 4 * np.sqrt(0.95 * 0.05 / LOGS), name
    # What each is for: normalising and a model take variance away.
    assert np.std(values["dr"]) < np.std(values["snips"]) < np.std(values["ips"])


def test_doubly_robust_mends_wrong_propensities_by_its_model_and_ips_does_not() -> None:
    arm, cell, reward = drawn(np.random.default_rng(11), 200_000)
    wrong = np.array([0.4, 0.4, 0.2])[arm]
    found = estimates(arm, cell, reward, wrong, 1)
    assert abs(found["dr"].value - TRUE) < 4 * found["dr"].standard_error
    assert abs(found["ips"].value - TRUE) > 10 * found["ips"].standard_error


def test_the_model_of_a_row_is_of_other_rows() -> None:
    rng = np.random.default_rng(2)
    arm, cell = rng.integers(0, 2, 50), np.arange(50)
    reward = rng.random(50)
    # Each row is alone in its cell, so that only the arm's mean of the other folds is left.
    model = cell_means(reward, arm, cell, 2, 50, 1)
    assert len({tuple(row) for row in np.round(model, 12).tolist()}) == 5
    assert not np.isclose(model[np.arange(50), arm], reward).any()


def test_resamples_of_a_mean_have_the_standard_error_of_a_mean() -> None:
    reward = np.random.default_rng(3).exponential(size=20_000)
    estimate = Estimate(reward, np.ones_like(reward))
    spread = Bootstrap(20_000, 4_000, 1).values(estimate).std(ddof=1)
    # That of 2,000 groups is known within 1.6%, of 4,000 resamples within 1.1%.
    assert spread == pytest.approx(estimate.standard_error, rel=4 * 0.0195)
