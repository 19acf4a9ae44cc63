"""Differences within ticks by user, against regressions on the arm with overlap weights and clustered errors (statsmodels)."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np
import pytest
import statsmodels.api as sm

from sim.arrays import Floats
from sim.stats.by_user import UserSums, difference_by_user
from sim.stats.contrast import z_test
from sim.stats.moments import Moments
from sim.stats.ratio import ratio, shared_covariance
from sim.stats.two_sample import Scale
from sim.stats.within_ticks import Difference, WeightedMoments, difference, difference_test, moments

USERS = 90


def drawn(seed: int, w: Floats, sticky: bool, effect: float = 0.3) -> tuple[Floats, Floats, Floats, Floats]:
    """User, arm, weight and outcome of as many requests as there are shares w; the mean moves with the share."""
    rng = np.random.default_rng(seed)
    user = rng.integers(0, USERS, w.size)
    arm = (rng.random(USERS)[user] if sticky else rng.random(w.size)) < w
    outcome = 2 + 3 * w + effect * arm + rng.normal(size=USERS)[user] + rng.normal(size=w.size)
    return user, arm.astype(float), np.where(arm, 1 - w, w), outcome


def found_of(user: Floats, arm: Floats, weight: Floats, outcome: Floats, w: Floats) -> Difference:
    """The difference of one replication, from its requests."""
    sums, parts = [], []
    for side in (0, 1):
        of = arm == side
        n, s = (np.bincount(user[of], each[of], USERS) for each in (weight, weight * outcome))
        count = np.array(float(np.unique(user[of]).size))
        sums.append(UserSums(count, *(np.asarray(float(each)) for each in (n.sum(), s.sum(), s @ s, n @ s, n @ n))))
        parts.append((n, s))
    (base_n, base_s), (n, s) = parts
    joint = [np.asarray(float(a @ b)) for a, b in ((base_s, s), (base_n, s), (base_s, n), (base_n, n))]
    plain: list[WeightedMoments] = []
    for side in (0, 1):
        told = zip(outcome[arm == side], w[arm == side], strict=True)
        each = [moments(1, y, y * y, share, champion=side == 0) for y, share in told]
        plain.append(WeightedMoments(*(sum(getattr(one, field.name) for one in each) for field in fields(WeightedMoments))))
    return difference_by_user(sums[0], sums[1], *joint, difference(*plain))


W = np.repeat([0.1, 0.5, 0.25], [400, 300, 200])


@pytest.mark.parametrize("sticky", [True, False])
def test_it_is_the_regression_with_overlap_weights_and_errors_by_user(sticky: bool) -> None:
    user, arm, weight, outcome = drawn(3, W, sticky)
    found = found_of(user, arm, weight, outcome, W)
    fit = sm.WLS(outcome, sm.add_constant(arm), weights=weight).fit(
        cov_type="cluster", cov_kwds={"groups": user, "use_correction": False}
    )
    assert float(found.effect) == pytest.approx(fit.params[1], rel=1e-9)
    # Ours corrects each arm for the number of its users.
    c0, c1 = (count / (count - 1) for count in (np.unique(user[arm == side]).size for side in (0, 1)))
    covariance = np.asarray(found.covariance) / math.sqrt(c0 * c1)
    assert float(found.variance0 / c0) == pytest.approx(fit.cov_params()[0, 0], rel=1e-9)
    assert float(found.variance0 / c0 + found.variance1 / c1 - 2 * covariance) == pytest.approx(fit.bse[1] ** 2, rel=1e-9)
    # Between arms a user's requests have something in common only where the user meets both.
    assert (float(covariance) > 0.1 * float(found.variance1)) == (not sticky)


def test_the_relative_error_is_that_of_the_regression_by_the_delta_method() -> None:
    user, arm, weight, outcome = drawn(5, W, False)
    for sign in (1, -1):
        found = found_of(user, arm, weight, sign * outcome, W)
        same = replace(found, covariance=np.asarray(found.covariance))
        tested = difference_test(same, "z_unpooled", "relative")
        base, mean = float(found.base), float(found.base + found.effect)
        slopes = np.array([-sign * mean / base**2, 1 / abs(base)])
        joint = np.array([[found.variance0, found.covariance], [found.covariance, found.variance1]], float)
        assert float(tested.effect) == pytest.approx((mean - base) / abs(base))
        assert float(tested.standard_error) == pytest.approx(math.sqrt(slopes @ joint @ slopes), rel=1e-9)


@pytest.mark.parametrize("scale", ["absolute", "relative"])
@pytest.mark.parametrize("w", [0.1, 0.5])
def test_under_constant_shares_it_is_the_pooled_test_by_user(w: float, scale: Scale) -> None:
    shares = np.full(700, w)
    user, arm, weight, outcome = drawn(4, shares, False)
    sides = []
    for side in (0, 1):
        of = arm == side
        n, s = np.bincount(user[of], minlength=USERS), np.bincount(user[of], outcome[of], USERS)
        sides.append((n, s, Moments.of(s[n > 0], n[n > 0])))
    (n0, s0, champion), (n1, s1, challenger) = sides
    shared = shared_covariance(champion, challenger, s0 @ s1, n0 @ s1, s0 @ n1, n0 @ n1)
    pooled = z_test(ratio(champion), ratio(challenger), shared, scale)
    within = difference_test(found_of(user, arm, weight, outcome, shares), "z_unpooled", scale)
    for name in ("effect", "standard_error", "p_value", "champion_share"):
        assert float(getattr(within, name)) == pytest.approx(float(getattr(pooled, name)), rel=1e-9)


def test_nothing_is_never_nan() -> None:
    def sums(*values: float) -> UserSums:
        return UserSums(*(np.array(value) for value in values))

    nothing, plain = np.zeros(()), difference(moments(9, 9, 9, 0.5, champion=True), moments(9, 9, 9, 0.5, champion=False))
    none, one, alike = sums(0, 0, 0, 0, 0, 0), sums(1, 2, 6, 36, 12, 4), sums(9, 18, 54, 324, 108, 36)
    for other in (none, one, alike):
        found = difference_by_user(alike, other, nothing, nothing, nothing, nothing, plain)
        tested = difference_test(found)
        assert np.isfinite([tested.statistic, tested.effect]).all()
        assert (tested.p_value, tested.effect) == (1, 0)
        # Outcomes that are all alike: nothing varies, and it is known.
        assert np.isfinite(tested.standard_error) == (other is alike)


@pytest.mark.parametrize("sticky", [True, False])
def test_it_is_calibrated_where_shares_and_means_change_together(sticky: bool) -> None:
    """Within four standard errors, and what nine to 45 users of the challenger leave of a bias and a variance."""
    w = np.repeat([0.1, 0.5], [300, 300])
    replications = 1500
    z = []
    for seed in range(replications):
        found = found_quickly(*drawn(seed, w, sticky, 0.0))
        z.append(found[0] / found[1])
    # A ratio of sums is biased by some share of a standard error over the square root of the users.
    assert abs(np.mean(z)) < 4 / math.sqrt(replications) + 0.5 / math.sqrt(USERS)
    assert abs(np.var(z) - 1) < 4 * math.sqrt(2 / replications) + 0.03


def found_quickly(user: Floats, arm: Floats, weight: Floats, outcome: Floats) -> tuple[float, float]:
    """Effect and standard error."""
    sums, parts = [], []
    for side in (0, 1):
        of = arm == side
        n, s = (np.bincount(user[of], each[of], USERS) for each in (weight, weight * outcome))
        sums.append(
            UserSums(*(np.asarray(float(each)) for each in (np.unique(user[of]).size, n.sum(), s.sum(), s @ s, n @ s, n @ n)))
        )
        parts.append((n, s))
    (n0, s0), (n1, s1) = parts
    ones = moments(1, 1, 1, 0.5, champion=True), moments(1, 1, 1, 0.5, champion=False)
    found = difference_by_user(
        sums[0], sums[1], *(np.asarray(float(a @ b)) for a, b in ((s0, s1), (n0, s1), (s0, n1), (n0, n1))), difference(*ones)
    )
    return float(found.effect), math.sqrt(float(found.variance0 + found.variance1 - 2 * np.asarray(found.covariance)))
