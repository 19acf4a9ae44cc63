"""Laws of effects, fitted to estimates with standard errors: against quadrature, closed forms and statsmodels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from statsmodels.stats.meta_analysis import combine_effects

from sim.stats.random_effects import (
    FAMILIES,
    MOST_DF,
    NORMAL,
    SPIKE,
    STUDENT,
    Family,
    bounds,
    information,
    is_simpler,
    maximise,
    no_spread,
)

MEAN = 0.1


@pytest.mark.parametrize("df", [1.05, 1.5, 3.0, 10.0, 50.0, 100.0])
@pytest.mark.parametrize(
    ("scale", "error", "estimate"),
    [(1, 0.5, 0.3), (1, 0.5, 30), (1e-3, 4e-3, 1.17), (1, 1e-3, 5), (0.01, 1, 2), (1, 10, 8), (1e-2, 1e-5, -3)],
)
def test_the_density_of_an_estimate_is_an_integral(df: float, scale: float, error: float, estimate: float) -> None:
    law = scipy.stats.t(df, MEAN * scale, scale)
    near = [centre * scale for centre in (MEAN - 5, MEAN - 1, MEAN, MEAN + 1, MEAN + 5)]
    low, high = estimate - 12 * error, estimate + 12 * error
    integral, _ = scipy.integrate.quad(
        lambda effect: math.exp(law.logpdf(effect) + scipy.stats.norm.logpdf(estimate, effect, error)),
        low, high, points=[estimate, *(point for point in near if low < point < high)], limit=2000, epsabs=0, epsrel=1e-11,
    )  # fmt: skip
    at = np.array([MEAN * scale, math.log(scale), math.log(df)])
    logs, _ = STUDENT.terms(np.array([estimate], float), np.array([error], float), at)
    assert logs[0] == pytest.approx(math.log(integral), abs=1e-7)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_slopes_are_those_of_the_density(family: Family) -> None:
    rng = np.random.default_rng(3)
    estimates, errors = rng.standard_t(2, 40), rng.uniform(0.1, 2, 40)
    for at in (np.array([0.2, -0.5, 0.7]), np.array([-1.0, 1.0, 2.0])):
        at = at[: len(family.parameters)]
        slopes = family.terms(estimates, errors, at)[1]
        for index in range(len(at)):
            moved = np.eye(len(at))[index] * 1e-5
            change = family.terms(estimates, errors, at + moved)[0] - family.terms(estimates, errors, at - moved)[0]
            assert change / 2e-5 == pytest.approx(slopes[:, index], rel=1e-5, abs=1e-6)


def test_a_normal_law_is_the_limit_of_both_others() -> None:
    estimates, errors = np.array([-2.0, 0.5, 1.0]), np.array([0.5, 1.0, 2.0])
    at = np.array([0.3, 0.2])
    normal = NORMAL.terms(estimates, errors, at)[0]
    assert STUDENT.terms(estimates, errors, np.append(at, math.log(1e5)))[0] == pytest.approx(normal, abs=1e-4)
    assert SPIKE.terms(estimates, errors, np.append(at, -20.0))[0] == pytest.approx(normal, abs=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_of_equal_errors_the_normal_law_has_a_closed_form(seed: int) -> None:
    rng = np.random.default_rng(seed)
    estimates = rng.normal(0.01, 0.02, 30)
    found = NORMAL.values(maximise(NORMAL, estimates, np.full(30, 0.01)).coordinates)
    assert found[0] == pytest.approx(estimates.mean(), abs=1e-7)
    assert found[1] == pytest.approx(math.sqrt(max(estimates.var() - 0.01**2, 0)), rel=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_the_mean_is_that_of_a_random_effects_meta_analysis(seed: int) -> None:
    """At a given spread, the mean and its error are those of statsmodels, and the spread is near those of REML and moments."""
    rng = np.random.default_rng(seed)
    errors = rng.uniform(0.005, 0.05, 150)
    estimates = rng.normal(0.01, 0.03, 150) + errors * rng.standard_normal(150)
    best = maximise(NORMAL, estimates, errors)
    mean, spread = NORMAL.values(best.coordinates)
    weights = 1 / (spread**2 + errors**2)
    assert mean == pytest.approx(weights @ estimates / weights.sum(), abs=1e-7)
    # The likelihood equation of the spread, whose solution differs from REML's only by the degree of freedom of the mean.
    off2 = (estimates - mean) ** 2
    assert (weights**2 * (off2 - errors**2)).sum() / (weights**2).sum() == pytest.approx(spread**2, rel=1e-4)
    known = combine_effects(estimates, errors**2, method_re="iterated")
    error = math.sqrt(np.linalg.inv(information(NORMAL, estimates, errors, best.coordinates))[1, 1]) * spread
    assert abs(spread - math.sqrt(known.tau2)) < error
    assert abs(mean - known.mean_effect_re) < 0.3 * known.sd_eff_w_re
    moments = combine_effects(estimates, errors**2, method_re="dl")
    assert abs(spread - math.sqrt(moments.tau2)) < 2 * error


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@pytest.mark.parametrize("seed", range(3))
def test_no_other_start_leads_higher(family: Family, seed: int) -> None:
    rng = np.random.default_rng(seed)
    errors = np.exp(rng.uniform(math.log(0.002), math.log(0.05), 50))
    estimates = (rng.random(50) < 0.5) * rng.standard_t(2, 50) * 0.01 + errors * rng.standard_normal(50)
    best = maximise(family, estimates, errors)
    starts = [np.array([rng.uniform(low, high) for low, high in bounds(family, estimates, errors)]) for _ in range(30)]
    assert maximise(family, estimates, errors, starts=starts).log_likelihood <= best.log_likelihood + 1e-4


def test_of_nothing_but_noise_there_is_no_spread() -> None:
    estimates, errors = np.array([-0.01, 0.0, 0.01] * 5), np.full(15, 0.02)
    for family in FAMILIES:
        best = maximise(family, estimates, errors)
        assert no_spread(family, estimates, errors, best.coordinates)
        assert is_simpler(family, estimates, errors, best.coordinates) == (family is not NORMAL)
        assert best.log_likelihood == pytest.approx(scipy.stats.norm.logpdf(estimates, 0, 0.02).sum(), abs=1e-4)


def test_a_value_can_be_held() -> None:
    rng = np.random.default_rng(5)
    estimates, errors = rng.standard_t(3, 60), np.full(60, 0.3)
    best = maximise(STUDENT, estimates, errors)
    held = maximise(STUDENT, estimates, errors, {2: math.log(MOST_DF)})
    assert held.coordinates[2] == math.log(MOST_DF)
    assert held.log_likelihood < best.log_likelihood
    near = maximise(STUDENT, estimates, errors, {2: float(best.coordinates[2])})
    assert near.log_likelihood == pytest.approx(best.log_likelihood, abs=1e-6)
