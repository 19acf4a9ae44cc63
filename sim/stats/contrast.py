"""The z test of two estimates, one per arm, which every adjusted comparison uses."""

from __future__ import annotations

from typing import get_args

import numpy as np
from numpy.typing import ArrayLike

from sim.stats.moments import Estimates, finite, standard_errors
from sim.stats.two_sample import Alternative, Scale, TestResult, tail
from sim.stats.validation import broadcast, require


def z_test(
    champion: Estimates,
    challenger: Estimates,
    covariance: ArrayLike = 0.0,
    scale: Scale = "absolute",
    alternative: Alternative = "two-sided",
) -> TestResult:
    """Test whether two estimates differ, from their standard errors and their covariance, all broadcast together.

    On the relative scale the effect is (challenger - champion)/|champion|. Its standard error is by the delta method, which
    needs a champion's estimate that is many standard errors from 0. The statistic is 0 and the p-value 1 where a standard error
    is infinite, where the variance of the difference is 0, and on the relative scale where the champion's estimate is 0.

    Raises `InputError` for an unknown scale or alternative, negative standard errors, and values that are NaN.

    Source: Deng, Knoblich & Lu, KDD (2018), §3.1.

    >>> result = z_test(Estimates(np.array(2.0), np.array(0.3)), Estimates(np.array(3.0), np.array(0.4)))
    >>> result.effect, result.standard_error, result.p_value.round(4)
    (array(1.), array(0.5), np.float64(0.0455))
    """
    require(scale in get_args(Scale), "scale", f"must be one of {', '.join(get_args(Scale))}", scale)
    errors = [
        standard_errors(f"{name}.standard_error", arm.standard_error)
        for name, arm in (("champion", champion), ("challenger", challenger))
    ]
    mean0, error0, mean1, error1, shared = broadcast(
        champion=champion.estimate, champion_error=errors[0], challenger=challenger.estimate, challenger_error=errors[1],
        covariance=covariance,
    )  # fmt: skip
    known = np.isfinite(error0) & np.isfinite(error1)
    mean0 = finite("champion.estimate", np.where(known, mean0, 0.0))
    mean1 = finite("challenger.estimate", np.where(known, mean1, 0.0))
    error0, error1 = np.where(known, error0, 0.0), np.where(known, error1, 0.0)
    shared = finite("covariance", np.where(known, shared, 0.0))
    effect, slope = mean1 - mean0, np.ones(mean0.shape)
    if scale == "relative":
        known = known & (mean0 != 0)
        base = np.where(mean0 != 0, mean0, 1.0)
        effect, slope = np.where(known, effect / np.abs(base), 0.0), mean1 / base
        error0, error1, shared = error0 / np.abs(base), error1 / np.abs(base), shared / base**2
    parts = (slope * error0) ** 2, error1**2
    apart = parts[0] + parts[1]
    variance = np.maximum(apart - 2 * slope * shared, 0.0)
    testable = known & (variance > 0)
    standard_error = np.where(known, np.sqrt(variance), np.inf)
    statistic = np.where(testable, effect / np.where(testable, standard_error, 1.0), 0.0)
    degrees = np.full(statistic.shape, np.inf)
    p_value = np.where(testable, tail(statistic, degrees, alternative), 1.0)
    share = np.where(apart > 0, parts[0] / np.where(apart > 0, apart, 1.0), 0.5)
    return TestResult(np.where(known, effect, 0.0), standard_error, statistic, p_value, degrees, share)
