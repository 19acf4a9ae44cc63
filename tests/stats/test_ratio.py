"""Ratio metrics against cluster-robust regression (statsmodels) and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm

from sim.stats.contrast import z_test
from sim.stats.moments import Moments
from sim.stats.ratio import ratio, shared_covariance
from sim.stats.two_sample import Scale


def test_the_error_is_the_cluster_robust_one_of_statsmodels() -> None:
    rng = np.random.default_rng(4)
    users = rng.integers(0, 80, 600)
    outcomes = rng.normal(size=80)[users] + rng.normal(size=600)
    found = ratio(Moments.of(np.bincount(users, outcomes), np.bincount(users)))
    fit = sm.OLS(outcomes, np.ones(600)).fit(cov_type="cluster", cov_kwds={"groups": users})
    assert found.estimate == pytest.approx(outcomes.mean())
    # statsmodels' correction has (N − 1)/(N − 1) = 1 beside G/(G − 1), as there is one parameter.
    assert found.standard_error == pytest.approx(fit.bse[0])


def test_one_request_a_user_is_the_plain_mean() -> None:
    y = np.array([1.0, 4, 2, 7])
    found = ratio(Moments.of(y, np.ones(4)))
    assert (found.estimate, found.standard_error) == pytest.approx((y.mean(), y.std(ddof=1) / 2))


def test_differences_are_calibrated_where_a_naive_error_is_not() -> None:
    rng = np.random.default_rng(9)
    replications, users = 3000, 200
    arms = []
    for lift in (0.0, 0.05):
        requests = 1 + rng.poisson(4, (replications, users))
        rate = np.clip(rng.beta(3, 7, (replications, users)) + lift, 0, 1)
        arms.append((rng.binomial(requests, rate), requests))
    champion, challenger = (ratio(Moments.of(y, x)) for y, x in arms)
    scales: dict[Scale, float] = {"absolute": 0.05, "relative": 0.05 / 0.3}
    for scale, truth in scales.items():
        found = z_test(champion, challenger, scale=scale)
        z = (found.effect - truth) / found.standard_error
        assert abs(z.mean()) < 4 / math.sqrt(replications) + 0.03
        # 4 standard errors of a variance, and 3% for 200 users an arm.
        assert abs(z.var() - 1) < 4 * math.sqrt(2 / replications) + 0.03
    p, n = arms[0][0].sum(-1) / arms[0][1].sum(-1), arms[0][1].sum(-1)
    assert (champion.standard_error / np.sqrt(p * (1 - p) / n)).mean() > 1.1


def test_nothing_is_never_nan() -> None:
    empty = ratio(Moments.of(np.empty((2, 0)), np.empty((2, 0))))
    one, zero = ratio(Moments.of([[3]] * 2, [[2]] * 2)), ratio(Moments.of([[0, 0]] * 2, [[0, 0]] * 2))
    assert np.array_equal(one.estimate, [1.5, 1.5])
    for unknown in (empty, one, zero):
        assert np.array_equal(unknown.standard_error, [np.inf, np.inf])
    constant = ratio(Moments.of([2, 4, 6], [1, 2, 3]))
    assert (constant.estimate, constant.standard_error) == (2, 0)


@pytest.mark.parametrize("both", [True, False])
def test_the_difference_of_clustered_means_is_that_of_the_regression_on_the_arm(both: bool) -> None:
    """Users in both arms, or in one each; without the correction of statsmodels, which counts users of both arms together."""
    rng = np.random.default_rng(12)
    users = 60
    user = rng.integers(0, users, 2000)
    arm = rng.integers(0, 2, 2000) if both else user % 2
    outcome = 3 + rng.normal(size=users)[user] + 0.5 * arm * rng.normal(size=users)[user] + rng.normal(size=2000)
    sums, sizes = np.zeros((2, 2, users))
    np.add.at(sums, (arm, user), outcome)
    np.add.at(sizes, (arm, user), 1)
    arms = [Moments.of(sums[k][sizes[k] > 0], sizes[k][sizes[k] > 0]) for k in range(2)]
    (s0, s1), (n0, n1) = sums, sizes
    covariance = shared_covariance(*arms, yy=s0 @ s1, xy=n0 @ s1, yx=s0 @ n1, xx=n0 @ n1)
    found = [ratio(moments) for moments in arms]
    variance = found[0].standard_error ** 2 + found[1].standard_error ** 2 - 2 * covariance
    design = np.column_stack([np.ones(2000), arm])
    fit = sm.OLS(outcome, design).fit(cov_type="cluster", cov_kwds={"groups": user, "use_correction": False})
    assert found[1].estimate - found[0].estimate == pytest.approx(fit.params[1])
    clusters = arms[0].n
    assert arms[1].n == clusters
    assert variance * (clusters - 1) / clusters == pytest.approx(fit.bse[1] ** 2)
    assert (covariance == 0) == (not both)
