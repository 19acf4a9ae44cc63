"""Sample-ratio mismatch: the published example, scipy as oracle, and errors under continuous monitoring."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import betabinom, binom, chisquare

from sim.errors import InputError
from sim.stats import srm
from sim.stats.sequential import running_p_value


def test_the_published_mismatch() -> None:
    assert srm.test([821_588, 815_482]).p_value == pytest.approx(1.8e-6, abs=5e-8)


@given(st.lists(st.tuples(st.integers(0, 5000), st.floats(0.05, 1)), min_size=2, max_size=6))
def test_the_fixed_test_agrees_with_scipy(arms: list[tuple[int, float]]) -> None:
    counts, weights = (np.array(column, dtype=float) for column in zip(*arms, strict=True))
    shares = weights / weights.sum()
    found = srm.test(np.stack([counts, counts + 1]), shares)
    expected = chisquare(counts + 1, (counts + 1).sum() * shares)
    assert found.statistic[1] == pytest.approx(expected.statistic)
    assert found.p_value[1] == pytest.approx(expected.pvalue, rel=1e-9, abs=1e-300)


def test_the_bayes_factor_of_two_arms_is_beta_binomial() -> None:
    found = srm.sequential_test([[30, 70], [48, 52]], [0.4, 0.6], concentration=10)
    k = np.array([30, 48])
    expected = betabinom.logpmf(k, 100, 4, 6) - binom.logpmf(k, 100, 0.4)
    np.testing.assert_allclose(found.log_bayes_factor, expected)


def test_the_bayes_factor_has_mean_one_when_shares_are_right() -> None:
    k = np.arange(61)
    found = srm.sequential_test(np.stack([k, 60 - k], -1), [0.1, 0.9])
    assert binom.pmf(k, 60, 0.1) @ np.exp(found.log_bayes_factor) == pytest.approx(1)


def test_looking_always_errs_at_most_alpha_and_finds_a_mismatch() -> None:
    rng = np.random.default_rng(8)
    replications, shares = 2000, np.array([0.2, 0.3, 0.5])
    right = rng.multinomial(50, shares, (replications, 100)).cumsum(1)
    error = (running_p_value(srm.sequential_test(right, shares).p_value)[:, -1] <= 0.05).mean()
    assert error < 0.05 + 4 * math.sqrt(0.05 * 0.95 / replications)
    assert (srm.test(right, shares).p_value < 0.05).any(-1).mean() > 0.25
    wrong = rng.multinomial(50, [0.25, 0.28, 0.47], (200, 100)).cumsum(1)
    assert (running_p_value(srm.sequential_test(wrong, shares).p_value)[:, -1] <= 0.05).mean() > 0.95


@pytest.mark.parametrize("concentration", [1.0, 1e6, 1e12])
def test_perfect_traffic_is_no_mismatch_however_small_the_mismatches_sought(concentration: float) -> None:
    assert srm.sequential_test([5000, 5000], concentration=concentration).p_value > 0.98


def test_no_units_are_no_mismatch() -> None:
    assert np.array_equal(srm.test([[0, 0], [0, 0]]).p_value, [1, 1])
    assert np.array_equal(srm.sequential_test([[0, 0, 0]]).p_value, [1])


@pytest.mark.parametrize(
    ("counts", "shares", "message"),
    [
        ([1, -2], None, "counts: must be finite and not negative, got -2"),
        ([3], None, r"counts: must have at least two arms on the last axis, got shape \(1,\)"),
        ([1, 2], [0.5, 0.4], "shares: must sum to 1, got 0.9"),
        ([1, 2], [1, 0], "shares: must be finite and positive, got 0"),
        ([1, 2], [0.2, 0.3, 0.5], r"shares: must have one share for each of 2 arms, got shape \(3,\)"),
    ],
)
def test_wrong_input_is_refused_by_name(counts: Any, shares: Any, message: str) -> None:
    for call in (srm.test, srm.sequential_test):
        with pytest.raises(InputError, match=message):
            call(counts, shares)
    for concentration in (0, 1e16):
        with pytest.raises(InputError, match="concentration: must be positive, at most 1e\\+12, got"):
            srm.sequential_test([1, 2], concentration=concentration)
    for call in (srm.test, srm.sequential_test):
        with pytest.raises(InputError, match=r"shares: must broadcast with \(3, 2\)"):
            call([[1, 2]] * 3, [[0.5, 0.5]] * 2)
