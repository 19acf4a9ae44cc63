"""The distance of a difference in means from a margin that is relative to the champion's mean."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from sim.stats.moments import Estimates, arms, spread
from sim.stats.validation import require


def above_margin(
    n0: ArrayLike,
    sum0: ArrayLike,
    square0: ArrayLike,
    n1: ArrayLike,
    sum1: ArrayLike,
    square1: ArrayLike,
    *,
    margin: float,
    sign: int = 1,
) -> Estimates:
    """How far arm 1 stays above the margin: sign · (mean₁ − mean₀) + margin · |mean₀|, and its standard error.

    Above 0, arm 1 is not inferior; below 0, it is worse than the margin allows. With a margin of 0 it is the difference,
    positive where arm 1 is better. `sign` is +1 if more is better, −1 if less is better. The combination is linear in both
    means, so it needs no ratio of estimates. Inputs broadcast together: outcomes per arm, their sum and their sum of squares.
    The standard error is infinite where an arm has no outcome.

    Raises `InputError` for sums that no outcomes have, a negative margin, or a sign other than 1 and −1.

    Source: Sasabuchi, Biometrika 67 (1980); Laster & Johnson, Statistics in Medicine 22 (2003): the statistic (mean₁ − r·mean₀)
    / √(v₁/n₁ + r²·v₀/n₀) of a ratio r.

    >>> distance = above_margin([1000], [100], [100], [1000], [95], [95], margin=0.1)
    >>> distance.estimate.round(4), distance.standard_error.round(4)
    (array([0.005]), array([0.0126]))
    """
    require(sign in (1, -1), "sign", "must be 1 or -1", sign)
    require(0 <= margin < math.inf, "margin", "must be finite and not negative", margin)
    n, total, square = arms(n0, sum0, square0, n1, sum1, square1)
    known = np.maximum(n, 1.0)
    (mean0, mean1), (variance0, variance1) = total / known, spread(n, total, square) / known / known
    weight = margin * np.sign(mean0) - sign
    enough = (n > 0).all(axis=0)
    error = np.sqrt(variance1 + weight**2 * variance0)
    estimate = np.where(enough, sign * mean1 + weight * mean0, 0.0)
    return Estimates(np.asarray(estimate), np.asarray(np.where(enough, error, np.inf)))
