"""Which of two Beta variables is larger, against integration and the panels of `posterior`."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import polygamma, psi

from sim import ways
from sim.errors import InputError
from sim.jit import missing
from sim.stats import posterior
from sim.stats.log_odds import POLYGAMMA, SERIES_FROM, exceeds
from sim.stats.posterior import probability_exceeds_beta
from tests.stats.test_posterior import exact_beta


def hard_pairs(least: float, count: int) -> np.ndarray:
    """(4, count) parameters from `least` on, of very unequal widths and skewness, up to five standard errors apart."""
    rng = np.random.default_rng(int(least))
    a0, a1, b0 = least * np.exp(rng.uniform(0, 1, (3, count)) * [[7], [7], [9]])
    a0, a1 = np.where(rng.random(count) < 0.3, least, a0), np.where(rng.random(count) < 0.3, least * 1e5, a1)
    swapped = rng.random(count) < 0.5
    a0, b0 = np.where(swapped, b0, a0), np.where(swapped, a0, b0)
    apart = rng.uniform(-5, 5, count) * np.sqrt(1 / a0 + 1 / b0 + 1 / a1)
    return np.stack([a0, b0, a1, np.maximum(a1 * b0 / a0 * np.exp(-apart), least)])


@pytest.mark.parametrize("least", [SERIES_FROM, 100.0, 1000.0])
def test_as_good_as_the_integrals(monkeypatch: pytest.MonkeyPatch, least: float) -> None:
    a0, b0, a1, b1 = hard_pairs(least, 4000)
    found = probability_exceeds_beta(a0, b0, a1, b1)
    np.testing.assert_allclose(found, exceeds(a0, b0, a1, b1), atol=1e-15)
    monkeypatch.setattr(posterior, "SERIES_FROM", np.inf)
    # The integrals themselves are within 5e-6.
    np.testing.assert_allclose(found, probability_exceeds_beta(a0, b0, a1, b1), atol=1e-5)


def test_against_the_closed_form() -> None:
    cases = [(20, 20, 20, 20), (20, 980, 30, 970), (51, 951, 66, 936), (500, 300, 520, 270), (21, 5000, 40, 7000)]
    found = exceeds(*np.array(cases, float).T)
    np.testing.assert_allclose(found, [exact_beta(*case) for case in cases], atol=2e-6)


def test_the_arms_can_be_exchanged() -> None:
    a0, b0, a1, b1 = hard_pairs(20.0, 500)
    np.testing.assert_allclose(exceeds(a0, b0, a1, b1), 1 - exceeds(a1, b1, a0, b0), atol=1e-12)
    np.testing.assert_allclose(exceeds(a0, b0, a1, b1), exceeds(b1, a1, b0, a0), atol=1e-12)


def test_the_series_of_the_polygamma_functions() -> None:
    x = np.array([20.0, 50.0, 1e4])
    for order, coefficients in enumerate(POLYGAMMA):
        series = np.polynomial.Polynomial(coefficients)(1 / x)
        expected = psi(x) - np.log(x) if order == 0 else polygamma(order, x)
        np.testing.assert_allclose(series, expected, rtol=1e-8)


@pytest.mark.skipif(missing is not None, reason="nothing compiles")
def test_the_kernel_has_the_same_bits() -> None:
    pairs = hard_pairs(SERIES_FROM, 4000)
    found = []
    for way in ("numpy", "compiled"):
        with ways.only(way):  # type: ignore[arg-type]
            found.append(exceeds(*pairs))
    assert 0.1 < (found[0] > 0.5).mean() < 0.9
    np.testing.assert_array_equal(*found)


@pytest.mark.skipif(missing is not None, reason="nothing compiles")
def test_both_ways_agree_on_the_best_of_two() -> None:
    a0, b0, a1, b1 = hard_pairs(SERIES_FROM, 500)
    alpha, beta = np.stack([a0, a1], axis=1), np.stack([b0, b1], axis=1)
    among = np.random.default_rng(2).random((500, 2)) < 0.7
    # One row with few counts has the integrals, and so all rows go the other way.
    for few in (False, True):
        alpha[0, 0] = 3.0 if few else alpha[0, 0]
        found = []
        for way in ("numpy", "compiled"):
            with ways.only(way):  # type: ignore[arg-type]
                found.append(posterior.probability_best_beta(alpha, beta, among))
        np.testing.assert_array_equal(*found)
        assert ((found[0] > 0.01) & (found[0] < 0.99)).any()
    for wrong in (0.0, np.nan, 1e13):
        with ways.only("compiled"), pytest.raises(InputError, match="must lie between"):
            posterior.probability_best_beta(np.array([[30.0, wrong]]), np.array([[30.0, 30.0]]))
