"""Errors of significant results at low power: wrong signs (type S) and exaggeration (type M)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from sim.arrays import Floats
from sim.stats.moments import finite, positive
from sim.stats.validation import broadcast, require, require_share


@dataclass(frozen=True)
class Exaggeration:
    """Power and errors of a two-sided normal test; all fields share the shape of the inputs.

    `power` is the probability of significance in either direction, `type_s` the probability that a significant
    estimate has the wrong sign, `type_m` the expected absolute value of a significant estimate over that of the true
    effect.
    """

    power: Floats
    type_s: Floats
    type_m: Floats


def exaggeration(effect: ArrayLike, standard_error: ArrayLike, *, alpha: float = 0.05) -> Exaggeration:
    """Power, type S and type M error where the true effect is `effect`; inputs broadcast together.

    Raises `InputError` for an effect that is 0 or not finite, a standard error that is not positive, or an
    `alpha` outside (0, 1).

    Source: Gelman & Carlin, Perspectives on Psychological Science 9 (2014); closed forms by Lu, Qiu & Deng,
    British Journal of Mathematical and Statistical Psychology 72 (2019).

    >>> result = exaggeration(2, 8.1)
    >>> result.power.round(3), result.type_s.round(2), result.type_m.round(1)
    (np.float64(0.057), np.float64(0.24), np.float64(9.5))
    """
    require_share("alpha", alpha)
    truth, error = broadcast(effect=finite("effect", effect), standard_error=positive("standard_error", standard_error))
    require(bool((truth != 0).all()), "effect", "must not be 0, which has no sign and no size", 0)
    z = np.abs(truth) / error
    critical = -float(ndtri(alpha / 2))
    right, wrong = ndtr(z - critical), ndtr(-z - critical)
    power = right + wrong
    size = z * (right - wrong) + _density(z - critical) + _density(z + critical)
    return Exaggeration(np.asarray(power), np.asarray(wrong / power), np.asarray(size / (power * z)))


def _density(z: Floats) -> Floats:
    with np.errstate(under="ignore"):
        return np.asarray(np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi))
