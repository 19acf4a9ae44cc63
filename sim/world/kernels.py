"""The keyed draws of `draws`, compiled: the same algorithms, the same keys, and the same bits, one element after the other.

Read `draws` first. Every operation here is done there in the same order on whole arrays; `tests/world/test_kernels.py` holds
the two together. Only `draws` and other kernels import this module, when there is enough to draw.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sim.arrays import Floats, Ints
from sim.jit import compiled
from sim.world import elementary
from sim.world.draws import SMALL_MEAN, STIRLING
from sim.world.elementary import LOG_2_HIGH, LOG_2_LOW, NEAR_1, PER_LOG_2
from sim.world.sampling import at, log, unit
from sim.world.streams import Keys

_1 = np.uint64(1)
_ROUNDING = 1e-9
# Counters of the draws of a multinomial, as in `draws.multinomial`.
OUTCOMES = np.uint64(2**32)
# A power of 2 by its bits: those of its exponent lie above 52 of its fraction, and are 1023 for 1.
_FRACTION, _ONE_POWER = np.int64(52), np.int64(1023)

_atanh_series, _exp_series = compiled(elementary.atanh_series), compiled(elementary.exp_series)


@compiled
def binomials(n: Floats, p: Floats, key: Keys) -> Ints:
    """(N,) Binomial(n, p) for every element."""
    drawn = np.empty(n.size, np.int64)
    for place in range(n.size):
        drawn[place] = binomial(n[place], p[place], key[place])
    return drawn


@compiled
def binomials_at(n: Floats, p: Floats, key: Keys, counters: Keys) -> Ints:
    """(r, K) Binomial(n, p) for every element of n and p (r, K), each with the key number counters (K,) of a row's key (r,)."""
    rows, lanes = n.shape
    drawn = np.empty((rows, lanes), np.int64)
    for row in range(rows):
        for lane in range(lanes):
            drawn[row, lane] = binomial(n[row, lane], p[row, lane], at(key[row], counters[lane]))
    return drawn


@compiled
def multinomials(n: Ints, shares: Floats, key: Keys) -> Ints:
    """(N, G) counts of n (N,), with the chance (N, G) or (1, G) of each outcome among those that are left."""
    groups = shares.shape[1]
    drawn = np.zeros((n.size, groups), np.int64)
    step = 1 if len(shares) > 1 else 0
    for place in range(n.size):
        left = n[place]
        for outcome in range(groups - 1):
            if left == 0:
                break
            found = binomial(float(left), shares[place * step, outcome], at(key[place], OUTCOMES + np.uint64(outcome)))
            drawn[place, outcome] = found
            left -= found
        drawn[place, groups - 1] = left
    return drawn


@compiled
def binomial(n: Any, p: Any, key: Any) -> Any:
    flip = p > 0.5
    rare = 1.0 - p if flip else p
    mean = n * rare
    drawn = 0.0
    if mean >= SMALL_MEAN:
        drawn = _btrs(n, rare, key)
    elif mean > 0:
        drawn = _inversion(n, rare, unit(key))
    return np.int64(n - drawn if flip else drawn)


@compiled
def _inversion(n: Any, p: Any, u: Any) -> Any:
    # (1 - p)^n is at least 1 - n p, from which the rounding of neither is as far as this.
    if u < 1.0 - n * p - _ROUNDING:
        return 0.0
    odds = p / (1.0 - p)
    term = _exp(n * _log1p(-p))
    k = 0.0
    u = u - term
    while u > 0:
        k += 1.0
        term = term * odds * ((n - (k - 1.0)) / k)
        u = u - term
        if k >= n or (term < 1e-300 and k > n * odds):
            break
    return k


@compiled
def _btrs(n: Any, p: Any, key: Any) -> Any:
    spread = math.sqrt(n * p * (1.0 - p))
    b = 1.15 + 2.53 * spread
    a = -0.0873 + 0.0248 * b + 0.01 * p
    centre = n * p + 0.5
    v_r = 0.92 - 4.2 / b
    counter = _1
    while True:
        u = unit(at(key, counter)) - 0.5
        us = 0.5 - abs(u)
        v = unit(at(key, counter + _1))
        k = np.floor((2.0 * a / us + b) * u + centre)
        if (us >= 0.07 and v <= v_r) or _accepts(n, p, spread, a, b, us, v, k):
            return k
        counter += _1 + _1


@compiled
def _accepts(n: Any, p: Any, spread: Any, a: Any, b: Any, us: Any, v: Any, k: Any) -> Any:
    if not (k >= 0 and k <= n):
        return False
    alpha = (2.83 + 5.1 / b) * spread
    odds = p / (1.0 - p)
    mode = np.floor((n + 1.0) * p)
    left = log(v * alpha / (a / (us * us) + b))
    right = (
        (mode + 0.5) * log((mode + 1.0) / (odds * (n - mode + 1.0)))
        + (n + 1.0) * _log1p((k - mode) / (n - k + 1.0))
        + (k + 0.5) * log(odds * (n - k + 1.0) / (k + 1.0))
        + _stirling(mode)
        + _stirling(n - mode)
        - _stirling(k)
        - _stirling(n - k)
    )
    return left <= right


@compiled
def _stirling(k: Any) -> Any:
    if k < 10:
        return STIRLING[int(k)]
    one = k + 1.0
    square = one * one
    return (1.0 / 12.0 - (1.0 / 360.0 - 1.0 / 1260.0 / square) / square) / one


@compiled
def _log1p(x: Any) -> Any:
    return _atanh_series(x / (2.0 + x)) if abs(x) < NEAR_1 else log(1.0 + x)


@compiled
def _exp(x: Any) -> Any:
    power = np.floor(x * PER_LOG_2 + 0.5)
    # `ldexp` of a number near 1 to a power that leaves it normal, by the bits of that power of 2.
    grown = np.int64((np.int64(power) + _ONE_POWER) << _FRACTION).view(np.float64)
    series: Any = _exp_series((x - power * LOG_2_HIGH) - power * LOG_2_LOW)
    return grown * series
