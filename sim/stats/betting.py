"""Bounds for the mean of outcomes in [0, 1] that hold at every look and every size, from sums over batches.

A batch is what arrives between two looks. All its outcomes get the same wager, fixed by the batches before it
and by its size; sizes must not depend on the outcomes. Arrays have batches on the last axis, (..., T), so that
all replications are bounded at once. Rescale outcomes with other known bounds to [0, 1] first.

For a difference between two arms, bound each arm at α/2 and subtract opposite bounds.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from sim.stats.checks import require, require_share
from sim.stats.moments import Floats, non_negative
from sim.stats.sequential import Interval

CAP = 0.5
HALVINGS = 60


def empirical_bernstein(n: ArrayLike, total: ArrayLike, square: ArrayLike, *, alpha: float = 0.05) -> Interval:
    """Predictable plug-in empirical-Bernstein confidence sequence of the mean after each batch, (..., T).

    `n`, `total` and `square` are the count, sum and sum of squares of each batch. Covers at all looks at once with
    probability at least 1 − α, for any distribution on [0, 1]. Not cut to [0, 1], not intersected over looks
    (`sequential.running_interval`), unbounded before the first outcome. Cost grows as T.

    Raises `InputError` for sums that outcomes in [0, 1] cannot have and for an `alpha` outside (0, 1).

    Source: Waudby-Smith & Ramdas, Journal of the Royal Statistical Society B 86 (2024), Theorem 2, one term per
    batch.

    >>> interval = empirical_bernstein([100] * 4, [10] * 4, [10] * 4)
    >>> interval.lower.round(3), interval.upper.round(3)
    (array([-0.211,  0.013,  0.041,  0.053]), array([0.411, 0.191, 0.16 , 0.147]))
    """
    count, sums, squares = _batches(n, total, square)
    require_share("alpha", alpha)
    before_n, before, before_square = (_before(column) for column in (count, sums, squares))
    bet = np.minimum(_bet(before_n, before, before_square, count, alpha), CAP)
    guess = (0.5 + before) / (before_n + 1)
    deviations = np.maximum(squares - 2 * guess * sums + count * guess * guess, 0.0)
    weight = np.cumsum(bet * count, axis=-1)
    penalty = math.log(2 / alpha) + np.cumsum(deviations * (-np.log1p(-bet) - bet), axis=-1)
    safe = np.where(weight > 0, weight, 1.0)
    centre = np.cumsum(bet * sums, axis=-1) / safe
    half = np.where(weight > 0, penalty / safe, np.inf)
    return Interval(np.asarray(centre - half), np.asarray(centre + half))


def log_wealth(
    n: ArrayLike, total: ArrayLike, square: ArrayLike, *, mean: ArrayLike, alpha: float = 0.05
) -> tuple[Floats, Floats]:
    """Logarithm of the capital won after each batch by betting that the mean is above, and below, `mean`.

    The first tests mean ≤ `mean`, the second mean ≥ `mean`: min(1, 1/capital) is a p-value valid at any look, and
    capital of 1/α rejects. Two-sided, the larger of the two must reach 2/α. `mean` broadcasts against the batches,
    (..., T), and lies strictly between 0 and 1; `alpha` tunes the bets and does not affect validity.

    Exact for binary outcomes; otherwise the smallest capital that outcomes in [0, 1] with these sums can have won,
    which is valid and conservative.

    Raises `InputError` as `empirical_bernstein`, and for a `mean` outside (0, 1).

    Source: Waudby-Smith & Ramdas (2024), Theorem 3, hedged capital.

    >>> above, below = log_wealth([100] * 4, [10] * 4, [10] * 4, mean=0.05)
    >>> above.round(2), below.round(2)
    (array([0.99, 2.74, 4.57, 6.4 ]), array([-0.98, -2.6 , -4.7 , -6.99]))
    """
    count, sums, squares = _batches(n, total, square)
    require_share("alpha", alpha)
    level = non_negative("mean", mean)
    inside = (level > 0) & (level < 1)
    if not inside.all():
        require(False, "mean", "must lie strictly between 0 and 1", level[~inside].ravel()[0])
    bet = _bet(_before(count), _before(sums), _before(squares), count, alpha)
    above = _won(count, sums, bet, level)
    below = _won(count, count - sums, bet, 1 - level)
    return np.asarray(np.cumsum(above, axis=-1)), np.asarray(np.cumsum(below, axis=-1))


def betting_interval(n: ArrayLike, total: ArrayLike, square: ArrayLike, *, alpha: float = 0.05) -> Interval:
    """Hedged-capital confidence interval of the mean after the last batch, (...), valid whenever that is.

    The means that `log_wealth` does not reject two-sided; narrower than `empirical_bernstein`, most of all for
    rare outcomes. Found by bisection, so the cost is that of 120 passes over the batches.

    Raises `InputError` as `empirical_bernstein`.

    Source: Waudby-Smith & Ramdas (2024), Theorem 3 and remark on intervals: capital is monotone in the mean.

    >>> interval = betting_interval([100] * 4, [10] * 4, [10] * 4)
    >>> interval.lower.round(3), interval.upper.round(3)
    (array(0.063), array(0.141))
    """
    count, sums, squares = _batches(n, total, square)
    require_share("alpha", alpha)
    bet = _bet(_before(count), _before(sums), _before(squares), count, alpha)
    threshold = math.log(2 / alpha)
    lower = _lower(count, sums, bet, threshold)
    return Interval(lower, np.asarray(1 - _lower(count, count - sums, bet, threshold)))


def _bet(before_n: Floats, before: Floats, before_square: Floats, count: Floats, alpha: float) -> Floats:
    """Predictable plug-in bets, before they are capped."""
    spread = np.maximum(before_square - before * before / np.maximum(before_n, 1.0), 0.0)
    variance = (0.25 + spread) / (before_n + 1)
    size = np.maximum(before_n + count, 1.0)
    return np.asarray(np.sqrt(2 * math.log(2 / alpha) / (variance * size * np.log1p(size))))


def _won(count: Floats, sums: Floats, bet: Floats, level: Floats) -> Floats:
    """Log capital won in each batch by bets that the mean exceeds `level`, all outcomes being 0 or 1."""
    stake = np.minimum(bet, CAP / np.where(level > 0, level, 1e-300))
    return np.asarray(sums * np.log1p(stake * (1 - level)) + (count - sums) * np.log1p(-stake * level))


def _lower(count: Floats, sums: Floats, bet: Floats, threshold: float) -> Floats:
    """The largest mean that is rejected as too low, to the last but a few bits."""
    rejected, kept = np.zeros(count.shape[:-1]), np.ones(count.shape[:-1])
    for _ in range(HALVINGS):
        middle = (rejected + kept) / 2
        reject = _won(count, sums, bet, middle[..., None]).sum(-1) >= threshold
        rejected, kept = np.where(reject, middle, rejected), np.where(reject, kept, middle)
    return rejected


def _before(column: Floats) -> Floats:
    return np.asarray(np.cumsum(column, axis=-1) - column)


def _batches(n: ArrayLike, total: ArrayLike, square: ArrayLike) -> tuple[Floats, Floats, Floats]:
    count, sums, squares = np.broadcast_arrays(
        np.atleast_1d(non_negative("n", n)),
        np.atleast_1d(non_negative("total", total)),
        np.atleast_1d(non_negative("square", square)),
    )
    slack = 1e-9 * (1 + count)
    over = sums > count + slack
    if over.any():
        rule = f"must not exceed n ({count[over][0]}), as outcomes lie between 0 and 1"
        require(False, "total", rule, sums[over][0])
    wrong = (squares > sums + slack) | (squares * count < sums * sums - slack * (1 + count))
    if wrong.any():
        rule = f"must lie between total²/n and total ({sums[wrong][0]}), as outcomes lie between 0 and 1"
        require(False, "square", rule, squares[wrong][0])
    return count, np.minimum(sums, count), squares
