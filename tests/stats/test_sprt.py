"""Wald's test: published expected sample sizes, and errors by simulation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtri
from scipy.stats import binom, norm

from sim.errors import InputError
from sim.stats.sprt import acceptance_probability, boundaries, expected_sample_ratio, log_ratio_bernoulli, log_ratio_normal


def test_the_published_expected_sample_sizes() -> None:
    found = expected_sample_ratio([0, 0.5, 1], alpha=0.05, beta=0.05)
    np.testing.assert_allclose(found, [0.490, 0.801, 0.490], atol=5e-4)


@given(st.floats(0.001, 0.4), st.floats(0.001, 0.4))
def test_the_design_keeps_its_errors_and_is_smooth_where_formulas_divide_by_zero(alpha: float, beta: float) -> None:
    at = acceptance_probability([0, 1, -1e6, 1e6], alpha=alpha, beta=beta)
    np.testing.assert_allclose(at, [1 - alpha, beta, 1, 0], atol=1e-12)
    around = [0.5 - 1e-6, 0.5, 0.5 + 1e-6]
    for curve in (acceptance_probability, expected_sample_ratio):
        low, middle, high = curve(around, alpha=alpha, beta=beta)
        assert middle == pytest.approx((low + high) / 2, rel=1e-6)
    grid = np.linspace(-3, 4, 141)
    assert (np.diff(acceptance_probability(grid, alpha=alpha, beta=beta)) <= 1e-12).all()


def test_small_steps_keep_the_errors_and_the_sample_size() -> None:
    alpha, beta, delta, replications, steps = 0.1, 0.2, 0.1, 2000, 4000
    bounds = boundaries(alpha, beta)
    rng = np.random.default_rng(5)
    n = np.arange(1, steps + 1)
    fixed = ((ndtri(alpha) + ndtri(beta)) / delta) ** 2
    for multiple in (0.0, 0.5, 1.0):
        path = np.empty((replications, 2))
        for row in range(replications):
            mean = rng.normal(multiple * delta, 1, steps).cumsum() / n
            ratio = log_ratio_normal(mean, 1 / np.sqrt(n), effect=delta)
            out = (ratio <= bounds.lower) | (ratio >= bounds.upper)
            assert out.any()
            at = int(out.argmax())
            path[row] = at + 1, ratio[at] <= bounds.lower
        time, accepted = path.T
        expected = acceptance_probability(multiple, alpha=alpha, beta=beta)
        # 4 standard errors, and the overshoot of .583 δ on either side (Siegmund 1985), which lowers both errors.
        overshoot = 0.583 * delta
        assert abs(accepted.mean() - expected) < 4 * math.sqrt(expected * (1 - expected) / replications) + overshoot / 4
        error = 4 * time.std() / math.sqrt(replications)
        assert -error < time.mean() - expected_sample_ratio(multiple, alpha=alpha, beta=beta) * fixed < error + 0.05 * fixed


def test_log_ratios_are_those_of_the_distributions() -> None:
    expected = binom.logpmf(7, 50, 0.2) - binom.logpmf(7, 50, 0.1)
    assert log_ratio_bernoulli(50, 7, proportion=0.2, null=0.1) == pytest.approx(expected)
    expected = norm.logpdf(0.4, 0.3, 0.1) - norm.logpdf(0.4, -0.1, 0.1)
    assert log_ratio_normal(0.4, 0.1, effect=0.3, null=-0.1) == pytest.approx(expected)
    assert np.array_equal(log_ratio_normal([1, 1], [0, np.inf], effect=1), [0, 0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: boundaries(0, 0.1), "alpha: must lie strictly between 0 and 1, got 0"),
        (lambda: boundaries(0.5, 0.5), r"beta: must add up with alpha \(0.5\) to less than 1, got 0.5"),
        (lambda: log_ratio_normal(0, 1, effect=0), r"effect: must be finite and differ from the null \(0.0\), got 0"),
        (lambda: log_ratio_bernoulli(3, 4, proportion=0.1, null=0.2), r"successes: must not exceed n \(3.0\), got 4"),
        (lambda: log_ratio_bernoulli(3, 1, proportion=0.1, null=0.1), r"proportion: must differ from the null \(0.1\)"),
        (lambda: log_ratio_bernoulli(-3, 1, proportion=0.1, null=0.2), "n: must be finite and not negative, got -3"),
    ],
)
def test_wrong_input_is_refused_by_name(call: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
