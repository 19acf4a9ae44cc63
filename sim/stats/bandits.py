"""Bandits of Bernoulli arms: the lower bound on regret, the Kullback–Leibler divergence, and confidence bounds from it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from sim.arrays import Floats
from sim.stats.validation import broadcast, require

# Replaces 0 in divisions and logarithms.
LEAST = 1e-300
# Newton's method converges within 10 steps for all means and levels, usually within 5.
STEPS = 10


def kl_bernoulli(p: ArrayLike, q: ArrayLike) -> Floats:
    """Kullback–Leibler divergence of Bernoulli(q) from Bernoulli(p), in nats; inputs broadcast together.

    Infinite where q is 0 or 1 and p is not. Raises `InputError` for values outside [0, 1].

    Source: Kullback & Leibler, Annals of Mathematical Statistics 22 (1951).

    >>> kl_bernoulli([0.8, 0.5, 0.0], [0.9, 0.5, 0.5]).round(4)
    array([0.0444, 0.    , 0.6931])
    """
    from scipy.special import rel_entr

    first, second = broadcast(p=_shares("p", p), q=_shares("q", q))
    return np.asarray(rel_entr(first, second) + rel_entr(1 - first, 1 - second))


def kl_of_shift(p: Floats, shift: Floats) -> Floats:
    """The divergence d(p, p + shift) of `kl_bernoulli`, without checks, for p + shift inside (0, 1) or a shift of 0.

    It keeps its precision where the shift is small, and needs no SciPy.

    >>> kl_of_shift(np.array([0.8, 0.0, 1.0]), np.array([0.1, 0.5, -0.5])).round(4)
    array([0.0444, 0.6931, 0.6931])
    """
    upper = p * np.log1p(shift / np.maximum(p, LEAST))
    return np.asarray(-upper - (1 - p) * np.log1p(-shift / np.maximum(1 - p, LEAST)))


def kl_upper(mean: ArrayLike, level: ArrayLike) -> Floats:
    """The highest q with d(mean, q) ≤ level, where d is `kl_bernoulli`: the upper confidence bound of KL-UCB.

    `mean` in [0, 1] and `level`, not negative, broadcast together. Newton's method starts at the lower of two upper bounds:
    Pinsker's, and one that is tight where q is close to 1. From above it does not overshoot. Absolute error below 1e-12.

    Source: Garivier & Cappé, COLT (2011), eq. 5.

    >>> kl_upper([0.8, 0.0, 1.0], [0.04440, np.log(2), 0.1]).round(4)
    array([0.9, 0.5, 1. ])
    """
    p = np.asarray(mean, np.float64)
    allowed = np.asarray(level, np.float64)
    rest = 1 - p
    entropy = -p * np.log(np.maximum(p, LEAST)) - rest * np.log(np.maximum(rest, LEAST))
    most = rest * (1 - 1e-15)
    shift = np.minimum(np.sqrt(allowed / 2), rest - np.exp(-(allowed + entropy) / np.maximum(rest, LEAST)))
    shift = np.clip(shift, 0.0, most)
    for _ in range(STEPS):
        slope = np.maximum(shift, LEAST) / np.maximum((p + shift) * (rest - shift), LEAST)
        shift = np.clip(shift - (kl_of_shift(p, shift) - allowed) / slope, 0.0, most)
    return p + shift


def kl_lower(mean: ArrayLike, level: ArrayLike) -> Floats:
    """The lowest q with d(mean, q) ≤ level; see `kl_upper`.

    >>> kl_lower([0.9, 1.0, 0.0], [0.03669, np.log(2), 0.1]).round(4)
    array([0.8, 0.5, 0. ])
    """
    return 1 - kl_upper(1 - np.asarray(mean, np.float64), level)


def lai_robbins(means: ArrayLike) -> float:
    """The constant C of the lower bound C ln T on the regret of a consistent bandit, for arms with these means (K,).

    It is the sum of gap / kl(mean, best mean) over arms that are not best. The bound is asymptotic: at finite T, regret may be
    lower.

    Raises `InputError` for fewer than two arms and for means outside [0, 1).

    Source: Lai & Robbins, Advances in Applied Mathematics 6 (1985), Theorem 1.

    >>> round(lai_robbins([0.9, 0.8]), 3)
    2.252
    """
    arms = arms_of(means)
    best = arms.max()
    require(best < 1, "means", "must lie below 1: an arm that never fails is found without regret that grows", best)
    others = arms[arms < best]
    return float(((best - others) / kl_bernoulli(others, best)).sum())


def arms_of(means: ArrayLike) -> Floats:
    """(K,) the means of at least two Bernoulli arms, checked. Raises `InputError` if they are invalid."""
    arms = _shares("means", means)
    require(arms.ndim == 1 and arms.size >= 2, "means", "must be those of two arms or more", f"shape {arms.shape}")
    return arms


def _shares(name: str, values: ArrayLike) -> Floats:
    array = np.asarray(values, np.float64)
    require(bool(((array >= 0) & (array <= 1)).all()), name, "must lie between 0 and 1", array.tolist())
    return array
