"""Bayes factor of some effect against none, from an estimate and its standard error."""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from sim.arrays import Floats
from sim.stats.moments import finite, standard_errors
from sim.stats.sequential import mixture_sprt
from sim.stats.validation import broadcast, require, require_positive

Prior = Literal["normal", "cauchy"]

# A Cauchy variable is a normal variable divided by a half-normal z. With this step and range, the trapezoid rule in log z
# errs by less than 1e-5 (measured).
STEP = 0.32
# Numbers of standard errors above this would overflow when squared.
FARTHEST = 1e140
LOG_Z = np.arange(-10.0, 1.9, STEP)
WEIGHT = STEP * math.sqrt(2 / math.pi) * np.exp(LOG_Z - 0.5 * np.exp(2 * LOG_Z))


def log_bayes_factor(estimate: ArrayLike, standard_error: ArrayLike, *, scale: float, prior: Prior = "normal") -> Floats:
    """log BF₁₀, the shape of the inputs broadcast together: effect ~ `prior` of this `scale`, around 0, against effect = 0.

    `scale` is the standard deviation of the normal prior, or the quartile of the Cauchy prior, in the unit of the estimate.
    The estimate is assumed to be normal with a known standard error. The result is 0, no information, where the standard
    error is 0 or infinite.

    Under no effect the factor is a martingale with mean 1, so it *ever* reaches k with probability at most 1/k (Ville 1939).

    Raises `InputError` for an estimate that is not finite, a negative standard error, a scale that is not positive, or an
    unknown prior.

    Source: Jeffreys, Theory of Probability (1961), ch. 5; normal prior: Deng, Lu & Chen, DSAA (2016), §2; Cauchy prior: the
    large-sample limit of Rouder, Speckman, Sun, Morey & Iverson, Psychonomic Bulletin & Review 16 (2009), eq. 1, 2.

    >>> log_bayes_factor([0.0, 0.3], [0.1, 0.1], scale=0.1).round(3)
    array([-0.347,  1.903])
    >>> log_bayes_factor([0.0, 0.3], [0.1, 0.1], scale=0.1, prior="cauchy").round(3)
    array([-0.648,  2.281])
    """
    require(prior in get_args(Prior), "prior", f"must be one of {', '.join(get_args(Prior))}", prior)
    require_positive("scale", scale)
    if prior == "normal":
        return mixture_sprt(estimate, standard_error, mixing_sd=scale).log_likelihood_ratio
    centre, error = broadcast(
        estimate=finite("estimate", estimate), standard_error=standard_errors("standard_error", standard_error)
    )
    informed = (error > 0) & np.isfinite(error)
    safe = np.where(informed, error, 1.0)
    # For every normal prior in the mixture: sampling variance / (sampling variance + prior variance). The first prior is the
    # widest.
    with np.errstate(over="ignore"):
        wider, z = np.minimum(scale / safe, FARTHEST), np.minimum(np.abs(centre / safe), FARTHEST)
    left = 1 / (1 + wider**2 * np.exp(-2 * LOG_Z).reshape(-1, *[1] * safe.ndim))
    half_square = 0.5 * z**2
    weight = WEIGHT.reshape(-1, *[1] * safe.ndim)
    mixed = np.cumsum(weight * np.sqrt(left) * np.exp(-half_square * (left - left[0])), axis=0)[-1]
    return np.where(informed, half_square * (1 - left[0]) + np.log(mixed), 0.0)
