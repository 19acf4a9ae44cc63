"""The probability that one Beta variable exceeds another, from the cumulants of the difference of their log-odds.

The log-odds of a Beta(a, b) variable are the difference of the logarithms of two gamma variables. So their cumulants are
polygamma functions: κₙ = ψ⁽ⁿ⁻¹⁾(a) + (−1)ⁿ ψ⁽ⁿ⁻¹⁾(b). The cumulants of independent variables add up, and an Edgeworth series
turns them into a probability. The series is twenty times faster than an integral.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtr

from sim import ways
from sim.arrays import Bools, Floats, whole

# From these parameters on, the series is as precise as the integrals of `posterior`.
SERIES_FROM = 20

# The largest parameters for which it is.
MOST = 1e12

# About so many passes over arrays are what a kernel saves.
PASSES = 100

# Asymptotic series of the polygamma functions 0 to 5, by powers of 1/x (Abramowitz & Stegun 1964, 6.3.18, 6.4.11 to 6.4.14).
# Function 0 is without its logarithm. At 20 the first omitted term is below 1e-9 of the function.
POLYGAMMA = (
    (0.0, -1 / 2, -1 / 12, 0.0, 1 / 120, 0.0, -1 / 252),
    (0.0, 1.0, 1 / 2, 1 / 6, 0.0, -1 / 30, 0.0, 1 / 42),
    (0.0, 0.0, -1.0, -1.0, -1 / 2, 0.0, 1 / 6, 0.0, -1 / 6),
    (0.0, 0.0, 0.0, 2.0, 3.0, 2.0, 0.0, -1.0, 0.0, 4 / 3),
    (0.0, 0.0, 0.0, 0.0, -6.0, -12.0, -10.0, 0.0, 7.0, 0.0, -12.0),
    (0.0, 0.0, 0.0, 0.0, 0.0, 24.0, 60.0, 60.0, 0.0, -56.0, 0.0, 120.0),
)

# The same, one row each, filled up with zeros.
_TABLE = np.array([row + (0.0,) * (max(map(len, POLYGAMMA)) - len(row)) for row in POLYGAMMA])


def exceeds(a0: Floats, b0: Floats, a1: Floats, b1: Floats) -> Floats:
    """P(Beta(a1, b1) > Beta(a0, b0)), (n,), for parameters of the same shape.

    Absolute error below 5e-6 where all parameters are at least `SERIES_FROM`, 1e-7 where they are at least 100 (measured).

    Source: Edgeworth series to the sixth cumulant: Kendall & Stuart, The Advanced Theory of Statistics 1 (1977), 6.18.

    >>> exceeds(*(np.array([count]) for count in (20.0, 980.0, 30.0, 970.0))).round(4)
    array([0.9263])
    """
    odds = np.log((a1 / b1) / (a0 / b0))
    if ways.compiles(PASSES * odds.size):
        given = np.stack([a0, b0, a1, b1]).reshape(4, -1)
        return _summed(*_compiled(given, whole(odds).reshape(-1))).reshape(odds.shape)
    return _summed(*_edgeworth(a0, b0, a1, b1, odds))


def best_of_pairs(a: Floats, b: Floats, among: Bools) -> Floats | None:
    """(n, 2) the probability that each of two Beta(a, b) variables, parameters (n, 2), is the larger one of those `among`.

    None where the series is not for all of them, or NumPy works it out: see `sim.stats.posterior`.
    """
    if not ways.compiles(PASSES * len(a)):
        return None
    from sim.stats import kernels

    given, ratio, best = np.empty((4, len(a))), np.empty(len(a)), np.empty(a.shape)
    if not kernels.pairs(whole(a), whole(b), float(SERIES_FROM), MOST, given, ratio):
        return None
    kernels.alone(_summed(*_compiled(given, np.log(ratio))), whole(among), best)
    return best


def _compiled(given: Floats, odds: Floats) -> tuple[Floats, Floats]:
    """As `_edgeworth`, of parameters (4, n)."""
    from sim.stats import kernels

    x, series = np.empty(odds.shape), np.empty(odds.shape)
    kernels.edgeworth(_TABLE, given, odds, x, series)
    return x, series


def _summed(x: Floats, series: Floats) -> Floats:
    """The probability of what `_edgeworth` returns."""
    density = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    return np.asarray(np.clip(ndtr(-x) + density * series, 0.0, 1.0))


def _edgeworth(a0: Floats, b0: Floats, a1: Floats, b1: Floats, odds: Floats) -> tuple[Floats, Floats]:
    """(n,) each: 0 in standard deviations above the mean of the difference, and the series that the density there is times.

    odds (n,): the logarithm of the ratio of the arms' odds. `kernels.edgeworth` has the same operations.
    """
    inverse = 1 / np.stack([a0, b1, a1, b0])
    polygammas = [_polynomial(coefficients, inverse) for coefficients in POLYGAMMA]
    # κₙ of the log-odds of arm 1 less those of arm 0: the polygammas of a1 and b0, and (−1)ⁿ times those of b1 and a0.
    cumulants = [psi[2] + psi[3] + sign * (psi[0] + psi[1]) for psi, sign in zip(polygammas, (-1, 1) * 3, strict=True)]
    scale = np.sqrt(cumulants[1])
    x = -(odds + cumulants[0]) / scale
    # By products, which round in one way only: powers do not.
    power = scale * scale
    standard = []
    for cumulant in cumulants[2:]:
        power = power * scale
        standard.append(cumulant / power)
    third, fourth, fifth, sixth = standard
    hermite = [np.ones_like(x), x]
    for order in range(1, 11):
        hermite.append(x * hermite[-1] - order * hermite[-2])
    square = third * third
    series = (
        third / 6 * hermite[2]
        + fourth / 24 * hermite[3] + square / 72 * hermite[5]
        + fifth / 120 * hermite[4] + third * fourth / 144 * hermite[6] + square * third / 1296 * hermite[8]
        + sixth / 720 * hermite[5] + (fourth * fourth / 1152 + third * fifth / 720) * hermite[7]
        + square * fourth / 1728 * hermite[9] + square * square / 31104 * hermite[11]
    )  # fmt: skip
    return x, series


def _polynomial(coefficients: tuple[float, ...], x: Floats) -> Floats:
    value = np.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value *= x
        if coefficient:
            value += coefficient
    return value
