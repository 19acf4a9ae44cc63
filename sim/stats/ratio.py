"""Ratio metrics: means whose denominator is random, such as clicks per view when users are randomised."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from sim.arrays import Floats
from sim.stats.moments import Estimates, Moments, finite


def ratio(moments: Moments) -> Estimates:
    """Σy/Σx and its standard error by the delta method, from the `moments` of y and x per randomised unit.

    If x is the number of a user's requests and y the sum of their outcomes, it is the mean per request with a standard error
    that is robust to the correlation within users (cluster-robust, CR1). Where Σx is 0, the estimate is 0 and the standard
    error infinite. With fewer than two units the standard error is infinite.

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
    """Covariance of the two arms' ratios if some units are in both arms; 0 if no unit is.

    The arguments are sums over units of products across the arms: `yy` of both y, `xy` of the champion's x and the challenger's
    y, `yx` of the champion's y and the challenger's x, `xx` of both x. With this covariance, the variance of the difference is
    that of a regression on the arm with standard errors clustered by unit (CR1).

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
