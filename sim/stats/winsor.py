"""Winsorising: pulling extreme outcomes in to a cap, and saying what that does to the mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sim.arrays import Floats
from sim.stats.moments import finite
from sim.stats.validation import broadcast, require


@dataclass(frozen=True)
class Winsorised:
    """`values` (..., n) within the caps; `share` (...) of them that was moved; `bias` (...) in the metric's unit.

    The bias is the mean of the capped values less that of the raw ones: what the cap hides. The difference of
    two arms' biases is what it does to an effect.
    """

    values: Floats
    share: Floats
    bias: Floats


def caps(values: ArrayLike, lower: float = 0.0, upper: float = 0.99) -> tuple[Floats, Floats]:
    """The `lower` and `upper` quantiles of `values` (..., n) along the last axis, as caps: order statistics.

    Take them from both arms together, or from the time before: caps of each arm on its own bias the effect.

    Raises `InputError` for values that are not finite, none at all, or unless 0 ≤ lower < upper ≤ 1.

    Source: Tukey, Annals of Mathematical Statistics 33 (1962); Hyndman & Fan, American Statistician 50 (1996),
    definition 1.

    >>> caps(range(1, 101), upper=0.95)
    (array(1.), array(95.))
    """
    array = finite("values", values)
    require(array.ndim > 0 and array.shape[-1] > 0, "values", "must have at least one value", f"shape {array.shape}")
    require(0 <= lower <= 1, "lower", "must lie between 0 and 1", lower)
    require(lower < upper <= 1, "upper", f"must lie above lower ({lower}) and not above 1", upper)
    low, high = np.quantile(array, [lower, upper], axis=-1, method="inverted_cdf")
    return np.asarray(low), np.asarray(high)


def winsorise(values: ArrayLike, low: ArrayLike = -np.inf, high: ArrayLike = np.inf) -> Winsorised:
    """`values` (..., n) with those below `low` (...) raised to it and those above `high` (...) lowered to it.

    Raises `InputError` for values that are not finite, none at all, caps that are NaN or `low` above `high`.

    Source: Tukey (1962); Kohavi, Tang & Xu, Trustworthy Online Controlled Experiments (2020), ch. 22, on capped
    metrics.

    >>> winsorise([1, 2, 3, 94], high=10)
    Winsorised(values=array([ 1.,  2.,  3., 10.]), share=array(0.25), bias=array(-21.))
    """
    array = finite("values", values)
    require(array.ndim > 0 and array.shape[-1] > 0, "values", "must have at least one value", f"shape {array.shape}")
    least, most = np.asarray(low, dtype=np.float64)[..., None], np.asarray(high, dtype=np.float64)[..., None]
    array, least, most = broadcast(values=array, low=least, high=most)
    wrong = ~(least <= most)
    if wrong.any():
        require(False, "low", f"must not exceed high ({most[wrong][0]:g})", least[wrong][0])
    capped = np.clip(array, least, most)
    moved = capped - array
    return Winsorised(capped, np.asarray((moved != 0).mean(-1)), np.asarray(moved.mean(-1)))
