"""Corrections for comparing several challengers with one champion."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sim.arrays import Floats
from sim.stats.validation import require, require_share


def holm(p_values: ArrayLike, alpha: float) -> NDArray[np.bool_]:
    """Which hypotheses Holm's step-down procedure rejects, (..., K), at family-wise error `alpha`.

    `p_values` is (..., K), one family along the last axis. NaN marks an arm that is not tested: it is not
    rejected and does not count. Raises `InputError` for a p-value or alpha that is not a probability.

    Source: Holm, Scandinavian Journal of Statistics 6 (1979).

    >>> holm([[0.01, 0.04, 0.03], [0.01, 0.04, np.nan]], alpha=0.05)
    array([[ True, False, False],
           [ True,  True, False]])
    """
    require_share("alpha", alpha)
    return holm_adjust(p_values) <= alpha


def holm_adjust(p_values: ArrayLike) -> Floats:
    """Holm's adjusted p-values, (..., K): the least family-wise error at which each is rejected. NaN stays NaN.

    Source: Wright, Biometrics 48 (1992), §2.

    >>> holm_adjust([0.01, 0.04, np.nan, 0.03])
    array([0.03, 0.06,  nan, 0.06])
    """
    p = _probabilities(p_values)
    order = np.argsort(p, axis=-1)
    remaining = _tested(p) - np.arange(p.shape[-1])
    stepped = np.maximum.accumulate(np.take_along_axis(p, order, -1) * remaining, axis=-1)
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, np.minimum(stepped, 1.0), axis=-1)
    return adjusted


def bonferroni_adjust(p_values: ArrayLike) -> Floats:
    """Bonferroni's adjusted p-values, (..., K): the p-values times the number of tested arms, at most 1. NaN stays NaN.

    Source: Dunn, Journal of the American Statistical Association 56 (1961).

    >>> bonferroni_adjust([0.01, 0.6, np.nan])
    array([0.02, 1.  ,  nan])
    """
    p = _probabilities(p_values)
    return np.minimum(p * _tested(p), 1.0)


def _tested(p: Floats) -> NDArray[np.int_]:
    return np.asarray((~np.isnan(p)).sum(axis=-1, keepdims=True))


def _probabilities(p_values: ArrayLike) -> Floats:
    p = np.asarray(p_values, dtype=np.float64)
    require(p.ndim > 0, "p_values", "must have an axis of arms", f"shape {p.shape}")
    wrong = (p < 0) | (p > 1)
    if wrong.any():
        require(False, "p_values", "must lie between 0 and 1", p[wrong][0])
    return p
