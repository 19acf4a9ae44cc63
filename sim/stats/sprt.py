"""Wald's sequential probability ratio test of one simple hypothesis against another."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from sim.arrays import Floats
from sim.stats.moments import finite, non_negative, standard_errors
from sim.stats.validation import broadcast, require, require_share


@dataclass(frozen=True)
class Boundaries:
    """Bounds of the log likelihood ratio: at or below `lower` accept the null, at or above `upper` reject it."""

    lower: float
    upper: float


def boundaries(alpha: float = 0.05, beta: float = 0.2) -> Boundaries:
    """Wald's bounds for type I error `alpha` and type II error `beta`.

    The true errors satisfy α' ≤ α/(1−β), β' ≤ β/(1−α) and α' + β' ≤ α + β. They are smaller if steps overshoot the bounds.

    Raises `InputError` for an error rate outside (0, 1) or a sum of 1 or more.

    Source: Wald, Sequential Analysis (1947), ch. 3.

    >>> boundaries(0.05, 0.05)
    Boundaries(lower=-2.944..., upper=2.944...)
    """
    require_share("alpha", alpha)
    require_share("beta", beta)
    require(alpha + beta < 1, "beta", f"must add up with alpha ({alpha}) to less than 1", beta)
    return Boundaries(math.log(beta / (1 - alpha)), math.log((1 - beta) / alpha))


def log_ratio_normal(estimate: ArrayLike, standard_error: ArrayLike, *, effect: float, null: float = 0.0) -> Floats:
    """Log likelihood ratio of `effect` against `null` for a normal estimate; inputs broadcast together.

    It is 0 where the standard error is 0 or infinite (no information). Raises `InputError` for an estimate that is
    not finite, a negative standard error, or an `effect` equal to `null`.

    Source: Wald, Sequential Analysis (1947), ch. 7: (θ₁ − θ₀)(θ̂ − (θ₀ + θ₁)/2)/V.

    >>> log_ratio_normal([0.2, 0.0], [0.05, np.inf], effect=0.1).round(3)
    array([6., 0.])
    """
    require(math.isfinite(null), "null", "must be finite", null)
    require(math.isfinite(effect) and effect != null, "effect", f"must be finite and differ from the null ({null})", effect)
    centre, error = broadcast(
        estimate=finite("estimate", estimate), standard_error=standard_errors("standard_error", standard_error)
    )
    informed = (error > 0) & np.isfinite(error)
    variance = np.where(informed, error, 1.0) ** 2
    return np.where(informed, (effect - null) * (centre - (null + effect) / 2) / variance, 0.0)


def log_ratio_bernoulli(n: ArrayLike, successes: ArrayLike, *, proportion: float, null: float) -> Floats:
    """Log likelihood ratio of `proportion` against `null` after `successes` among `n`, exact; inputs broadcast.

    Raises `InputError` for negative counts, more successes than outcomes, or proportions outside (0, 1).

    Source: Wald, Sequential Analysis (1947), ch. 5.

    >>> log_ratio_bernoulli([100, 0], [4, 0], proportion=0.02, null=0.01).round(3)
    array([1.798, 0.   ])
    """
    require_share("null", null)
    require_share("proportion", proportion)
    require(proportion != null, "proportion", f"must differ from the null ({null})", proportion)
    count, hits = broadcast(n=non_negative("n", n), successes=non_negative("successes", successes))
    over = hits > count
    if over.any():
        require(False, "successes", f"must not exceed n ({count[over].ravel()[0]})", hits[over].ravel()[0])
    return np.asarray(hits * math.log(proportion / null) + (count - hits) * math.log((1 - proportion) / (1 - null)))


def acceptance_probability(multiple: ArrayLike, *, alpha: float = 0.05, beta: float = 0.2) -> Floats:
    """Probability to accept the null if the true effect is `multiple` times the alternative's, without overshoot.

    It is 1 − α at 0 and β at 1. It holds for a normal mean with known variance. Raises `InputError` as `boundaries`.

    Source: Wald, Sequential Analysis (1947), ch. 3, with h = 1 − 2·multiple.

    >>> acceptance_probability([0, 0.5, 1], alpha=0.05, beta=0.05).round(3)
    array([0.95, 0.5 , 0.05])
    """
    bounds = boundaries(alpha, beta)
    h = 1 - 2 * finite("multiple", multiple)
    width, s = bounds.upper - bounds.lower, np.abs(h)
    near = np.where(h > 0, bounds.upper, -bounds.lower)
    # Scaled by the largest power, so that it does not overflow far from the alternative.
    hit = np.expm1(-s * near) / np.where(s > 0, np.expm1(-s * width), 1.0)
    hit = np.where(s > 0, hit, near / width)
    return np.where(h > 0, hit, 1 - hit)


def expected_sample_ratio(multiple: ArrayLike, *, alpha: float = 0.05, beta: float = 0.2) -> Floats:
    """Expected sample size over that of the one-sided fixed test with the same errors, without overshoot.

    `multiple` is the true effect in units of the alternative's. It holds for a normal mean with known variance. Real
    tests overshoot the bounds, so they take a little longer. Raises `InputError` as `boundaries`.

    Source: Wald, Sequential Analysis (1947), ch. 3 and 7.

    >>> expected_sample_ratio([0, 0.5, 1], alpha=0.05, beta=0.05).round(3)
    array([0.49 , 0.801, 0.49 ])
    """
    bounds = boundaries(alpha, beta)
    drift = finite("multiple", multiple) - 0.5
    accept = acceptance_probability(multiple, alpha=alpha, beta=beta)
    middle = np.abs(drift) < 1e-7
    moved = (accept * bounds.lower + (1 - accept) * bounds.upper) / np.where(middle, 1.0, drift)
    information = np.where(middle, -bounds.upper * bounds.lower, moved)
    return np.asarray(information / (ndtri(alpha) + ndtri(beta)) ** 2)
