"""Logarithms and exponentials of nothing but sums, products and quotients, so that they give the same bits anywhere.

IEEE 754 rounds these operations in one way only. It leaves the last bit of `log` and `exp` open, and NumPy's own differ between
processors, and from those that Numba calls. A draw that is accepted here and not there would be another draw.

`atanh_series` and `exp_series` are for an array and, compiled, for one number.
"""

from __future__ import annotations

import math

import numpy as np

from sim.arrays import Floats

# log 2 in two parts: the last bits of the first are 0, so that its product with an exponent is exact.
LOG_2_HIGH, LOG_2_LOW = 0.6931471803691238, 1.9082149292705877e-10
PER_LOG_2 = 1.0 / math.log(2.0)
ROOT_HALF = math.sqrt(0.5)
# Up to here 1 + x loses digits that the series keeps.
NEAR_1 = 0.25
# The polynomial of degree 6 that meets (atanh(f) / f - 1) / f^2 at the Chebyshev points of 0 <= f^2 <= 0.0294473.
_0, _1, _2, _3, _4, _5, _6 = (
    0.3333333333333336, 0.19999999999931778, 0.14285714319603354, 0.11111104642510533, 0.09091504202735437,
    0.07664068712963658, 0.07328539408480736,
)  # fmt: skip
# From the first term to the last. They are summed in pairs, pairs of pairs and so on (Estrin 1960): few wait for others.
_E = tuple(1.0 / math.factorial(power) for power in range(1, 15))


def log(x: Floats) -> Floats:
    """Natural logarithms of positive, normal numbers, to two units in the last place.

    >>> bool(abs(log(np.array([10.0]))[0] - math.log(10)) < 1e-15)
    True
    """
    part, power = np.frexp(x)
    low = part < ROOT_HALF
    part, power = np.where(low, 2.0 * part, part), power - low.astype(np.float64)
    return power * LOG_2_HIGH + (power * LOG_2_LOW + atanh_series((part - 1.0) / (part + 1.0)))


def log1p(x: Floats) -> Floats:
    """log(1 + x) for x > -1, to a few units in the last place, also where x is small.

    >>> float(log1p(np.array([1e-20]))[0])
    1e-20
    """
    near = np.abs(x) < NEAR_1
    drawn: Floats = np.where(near, atanh_series(np.where(near, x, 0.0) / (2.0 + x)), log(np.where(near, 1.0, 1.0 + x)))
    return drawn


def exp(x: Floats) -> Floats:
    """Exponentials of numbers from -700 to 700, to two units in the last place.

    >>> bool(abs(exp(np.array([-1.0]))[0] - math.exp(-1)) < 1e-16)
    True
    """
    power = np.floor(x * PER_LOG_2 + 0.5)
    grown: Floats = np.ldexp(exp_series((x - power * LOG_2_HIGH) - power * LOG_2_LOW), power.astype(np.int64))
    return grown


def atanh_series(f: Floats) -> Floats:
    """2 atanh(f) = log((1 + f) / (1 - f)), for |f| <= 0.1716: what the polynomial leaves out is below 2^-57 of it.

    Even and odd terms are summed apart, as a processor can do both at once.
    """
    s = f * f
    w = s * s
    even = _0 + w * (_2 + w * (_4 + w * _6))
    odd = _1 + w * (_3 + w * _5)
    return 2.0 * f + 2.0 * f * (s * (even + s * odd))


def exp_series(r: Floats) -> Floats:
    """e^r for |r| <= log(2) / 2: Taylor's polynomial of degree 14."""
    r_2 = r * r
    r_4 = r_2 * r_2
    low = (_E[0] + _E[1] * r) + (_E[2] + _E[3] * r) * r_2
    middle = (_E[4] + _E[5] * r) + (_E[6] + _E[7] * r) * r_2
    high = (_E[8] + _E[9] * r) + (_E[10] + _E[11] * r) * r_2
    top = _E[12] + _E[13] * r
    return 1.0 + (low + middle * r_4 + (high + top * r_4) * (r_4 * r_4)) * r
