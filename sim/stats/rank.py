"""The Mann–Whitney test, for all replications at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from sim.arrays import Floats
from sim.stats.two_sample import Alternative
from sim.stats.validation import require


@dataclass(frozen=True)
class RankTest:
    """Mann–Whitney's U of the first sample, its p-value, and the sizes of both samples; one per replication.

    U / (n₁ n₂) estimates the probability that a value of the first sample exceeds one of the second; ties count half.
    """

    u: Floats
    p_value: Floats
    n1: Floats
    n2: Floats


def mann_whitney(x: ArrayLike, y: ArrayLike, alternative: Alternative = "two-sided") -> RankTest:
    """Test whether values of `x`, (..., n), tend to be larger (`greater`) or smaller (`less`) than values of `y`, (..., m).

    NaN marks a missing value. The test uses the normal limit with mid-ranks for ties and a continuity correction, which is
    accurate from about eight values per sample. The p-value is 1 where a sample is empty or all values are equal.

    Raises `InputError` for an unknown alternative, infinite values, or axes before the last that do not fit.

    Source: Mann & Whitney, Annals of Mathematical Statistics 18 (1947); ties: Lehmann, Nonparametrics (1975), ch. 1, 4.

    >>> result = mann_whitney([[1.0, 2.0, 3.0, 9.0], [1.0, 1.0, np.nan, 1.0]], [[4.0, 5.0, 6.0, 7.0], [1.0, 1.0, 1.0, 1.0]])
    >>> result.u, result.p_value.round(3)
    (array([4., 6.]), array([0.312, 1.   ]))
    """
    known = get_args(Alternative)
    require(alternative in known, "alternative", f"must be one of {', '.join(known)}", alternative)
    first, second = np.asarray(x, np.float64), np.asarray(y, np.float64)
    for name, values in (("x", first), ("y", second)):
        require(values.ndim > 0, name, "must have an axis of values", f"shape {values.shape}")
        require(not np.isinf(values).any(), name, "must be finite or missing (NaN)", "an infinite value")
    fits = first.shape[:-1] == second.shape[:-1]
    require(fits, "y", f"must have the replications of x, {first.shape[:-1]}", f"shape {second.shape}")
    n1, n2 = ((~np.isnan(values)).sum(axis=-1).astype(np.float64) for values in (first, second))
    pooled = np.concatenate([first, second], axis=-1)
    rank, ties = _mid_ranks(pooled)
    u = np.where(np.isnan(first), 0.0, rank[..., : first.shape[-1]]).sum(axis=-1) - n1 * (n1 + 1) / 2
    n = n1 + n2
    variance = n1 * n2 / 12 * (n + 1 - ties / np.maximum(n * (n - 1), 1.0))
    away = u - n1 * n2 / 2
    if alternative == "two-sided":
        away = np.abs(away)
    elif alternative == "less":
        away = -away
    usable = (variance > 1e-9 * n * n) & (n1 > 0) & (n2 > 0)
    z = (away - 0.5) / np.sqrt(np.where(usable, variance, 1.0))
    p_value = ndtr(-z) * (2 if alternative == "two-sided" else 1)
    return RankTest(u, np.where(usable, np.minimum(p_value, 1.0), 1.0), n1, n2)


def tie_sizes(values: Floats) -> Floats:
    """(...) the sum of t³ - t over groups of t equal values on the last axis; NaN equals nothing.

    >>> float(tie_sizes(np.array([1.0, 1.0, 1.0, 2.0, 2.0, np.nan])))
    30.0
    """
    return _mid_ranks(values)[1]


def _mid_ranks(values: Floats) -> tuple[Floats, Floats]:
    """(..., n) ranks from 1, with the mean rank for ties and NaN last; and (...) the sum of t³ − t over groups of ties."""
    order = np.argsort(values, axis=-1)
    ordered = np.take_along_axis(values, order, axis=-1)
    place = np.broadcast_to(np.arange(values.shape[-1]), values.shape)
    begins = np.ones(values.shape, bool)
    begins[..., 1:] = ordered[..., 1:] != ordered[..., :-1]
    start = np.maximum.accumulate(np.where(begins, place, 0), axis=-1)
    ends = np.roll(begins, -1, axis=-1)
    ends[..., -1:] = True
    last = values.shape[-1] - 1
    end = np.flip(np.minimum.accumulate(np.flip(np.where(ends, place, last), -1), axis=-1), -1)
    rank = np.empty(values.shape)
    np.put_along_axis(rank, order, (start + end) / 2 + 1, axis=-1)
    size = (end - start + 1).astype(np.float64)
    return rank, (size * size - 1).sum(axis=-1)
