"""Probability that an arm is best, under independent posteriors.

Arm k is best with probability P_k = ∫ f_k Π_{j≠k} F_j. Gauss–Hermite rules and shared grids fail when the arms' widths
differ. So the axis is cut into panels at each arm's centre and tails. Within a panel every density is smooth. Gauss–Legendre
nodes integrate the densities, which gives F_j at the nodes, and then the product. The error does not depend on the ratio of
widths, no distribution function is evaluated, and Beta posteriors need no normal approximation. For two Beta posteriors with
enough counts, a series is as precise, and faster.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import ArrayLike
from scipy.special import ndtr

from sim.arrays import Bools, Floats
from sim.stats.log_odds import MOST, SERIES_FROM, best_of_pairs, exceeds
from sim.stats.validation import broadcast, require

Density = Callable[[Floats, slice], Floats]
Reduce = Callable[[Floats, Floats, Floats, Bools], Floats]

BETA_LIMITS = (0.01, MOST)
INNER, OUTER, BETA_TAIL = 1.5, 4.5, 8.0
# The most elements of an array. Chunks of this size fit into the cache, and are twice as fast as all rows at once.
CHUNK = 20_000


def _collocation(count: int) -> tuple[Floats, Floats, Floats]:
    """Gauss–Legendre nodes and weights on [−1, 1], and the integral from −1 to each node as weights."""
    nodes, weights = legendre.leggauss(count)
    basis = legendre.legvander(nodes, count)
    degree = np.arange(1, count)
    antiderivative = np.column_stack([nodes + 1, (basis[:, 2:] - basis[:, :-2]) / (2 * degree + 1)])
    project = (np.arange(count) + 0.5)[:, None] * (weights * basis[:, :count].T)
    return nodes, weights, antiderivative @ project


NODES, WEIGHTS, INTEGRAL = _collocation(6)


def probability_exceeds_normal(mean0: ArrayLike, sd0: ArrayLike, mean1: ArrayLike, sd1: ArrayLike) -> Floats:
    """P(arm 1 > arm 0) under independent normal posteriors, in closed form; inputs broadcast, sd may be 0.

    The result is 0.5 for equal means with sd 0. Raises `InputError` for a negative or undefined sd.

    Source: the difference of independent normals is normal.

    >>> float(probability_exceeds_normal(0.0, 3.0, 5.0, 4.0).round(4))
    0.8413
    """
    means0, means1 = (numbers("mean", value) for value in (mean0, mean1))
    means0, means1, spread0, spread1 = broadcast(mean0=means0, mean1=means1, sd0=spreads(sd0), sd1=spreads(sd1))
    difference, scale = means1 - means0, np.hypot(spread0, spread1)
    certain = np.where(difference == 0, 0.0, np.copysign(np.inf, difference))
    return np.asarray(ndtr(np.where(scale > 0, difference / np.where(scale > 0, scale, 1.0), certain)))


def probability_best_normal(mean: ArrayLike, sd: ArrayLike, among: ArrayLike | None = None) -> Floats:
    """Probability that each arm has the largest mean, (r, K), under independent normal posteriors.

    `mean` and `sd` are (r, K), in the metric's unit. `among` (r, K) says which arms compete (default: all);
    the others have probability 0, and a row without competing arms is 0. The result is exact for two arms; for
    more arms its absolute error is below 1e-5 (measured, widths up to 1 : 1,000). Equal arms with sd 0 share.

    Raises `InputError` for a negative or undefined sd, or shapes other than (r, K).

    Source: see the module; the problem is from Chapelle & Li, NeurIPS 24 (2011), §2.

    >>> probability_best_normal([[0.0, 0.0, 1.0]], [[1.0, 1.0, 1e-3]]).round(3)
    array([[0.146, 0.146, 0.708]])
    """
    means, spread = paired_rows("mean", numbers("mean", mean), "sd", spreads(sd))
    compete = competing(among, means)
    if means.shape[1] == 2:
        exceeds = probability_exceeds_normal(means[:, :1], spread[:, :1], means[:, 1:], spread[:, 1:])
        falls = probability_exceeds_normal(means[:, 1:], spread[:, 1:], means[:, :1], spread[:, :1])
        return _alone(np.hstack([falls, exceeds]), compete)

    cuts, density = normal_panels(means, spread)
    return _alone(over_panels(cuts, density, compete, _integrate), compete)


def probability_exceeds_beta(alpha0: ArrayLike, beta0: ArrayLike, alpha1: ArrayLike, beta1: ArrayLike) -> Floats:
    """P(arm 1 > arm 0) under independent Beta posteriors; inputs broadcast.

    Accuracy, errors and source are those of `probability_best_beta`.

    >>> float(probability_exceeds_beta(1, 1, 2, 1).round(4))       # ∫ x · 2x dx = 2/3
    0.6667
    """
    arms = broadcast(alpha0=alpha0, alpha1=alpha1, beta0=beta0, beta1=beta1)
    alpha, beta = (np.stack([arm.ravel() for arm in pair], axis=1) for pair in (arms[:2], arms[2:]))
    return probability_best_beta(alpha, beta)[:, 1].reshape(arms[0].shape)


def probability_best_beta(alpha: ArrayLike, beta: ArrayLike, among: ArrayLike | None = None) -> Floats:
    """Probability that each arm has the largest rate, (r, K), under independent Beta posteriors.

    `alpha` and `beta` are (r, K), prior plus counts: from 0.01 to 1e12. `among` (r, K) says which arms
    compete (default: all); the others have probability 0, and a row without competing arms is 0. The absolute
    error is below 1e-4 where all parameters are at least 0.1, and below 1e-3 otherwise, at any ratio of widths
    (measured). The bits of a row do not depend on the other rows.

    Raises `InputError` for parameters outside those limits or shapes other than (r, K).

    Source: see the module. The integral is over the log-odds, where a Beta density is smooth with exponential
    tails. The problem is from Chapelle & Li, NeurIPS 24 (2011), §2. Two arms with all parameters from 20 on use `log_odds`.

    >>> probability_best_beta([[1, 1, 1], [10, 20, 30]], [[1, 1, 1], [90, 80, 70]]).round(3)
    array([[0.333, 0.333, 0.333],
           [0.   , 0.049, 0.95 ]])
    """
    a, b = paired_rows("alpha", np.asarray(alpha, np.float64), "beta", np.asarray(beta, np.float64))
    compete = competing(among, a)
    found = best_of_pairs(a, b, compete) if a.shape[1] == 2 else None
    if found is not None:
        return found
    a, b, best = beta_parameter("alpha", a), beta_parameter("beta", b), np.empty(a.shape)
    plenty = pairs_of_at_least(SERIES_FROM, a, b)
    if plenty.any():
        best[plenty, 1] = exceeds(a[plenty, 0], b[plenty, 0], a[plenty, 1], b[plenty, 1])
        best[plenty, 0] = 1 - best[plenty, 1]
    if not plenty.all():
        best[~plenty] = over_panels(*beta_panels(a[~plenty], b[~plenty]), compete[~plenty], _integrate)
    return _alone(best, compete)


def pairs_of_at_least(least: float, a: Floats, b: Floats) -> Bools:
    """(r,) whether there are exactly two arms, and all their parameters (r, K) are at least `least`."""
    return np.asarray(np.minimum(a, b).min(axis=1) >= least if a.shape[1] == 2 else np.zeros(len(a), np.bool_))


def normal_panels(means: Floats, spread: Floats) -> tuple[Floats, Density]:
    """The cuts of the axis, relative to each row's mean of `means`, and the densities, for normal posteriors (r, K)."""
    centred = means - means.mean(axis=1, keepdims=True)
    extent = np.maximum(np.abs(centred), spread).max(axis=1, keepdims=True)
    width = np.maximum(spread, np.where(extent > 0, 1e-9 * extent, 1.0))
    centre, scale = _by_arm(centred), _by_arm(width)

    def density(x: Floats, rows: slice) -> Floats:
        z = (x[:, None] - centre[:, :, rows]) / scale[:, :, rows]
        return np.asarray(np.exp(-0.5 * z * z))

    return np.hstack([centred + width * at for at in (-OUTER, -INNER, INNER, OUTER)]), density


