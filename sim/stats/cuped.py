"""Variance reduction by a covariate measured before the experiment (CUPED)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sim.arrays import Floats
from sim.stats.moments import Estimates, Moments, finite, paired
from sim.stats.validation import require


@dataclass(frozen=True)
class AdjustedDifference(Estimates):
    """Challenger − champion after adjustment; all fields share one shape.

    `theta` is the slope of the adjustment. `variance_ratio` is the residual variance of an outcome over its raw variance.
    """

    theta: Floats
    variance_ratio: Floats


def adjust(y: ArrayLike, x: ArrayLike) -> Floats:
    """Adjusted outcomes y − θ(x − mean x), from outcomes `y` and covariate `x`, both (..., n), along the last axis.

    The mean does not change and the variance is multiplied by 1 − ρ². Pass the units of both arms together, so that they
    share θ and the mean of x. The arm must not affect `x`: measure it before the experiment. Where x or y is constant, θ is 0.

    Raises `InputError` for values that are not finite, fewer than two units or lengths that differ.

    Source: Deng, Xu, Kohavi & Walker, WSDM (2013), §3: θ = cov(y, x)/var(x).

    >>> adjust([1, 2, 4, 5], [0, 1, 2, 3])
    array([3.1, 2.7, 3.3, 2.9])
    """
    outcome, covariate = paired("y", y, "x", x)
    require(outcome.shape[-1] >= 2, "y", "must have at least two units", outcome.shape[-1])
    centred_y = outcome - outcome.mean(-1, keepdims=True)
    centred_x = covariate - covariate.mean(-1, keepdims=True)
    moments = Moments.of(outcome, covariate)
    varies = (moments.spread_x > 0) & (moments.spread_y > 0)
    square = np.where(varies, (centred_x**2).sum(-1), 1.0)
    theta = np.where(varies, (centred_x * centred_y).sum(-1) / square, 0.0)
    return np.asarray(outcome - theta[..., None] * centred_x)


def arms(champion: Moments, challenger: Moments) -> tuple[Estimates, Estimates]:
    """Adjusted means of the two arms with their standard errors, from the moments of outcome y and covariate x per arm.

    Both arms use the same θ, from the variation within the arms, and the same mean of x, over both arms together. With a
    constant covariate these are the plain means (divisor n − 1). A mean is 0 where an arm is empty. Its standard error is
    infinite where the arm has fewer than two units. The standard errors ignore that the mean of x is estimated, as this error
    cancels in the difference.

    Source: Deng, Xu, Kohavi & Walker (2013), §3.

    >>> before, after = arms(Moments.of([1, 2, 4, 5], [0, 1, 2, 3]), Moments.of([3, 3, 5, 7], [2, 3, 4, 5]))
    >>> before.estimate, after.estimate
    (array(4.4), array(3.1))
    """
    theta, _ = _slope(champion, challenger)
    centre = (champion.x + challenger.x) / np.maximum(champion.n + challenger.n, 1.0)
    adjusted = []
    for arm in (champion, challenger):
        residual = np.maximum(arm.spread_y - 2 * theta * arm.spread_xy + theta**2 * arm.spread_x, 0.0)
        variance = residual / np.maximum(arm.n - 1, 1.0) / np.maximum(arm.n, 1.0)
        mean = np.where(arm.n > 0, (arm.y - theta * arm.x) / np.maximum(arm.n, 1.0) + theta * centre, 0.0)
        adjusted.append(Estimates(mean, np.where(arm.n >= 2, np.sqrt(variance), np.inf)))
    return adjusted[0], adjusted[1]


def difference(champion: Moments, challenger: Moments) -> AdjustedDifference:
    """Adjusted difference in means, challenger − champion, from the adjusted means of `arms`.

    The estimate is 0 where an arm is empty; the standard error is infinite where an arm has fewer than two units.

    Source: Deng, Xu, Kohavi & Walker (2013), §3.

    >>> champion = Moments.of([1, 2, 4, 5], [0, 1, 2, 3])
    >>> challenger = Moments.of([3, 3, 5, 7], [0, 1, 2, 3])
    >>> result = difference(champion, challenger)
    >>> result.estimate.round(3), result.standard_error.round(3), result.variance_ratio.round(3)
    (np.float64(1.5), np.float64(0.342), np.float64(0.067))
    """
    theta, ratio = _slope(champion, challenger)
    before, after = arms(champion, challenger)
    present = np.minimum(champion.n, challenger.n) > 0
    estimate = np.where(present, after.estimate - before.estimate, 0.0)
    return AdjustedDifference(estimate, np.hypot(before.standard_error, after.standard_error), theta, ratio)


def _slope(champion: Moments, challenger: Moments) -> tuple[Floats, Floats]:
    """θ, and the share of the variance within arms that remains after adjustment."""
    both = (champion, challenger)
    spread_x, spread_y, spread_xy = (
        np.asarray(sum(getattr(arm, name) for arm in both)) for name in ("spread_x", "spread_y", "spread_xy")
    )
    theta = np.where(spread_x > 0, spread_xy / np.where(spread_x > 0, spread_x, 1.0), 0.0)
    raw = np.where(spread_y > 0, spread_y, 1.0)
    return theta, np.where(spread_y > 0, np.maximum(1 - theta * spread_xy / raw, 0.0), 1.0)


def variance_ratio(correlation: ArrayLike) -> Floats:
    """Share of the variance that remains after adjustment by a covariate with this correlation: 1 − ρ².

    Raises `InputError` for a correlation outside [−1, 1].

    Source: Deng, Xu, Kohavi & Walker (2013), eq. 4.

    >>> variance_ratio([0, 0.5, -0.9]).round(2)
    array([1.  , 0.75, 0.19])
    """
    rho = finite("correlation", correlation)
    require(bool((np.abs(rho) <= 1).all()), "correlation", "must lie between -1 and 1", correlation)
    return np.asarray(1 - rho**2)
