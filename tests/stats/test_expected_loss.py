"""Expected losses against integrals of scipy.stats, closed forms, and what must hold of any posterior."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sim.errors import InputError
from sim.stats.expected_loss import expected_loss_beta, expected_loss_normal
from sim.stats.posterior import probability_exceeds_beta

NODES, WEIGHTS = np.polynomial.legendre.leggauss(20)
QUANTILES = (1e-9, 1e-6, 1e-3, 0.1, 0.5, 0.9, 0.999, 1 - 1e-6, 1 - 1e-9)


def integrated(posteriors: list[stats.rv_continuous]) -> np.ndarray:
    """(K,) ∫ F_k (1 − Π_{j≠k} F_j), with cuts at the quantiles of every posterior."""
    cuts = np.unique([posterior.ppf(quantile) for posterior in posteriors for quantile in QUANTILES])
    half = np.diff(cuts)[:, None] / 2
    x = (cuts[:-1, None] + half + half * NODES).ravel()
    weight = (half * WEIGHTS).ravel()
    below = np.stack([posterior.cdf(x) for posterior in posteriors])
    return np.array([(weight * below[k] * (1 - np.delete(below, k, 0).prod(axis=0))).sum() for k in range(len(posteriors))])


@pytest.mark.parametrize("arms", [2, 3, 4])
def test_beta_against_integration(arms: int) -> None:
    rng = np.random.default_rng(arms)
    for _ in range(25):
        n = np.round(10 ** rng.uniform(1, 5, arms))
        rate = np.clip(rng.uniform(0.02, 0.9) + rng.normal(0, 0.02, arms), 0.005, 0.99)
        a = 1 + np.round(n * rate)
        b = 2 + n - a
        posteriors = [stats.beta(*pair) for pair in zip(a, b, strict=True)]
        expected, largest = integrated(posteriors), max(posterior.std() for posterior in posteriors)
        np.testing.assert_allclose(expected_loss_beta([a], [b])[0], expected, rtol=2e-3, atol=2e-6 * largest)


@pytest.mark.parametrize("arms", [2, 3, 4])
def test_normal_against_integration(arms: int) -> None:
    rng = np.random.default_rng(10 + arms)
    for _ in range(25):
        mean, sd = rng.normal(0, 1, arms), 10 ** rng.uniform(-2, 1, arms)
        expected = integrated([stats.norm(*pair) for pair in zip(mean, sd, strict=True)])
        found = expected_loss_normal([mean], [sd])[0]
        np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-6 * sd.max())


def test_two_beta_posteriors_with_plenty_of_counts_of_unequal_width() -> None:
    rng = np.random.default_rng(4)
    for _ in range(150):
        a = 100 * np.exp(rng.uniform(0, 8, 2))
        b0 = 100 * np.exp(rng.uniform(0, 9))
        apart = rng.uniform(-4, 4) * np.sqrt(1 / b0 + (1 / a).sum())
        b = np.maximum([b0, a[1] * b0 / a[0] * np.exp(-apart)], 100)
        posteriors = [stats.beta(*pair) for pair in zip(a, b, strict=True)]
        expected, largest = integrated(posteriors), max(posterior.std() for posterior in posteriors)
        np.testing.assert_allclose(expected_loss_beta([a], [b])[0], expected, rtol=2e-3, atol=2e-6 * largest)


def test_the_closed_form_of_two_beta_posteriors() -> None:
    """Stucchio (2015), §5: E[(θ₁ − θ₀)⁺] = m₁·P(θ₁' > θ₀) − m₀·P(θ₁ > θ₀'), a prime for one success more."""
    a0, b0, a1, b1 = 21.0, 81.0, 31.0, 71.0
    closed = a1 / (a1 + b1) * probability_exceeds_beta(a0, b0, a1 + 1, b1)
    closed = closed - a0 / (a0 + b0) * probability_exceeds_beta(a0 + 1, b0, a1, b1)
    np.testing.assert_allclose(expected_loss_beta([[a0, a1]], [[b0, b1]])[0, 0], closed, rtol=1e-3)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(1, 1e6), st.floats(1, 1e6)), min_size=2, max_size=4))
def test_losses_differ_by_the_means(pairs: list[tuple[float, float]]) -> None:
    a, b = np.array(pairs).T
    loss = expected_loss_beta([a], [b])[0]
    mean = a / (a + b)
    assert (loss >= 0).all()
    np.testing.assert_allclose(loss - loss[0], mean[0] - mean, atol=1e-12)


def test_arms_that_are_far_apart() -> None:
    assert expected_loss_beta([[1.0, 1e6]], [[1e6, 1.0]]).tolist() == [
        [pytest.approx(1 - 2e-6, abs=1e-9), pytest.approx(0, abs=1e-9)]
    ]


def test_the_bits_do_not_depend_on_the_other_rows() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.integers(1, 500, (300, 3)), rng.integers(1, 900, (300, 3))
    assert (expected_loss_beta(a[7:8], b[7:8]) == expected_loss_beta(a, b)[7:8]).all()
    assert (expected_loss_normal(a[7:8], b[7:8]) == expected_loss_normal(a, b)[7:8]).all()


def test_an_arm_that_does_not_compete_is_never_chosen_and_costs_nothing() -> None:
    for loss in (
        expected_loss_normal([[0.0, 9.0, 1.0]], [[1.0, 1.0, 1.0]], [[True, False, True]]),
        expected_loss_beta([[5, 90, 9]], [[9, 5, 5]], [[True, False, True]]),
    ):
        assert loss[0, 1] == np.inf
    np.testing.assert_allclose(
        expected_loss_normal([[0.0, 9.0, 1.0]], [[1.0, 1.0, 1.0]], [[True, False, True]])[0, [0, 2]],
        expected_loss_normal([[0.0, 1.0]], [[1.0, 1.0]])[0],
        rtol=1e-3,
    )
    assert expected_loss_normal([[1.0, 2.0]], [[1.0, 1.0]], [[True, False]]).tolist() == [[0.0, np.inf]]


def test_what_is_certain() -> None:
    assert expected_loss_normal([[1.0, 3.0]], [[0.0, 0.0]]).tolist() == [[2.0, 0.0]]
    assert expected_loss_normal([[1.0, 1.0]], [[0.0, 0.0]]).tolist() == [[0.0, 0.0]]


def test_what_is_no_posterior_is_refused() -> None:
    with pytest.raises(InputError, match="sd: must not be negative, got -1"):
        expected_loss_normal([[0.0, 1.0]], [[1.0, -1.0]])
    with pytest.raises(InputError, match="beta: must lie between"):
        expected_loss_beta([[1.0, 1.0]], [[1.0, 0.0]])
