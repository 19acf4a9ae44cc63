"""Bounds for the mean of outcomes in [0, 1] that hold at every look and every sample size, from sums over batches.

A batch is the outcomes that arrive between two looks. All its outcomes get the same bet, which depends on the earlier
batches and on the batch's size. Sizes must not depend on the outcomes. Arrays have batches on the last axis, (..., T), so
that all replications are computed at once. Rescale outcomes with other known bounds to [0, 1] first.

For a difference between two arms, bound each arm at α/2 and subtract opposite bounds.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from sim.arrays import Floats
from sim.stats.moments import non_negative
from sim.stats.sequential import Interval
from sim.stats.validation import broadcast, require, require_share

CAP = 0.5
HALVINGS = 60


def empirical_bernstein(n: ArrayLike, total: ArrayLike, square: ArrayLike, *, alpha: float = 0.05) -> Interval:
    """Predictable plug-in empirical-Bernstein confidence sequence of the mean after each batch, (..., T).

    `n`, `total` and `square` are the count, sum and sum of squares of each batch. The sequence covers the mean at all looks
    at once with probability at least 1 − α, for any distribution on [0, 1]. Intervals are not cut to [0, 1], not intersected
    over looks (see `sequential.running_interval`), and unbounded before the first outcome. The cost grows as T.

    Raises `InputError` for sums that outcomes in [0, 1] cannot have and for an `alpha` outside (0, 1).

    Source: Waudby-Smith & Ramdas, Journal of the Royal Statistical Society B 86 (2024), Theorem 2, one term per
    batch.

    >>> interval = empirical_bernstein([100] * 4, [10] * 4, [10] * 4)
    >>> interval.lower.round(3), interval.upper.round(3)
    (array([-0.084,  0.004,  0.029,  0.041]), array([0.284, 0.196, 0.171, 0.159]))
    """
    batches = _batches(n, total, square)
    weight, weighted, penalty = (np.cumsum(step, axis=-1) for step in bernstein_step(*_before(batches), *batches, alpha=alpha))
    return bernstein_bounds(weight, weighted, penalty, alpha=alpha)


def bernstein_step(
    seen_n: ArrayLike,
    seen_total: ArrayLike,
    seen_square: ArrayLike,
    n: ArrayLike,
    total: ArrayLike,
    square: ArrayLike,
    *,
    alpha: float = 0.05,
) -> tuple[Floats, Floats, Floats]:
    """The increments by one batch of the three sums that `bernstein_bounds` needs; for monitoring without a history.

    The first three arguments are the sums over all earlier batches, the next three those of this batch; all
    broadcast together. Errors and source are those of `empirical_bernstein`.

    >>> steps = bernstein_step(0, 0, 0, 100, 10, 10)
    >>> interval = bernstein_bounds(*steps)
    >>> interval.lower.round(3), interval.upper.round(3)
    (np.float64(-0.084), np.float64(0.284))
    """
    require_share("alpha", alpha)
    seen, seen_sum, seen_squares = _sums(seen_n, seen_total, seen_square, "seen_")
    count, sums, squares = _sums(n, total, square)
    stake = np.minimum(_stake(seen, seen_sum, seen_squares, count, alpha), CAP)
    guess = (0.5 + seen_sum) / (seen + 1)
    deviations = np.maximum(squares - 2 * guess * sums + count * guess * guess, 0.0)
    return stake * count, stake * sums, np.asarray(deviations * (-np.log1p(-stake) - stake))


def bernstein_bounds(weight: ArrayLike, weighted: ArrayLike, penalty: ArrayLike, *, alpha: float = 0.05) -> Interval:
    """The empirical-Bernstein interval from the cumulative sums of the three results of `bernstein_step`.

    `alpha` must be the same as in the steps. Raises `InputError` for negative sums. Source: `empirical_bernstein`.

    >>> bernstein_bounds(0, 0, 0)
    Interval(lower=array(-inf), upper=array(inf))
    """
    require_share("alpha", alpha)
    weights, centre, cost = broadcast(
        weight=non_negative("weight", weight),
        weighted=non_negative("weighted", weighted),
        penalty=non_negative("penalty", penalty),
    )
    safe = np.where(weights > 0, weights, 1.0)
    half = np.where(weights > 0, (math.log(2 / alpha) + cost) / safe, np.inf)
    return Interval(np.asarray(centre / safe - half), np.asarray(centre / safe + half))


def log_wealth(
    n: ArrayLike, total: ArrayLike, square: ArrayLike, *, mean: ArrayLike, alpha: float = 0.05
) -> tuple[Floats, Floats]:
    """Log capital after each batch, (..., T), of bets that the mean is above `mean`, and of bets that it is below.

    The first tests mean ≤ `mean`, the second mean ≥ `mean`: min(1, 1/capital) is a p-value valid at any look, and
    capital of 1/α rejects. Two-sided, the larger of the two must reach 2/α. `mean` broadcasts against the batches
    and lies strictly between 0 and 1; `alpha` tunes the bets and does not affect validity.

    The capital is exact for binary outcomes. For other outcomes it is the smallest capital that outcomes in [0, 1] with these
    sums can win, which is valid and conservative.

    Raises `InputError` as `empirical_bernstein`, and for a `mean` outside (0, 1).

    Source: Waudby-Smith & Ramdas (2024), Theorem 3, hedged capital.

    >>> above, below = log_wealth([100] * 4, [10] * 4, [10] * 4, mean=0.05)
    >>> above.round(2), below.round(2)
    (array([1.01, 2.08, 2.98, 3.76]), array([-1.62, -3.42, -4.76, -5.86]))
    """
    batches = _batches(n, total, square)
    above, below = wealth_step(*_before(batches), *batches, mean=mean, alpha=alpha)
    return np.asarray(np.cumsum(above, axis=-1)), np.asarray(np.cumsum(below, axis=-1))


def wealth_step(
    seen_n: ArrayLike,
    seen_total: ArrayLike,
    seen_square: ArrayLike,
    n: ArrayLike,
    total: ArrayLike,
    square: ArrayLike,
    *,
    mean: ArrayLike,
    alpha: float = 0.05,
) -> tuple[Floats, Floats]:
    """The increments by one batch of both results of `log_wealth`; for monitoring without a history.

    The first three arguments are the sums over all earlier batches, the next three those of this batch; all
    broadcast together. Errors and source are those of `log_wealth`.

    >>> above, below = wealth_step(0, 0, 0, 100, 10, 10, mean=0.05)
    >>> above.round(2), below.round(2)
    (np.float64(1.01), np.float64(-1.62))
    """
    require_share("alpha", alpha)
    level = non_negative("mean", mean)
    inside = (level > 0) & (level < 1)
    if not inside.all():
        require(False, "mean", "must lie strictly between 0 and 1", level[~inside].ravel()[0])
    count, sums, _ = _sums(n, total, square)
    stake = _stake(*_sums(seen_n, seen_total, seen_square, "seen_"), count, alpha)
    return _won(count, sums, stake, level), _won(count, count - sums, stake, 1 - level)


def betting_interval(n: ArrayLike, total: ArrayLike, square: ArrayLike, *, alpha: float = 0.05) -> Interval:
    """Hedged-capital confidence interval of the mean after the last batch, (...), valid at any stopping time.

    It has the means that `log_wealth` does not reject two-sided. It is narrower than `empirical_bernstein` for binary
    outcomes, and wider for outcomes with little spread (see `log_wealth`). Bisection takes 120 passes over the batches.

    Raises `InputError` as `empirical_bernstein`.

    Source: Waudby-Smith & Ramdas (2024), Theorem 3: the capital is monotone in the mean.

    >>> interval = betting_interval([100] * 4, [10] * 4, [10] * 4)
    >>> interval.lower.round(3), interval.upper.round(3)
    (np.float64(0.051), np.float64(0.152))
    """
    batches = _batches(n, total, square)
    require_share("alpha", alpha)
    count, sums, _ = batches
    stake = _stake(*_before(batches), count, alpha)
    threshold = math.log(2 / alpha)
    lower = _lower(count, sums, stake, threshold)
    return Interval(lower, np.asarray(1 - _lower(count, count - sums, stake, threshold)))


def _stake(seen: Floats, total: Floats, square: Floats, count: Floats, alpha: float) -> Floats:
    """Predictable plug-in bets, before the cap."""
    deviations = np.maximum(square - total * total / np.maximum(seen, 1.0), 0.0)
    variance = (0.25 + deviations) / (seen + 1)
    size = np.maximum(seen + count, 1.0)
    return np.asarray(np.sqrt(2 * math.log(2 / alpha) / (variance * size * np.log1p(size))))


def _won(count: Floats, sums: Floats, stake: Floats, level: Floats) -> Floats:
    """Log capital won in each batch by bets that the mean exceeds `level`, if all outcomes are 0 or 1."""
    bet = np.minimum(stake, CAP / np.where(level > 0, level, 1e-300))
    return np.asarray(sums * np.log1p(bet * (1 - level)) + (count - sums) * np.log1p(-bet * level))


def _lower(count: Floats, sums: Floats, stake: Floats, threshold: float) -> Floats:
    """The largest mean that is rejected as too low, by bisection."""
    rejected, kept = np.zeros(count.shape[:-1]), np.ones(count.shape[:-1])
    for _ in range(HALVINGS):
        middle = (rejected + kept) / 2
        reject = _won(count, sums, stake, middle[..., None]).sum(-1) >= threshold
        rejected, kept = np.where(reject, middle, rejected), np.where(reject, kept, middle)
    return rejected


def _before(batches: tuple[Floats, Floats, Floats]) -> tuple[Floats, Floats, Floats]:
    """The sums over all earlier batches."""
    n, total, square = (np.asarray(np.cumsum(column, axis=-1) - column) for column in batches)
    return n, total, square


def _batches(n: ArrayLike, total: ArrayLike, square: ArrayLike) -> tuple[Floats, Floats, Floats]:
    count, sums, squares = _sums(n, total, square)
    require(count.ndim > 0, "n", "must have an axis of batches", f"shape {count.shape}")
    return count, sums, squares


def _sums(n: ArrayLike, total: ArrayLike, square: ArrayLike, prefix: str = "") -> tuple[Floats, Floats, Floats]:
    names = [f"{prefix}{name}" for name in ("n", "total", "square")]
    checked = (non_negative(name, values) for name, values in zip(names, (n, total, square), strict=True))
    count, sums, squares = broadcast(**dict(zip(names, checked, strict=True)))
    slack = 1e-9 * (1 + count)
    over = sums > count + slack
    if over.any():
        rule = f"must not exceed {names[0]} ({count[over][0]}), as outcomes lie between 0 and 1"
        require(False, names[1], rule, sums[over][0])
    wrong = (squares > sums + slack) | (squares * count < sums * sums - slack * (1 + count))
    if wrong.any():
        rule = f"must lie between {names[1]}²/{names[0]} and {names[1]} ({sums[wrong][0]}), as outcomes lie between 0 and 1"
        require(False, names[2], rule, squares[wrong][0])
    return count, np.minimum(sums, count), squares
