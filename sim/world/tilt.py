"""Exponential tilting: of all distributions on the same values with another mean, the one nearest to the first.

Nearest by Kullback and Leibler's divergence (Csiszár 1975, "I-divergence geometry of probability distributions and
minimization problems", Ann. Probab. 3). The chance of a value v becomes proportional to chance * exp(theta v). So a Poisson
count stays Poisson, and a negative binomial one keeps its dispersion.
"""

from __future__ import annotations

import numpy as np

from sim.arrays import Bools, Floats

# A mean must keep this part of the range of values away from its ends.
MARGIN = 1e-9
_TOLERANCE, _MOST_STEPS = 1e-14, 200


def tilt(values: Floats, log_chance: Floats, mean: Floats) -> Floats:
    """(..., 2) theta and the logarithm of the sum of chance * exp(theta v), with which the mean of values (G,) is `mean` (...).

    log_chance (..., G) or (G,). Values with a chance must lie on both sides of every mean, or be the mean.

    Newton's method on the log-odds of the mean between the least and the largest value, with bisection where it strays. What is
    found for a mean does not depend on the others.

    >>> theta = tilt(np.array([0.0, 1.0]), np.log([0.75, 0.25]), np.array([0.5]))[:, 0]
    >>> np.exp(theta).round(9).tolist()
    [3.0]
    """
    # In units in which theta has no dimension, away from the least value.
    least, span = float(values.min()), float(np.ptp(values)) or 1.0
    place = (values - least) / span
    target = np.asarray((mean - least) / span, np.float64)
    shape = np.broadcast_shapes(target.shape, log_chance.shape[:-1])
    target = np.broadcast_to(target, shape).ravel()
    log_chance = np.broadcast_to(log_chance, (*shape, values.size)).reshape(-1, values.size)
    theta = _solved(place, log_chance, target)
    return np.stack([theta / span, _log_sum(place, log_chance, theta) + theta * least / span], axis=-1).reshape(*shape, 2)


def _solved(place: Floats, log_chance: Floats, target: Floats) -> Floats:
    theta = np.zeros(target.size)
    low, high = np.full(target.size, -np.inf), np.full(target.size, np.inf)
    now, spread = _moments(place, log_chance, theta)
    open_ = np.flatnonzero(~_close(now, target))
    now, spread = now[open_], spread[open_]
    for _ in range(_MOST_STEPS):
        if not open_.size:
            return theta
        aim, at = target[open_], theta[open_]
        with np.errstate(divide="ignore", invalid="ignore"):
            # Newton's step for log(m / (1 - m)), whose slope is variance / (m (1 - m)); too far out, m is 0 or 1.
            over = np.log(now / aim) - np.log((1 - now) / (1 - aim))
            low[open_], high[open_] = np.where(over < 0, at, low[open_]), np.where(over > 0, at, high[open_])
            step = at - over * now * (1 - now) / spread
            middle = (low[open_] + high[open_]) / 2
        inside = (step > low[open_]) & (step < high[open_])
        # Where one end is not known yet, twice as far out.
        wide = np.where(over < 0, 2 * np.abs(at) + 1, -2 * np.abs(at) - 1)
        step = np.where(inside & np.isfinite(step), step, np.where(np.isfinite(middle), middle, wide))
        theta[open_] = step
        now, spread = _moments(place, log_chance[open_], step)
        done = _close(now, target[open_]) | (step == at)
        open_, now, spread = open_[~done], now[~done], spread[~done]
    raise ArithmeticError(f"no tilt of {place.size} values has been found for a mean of {target[open_[0]]:g} of their range")


def _close(now: Floats, target: Floats) -> Bools:
    return np.asarray(np.abs(now - target) <= _TOLERANCE * np.minimum(target, 1 - target))


def _moments(place: Floats, log_chance: Floats, theta: Floats) -> tuple[Floats, Floats]:
    """(n,) means and variances under tilts (n,)."""
    weight = log_chance + theta[:, None] * place
    weight = np.exp(weight - weight.max(axis=1, keepdims=True))
    weight /= weight.sum(axis=1, keepdims=True)
    mean = (weight * place).sum(axis=1)
    return mean, (weight * (place - mean[:, None]) ** 2).sum(axis=1)


def _log_sum(place: Floats, log_chance: Floats, theta: Floats) -> Floats:
    weight = log_chance + theta[:, None] * place
    most = weight.max(axis=1)
    return np.asarray(most + np.log(np.exp(weight - most[:, None]).sum(axis=1)))
