"""Lower bounds for bandits against published values, a second way to work them out, and what must always hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import entropy

from sim.errors import InputError
from sim.stats.bandits import kl_bernoulli, kl_lower, kl_of_shift, kl_upper, lai_robbins

SHARES = st.floats(0.01, 0.99)
ARMS = st.lists(st.integers(1, 99), min_size=2, max_size=6, unique=True).map(lambda counts: np.array(counts) / 100)


@given(SHARES, SHARES)
def test_divergence_is_that_of_scipy(p: float, q: float) -> None:
    assert kl_bernoulli(p, q) == pytest.approx(entropy([p, 1 - p], [q, 1 - q]), abs=1e-12)


def test_divergence_at_the_ends() -> None:
    assert kl_bernoulli([0, 1, 0, 0.5, 0.5], [0, 1, 0.5, 0, 1]).tolist() == [0, 0, pytest.approx(np.log(2)), np.inf, np.inf]


def test_divergence_of_a_small_shift_keeps_its_digits() -> None:
    """p (1 − p) of it is shift² / 2 to first order, where the difference of logarithms has lost all digits."""
    p, shift = np.array([0.5, 0.2]), np.array([1e-10, -1e-10])
    assert kl_of_shift(p, shift) == pytest.approx(shift**2 / (2 * p * (1 - p)), rel=1e-4)
    p, q = np.random.default_rng(1).random((2, 100))
    np.testing.assert_allclose(kl_of_shift(p, q - p), kl_bernoulli(p, q), atol=1e-12)


@given(st.one_of(st.floats(0, 1), st.floats(0, 1e-4), st.floats(0.9999, 1)), st.floats(-8, 1.3))
def test_bounds_lie_where_the_divergence_is_the_level(mean: float, exponent: float) -> None:
    level = 10**exponent

    def beyond(q: float) -> float:
        return float(kl_bernoulli(mean, q)) - level

    highest = 1.0 if mean == 1 or beyond(1 - 1e-15) < 0 else float(brentq(beyond, mean, 1 - 1e-15, xtol=1e-16))
    assert float(kl_upper(mean, level)) == pytest.approx(highest, abs=1e-8)
    assert float(kl_lower(1 - mean, level)) == pytest.approx(1 - highest, abs=1e-8)


def test_bounds_at_level_0_are_the_mean() -> None:
    means = np.array([0, 0.3, 1])
    assert kl_upper(means, 0.0).tolist() == means.tolist()
    np.testing.assert_allclose(kl_lower(means, 0.0), means, atol=1e-15)


def test_the_constants_of_lai_and_robbins() -> None:
    assert lai_robbins([0.9, 0.8]) == pytest.approx(0.1 / (0.8 * np.log(8 / 9) + 0.2 * np.log(2)))
    assert lai_robbins(np.arange(1, 10) / 10) == pytest.approx(7.52, abs=0.005)
    assert lai_robbins([0.5, 0.5]) == 0


@given(ARMS)
def test_order_of_the_arms_does_not_matter(arms: np.ndarray) -> None:
    assert lai_robbins(arms[::-1]) == pytest.approx(lai_robbins(arms))


def test_an_arm_that_never_fails_has_no_constant() -> None:
    with pytest.raises(InputError, match="never fails"):
        lai_robbins([1.0, 0.5])
