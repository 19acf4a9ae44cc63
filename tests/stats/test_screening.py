"""What a test is worth where most ideas do harm: closed forms, and draws."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from sim.stats.screening import normal_value, threshold, value


@pytest.mark.parametrize("error", [0.05, 0.5, 1.0, 3.0, 10.0])
@pytest.mark.parametrize("mean", [-2.0, -1.0, -0.1])
def test_a_normal_prior_has_a_closed_form(error: float, mean: float) -> None:
    prior = scipy.stats.norm(mean, 1.0).pdf
    # The posterior mean is 0 where the estimate's weight balances the prior's.
    assert threshold(error, prior, 1.0) == pytest.approx(-mean * error**2, rel=1e-8)
    assert value(error, prior, 1.0) == pytest.approx(normal_value(error, mean, 1.0), rel=1e-6)


@pytest.mark.parametrize("df", [2.0, 3.0, 8.0])
@pytest.mark.parametrize("error", [0.5, 3.0])
def test_fat_tails_agree_with_draws_and_no_other_threshold_earns_more(df: float, error: float) -> None:
    prior = scipy.stats.t(df, -1.0, 1.0)
    best = threshold(error, prior.pdf, 1.0)
    random = np.random.default_rng(3)
    effects = prior.rvs(1_000_000, random_state=random)
    estimates = effects + random.normal(0.0, error, effects.size)
    earned = effects * (estimates > best)
    assert abs(earned.mean() - value(error, prior.pdf, 1.0)) <= 4 * earned.std() / 1_000
    for other in (0.5 * best, 1.5 * best):
        # Only draws between the two thresholds are decided otherwise.
        between = effects[(estimates > min(other, best)) & (estimates <= max(other, best))]
        assert between.mean() * (1 if other > best else -1) > 0


@pytest.mark.parametrize(("df", "lean"), [(1.5, True), (2.0, True), (4.0, False), (8.0, False)])
def test_many_small_tests_win_where_tails_are_very_fat(df: float, lean: bool) -> None:
    """Azevedo and others (2020): below a tail exponent of 3 a small test has the higher value for a request."""
    prior = scipy.stats.t(df, -1.0, 1.0).pdf
    large, small = 30.0, 300.0
    for_a_request = [value(error, prior, 1.0) * error**2 for error in (large, small)]
    assert (for_a_request[1] > for_a_request[0]) == lean
