"""Expected loss of choosing an arm, under independent posteriors.

The expected loss of choosing arm k is E[max_j θ_j − θ_k] = ∫ F_k (1 − Π_{j≠k} F_j) dθ. The integrand is never negative, so a
small loss keeps its precision. Where there is no closed form, the integral is taken over the panels of `posterior`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, ndtr

from sim.arrays import Bools, Floats
from sim.stats.log_odds import exceeds
from sim.stats.posterior import (
    WEIGHTS,
    beta_panels,
    beta_parameter,
    competing,
    distribution,
    normal_panels,
    numbers,
    over_panels,
    paired_rows,
    pairs_of_at_least,
    spreads,
    weighted,
)

# From these parameters on, the series of `log_odds` are precise enough for a small loss, a difference of two products.
SERIES_FROM = 100


def expected_loss_normal(mean: ArrayLike, sd: ArrayLike, among: ArrayLike | None = None) -> Floats:
    """Expected loss of choosing each arm, (r, K), under independent normal posteriors, in the unit of `mean`.

    `mean` and `sd` are (r, K). `among` (r, K) says which arms compete (default: all); the others have an infinite loss. The
    result is a closed form for two arms. For more arms its error is below 0.2% where the loss exceeds a thousandth of the
    largest sd (measured).

    Raises `InputError` for a negative or undefined sd, or shapes other than (r, K).

    Source: Stucchio, Bayesian A/B Testing at VWO (2015), §5; for two arms E[(θ₁ − θ₀)⁺] = s·φ(z) + d·Φ(z), z = d/s.

    >>> expected_loss_normal([[0.0, 1.0]], [[0.6, 0.8]]).round(4)
    array([[1.0833, 0.0833]])
    """
    means, spread = paired_rows("mean", numbers("mean", mean), "sd", spreads(sd))
    compete = competing(among, means)
    if means.shape[1] == 2:
        ahead = means[:, ::-1] - means
        scale = np.hypot(spread[:, :1], spread[:, 1:])
        safe = np.where(scale > 0, scale, 1.0)
        z = ahead / safe
        density = np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
        loss = np.where(scale > 0, np.maximum(safe * density + ahead * ndtr(z), 0.0), np.maximum(ahead, 0.0))
        return _chosen(np.where(compete[:, ::-1], loss, 0.0), compete)
    return _chosen(_from_best(over_panels(*normal_panels(means, spread), compete, _normal_loss), means, compete), compete)


def expected_loss_beta(alpha: ArrayLike, beta: ArrayLike, among: ArrayLike | None = None) -> Floats:
    """Expected loss of choosing each arm, (r, K), under independent Beta posteriors, as a difference of rates.

    `alpha` and `beta` are (r, K), prior plus counts: from 0.01 to 1e12. `among` (r, K) says which arms compete (default: all);
    the others have an infinite loss. The error is below 0.2% where the loss exceeds a thousandth of the largest sd and all
    parameters are at least 1 (measured).

    Raises `InputError` for parameters outside those limits or shapes other than (r, K).

    Source: Stucchio, Bayesian A/B Testing at VWO (2015), §5.

    >>> expected_loss_beta([[1, 1]], [[1, 1]]).round(4)      # E|x − y| / 2 of two uniforms = 1/6
    array([[0.1667, 0.1667]])
    """
    a, b = paired_rows("alpha", beta_parameter("alpha", alpha), "beta", beta_parameter("beta", beta))
    compete = competing(among, a)
    means, loss = a / (a + b), np.empty(a.shape)
    plenty = pairs_of_at_least(SERIES_FROM, a, b) & compete.all(axis=1)
    if plenty.any():
        loss[plenty] = _closed(means[plenty].argmax(axis=1), a[plenty], b[plenty])[:, None]
    if not plenty.all():
        loss[~plenty] = over_panels(*beta_panels(a[~plenty], b[~plenty]), compete[~plenty], _beta_loss)
    return _chosen(_from_best(loss, means, compete), compete)


def _closed(best: NDArray[np.intp], a: Floats, b: Floats) -> Floats:
    """(n,) loss of arm 0, the better of two arms: m₁ P(θ₁' > θ₀) − m₀ P(θ₁ > θ₀'), where ' means one success more."""
    order = np.where(best == 0, [[0], [1]], [[1], [0]]).T
    (a0, a1), (b0, b1) = (np.take_along_axis(parameter, order, axis=1).T for parameter in (a, b))
    loss = a1 / (a1 + b1) * exceeds(a0, b0, a1 + 1, b1) - a0 / (a0 + b0) * exceeds(a0 + 1, b0, a1, b1)
    return np.asarray(np.maximum(loss, 0.0))


def _normal_loss(mass: Floats, nodes: Floats, half: Floats, among: Bools) -> Floats:
    return _loss(mass, np.broadcast_to(half, nodes.shape), among)


def _beta_loss(mass: Floats, nodes: Floats, half: Floats, among: Bools) -> Floats:
    rate = expit(nodes)
    return _loss(mass, half * rate * (1 - rate), among)


def _loss(mass: Floats, step: Floats, among: Bools) -> Floats:
    """(r, K) the integral; `step` (N, panels, r) is the width of a node in the unit of the loss, without its weight."""
    below, _ = distribution(mass)
    beaten = below if among.all() else np.where(among.T[:, None], below, 1.0)
    loss = np.empty(among.shape)
    for arm in range(among.shape[1]):
        others = np.ones_like(step)
        for other in range(among.shape[1]):
            if other != arm:
                others = others * beaten[:, other]
        # `cumsum` adds the panels in order, so that the bits do not depend on the number of rows.
        loss[:, arm] = np.cumsum(weighted(WEIGHTS, step * below[:, arm] * (1 - others)), axis=0)[-1]
    return np.maximum(loss, 0.0)


def _from_best(loss: Floats, means: Floats, among: Bools) -> Floats:
    """(r, K) the loss of the arm with the best mean plus the distance of each arm's mean from the best mean.

    Panels of arms that are far apart leave a wide gap between them. In the gap the integrand of the best arm is 0, but that of
    the other arms is not.
    """
    best = np.where(among, means, -np.inf).argmax(axis=1)[:, None]
    least, most = (np.take_along_axis(values, best, axis=1) for values in (loss, means))
    return np.asarray(least + np.maximum(most - means, 0.0))


def _chosen(loss: Floats, among: Bools) -> Floats:
    return np.where(among, loss, np.inf)
