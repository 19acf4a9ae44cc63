"""What no bandit can beat: lower bounds on regret and on the samples that finding the best arm takes, for Bernoulli arms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sim.stats.checks import require

Floats = NDArray[np.float64]


def kl_bernoulli(p: ArrayLike, q: ArrayLike) -> Floats:
    """Kullback–Leibler divergence of Bernoulli(q) from Bernoulli(p), in nats; inputs broadcast together.

    Infinite where q is 0 or 1 and p is not. Raises `InputError` for values outside [0, 1].

    Source: Kullback & Leibler, Annals of Mathematical Statistics 22 (1951).

    >>> kl_bernoulli([0.8, 0.5, 0.0], [0.9, 0.5, 0.5]).round(4)
    array([0.0444, 0.    , 0.6931])
    """
    from scipy.special import rel_entr

    first, second = _shares("p", p), _shares("q", q)
    return np.asarray(rel_entr(first, second) + rel_entr(1 - first, 1 - second))


def lai_robbins(means: ArrayLike) -> float:
    """The constant C of the least regret that a consistent bandit can have, C ln T as T grows, for arms with these means (K,).

    The sum over arms that are not best of gap / kl(mean, best mean). It is asymptotic: at any finite T regret may be lower.

    Raises `InputError` for fewer than two arms and for means outside [0, 1).

    Source: Lai & Robbins, Advances in Applied Mathematics 6 (1985), Theorem 1.

    >>> round(lai_robbins([0.9, 0.8]), 3)
    2.252
    """
    arms = _arms(means)
    best = arms.max()
    require(best < 1, "means", "must lie below 1: an arm that never fails is found without regret that grows", best)
    others = arms[arms < best]
    return float(((best - others) / kl_bernoulli(others, best)).sum())


@dataclass(frozen=True)
class Identification:
    """What finding the best arm takes at least: E[samples] ≥ `characteristic_time` kl(δ, 1 − δ) at error δ.

    `weights` (K,) are the shares of the samples with which that is reached, in the order of the arms.
    """

    characteristic_time: float
    weights: Floats


def best_arm_identification(means: ArrayLike) -> Identification:
    """The characteristic time T* of arms with these means (K,), and the optimal weights.

    Raises `InputError` for fewer than two arms, means outside (0, 1), and more than one best arm.

    Source: Garivier & Kaufmann, COLT (2016), Theorem 1, Lemma 3 and Theorem 5.

    >>> found = best_arm_identification([0.5, 0.45, 0.43, 0.4])
    >>> round(found.characteristic_time, 1), found.weights.round(3)
    (989.8, array([0.417, 0.39 , 0.136, 0.057]))
    """
    from scipy.optimize import brentq

    arms = _arms(means)
    require(bool((arms > 0).all() and (arms < 1).all()), "means", "must lie strictly between 0 and 1", arms.tolist())
    place = int(arms.argmax())
    best, others = float(arms[place]), np.delete(arms, place)
    require(bool((others < best).all()), "means", "must have one best arm only", arms.tolist())

    def between(ratio: float, other: float) -> float:
        return (best + ratio * other) / (1 + ratio)

    def cost(ratio: float, other: float) -> float:
        middle = between(ratio, other)
        return float(kl_bernoulli(best, middle) + ratio * kl_bernoulli(other, middle))

    def ratio_at(level: float, other: float) -> float:
        high = 1.0
        while cost(high, other) < level:
            high *= 2
        return float(brentq(lambda ratio: cost(ratio, other) - level, 0.0, high, xtol=1e-14))

    def excess(level: float) -> float:
        middles = [(between(ratio_at(level, other), other), other) for other in others]
        return sum(float(kl_bernoulli(best, middle) / kl_bernoulli(other, middle)) for middle, other in middles) - 1

    # No term of the sum exceeds 1, and that of the second best arm is 1 where both are equally far from what is between them.
    second = float(others.max())
    half_way = float(
        brentq(lambda middle: float(kl_bernoulli(best, middle) - kl_bernoulli(second, middle)), second, best, xtol=1e-15)
    )
    most = cost((best - half_way) / (half_way - second), second)
    level = float(brentq(excess, most * 1e-9, most * (1 + 1e-9), xtol=1e-16))
    ratios = np.insert([ratio_at(level, other) for other in others], place, 1.0)
    return Identification(float(ratios.sum() / level), np.asarray(ratios / ratios.sum()))


def _arms(means: ArrayLike) -> Floats:
    arms = _shares("means", means)
    require(arms.ndim == 1 and arms.size >= 2, "means", "must be those of two arms or more", f"shape {arms.shape}")
    return arms


def _shares(name: str, values: ArrayLike) -> Floats:
    array = np.asarray(values, np.float64)
    require(bool(((array >= 0) & (array <= 1)).all()), name, "must lie between 0 and 1", array.tolist())
    return array
