"""Betting that one arm is better than another: a test of bounded outcomes that holds at every look and every sample size.

A batch is the outcomes that arrive between two looks. Bets on a batch depend only on earlier batches. Its outcomes, between
0 and 1, must be independent given the past, and the sizes of its arms must not depend on its outcomes. The sizes may depend
on the past: the test holds under adaptive allocation.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from sim.arrays import Floats
from sim.stats.moments import non_negative
from sim.stats.validation import broadcast, require

# Each arm's estimate starts with this many outcomes at the common mean, so that the first bets are small.
CAUTION = 50.0


def capital_step(
    seen_n0: ArrayLike,
    seen_total0: ArrayLike,
    seen_n1: ArrayLike,
    seen_total1: ArrayLike,
    n0: ArrayLike,
    total0: ArrayLike,
    n1: ArrayLike,
    total1: ArrayLike,
) -> tuple[Floats, Floats]:
    """The increments by one batch of the log capitals of two bets: that arm 1 is better than arm 0, and that it is worse.

    The first four arguments are counts and sums over all earlier batches, the others are those of this batch; all
    broadcast together. Start with log capital 0 and add the increments. A test that rejects *arm 1 is no better* when the
    first log capital reaches log(1/α), at any time, errs with probability at most α. Two-sided, one of the two must reach
    log(2/α). Growth is fastest for binary outcomes; for outcomes with little spread use `betting.empirical_bernstein`.

    Raises `InputError` for sums that outcomes in [0, 1] cannot have.

    Source: Turner, Ly & Grünwald, Generic E-variables for exact sequential k-sample tests that allow for optional
    stopping, J. Statistical Planning and Inference 230 (2024), Theorem 1: the likelihood ratio of means (μ₀, μ₁) against
    their average, weighted by the batch's sizes. Here the means are the estimates so far, and a bet is made only if they
    say better (or worse), so the test is valid for μ₁ ≤ μ₀. Outcomes in [0, 1] are exponents, which only lowers the ratio.

    >>> better, worse = capital_step(1000, 100, 1000, 150, 100, 10, 100, 15)
    >>> better.round(3), worse.round(3)
    (np.float64(0.573), np.float64(0.0))
    """
    seen0, sums0 = _sums("seen_n0", seen_n0, "seen_total0", seen_total0)
    seen1, sums1 = _sums("seen_n1", seen_n1, "seen_total1", seen_total1)
    count0, hits0 = _sums("n0", n0, "total0", total0)
    count1, hits1 = _sums("n1", n1, "total1", total1)
    common = (sums0 + sums1 + 0.5) / (seen0 + seen1 + 1)
    mean0 = (sums0 + CAUTION * common) / (seen0 + CAUTION)
    mean1 = (sums1 + CAUTION * common) / (seen1 + CAUTION)
    count = np.maximum(count0 + count1, 1.0)
    average = (count0 * mean0 + count1 * mean1) / count
    average = np.where(count0 + count1 > 0, average, common)
    growth = _likelihood(hits0, count0, mean0, average) + _likelihood(hits1, count1, mean1, average)
    return np.where(mean1 > mean0, growth, 0.0), np.where(mean1 < mean0, growth, 0.0)


def _likelihood(hits: Floats, count: Floats, mean: Floats, average: Floats) -> Floats:
    return np.asarray(hits * np.log(mean / average) + (count - hits) * np.log((1 - mean) / (1 - average)))


def _sums(name_n: str, n: ArrayLike, name: str, total: ArrayLike) -> tuple[Floats, Floats]:
    count, sums = broadcast(**{name_n: non_negative(name_n, n), name: non_negative(name, total)})
    over = sums > count * (1 + 1e-9) + 1e-9
    if over.any():
        rule = f"must not exceed {name_n} ({count[over].ravel()[0]}), as outcomes lie between 0 and 1"
        require(False, name, rule, sums[over].ravel()[0])
    return count, np.minimum(sums, count)
