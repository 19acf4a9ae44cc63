"""Intervals of a score by resampling: the bootstrap of rows, k-fold cross-validation; and the exact test of paired labels."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sim.stats.intervals import Estimate, student_interval
from sim.stats.validation import is_whole, require, require_positive, require_share, sample

Statistic = Callable[[NDArray[np.intp]], float]
"""A score of the rows of these numbers, (m,), with repetition; NaN where these rows have none, such as rows of one class."""

_MOST_GROUPS = 1000
_MOST_UNDEFINED = 0.05


@dataclass(frozen=True)
class Bootstrapped:
    """A statistic of all rows, with two intervals; `undefined` counts the resamples that had no value.

    An interval has no bounds where more than 5% of the resamples had no value, and the BCa interval where all were alike, or
    all on one side of the estimate.
    """

    percentile: Estimate
    bca: Estimate
    undefined: int


def bootstrap(statistic: Statistic, rows: int, *, seed: int, resamples: int = 2000, confidence: float = 0.95) -> Bootstrapped:
    """The percentile and the BCa interval of a statistic of `rows` rows, drawn with replacement.

    The acceleration of BCa is by the jackknife, which leaves out one row at a time, or one of 1,000 groups of them where there
    are more. The same seed gives the same bits. Raises `InputError` for fewer than 2 rows or 100 resamples.

    Source: Efron & Tibshirani, An Introduction to the Bootstrap (1993), §13.3 and eqs. 14.9 to 14.15.

    >>> values = np.arange(20.0)
    >>> found = bootstrap(lambda at: float(values[at].mean()), 20, seed=1)
    >>> found.percentile.estimate, round(found.percentile.lower, 1), round(found.bca.upper, 1)
    (9.5, 6.9, 12.2)
    """
    require(is_whole(rows) and rows >= 2, "rows", "must be a whole number of at least 2", rows)
    require(is_whole(resamples) and resamples >= 100, "resamples", "must be a whole number of at least 100", resamples)
    require_share("confidence", confidence)
    draws = np.random.default_rng(seed)
    every = np.arange(rows)
    estimate = float(statistic(every))
    require(math.isfinite(estimate), "statistic", "must be finite for all rows", estimate)
    drawn = np.array([statistic(draws.integers(0, rows, rows)) for _ in range(resamples)], dtype=np.float64)
    values = drawn[np.isfinite(drawn)]
    undefined = resamples - values.size
    unknown = Estimate(estimate, None, None, rows)
    if undefined > _MOST_UNDEFINED * resamples:
        return Bootstrapped(unknown, unknown, undefined)
    tails = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
    lower, upper = np.quantile(values, tails).tolist()
    percentile = Estimate(estimate, lower, upper, rows)
    shift = float(((values < estimate).mean() + (values <= estimate).mean()) / 2)
    if not 0 < shift < 1 or values.min() == values.max():
        return Bootstrapped(percentile, unknown, undefined)
    from scipy.special import ndtr, ndtri

    bias, acceleration = float(ndtri(shift)), _acceleration(statistic, rows, draws)
    moved = bias + ndtri(tails)
    lower, upper = np.quantile(values, ndtr(bias + moved / (1 - acceleration * moved))).tolist()
    return Bootstrapped(percentile, Estimate(estimate, lower, upper, rows), undefined)


def _acceleration(statistic: Statistic, rows: int, draws: np.random.Generator) -> float:
    """The acceleration, by the jackknife over rows, or over groups of rows where there are many."""
    order = np.arange(rows) if rows <= _MOST_GROUPS else draws.permutation(rows)
    groups = np.array_split(order, min(rows, _MOST_GROUPS))
    left = np.array([statistic(np.delete(order, slice(*_ends(groups, at)))) for at in range(len(groups))])
    left = left[np.isfinite(left)]
    around = left.mean() - left
    spread = float((around**2).sum())
    return float((around**3).sum()) / (6 * spread**1.5) if spread > 0 else 0.0


def _ends(groups: list[NDArray[np.intp]], at: int) -> tuple[int, int]:
    """Where a group begins and ends. `array_split` makes the first groups longer by one."""
    long, short = groups[0].size, groups[-1].size
    longer = sum(1 for each in groups if each.size == long) if long != short else len(groups)
    begin = at * long if at <= longer else longer * long + (at - longer) * short
    return begin, begin + groups[at].size


def corrected_interval(values: ArrayLike, test_share: float, confidence: float = 0.95) -> Estimate:
    """The mean of scores (k,) of k folds, with Student's interval that counts that the training sets overlap.

    `test_share` is the size of a test set over that of its training set, 1 / (k − 1) for k folds. The variance is (1 / k +
    test_share) s². It is of the procedure that fits, not of one fitted model. Without any spread there are no bounds: k equal
    scores do not make a score certain.

    Source: Nadeau & Bengio, Machine Learning 52 (2003), the corrected resampled t-test.

    >>> corrected_interval([0.9, 0.8, 0.85, 0.95, 0.9], 1 / 4)
    Estimate(estimate=0.88..., lower=0.773..., upper=0.986..., n=5)
    """
    require_share("confidence", confidence)
    require_positive("test_share", test_share)
    array = sample("values", values)
    require(array.size >= 2, "values", "must be at least 2", array.size)
    mean, spread = float(array.mean()), float(array.std(ddof=1))
    if spread <= 1e-15 * abs(mean):
        return Estimate(mean, None, None, array.size)
    return student_interval(mean, math.sqrt(1 / array.size + test_share) * spread, array.size, confidence)


def mcnemar(only_first: int, only_second: int) -> float:
    """The two-sided p-value of the exact test that two classifiers err equally often, by the rows that only one has right.

    Source: McNemar, Psychometrika 12 (1947); the exact form is the sign test on the discordant pairs.

    >>> mcnemar(10, 2), mcnemar(0, 0)
    (0.0385..., 1.0)
    """
    for name, count in (("only_first", only_first), ("only_second", only_second)):
        require(is_whole(count) and count >= 0, name, "must be a whole number that is not negative", count)
    from scipy.special import bdtr

    both = only_first + only_second
    return min(1.0, 2 * float(bdtr(min(only_first, only_second), both, 0.5))) if both else 1.0
