"""Dunnett's comparison of several challengers with one champion: exact, by integration, for any allocation.

Every comparison uses the champion's estimate. So two comparisons have correlation √(aᵢ aⱼ), where aᵢ is the champion's
share of the variance of comparison i: nᵢ / (n₀ + nᵢ) if all arms have the same variance, ½ at an even split. Given the
champion's estimate, the comparisons are independent. This leaves one integral over the champion's estimate, and one over
the estimated variance if it has few degrees of freedom.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from sim.arrays import Floats
from sim.stats.two_sample import Alternative
from sim.stats.validation import broadcast, require

REACH = 8.5
# Gauss–Legendre nodes for each standard deviation of a challenger's own estimate.
DENSITY = 2.0
# Probability of the estimated variance that is ignored at each end.
TAIL = 1e-13
SPREADS = 96
# Higher shares need ever more nodes. A lower share means a lower correlation, which gives stricter bounds.
MOST_IN_COMMON = 0.999
# Alpha must be much larger than the ignored probability.
LEAST_ALPHA = 1e-12


def dunnett_adjust(
    statistics: ArrayLike,
    champion_share: ArrayLike,
    *,
    degrees_of_freedom: float = math.inf,
    alternative: Alternative = "two-sided",
) -> Floats:
    """Dunnett's adjusted p-values, (..., K): the least family-wise error at which each is declared. NaN stays NaN.

    `statistics` (..., K) are z, or t with one pooled variance and `degrees_of_freedom`. NaN marks an arm that is not tested
    and does not count. `champion_share` broadcasts with them; shares above 0.999 are set to 0.999, which is stricter.
    Precise to 1e-8.

    Raises `InputError` for shares outside [0, 1], degrees of freedom below 1 and an unknown alternative.

    Source: Dunnett, Journal of the American Statistical Association 50 (1955), and Biometrics 20 (1964), unequal
    allocation; Genz & Bretz, Computation of Multivariate Normal and t Probabilities (2009), §2.1.

    >>> dunnett_adjust([2.212, 1.0, np.nan], 0.5).round(4)
    array([0.05 , 0.502,   nan])
    """
    t, share = broadcast(statistics=np.asarray(statistics, np.float64), champion_share=_shares(champion_share))
    _check(t, degrees_of_freedom, alternative)
    reached = {"two-sided": np.abs(t), "greater": t, "less": -t}[alternative]
    tested = ~np.isnan(t)
    beyond = _beyond(np.where(tested, reached, 0.0), share, tested, alternative == "two-sided", degrees_of_freedom)
    return np.where(tested, np.minimum(beyond, 1.0), np.nan)


def dunnett_critical(
    champion_share: ArrayLike, alpha: float = 0.05, *, sides: int = 2, degrees_of_freedom: float = math.inf
) -> float:
    """The bound of |t|, or of t with one side, that no comparison of K without effect exceeds with probability 1 − `alpha`.

    `champion_share` (K,) is ½ for each challenger of an even split. `alpha` must be at least 1e-12. Errors and source as
    `dunnett_adjust`.

    >>> [round(dunnett_critical([0.5] * k), 3) for k in (1, 2, 3)]
    [1.96, 2.212, 2.349]
    """
    require(LEAST_ALPHA <= alpha < 1, "alpha", f"must be at least {LEAST_ALPHA:g} and below 1", alpha)
    require(sides in (1, 2), "sides", "must be 1 or 2", sides)
    share = _shares(champion_share)
    require(share.ndim == 1 and share.size > 0, "champion_share", "must have one share a challenger", share.tolist())
    _check(share, degrees_of_freedom, "two-sided")
    return _critical(tuple(share.tolist()), float(alpha), int(sides), float(degrees_of_freedom))


# Cached, because plans need the same bound at every tick.
@lru_cache(maxsize=256)
def _critical(shares: tuple[float, ...], alpha: float, sides: int, degrees_of_freedom: float) -> float:
    from scipy.optimize import brentq

    share = np.array(shares)
    tested = np.ones(share.shape, bool)

    def excess(bound: float) -> float:
        return alpha - float(_beyond(np.full(share.shape, bound), share, tested, sides == 2, degrees_of_freedom)[0])

    # Start above Bonferroni's normal bound. An estimated variance may need a higher end.
    low, high = -REACH, -float(ndtri(alpha / sides / share.size)) + 1
    while excess(high) < 0:
        high *= 2
    return float(brentq(excess, 0.0 if sides == 2 else low, high, xtol=1e-10))


def _beyond(reached: Floats, share: Floats, tested: np.ndarray, two_sided: bool, degrees: float) -> Floats:
    """(..., K) probability that any tested statistic is beyond each of `reached`."""
    if math.isinf(degrees):
        return _normal(reached, share, tested, two_sided)
    from scipy.special import chdtri
    from scipy.stats import chi2

    # Integrate over the logarithm of the spread: with few degrees of freedom, the smallest variances dominate the far tail.
    low, high = (0.5 * math.log(float(chdtri(degrees, tail)) / degrees) for tail in (1 - TAIL, TAIL))
    points, weights = _legendre(SPREADS, low, high)
    spreads = np.exp(points)
    density = 2 * degrees * spreads**2 * chi2.pdf(degrees * spreads**2, degrees)
    parts = [w * _normal(reached * s, share, tested, two_sided) for s, w in zip(spreads, weights * density, strict=True)]
    return np.asarray(np.sum(parts, axis=0))


def _normal(reached: Floats, share: Floats, tested: np.ndarray, two_sided: bool) -> Floats:
    own = np.sqrt(1 - share)
    sharpest = float((np.sqrt(share) / own).max(initial=0.0))
    count = math.ceil((32 + 2 * REACH * DENSITY * sharpest) / 16) * 16
    points, weights = _legendre(count, -REACH, REACH)
    weights = weights * np.exp(-0.5 * points**2) / math.sqrt(2 * math.pi)
    centre = np.sqrt(share)[..., None] * points
    # A sum of small probabilities, not 1 minus a product, so that a small result keeps its precision.
    beyond = np.zeros((*reached.shape, count))
    for other in range(reached.shape[-1]):
        at = reached[..., :, None]
        mean, sd = centre[..., other : other + 1, :], own[..., other : other + 1, None]
        further = ndtr((mean - at) / sd)
        if two_sided:
            further = further + ndtr((-at - mean) / sd)
        beyond += np.where(tested[..., other : other + 1, None], further * (1 - beyond), 0.0)
    return np.asarray(beyond @ weights)


def _legendre(count: int, low: float, high: float) -> tuple[Floats, Floats]:
    from sim.stats.stopping_probability import gauss_legendre

    points, weights = gauss_legendre(count)
    half = (high - low) / 2
    return low + half * (1 + points), half * weights


def _shares(champion_share: ArrayLike) -> Floats:
    share = np.asarray(champion_share, np.float64)
    wrong = ~((share >= 0) & (share <= 1))
    if wrong.any():
        require(False, "champion_share", "must lie between 0 and 1", share[wrong].ravel()[0])
    return np.minimum(share, MOST_IN_COMMON)


def _check(statistics: Floats, degrees: float, alternative: str) -> None:
    known = ("two-sided", "greater", "less")
    require(alternative in known, "alternative", f"must be one of {', '.join(known)}", alternative)
    require(degrees >= 1, "degrees_of_freedom", "must be at least 1", degrees)
    require(statistics.ndim > 0, "statistics", "must have an axis of challengers", f"shape {statistics.shape}")
