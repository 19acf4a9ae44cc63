"""Identifying the best of several Bernoulli arms with fixed confidence: how many samples, of which arms, and when to stop.

The functions for policies compute many replications at once, on the first axis: (r, K).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sim.arrays import Bools, Floats
from sim.stats.bandits import arms_of, kl_of_shift
from sim.stats.validation import require

# Newton's method converged within 5 steps on all random arms that were tried.
STEPS = 7
# The smallest weight.
LEAST = 1e-12


@dataclass(frozen=True)
class Identification:
    """The lower bound on samples to find the best arm: E[samples] ≥ `characteristic_time` kl(δ, 1 − δ) at error δ.

    `weights` (K,) are the shares of the samples that reach the bound, in the order of the arms.
    """

    characteristic_time: float
    weights: Floats


def best_arm_identification(means: ArrayLike) -> Identification:
    """The characteristic time T* of arms with these means (K,), and the optimal weights.

    Raises `InputError` for fewer than two arms, means outside (0, 1), and more than one best arm.

    Source: Garivier & Kaufmann, COLT (2016), Theorem 1, Lemma 3 and Theorem 5.

    >>> bound = best_arm_identification([0.5, 0.45, 0.43, 0.4])
    >>> round(bound.characteristic_time, 1), bound.weights.round(3)
    (989.8, array([0.417, 0.39 , 0.136, 0.057]))
    """
    arms = arms_of(means)
    require(bool((arms > 0).all() and (arms < 1).all()), "means", "must lie strictly between 0 and 1", arms.tolist())
    require(int((arms == arms.max()).sum()) == 1, "means", "must have one best arm only", arms.tolist())
    everyone = np.ones((1, arms.size), bool)
    weights = optimal_weights(arms[None], everyone)
    # The mean log likelihood ratio of a sample against the nearest alternative.
    per_sample = likelihood_ratio(weights, weights * arms, everyone)
    return Identification(float(1 / per_sample[0]), weights[0])


def customary_threshold(t: ArrayLike, delta: float) -> Floats:
    """log((log t + 1) / δ): the threshold at t outcomes in published experiments, and in Table 1 of the source.

    There is no proof that it keeps the error below δ. In experiments the error is far below δ.

    Source: Garivier & Kaufmann, COLT (2016), section 6.

    >>> customary_threshold([1, 1000], 0.1).round(3)
    array([2.303, 4.37 ])
    """
    return np.asarray(np.log((np.log(np.maximum(t, 1.0)) + 1) / delta))


def proven_threshold(t: ArrayLike, delta: float, arms: int) -> Floats:
    """log(2 t (K − 1) / δ): with this threshold, the likelihood ratio errs with probability at most δ, under any sampling.

    Source: Garivier & Kaufmann, COLT (2016), Theorem 10.

    >>> proven_threshold([1, 1000], 0.1, 4).round(3)
    array([ 4.094, 11.002])
    """
    return np.asarray(np.log(2 * np.maximum(t, 1.0) * max(arms - 1, 1) / delta))


def proven_rate(t: ArrayLike, delta: float, arms: int) -> Floats:
    """v + log v, v = log(405.5 K t^1.1 / δ): with this rate, all bounds of KL-LUCB hold at all times with probability ≥ 1 − δ.

    Source: Kaufmann & Kalyanakrishnan, COLT (2013), Theorem 1, with α = 1.1 as in section 5.

    >>> proven_rate([1, 1000], 0.1, 4).round(3)
    array([11.966, 20.143])
    """
    rate = np.log(405.5 * arms * np.maximum(t, 1.0) ** 1.1 / delta)
    return np.asarray(rate + np.log(rate))


def likelihood_ratio(count: Floats, total: Floats, arms_in: Bools) -> Floats:
    """(r,) log of the generalised likelihood ratio against the nearest alternative in which another arm is best.

    It is the minimum over the other arms of n d(p, m) + n' d(p', m). Here d is the Bernoulli divergence, (n, p) the outcomes
    and mean of the empirically best arm, (n', p') those of the other arm, and m the mean of both together. `arms_in` (r, K)
    marks the arms that are not eliminated. The result is 0 if one of them has no outcomes or two are best, and infinite if
    there is no other arm.

    Source: Garivier & Kaufmann, COLT (2016), section 3.2, eq. 6.

    >>> everyone = np.ones((1, 3), bool)
    >>> likelihood_ratio(np.array([[100.0, 100, 100]]), np.array([[60.0, 50, 40]]), everyone).round(4)
    array([1.0119])
    """
    mean = total / np.where(count > 0, count, 1.0)
    best = _first_best(np.where(arms_in, mean, -np.inf))
    n, s, top = (values[best][:, None] for values in (count, total, mean))
    others, known = arms_in & ~best, (n > 0) & (count > 0)
    middle = np.where(known, (s + total) / np.where(known, n + count, 1.0), mean)
    statistic = n * _divergence(np.where(known, top, middle), middle) + count * _divergence(mean, middle)
    return np.asarray(np.where(others, statistic, np.inf).min(axis=1))


def optimal_weights(means: ArrayLike, arms_in: Bools) -> Floats:
    """(r, K) the shares of samples that find the best arm with the fewest samples, for arms with these means (r, K) in [0, 1].

    Arms outside `arms_in` get 0. Several best arms share evenly, as in the paper's experiments. A single arm gets weight 1.
    Raises `InputError` for means of arms in `arms_in` that are not in [0, 1].

    Let the best arm have weight 1. An arm of weight x is distinguished from it at the rate g(x) = d(p, m) + x d(p', m), where
    m = (p + x p') / (1 + x). The optimal weights make g equal for all other arms, and the ratios d(p, m) / d(p', m) sum to 1.
    Newton's method solves for all x at once. It needs no further divergence, since g' = d(p', m).

    Source: Garivier & Kaufmann, COLT (2016), Lemma 3 and Theorem 5.

    >>> optimal_weights([[0.5, 0.45, 0.43, 0.4], [0.1, 0.1, 0.0, 0.05]], np.ones((2, 4), bool)).round(3)
    array([[0.417, 0.39 , 0.136, 0.057],
           [0.5  , 0.5  , 0.   , 0.   ]])
    """
    known = np.asarray(means, np.float64)
    inside = ~arms_in | ((known >= 0) & (known <= 1))
    require(bool(inside.all()), "means", "must lie between 0 and 1", known[~inside].tolist()[:3])
    mean = np.where(arms_in, known, -np.inf)
    top = mean == mean.max(axis=1, keepdims=True)
    weights: Floats = top / top.sum(axis=1, keepdims=True)
    others = arms_in & ~top
    unique = (top.sum(axis=1) == 1) & others.any(axis=1)
    if unique.any():
        weights[unique] = _weights(mean[unique], top[unique], others[unique])
    return weights


def _weights(mean: Floats, top: Bools, others: Bools) -> Floats:
    best = mean[top][:, None]
    mean = np.where(others, mean, 0.0)
    # Arms that are not compared get an arbitrary gap, and no weight in the sums.
    gap = np.where(others, best - mean, best)
    start = np.maximum((np.where(others, gap, np.inf).min(axis=1, keepdims=True) / gap) ** 2, LEAST)
    ratio = start / np.sqrt((start**2 * others).sum(axis=1, keepdims=True))
    for _ in range(STEPS):
        one = 1 + ratio
        below, above = ratio * gap / one, gap / one
        middle = mean + above
        far, near = kl_of_shift(best, -below), kl_of_shift(mean, above)
        rate = far + ratio * near
        slope = above**2 * rate / (one * middle * (1 - middle) * near**2)
        per_rate = others * slope / near
        level = 1 + (per_rate * rate - others * far / near).sum(axis=1, keepdims=True)
        level /= per_rate.sum(axis=1, keepdims=True)
        # Limit large steps; steps near the solution are never limited.
        ratio = np.clip(ratio + (level - rate) / near, np.maximum(ratio / 8, LEAST), ratio * 8)
    ratio = np.where(others, ratio, 0.0) + top
    return np.asarray(ratio / ratio.sum(axis=1, keepdims=True))


def _divergence(p: Floats, q: Floats) -> Floats:
    return kl_of_shift(p, q - p)


def _first_best(mean: Floats) -> Bools:
    """(r, K) one arm of the highest mean."""
    return np.asarray(np.arange(mean.shape[1]) == mean.argmax(axis=1)[:, None])
