"""Winsorising: replacing outcomes beyond a cap by the cap, and the bias of the mean that results."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sim.arrays import Floats
from sim.stats.moments import finite
from sim.stats.validation import broadcast, require


@dataclass(frozen=True)
class Winsorised:
    """`values` (..., n) within the caps; `share` (...) of values that were changed; `bias` (...) in the metric's unit.

    The bias is the mean of the capped values less the mean of the raw values. The bias of an effect is the difference
    of two arms' biases.
    """

    values: Floats
    share: Floats
    bias: Floats


def caps(values: ArrayLike, lower: float = 0.0, upper: float = 0.99) -> tuple[Floats, Floats]:
    """The `lower` and `upper` quantiles of `values` (..., n) along the last axis, as caps. They are order statistics.

    Use both arms together, or data from before the experiment: separate caps for each arm bias the effect.

    Raises `InputError` for values that are not finite, no values, or unless 0 ≤ lower < upper ≤ 1.

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
    """`values` (..., n) with values below `low` (...) raised to `low`, and values above `high` (...) lowered to `high`.

    Raises `InputError` for values that are not finite, no values, caps that are NaN or `low` above `high`.

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
