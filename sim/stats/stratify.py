"""Post-stratification: segments are weighted by their known shares, so that chance imbalance adds no noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from sim.arrays import Floats
from sim.stats.moments import Estimates, non_negative, spread
from sim.stats.moments import arms as two_arms
from sim.stats.validation import require


def difference(
    n0: ArrayLike,
    sum0: ArrayLike,
    square0: ArrayLike,
    n1: ArrayLike,
    sum1: ArrayLike,
    square1: ArrayLike,
    shares: ArrayLike | None = None,
) -> Estimates:
    """Post-stratified difference in means, arm 1 − arm 0, from counts, sums and sums of squares per segment, (..., S).

    `shares` (S,) or (..., S) are the population's. Without them, the shares of both arms together are used. The variance
    then includes the error of these shares, which matters if effects differ between segments. Segments must be known
    before the arm acts. Where a segment with a share has no outcome in an arm, the estimate is 0 and the standard error
    infinite; with only one outcome, the standard error is infinite. Merge such segments.

    Raises `InputError` for sums that no outcomes have, shares that are negative or do not sum to 1.

    Source: Miratrix, Sekhon & Yu, Journal of the Royal Statistical Society B 75 (2013); Xie & Aurisset, KDD (2016).

    >>> champion, challenger = ([60, 40], [6, 20], [6, 20]), ([40, 60], [6, 33], [6, 33])
    >>> result = difference(*champion, *challenger, shares=[0.5, 0.5])
    >>> result.estimate.round(3), result.standard_error.round(3)
    (np.float64(0.05), np.float64(0.062))
    """
    n, total, square = _segments(n0, sum0, square0, n1, sum1, square1)
    units = n.sum(0)
    everyone = np.maximum(units.sum(-1), 1.0)
    weight = units / everyone[..., None] if shares is None else _shares(shares, n.shape[-1])
    champion, challenger = _weighted(n, total, square, weight)
    known = np.where(weight > 0, n.min(0), np.inf).min(-1) >= 1
    estimate = np.where(known & (weight.sum(-1) > 0), challenger.estimate - champion.estimate, 0.0)
    combined = champion.standard_error**2 + challenger.standard_error**2
    if shares is None:
        safe = np.maximum(n, 1.0)
        effect = total[1] / safe[1] - total[0] / safe[0]
        combined = combined + (weight * (effect - estimate[..., None]) ** 2).sum(-1) / everyone
    return Estimates(estimate, np.where(weight.sum(-1) > 0, np.sqrt(combined), np.inf))


def arms(
    n0: ArrayLike,
    sum0: ArrayLike,
    square0: ArrayLike,
    n1: ArrayLike,
    sum1: ArrayLike,
    square1: ArrayLike,
    shares: ArrayLike,
) -> tuple[Estimates, Estimates]:
    """Post-stratified means of arm 0 and arm 1, as in `difference`, with the population's `shares`.

    The standard error of an arm is infinite where a segment with a share has fewer than two outcomes in the arm.

    >>> before, after = arms([60, 40], [6, 20], [6, 20], [40, 60], [6, 33], [6, 33], shares=[0.5, 0.5])
    >>> before.estimate.round(3), after.estimate.round(3)
    (np.float64(0.3), np.float64(0.35))
    """
    n, total, square = _segments(n0, sum0, square0, n1, sum1, square1)
    return _weighted(n, total, square, _shares(shares, n.shape[-1]))


def _segments(
    n0: ArrayLike, sum0: ArrayLike, square0: ArrayLike, n1: ArrayLike, sum1: ArrayLike, square1: ArrayLike
) -> tuple[Floats, Floats, Floats]:
    """(2, ..., S) counts, sums and sums of squares of both arms."""
    n, total, square = two_arms(n0, sum0, square0, n1, sum1, square1)
    require(n.ndim > 1, "n0", "must have an axis of segments", f"shape {n.shape[1:]}")
    return n, total, square


def _weighted(n: Floats, total: Floats, square: Floats, weight: Floats) -> tuple[Estimates, Estimates]:
    safe = np.maximum(n, 1.0)
    variance = spread(n, total, square) / np.maximum(n - 1, 1.0) / safe
    error = np.sqrt((weight**2 * variance).sum(-1))
    enough = np.where(weight > 0, n, np.inf).min(-1) >= 2
    mean = (weight * (total / safe)).sum(-1)
    return Estimates(mean[0], np.where(enough[0], error[0], np.inf)), Estimates(mean[1], np.where(enough[1], error[1], np.inf))


def _shares(shares: ArrayLike, segments: int) -> Floats:
    weight = non_negative("shares", shares)
    fits = weight.ndim > 0 and weight.shape[-1] == segments
    require(fits, "shares", f"must have one share for each of {segments} segments", f"shape {weight.shape}")
    sums = np.ravel(weight.sum(-1))
    wrong = np.abs(sums - 1) > 1e-9
    require(not wrong.any(), "shares", "must sum to 1", sums[np.argmax(wrong)])
    return weight
