"""Always-valid inference against reference numbers, its defining properties, and by simulation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import InputError
from sim.stats.sequential import (
    Interval,
    asymptotic_confidence_sequence,
    best_mixing_sd,
    confidence_sequence,
    mixture_sprt,
    running_interval,
    running_p_value,
)
from sim.stats.two_sample import Alternative, two_sample

ALTERNATIVES: tuple[Alternative, ...] = ("two-sided", "greater", "less")


def mixing(alpha: float) -> float:
    """confseq tunes by the expansion of W₋₁: ρ = 100/(2 log(1/α) + log(1 + 2 log(1/α)))."""
    c = 2 * math.log(1 / alpha)
    return math.sqrt((c + math.log(1 + c)) / 100)


@pytest.mark.parametrize(
    ("alternative", "alpha", "log_ratio", "bound"),
    [("two-sided", 0.05, -0.6510052, 30.35209), ("greater", 0.1, -0.06502391, 27.66071)],
)
def test_the_reference_values_of_confseq(alternative: Alternative, alpha: float, log_ratio: float, bound: float) -> None:
    """Sum 10, and bound at α = 5%, at intrinsic time 100: unit tests of confseq (Howard et al.), from R."""
    tau = mixing(alpha)
    found = mixture_sprt(0.1, 0.1, mixing_sd=tau, alternative=alternative)
    assert found.log_likelihood_ratio == pytest.approx(log_ratio, abs=1e-6)
    assert -100 * confidence_sequence(0, 0.1, mixing_sd=tau, alternative=alternative).lower == pytest.approx(bound, abs=1e-5)


@pytest.mark.parametrize("alternative", ALTERNATIVES)
@pytest.mark.parametrize("tau", [0.3, 1.0, 20.0])
def test_the_likelihood_ratio_has_mean_one_under_the_null(alternative: Alternative, tau: float) -> None:
    z = np.linspace(-40, 40, 400_001)
    log_ratio = mixture_sprt(z, 1.0, mixing_sd=tau, alternative=alternative).log_likelihood_ratio
    mean = np.trapezoid(np.exp(log_ratio - z * z / 2 - 0.5 * math.log(2 * math.pi)), z)
    # The integrand's scale is √(1 + τ²); ±40 covers two of its standard deviations at τ = 20.
    assert mean == pytest.approx(math.erf(40 / math.sqrt(2 * (1 + tau * tau))), abs=2e-6)


@given(
    st.floats(-3, 3),
    st.floats(0.01, 3),
    st.floats(0.01, 10),
    st.floats(0.001, 0.4),
    st.sampled_from(ALTERNATIVES),
)
def test_the_interval_is_the_set_of_nulls_that_are_not_rejected(
    estimate: float, error: float, tau: float, alpha: float, alternative: Alternative
) -> None:
    interval = confidence_sequence(estimate, error, mixing_sd=tau, alpha=alpha, alternative=alternative)
    bounds = [float(bound) for bound in (interval.lower, interval.upper) if np.isfinite(bound)]
    assert len(bounds) == (2 if alternative == "two-sided" else 1)
    for bound in bounds:
        test = mixture_sprt(estimate, error, mixing_sd=tau, null=bound, alternative=alternative)
        assert test.p_value == pytest.approx(alpha, rel=1e-6)


@given(st.floats(-3, 3), st.floats(0.01, 3), st.floats(0.01, 10))
def test_greater_and_less_mirror_each_other_and_average_to_two_sided(estimate: float, error: float, tau: float) -> None:
    both, above, below = (mixture_sprt(estimate, error, mixing_sd=tau, alternative=kind) for kind in ALTERNATIVES)
    mirrored = mixture_sprt(-estimate, error, mixing_sd=tau, alternative="less")
    assert above.log_likelihood_ratio == pytest.approx(float(mirrored.log_likelihood_ratio))
    mean = np.logaddexp(above.log_likelihood_ratio, below.log_likelihood_ratio) - math.log(2)
    assert both.log_likelihood_ratio == pytest.approx(float(mean), abs=1e-9)


def test_no_information_neither_rejects_nor_bounds() -> None:
    nothing = two_sample("z_unpooled", [0, 10, 10], [0, 0, 10], [0, 0, 10], [0, 10, 10], [0, 0, 10], [0, 0, 10])
    for alternative in ALTERNATIVES:
        test = mixture_sprt(nothing.effect, nothing.standard_error, mixing_sd=0.1, alternative=alternative)
        assert np.array_equal(test.likelihood_ratio, np.ones(3))
        assert np.array_equal(test.p_value, np.ones(3))
        for interval in (
            confidence_sequence(nothing.effect, nothing.standard_error, mixing_sd=1, alternative=alternative),
            asymptotic_confidence_sequence(
                nothing.effect, nothing.standard_error, [0, 20, 20], planned_n=9, alternative=alternative
            ),
        ):
            assert np.array_equal(interval.lower, np.full(3, -np.inf))
            assert np.array_equal(interval.upper, np.full(3, np.inf))
    overwhelming = mixture_sprt(1.0, 1e-3, mixing_sd=1.0)
    assert overwhelming.likelihood_ratio == np.inf
    assert overwhelming.p_value == 0


@pytest.mark.parametrize("alpha", [0.005, 0.05, 0.1])
def test_the_best_mixing_is_narrowest_where_it_shall_be(alpha: float) -> None:
    for alternative, slack in (("two-sided", 1.0), ("greater", 1.0001)):
        best = best_mixing_sd(0.2, alpha, alternative)  # type: ignore[arg-type]
        others = best * np.geomspace(0.2, 5, 401)
        widths = -confidence_sequence(0, 0.2, mixing_sd=others, alpha=alpha, alternative=alternative).lower  # type: ignore[arg-type]
        assert widths[200] <= widths.min() * slack * (1 + 1e-12)


def test_the_asymptotic_sequence_is_the_published_formula() -> None:
    n, rho2 = np.array([10.0, 500.0, 9000.0]), best_mixing_sd(1.0) ** 2 / 500
    interval = asymptotic_confidence_sequence(0.3, 2 / np.sqrt(n), n, planned_n=500)
    expected = 2 * np.sqrt(2 * (n * rho2 + 1) / (n**2 * rho2) * np.log(np.sqrt(n * rho2 + 1) / 0.05))
    np.testing.assert_allclose(interval.upper - 0.3, expected)
    np.testing.assert_allclose(0.3 - interval.lower, expected)


@pytest.fixture(scope="module")
def null_looks() -> tuple[Any, Any]:
    """2,000 A/A tests of a 30% metric, 100 looks 40 outcomes an arm apart: the result and outcomes an arm."""
    rng = np.random.default_rng(11)
    n = 40.0 * np.arange(1, 101)
    s0, s1 = (rng.binomial(40, 0.3, (2000, 100)).cumsum(-1) for _ in range(2))
    return two_sample("z_unpooled", n, s0, s0, n, s1, s1), n


@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_looking_always_errs_at_most_alpha(null_looks: tuple[Any, Any], alternative: Alternative) -> None:
    result, n = null_looks
    allowed = 0.05 + 4 * math.sqrt(0.05 * 0.95 / 2000)
    tau = best_mixing_sd(math.sqrt(2 * 0.21 / 2000))
    test = mixture_sprt(result.effect, result.standard_error, mixing_sd=tau, alternative=alternative)
    assert 0.01 < (running_p_value(test.p_value)[:, -1] <= 0.05).mean() < allowed
    sequence = asymptotic_confidence_sequence(
        result.effect, result.standard_error, 2 * n, planned_n=4000, alternative=alternative
    )
    running = running_interval(sequence)
    assert ((running.lower[:, -1] > 0) | (running.upper[:, -1] < 0)).mean() < allowed
    naive = (result.p_value < 0.05).any(-1).mean()
    assert naive > 0.25


def test_a_real_effect_is_found() -> None:
    rng = np.random.default_rng(12)
    n = 100.0 * np.arange(1, 101)
    s0, s1 = (rng.binomial(100, p, (200, 100)).cumsum(-1) for p in (0.30, 0.34))
    result = two_sample("z_unpooled", n, s0, s0, n, s1, s1)
    test = mixture_sprt(result.effect, result.standard_error, mixing_sd=0.04)
    assert (running_p_value(test.p_value)[:, -1] <= 0.05).mean() > 0.95


def test_running_helpers_follow_their_axis() -> None:
    p = np.array([[0.5, 0.2], [0.1, 0.4]])
    assert np.array_equal(running_p_value(p, axis=0), [[0.5, 0.2], [0.1, 0.2]])
    running = running_interval(Interval(p, p + 1), axis=0)
    assert np.array_equal(running.lower, [[0.5, 0.2], [0.5, 0.4]])
    assert np.array_equal(running.upper, [[1.5, 1.2], [1.1, 1.2]])
    assert running_p_value(np.empty((3, 0))).shape == (3, 0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mixture_sprt(np.nan, 1, mixing_sd=1), "estimate: must be finite, got nan"),
        (lambda: mixture_sprt(0, -1, mixing_sd=1), "standard_error: must not be negative or NaN, got -1"),
        (lambda: mixture_sprt(0, 1, mixing_sd=0), "mixing_sd: must be finite and positive, got 0"),
        (lambda: mixture_sprt(0, 1, mixing_sd=1, alternative="up"), "alternative: must be one of two-sided, .* got up"),
        (lambda: confidence_sequence(0, 1, mixing_sd=1, alpha=1), "alpha: must lie strictly between 0 and 1, got 1"),
        (lambda: asymptotic_confidence_sequence(0, 1, -1, planned_n=1), "n: must be finite and not negative, got -1"),
        (lambda: asymptotic_confidence_sequence(0, 1, 1, planned_n=0), "planned_n: must be positive and finite, got 0"),
        (lambda: best_mixing_sd(0), "standard_error: must be positive and finite, got 0"),
        (lambda: best_mixing_sd(1, 0.5, "less"), "alpha: must lie below 0.5 for a one-sided sequence, got 0.5"),
        (lambda: running_p_value([0.1, 1.5]), "p_values: must lie between 0 and 1, got 1.5"),
    ],
)
def test_wrong_input_is_refused_by_name(call: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
