"""Covariate adjustment against regression (statsmodels), the published variance ratio, and by simulation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import InputError
from sim.stats import cuped
from sim.stats.moments import Moments
from sim.stats.two_sample import two_sample


@given(st.integers(0, 1000), st.floats(-0.95, 0.95))
def test_adjusting_keeps_the_mean_and_multiplies_the_variance(seed: int, rho: float) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(3, 50))
    y = 5 + rho * x + math.sqrt(1 - rho**2) * rng.normal(size=(3, 50))
    adjusted = cuped.adjust(y, x)
    np.testing.assert_allclose(adjusted.mean(-1), y.mean(-1))
    sample_rho = [np.corrcoef(a, b)[0, 1] for a, b in zip(y, x, strict=True)]
    np.testing.assert_allclose(adjusted.var(-1) / y.var(-1), cuped.variance_ratio(sample_rho))


def test_the_difference_is_that_of_the_regression_on_arm_and_covariate() -> None:
    rng = np.random.default_rng(2)
    n0, n1 = 300, 700
    x = rng.gamma(2, 3, n0 + n1)
    arm = np.repeat([0.0, 1.0], [n0, n1])
    y = 3 + 0.7 * x + 0.4 * arm + rng.normal(0, 2, n0 + n1)
    found = cuped.difference(Moments.of(y[:n0], x[:n0]), Moments.of(y[n0:], x[n0:]))
    fit = sm.OLS(y, np.column_stack([np.ones_like(y), arm, x])).fit(cov_type="HC1")
    assert found.estimate == pytest.approx(fit.params[1])
    assert found.theta == pytest.approx(fit.params[2])
    # The regression adds the variance of the estimated slope, of order 1/n.
    assert found.standard_error == pytest.approx(fit.bse[1], rel=0.01)


def test_the_error_is_calibrated_and_smaller_by_one_minus_rho_squared() -> None:
    rng = np.random.default_rng(6)
    rho, effect, replications = 0.8, 0.1, 4000
    x = rng.normal(size=(2, replications, 100))
    y = rho * x + 0.6 * rng.normal(size=x.shape) + np.array([0, effect])[:, None, None]
    arms = [Moments.of(y[k], x[k]) for k in range(2)]
    found = cuped.difference(*arms)
    z = (found.estimate - effect) / found.standard_error
    assert abs(z.mean()) < 4 / math.sqrt(replications)
    # 4 standard errors of a variance, and 2% for estimating the slope and the variance from 200 units.
    assert abs(z.var() - 1) < 4 * math.sqrt(2 / replications) + 0.02
    assert found.variance_ratio.mean() == pytest.approx(1 - rho**2, abs=0.01)


def test_a_useless_covariate_changes_nothing() -> None:
    y0, y1 = np.array([1.0, 4, 2, 7]), np.array([3.0, 3, 9])
    found = cuped.difference(Moments.of(y0, np.full(4, 0.1)), Moments.of(y1, np.full(3, 0.1)))
    plain = two_sample("welch", 4, y0.sum(), (y0**2).sum(), 3, y1.sum(), (y1**2).sum())
    assert found.estimate == pytest.approx(float(plain.effect))
    assert found.standard_error == pytest.approx(float(plain.standard_error))
    assert (found.theta, found.variance_ratio) == (0, 1)
    assert np.array_equal(cuped.adjust([y0, y0], 0.1), [y0, y0])
    assert np.array_equal(cuped.adjust(np.full(4, 0.3), y0), np.full(4, 0.3))


def test_too_few_units_have_no_error_and_no_nan() -> None:
    empty, one, many = Moments.of([], []), Moments.of([3], [1]), Moments.of([1, 2, 4], [0, 1, 2])
    assert (cuped.difference(empty, many).estimate, cuped.difference(empty, many).standard_error) == (0, np.inf)
    assert cuped.difference(many, one).standard_error == np.inf
    assert np.isfinite(cuped.difference(many, one).estimate)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cuped.adjust([1], [1]), "y: must have at least two units, got 1"),
        (lambda: cuped.adjust([1, np.nan], [1, 2]), "y: must be finite, got nan"),
        (lambda: cuped.adjust([1, 2, 3], [1, 2]), "x: must have as many values as y"),
        (lambda: cuped.variance_ratio(1.2), "correlation: must lie between -1 and 1, got 1.2"),
    ],
)
def test_wrong_input_is_refused_by_name(call: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
