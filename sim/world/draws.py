"""Exact draws from keyed uniforms, vectorised: every element has a key of its own, and no draw depends on another element.

Written twice: here, to be read, in passes over arrays; and in `kernels`, compiled, with the same bits. `sim.ways` says which
one plays.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from sim import ways
from sim.arrays import Floats, Ints
from sim.world import elementary
from sim.world.streams import Keys, at, uniforms

SMALL_MEAN = 10.0


def normal(key: Keys) -> Floats:
    """Standard normals, by inversion."""
    drawn: Floats = ndtri(uniforms(key))
    return drawn


def binomial(n: NDArray[np.int64] | Floats, p: Floats | float, key: Keys) -> Ints:
    """Binomial(n, p) for every element; n up to 10^12.

    Beyond, terms of the test of acceptance are so large that their rounding shows: with 10^6 draws a Kolmogorov-Smirnov test
    finds it at n = 10^15, and not at 10^14. So a replication has fewer requests: `sim.scenario.traffic.MOST_REQUESTS`.

    By inversion where min(p, 1 - p) n is below 10, else by transformed rejection with squeeze (BTRS; Hörmann 1993, "The
    generation of binomial random variates", J. Stat. Comput. Simul. 46), whose tries take further uniforms of the same key.

    >>> from sim.world.streams import keys
    >>> binomial(np.array([0, 5, 5]), np.array([0.5, 0.0, 1.0]), keys(1, [0, 1, 2], "x")).tolist()
    [0, 0, 5]
    """
    trials, chance = np.asarray(n, np.float64), np.asarray(p, np.float64)
    shape = np.broadcast_shapes(trials.shape, chance.shape, key.shape)
    trials, chance, key = (_flat(each, shape) for each in (trials, chance, key))
    if ways.compiles(key.size):
        from sim.world import kernels

        drawn: Ints = kernels.binomials(trials, chance, key)
        return drawn.reshape(shape)
    return _binomial(trials, chance, key).reshape(shape)


def binomial_at(n: Ints, p: Floats | float, key: Keys, counters: Keys) -> Ints:
    """(r, K) binomial(n, p, at(key, counters)) in one go: n (r, K) or (r, 1), key (r, 1), counters (K,), and p broadcasts.

    >>> from sim.world.streams import keys
    >>> key, counters, n = keys(1, [0, 1], "x")[:, None], np.arange(3, dtype=np.uint64), np.full((2, 3), 100)
    >>> bool((binomial_at(n, 0.3, key, counters) == binomial(n, 0.3, at(key, counters))).all())
    True
    """
    shape = len(key), counters.size
    if not ways.compiles(shape[0] * shape[1]):
        return binomial(n, p, at(key, counters))
    from sim.world import kernels

    trials, chance = (_flat(np.asarray(each, np.float64), shape).reshape(shape) for each in (n, p))
    drawn: Ints = kernels.binomials_at(trials, chance, _flat(key, key.shape), _flat(counters, counters.shape))
    return drawn


def _flat(values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """(N,) the values as they stand in an array of this shape.

    Never read-only: Numba takes such arrays for another type, and would compile its kernels once more.
    """
    whole = values if values.shape == shape else np.broadcast_to(values, shape)
    flat = np.ascontiguousarray(whole).reshape(-1)
    return flat if flat.flags.writeable else flat.copy()


def _binomial(trials: Floats, chance: Floats, key: Keys) -> Ints:
    flip = chance > 0.5
    rare = np.where(flip, 1.0 - chance, chance)
    mean = trials * rare
    drawn = np.zeros(trials.size)
    few = (mean < SMALL_MEAN) & (mean > 0)
    many = mean >= SMALL_MEAN
    if many.all():
        drawn = _btrs(trials, rare, key)
    else:
        if few.any():
            drawn[few] = _inversion(trials[few], rare[few], uniforms(key[few]))
        if many.any():
            drawn[many] = _btrs(trials[many], rare[many], key[many])
    return np.where(flip, trials - drawn, drawn).astype(np.int64)


def _inversion(n: Floats, p: Floats, u: Floats) -> Floats:
    """Sequential search from 0; the mean is small, so the search is short."""
    odds = p / (1.0 - p)
    term = elementary.exp(n * elementary.log1p(-p))
    drawn = np.zeros(n.size)
    u = u - term
    open_ = np.flatnonzero(u > 0)
    n, odds, term, u = n[open_], odds[open_], term[open_], u[open_]
    k = 0
    while open_.size:
        k += 1
        term = term * odds * ((n - (k - 1)) / k)
        u = u - term
        # Rounding can leave a sliver of probability above the last outcome: nothing lies beyond n.
        over = (u <= 0) | (k >= n) | ((term < 1e-300) & (k > n * odds))
        if over.any():
            drawn[open_[over]] = k
            left = ~over
            open_, n, odds, term, u = open_[left], n[left], odds[left], term[left], u[left]
    return drawn


# Tries made at once for the few whose first one the squeeze does not accept; more are made in turn.
_TRIES = 4


def _btrs(n: Floats, p: Floats, key: Keys) -> Floats:
    spread = np.sqrt(n * p * (1.0 - p))
    b = 1.15 + 2.53 * spread
    a = -0.0873 + 0.0248 * b + 0.01 * p
    centre = n * p + 0.5
    v_r = 0.92 - 4.2 / b
    u = uniforms(at(key, 1)) - 0.5
    us = 0.5 - np.abs(u)
    drawn: Floats = np.floor((2.0 * a / us + b) * u + centre)
    open_ = np.flatnonzero((us < 0.07) | (uniforms(at(key, 2)) > v_r))
    tries = np.arange(_TRIES, dtype=np.uint64)
    while open_.size:
        keys_ = key[open_, None]
        n_, p_, spread_, a_, b_, centre_, v_r_ = np.stack((n, p, spread, a, b, centre, v_r))[:, open_, None]
        u = uniforms(at(keys_, 2 * tries + 1)) - 0.5
        v = uniforms(at(keys_, 2 * tries + 2))
        us = 0.5 - np.abs(u)
        k = np.floor((2.0 * a_ / us + b_) * u + centre_)
        accepted = ((us >= 0.07) & (v <= v_r_)) | _accepts(n_, p_, spread_, a_, b_, us, v, k)
        drawn[open_] = k[np.arange(open_.size), accepted.argmax(axis=1)]
        open_ = open_[~accepted.any(axis=1)]
        tries = tries + np.uint64(_TRIES)
    return drawn


def _accepts(n: Floats, p: Floats, spread: Floats, a: Floats, b: Floats, us: Floats, v: Floats, k: Floats) -> NDArray[np.bool_]:
    """The exact acceptance test of BTRS; Stirling's corrections in place of log-factorials, which lose digits at large n."""
    possible = (k >= 0) & (k <= n)
    k = np.where(possible, k, 0.0)
    alpha = (2.83 + 5.1 / b) * spread
    odds = p / (1.0 - p)
    mode = np.floor((n + 1.0) * p)
    left = elementary.log(v * alpha / (a / (us * us) + b))
    right = (
        (mode + 0.5) * elementary.log((mode + 1.0) / (odds * (n - mode + 1.0)))
        + (n + 1.0) * elementary.log1p((k - mode) / (n - k + 1.0))
        + (k + 0.5) * elementary.log(odds * (n - k + 1.0) / (k + 1.0))
        + _stirling(mode)
        + _stirling(n - mode)
        - _stirling(k)
        - _stirling(n - k)
    )
    accepted: NDArray[np.bool_] = possible & (left <= right)
    return accepted


STIRLING = np.array(
    [
        0.0810614667953272, 0.0413406959554092, 0.0276779256849983, 0.02079067210376509, 0.0166446911898211,
        0.0138761288230707, 0.0118967099458917, 0.0104112652619720, 0.00925546218271273, 0.00833056343336287,
    ]
)  # fmt: skip


def _stirling(k: Floats) -> Floats:
    """log k! - log(sqrt(2 pi) (k + 1)^(k + 1/2) e^-(k + 1)), Hörmann's tail function."""
    one = k + 1.0
    square = one * one
    series = (1.0 / 12.0 - (1.0 / 360.0 - 1.0 / 1260.0 / square) / square) / one
    few = k < 10
    if few.any():
        series[few] = STIRLING[k[few].astype(np.intp)]
    return series


def gamma(shape: Floats, key: Keys) -> Floats:
    """Gamma(shape, 1) for shape >= 1/2 (Marsaglia & Tsang 2000), below 1 by boosting."""
    shape, key = np.broadcast_arrays(shape, key)
    flat, keys_ = shape.ravel(), key.ravel()
    boosted = np.where(flat < 1, flat + 1, flat)
    d = boosted - 1.0 / 3.0
    c = 1.0 / np.sqrt(9.0 * d)
    drawn = np.empty(flat.size)
    open_ = np.arange(flat.size)
    tries = 0
    while open_.size:
        here = keys_[open_]
        x = ndtri(uniforms(at(here, 2 * tries + 1)))
        u = uniforms(at(here, 2 * tries + 2))
        dd, cc = d[open_], c[open_]
        v = (1.0 + cc * x) ** 3
        with np.errstate(invalid="ignore", divide="ignore"):
            accepted = (v > 0) & (np.log(u) < 0.5 * x * x + dd - dd * v + dd * np.log(np.where(v > 0, v, 1.0)))
        drawn[open_[accepted]] = (dd * v)[accepted]
        open_ = open_[~accepted]
        tries += 1
    small = flat < 1
    if small.any():
        drawn[small] *= uniforms(at(keys_[small], 0)) ** (1.0 / flat[small])
    return drawn.reshape(shape.shape)


def multinomial(n: Ints, p: Floats, key: Keys) -> Ints:
    """(..., G) counts of n (...) draws among G outcomes with chances p (..., G) or (G,), by conditional binomials.

    >>> from sim.world.streams import keys
    >>> int(multinomial(np.array([10]), np.array([0.2, 0.3, 0.5]), keys(1, [0], "x")).sum())
    10
    """
    left = np.asarray(n, np.int64)
    # (…, G), of as few dimensions as it has: what many elements share is worked out once.
    chances = np.asarray(p, np.float64)
    shares = among_the_rest(chances)
    groups = chances.shape[-1]
    if ways.compiles(left.size * (groups - 1)):
        from sim.world import kernels

        flat = _flat(shares, shares.shape if shares.ndim == 1 else (*left.shape, groups)).reshape(-1, groups)
        counts: Ints = kernels.multinomials(_flat(left, left.shape), flat, _flat(key, left.shape))
        return counts.reshape(*left.shape, groups)
    drawn = np.zeros((*left.shape, groups), np.int64)
    for outcome in range(groups - 1):
        if not left.any():
            break
        drawn[..., outcome] = binomial(left, shares[..., outcome], at(key, 2**32 + outcome))
        left = left - drawn[..., outcome]
    drawn[..., -1] = left
    return drawn


def among_the_rest(chances: Floats) -> Floats:
    """(..., G) each outcome's chance among those that come no earlier, from chances (..., G), which need not sum to 1.

    >>> among_the_rest(np.array([0.2, 0.4, 0.4])).tolist()
    [0.2, 0.5, 1.0]
    """
    # From the tail's sums: no cancellation near the end.
    tails = np.cumsum(chances[..., ::-1], axis=-1)[..., ::-1]
    return np.clip(chances / np.where(tails > 0, tails, 1.0), 0.0, 1.0)
