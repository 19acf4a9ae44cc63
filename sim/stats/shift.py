"""How far two samples lie apart, by ranks: the Hodges-Lehmann estimate and its interval, for all replications at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from sim.arrays import Bools, Floats
from sim.stats.rank import tie_sizes
from sim.stats.validation import require

Method = Literal["auto", "exact", "normal"]
# Below this size of both samples R takes the exact distribution where no values are tied.
_EXACT_BELOW = 50
_DIFFERENCES_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Shift:
    """By how much values of the first sample exceed those of the second: estimate, and the ends of its interval."""

    estimate: Floats
    lower: Floats
    upper: Floats


def shift(x: ArrayLike, y: ArrayLike, confidence: float, method: Method = "auto") -> Shift:
    """The Hodges-Lehmann shift of `x`, (..., n), against `y`, (..., m), with its two-sided interval; one per replication.

    NaN marks a missing value. An end of the interval is the difference of a value of `x` and one of `y` at which the rank
    test of the shifted samples turns. `normal` takes the normal limit with a continuity correction, in which ties within a
    sample narrow the spread; `exact` takes Wilcoxon's distribution, which has none; `auto` is exact where both samples have
    fewer than 50 values and none are tied, as `wilcox.test(conf.int = TRUE)` of R does. R searches for the ends of the normal
    limit, to 0.0001 in the unit of the values; here they are found exactly. The estimate is the median of all differences. NaN
    where a sample is empty; both ends are the estimate where all values of each sample are equal.

    Raises `InputError` for infinite values, axes before the last that do not fit, and a confidence outside (0, 1).

    Source: Hodges & Lehmann, Annals of Mathematical Statistics 34 (1963); Bauer, JASA 67 (1972); Hollander & Wolfe,
    Nonparametric Statistical Methods (1973), 4.2-4.3.

    >>> far = shift([[1.89, 1.04, 1.45, 1.38]], [[1.15, 0.88, 0.90, 0.74]], 0.9)
    >>> far.estimate.round(3), far.lower.round(3), far.upper.round(3)
    (array([0.525]), array([0.14]), array([1.01]))
    """
    require(0 < confidence < 1, "confidence", "must lie between 0 and 1", confidence)
    require(method in get_args(Method), "method", f"must be one of {', '.join(get_args(Method))}", method)
    first, second = np.asarray(x, np.float64), np.asarray(y, np.float64)
    for name, values in (("x", first), ("y", second)):
        require(values.ndim > 0, name, "must have an axis of values", f"shape {values.shape}")
        require(not np.isinf(values).any(), name, "must be finite or missing (NaN)", "an infinite value")
    shape = first.shape[:-1]
    require(shape == second.shape[:-1], "y", f"must have the replications of x, {shape}", f"shape {second.shape}")
    first, second = (values.reshape(math.prod(shape), values.shape[-1]) for values in (first, second))
    ends = np.full((3, len(first)), np.nan)
    step = max(1, _DIFFERENCES_AT_ONCE // max(1, first.shape[1] * second.shape[1]))
    for start in range(0, len(first), step):
        rows = slice(start, start + step)
        ends[:, rows] = _ends(first[rows], second[rows], (1 - confidence) / 2, method)
    estimate, lower, upper = ends.reshape(3, *shape)
    return Shift(estimate, lower, upper)


def _ends(x: Floats, y: Floats, tail: float, method: Method) -> Floats:
    """(3, r) estimate, lower and upper end, each an order statistic of the differences."""
    n, m = ((~np.isnan(values)).sum(axis=1).astype(np.float64) for values in (x, y))
    pairs = n * m
    differences = np.sort((x[:, :, None] - y[:, None, :]).reshape(len(x), x.shape[1] * y.shape[1]), axis=1)
    known = pairs > 0
    middle = (_order(differences, np.floor((pairs + 1) / 2), known) + _order(differences, np.ceil((pairs + 1) / 2), known)) / 2
    low, high = _normal_places(x, y, n, m, tail)
    if method != "normal":
        exact = known if method == "exact" else known & (np.maximum(n, m) < _EXACT_BELOW) & ~_tied(x, y)
        for row in np.flatnonzero(exact):
            least = max(1, wilcoxon_quantile(tail, int(n[row]), int(m[row])))
            low[row], high[row] = least, pairs[row] - least + 1
    return np.stack([middle, _order(differences, low, known), _order(differences, high, known)])


def _normal_places(x: Floats, y: Floats, n: Floats, m: Floats, tail: float) -> tuple[Floats, Floats]:
    """Which of the ordered differences, from 1, are the ends by the normal limit.

    Between two differences, the number of differences above a shift is the rank statistic of the shifted samples. It turns
    where that number falls to half of them plus the quantile: on either side by half a pair more, the correction.
    """
    from scipy.special import ndtri

    total = n + m
    ties = tie_sizes(x) + tie_sizes(y)
    spread = np.sqrt(np.maximum(n * m / 12 * (total + 1 - ties / np.maximum(total * (total - 1), 1.0)), 0.0))
    away = 0.5 - ndtri(tail) * spread
    # A place that is whole but for rounding is taken as whole.
    low = np.ceil(n * m / 2 - away - 1e-9)
    return low, n * m + 1 - low


def _order(differences: Floats, place: Floats, known: Bools) -> Floats:
    """The difference at a place from 1; the first or the last beyond; NaN where nothing is known."""
    last = (~np.isnan(differences)).sum(axis=1)
    if not differences.shape[1]:
        return np.full(len(differences), np.nan)
    at = np.clip(np.where(known, place, 1.0), 1, np.maximum(last, 1)).astype(np.int64) - 1
    taken: Floats = np.where(known, np.take_along_axis(differences, at[:, None], axis=1)[:, 0], np.nan)
    return taken


def _tied(x: Floats, y: Floats) -> Bools:
    return np.asarray(tie_sizes(np.concatenate([x, y], axis=1)) > 0)


@lru_cache(maxsize=512)
def wilcoxon_quantile(tail: float, n: int, m: int) -> int:
    """The smallest q at which Mann and Whitney's U of samples of n and m values without ties is at most q with chance `tail`.

    >>> wilcoxon_quantile(0.025, 10, 5), wilcoxon_quantile(0.05, 4, 4)
    (9, 2)
    """
    # Gaussian binomials: the number of ways to have each U, by one more value of the first sample at a time.
    ways = np.zeros(n * m + 1, dtype=object)
    ways[0] = 1
    for size in range(1, n + 1):
        up, down = m + size, size
        for u in range(n * m, up - 1, -1):
            ways[u] -= ways[u - up]
        for u in range(down, n * m + 1):
            ways[u] += ways[u - down]
    cases = np.cumsum(ways)
    # In whole numbers up to the last division: binomials of 98 do not fit into a float.
    total = int(cases[-1])
    return int(next(u for u, count in enumerate(cases) if int(count) / total >= tail - 1e-15))
