"""Ratio metrics: means whose denominator is random, such as clicks per view when users are randomised."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from sim.stats.checks import require
from sim.stats.moments import Estimates, Floats, Moments, finite, paired


def ratio(moments: Moments) -> Estimates:
    """Σy/Σx and its standard error by the delta method, from the `moments` of y and x per randomised unit.

    With x the number of a user's requests and y their sum this is the mean per request with a standard error
    that is robust to the correlation within users (cluster-robust, CR1). Estimate 0 and infinite standard error
    where Σx is 0; infinite standard error with fewer than two units.

    Source: Deng, Knoblich & Lu, KDD (2018), eq. 4; Liang & Zeger, Biometrika 73 (1986).

    >>> result = ratio(Moments.of([1, 0, 3, 2], [2, 1, 4, 2]))
    >>> result.estimate.round(3), result.standard_error.round(3)
    (np.float64(0.667), np.float64(0.135))
    """
    defined = moments.x != 0
    safe_x = np.where(defined, moments.x, 1.0)
    value = np.where(defined, moments.y / safe_x, 0.0)
    residual = np.maximum(moments.spread_y - 2 * value * moments.spread_xy + value**2 * moments.spread_x, 0.0)
    n = np.maximum(moments.n, 2.0)
    error = np.sqrt(residual * n / (n - 1)) / np.abs(safe_x)
    return Estimates(value, np.where(defined & (moments.n >= 2), error, np.inf))


def shared_covariance(
    champion: Moments, challenger: Moments, yy: ArrayLike, xy: ArrayLike, yx: ArrayLike, xx: ArrayLike
) -> Floats:
    """Covariance of the two arms' ratios where some units are in both arms; 0 where none is.

    Sums over units of products across the arms: `yy` of both y, `xy` of the champion's x and the challenger's y, `yx` of the
    champion's y and the challenger's x, `xx` of both x. With it the variance of the difference is that of a regression on the
    arm with standard errors clustered by unit (CR1).

    Source: Liang & Zeger, Biometrika 73 (1986).

    >>> before, after = Moments.of([1, 0, 3], [2, 1, 4]), Moments.of([2, 1, 4], [2, 1, 5])
    >>> shared_covariance(before, after, yy=14, xy=21, yx=17, xx=25).round(4)
    np.float64(-0.01)
    """
    scale, value = [], []
    for arm in (champion, challenger):
        safe, n = np.where(arm.x != 0, arm.x, 1.0), np.maximum(arm.n, 2.0)
        value.append(np.where(arm.x != 0, arm.y / safe, 0.0))
        scale.append(np.where(arm.x != 0, np.sqrt(n / (n - 1)) / safe, 0.0))
    residual = finite("yy", yy) - value[0] * finite("xy", xy) - value[1] * finite("yx", yx)
    residual = residual + value[0] * value[1] * finite("xx", xx)
    return np.asarray(residual * scale[0] * scale[1])


def clustered_mean(sums: ArrayLike, counts: ArrayLike) -> Estimates:
    """Mean per request with a standard error robust to correlation within users, (..., users) each.

    `sums` and `counts` are the sum of outcomes and the number of requests of each user, along the last axis.

    Raises `InputError` for values that are not finite, negative counts, fewer than two users or lengths that differ.

    Source: as `ratio`, of which this is the case x = counts.

    >>> clustered_mean([1, 0, 3, 2], [2, 1, 4, 2]).standard_error.round(3)
    np.float64(0.135)
    """
    total, size = paired("sums", sums, "counts", counts)
    require(bool((size >= 0).all()), "counts", "must not be negative", size.min(initial=0.0))
    require(total.shape[-1] >= 2, "sums", "must have at least two users for a variance", total.shape[-1])
    return ratio(Moments.of(total, size))


def user_sums(users: ArrayLike, outcomes: ArrayLike) -> tuple[Floats, Floats]:
    """Sum of outcomes and number of requests of each user, in the order of the sorted ids, from one row per request.

    Raises `InputError` for outcomes that are not finite or not one to a user id.

    >>> user_sums(["b", "a", "b"], [1, 0, 1])
    (array([0., 2.]), array([1., 2.]))
    """
    values, ids = finite("outcomes", outcomes), np.asarray(users)
    require(values.ndim == 1, "outcomes", "must have one axis", f"shape {values.shape}")
    require(ids.shape == values.shape, "users", f"must have one id for each of {values.size} outcomes", ids.shape)
    _, index = np.unique(ids, return_inverse=True)
    return np.bincount(index, weights=values).astype(np.float64), np.bincount(index).astype(np.float64)


def difference(champion: Estimates, challenger: Estimates) -> Estimates:
    """Challenger − champion of two independent estimates; 0 with infinite error where either is unknown.

    >>> difference(Estimates(np.array(1.0), np.array(0.3)), Estimates(np.array(1.5), np.array(0.4)))
    Estimates(estimate=array(0.5), standard_error=array(0.5))
    """
    error = np.hypot(champion.standard_error, challenger.standard_error)
    effect = challenger.estimate - champion.estimate
    return Estimates(np.where(np.isfinite(error), effect, 0.0), np.asarray(error))


def relative_difference(champion: Estimates, challenger: Estimates) -> Estimates:
    """Challenger/champion − 1 of two independent estimates, by the delta method.

    Good where the champion's estimate is many standard errors from 0; 0 with infinite error where it is 0 or
    either is unknown.

    Source: Deng, Knoblich & Lu (2018), §3.1.

    >>> relative_difference(Estimates(np.array(2.0), np.array(0.1)), Estimates(np.array(2.2), np.array(0.1)))
    Estimates(estimate=array(0.1), standard_error=array(0.0743...))
    """
    known = np.isfinite(champion.standard_error) & np.isfinite(challenger.standard_error) & (champion.estimate != 0)
    base = np.where(known, champion.estimate, 1.0)
    lift = np.where(known, (challenger.estimate - champion.estimate) / base, 0.0)
    error0, error1 = (np.where(known, arm.standard_error, 0.0) for arm in (champion, challenger))
    error = np.hypot(error1, (1 + lift) * error0) / np.abs(base)
    return Estimates(lift, np.where(known, error, np.inf))