def beta_panels(a: Floats, b: Floats) -> tuple[Floats, Density]:
    """The cuts of the axis of log-odds, and the densities, for Beta posteriors (r, K)."""
    count, mode, width = a + b, np.log(a) - np.log(b), np.sqrt(1 / a + 1 / b)
    modes, counts, wins, losses = (_by_arm(array) for array in (mode, count, a / count, b / count))

    def density(x: Floats, rows: slice) -> Floats:
        # Relative to the mode: a·x − (a + b)·log(1 + eˣ) would lose precision at large counts.
        away = np.clip(x[:, None] - modes[:, :, rows], -600.0, 600.0)
        win, loss = wins[:, :, rows], losses[:, :, rows]
        return np.asarray(np.exp(counts[:, :, rows] * (win * away - np.log(loss + win * np.exp(away)))))

    below, above = OUTER * width + BETA_TAIL / a, OUTER * width + BETA_TAIL / b
    return np.hstack([mode - below, mode - INNER * width, mode + INNER * width, mode + above]), density


def over_panels(cuts: Floats, density: Density, among: Bools, reduce: Reduce) -> Floats:
    """(r, K) the result of `reduce` on the masses, (N, K, C − 1, r), at the nodes between the cuts, (r, C).

    A mass is a density, not normalised, times half the panel's width. `reduce` is called with (mass, nodes, half, among) of a
    chunk of rows; nodes are (N, C − 1, r) and half (C − 1, r).
    """
    ordered = np.sort(cuts, axis=1).T
    count = max(1, CHUNK // (NODES.size * ordered.shape[0] * among.shape[1]))
    result = np.empty(among.shape)
    for start in range(0, len(result), count):
        rows = slice(start, start + count)
        edges = np.ascontiguousarray(ordered[:, rows])
        half = np.diff(edges, axis=0) / 2
        nodes = edges[:-1] + half + half * NODES[:, None, None]
        result[rows] = reduce(density(nodes, rows) * half, nodes, half, among[rows])
    return result


def _integrate(mass: Floats, nodes: Floats, half: Floats, among: Bools) -> Floats:
    """P(best), (r, K), not normalised."""
    below, total = distribution(mass)
    if not among.all():
        below = np.where(among.T[:, None], below, 1.0)
    best = np.empty(among.shape)
    for arm in range(among.shape[1]):
        product = mass[:, arm]
        for other in range(among.shape[1]):
            if other != arm:
                product = product * below[:, other]
        best[:, arm] = np.cumsum(weighted(WEIGHTS, product), axis=0)[-1] / total[arm, 0]
    return best


def distribution(mass: Floats) -> tuple[Floats, Floats]:
    """The distribution functions at the nodes, (N, K, panels, r) like `mass`, and the sums of the masses, (K, 1, r)."""
    panel = weighted(WEIGHTS, mass)
    through = np.cumsum(panel, axis=1)
    before, total = through - panel, through[:, -1:]
    return np.stack([(before + weighted(weights, mass)) / total for weights in INTEGRAL]), total


def weighted(weights: Floats, values: Floats) -> Floats:
    """Weighted sum over the first axis. The last bit of BLAS or `sum` may depend on the number of rows; this one does not."""
    total = weights[0] * values[0]
    for weight, value in zip(weights[1:], values[1:], strict=True):
        total += weight * value
    return np.asarray(total)


def _by_arm(array: Floats) -> Floats:
    """(r, K) as (K, 1, r), to broadcast with panels; NumPy is fast with a long last axis."""
    return np.ascontiguousarray(array.T)[:, None, :]


def _alone(best: Floats, among: Bools) -> Floats:
    """Probabilities normalised over the competing arms; a single competing arm is best."""
    best = np.where(among, np.maximum(best, 0.0), 0.0)
    best = np.where(among.sum(axis=1, keepdims=True) == 1, among, best)
    total = best.sum(axis=1, keepdims=True)
    return np.asarray(best / np.where(total > 0, total, 1.0))


def competing(among: ArrayLike | None, like: Floats) -> Bools:
    compete = np.ones(like.shape, np.bool_) if among is None else np.asarray(among, np.bool_)
    require(compete.shape == like.shape, "among", f"must have the shape {like.shape}", compete.shape)
    return compete


def paired_rows(name1: str, first: Floats, name2: str, second: Floats) -> tuple[Floats, Floats]:
    require(first.ndim == 2, name1, "must be (r, K)", f"shape {first.shape}")
    require(first.shape == second.shape, name2, f"must be (r, K), like {first.shape}", second.shape)
    return first, second


def numbers(name: str, value: ArrayLike) -> Floats:
    array = np.asarray(value, np.float64)
    finite = np.isfinite(array)
    if not finite.all():
        require(False, name, "must be finite", array[~finite][0])
    return array


def spreads(value: ArrayLike) -> Floats:
    array = numbers("sd", value)
    if (array < 0).any():
        require(False, "sd", "must not be negative", array[array < 0][0])
    return array


def beta_parameter(name: str, value: ArrayLike) -> Floats:
    array = np.asarray(value, np.float64)
    low, high = BETA_LIMITS
    proper = (array >= low) & (array <= high)
    if not proper.all():
        require(False, name, f"must lie between {low:g} and {high:g}", array[~proper][0])
    return array
