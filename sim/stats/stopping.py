"""Median-unbiased estimates and intervals after a test with several looks, which may stop early."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from sim.arrays import Floats
from sim.stats.moments import finite
from sim.stats.stopping_probability import Survivors, start
from sim.stats.validation import require, require_share

# The distance of the drifts at which probabilities are integrated, in standard errors of the last look. On the probit scale the
# probabilities are nearly linear in the drift: cubic interpolation errs by at most about .001 (measured).
_STEP = 0.25
_FEWEST = 41


@dataclass(frozen=True)
class Stopped:
    """Estimates of the drift, the mean of the last look's Z, after the test; all fields are (n,).

    `estimate` exceeds the true drift with probability one half. `lower` and `upper` bound an interval with equal tails.
    """

    estimate: Floats
    lower: Floats
    upper: Floats


def median_unbiased(
    information: ArrayLike, lower: ArrayLike, upper: ArrayLike, look: ArrayLike, z: ArrayLike, confidence: float = 0.95
) -> Stopped:
    """Estimates of the drift for n tests that stopped at `look` (n,), counted from 1, with the statistic `z` (n,).

    `information` (K,) are the rising fractions of the last look's information. `lower` and `upper` (K,) are the bounds that end
    the test; they may be infinite. A test may stop at a look only beyond a bound, or at the last look. The effect is drift ×
    standard error × √(information), with the standard error and the fraction of the look at which the test stopped.

    Results are ordered by stages: crossing the upper bound earlier is more extreme than crossing it later, for any value of the
    statistic. The estimate is the drift under which a result at least as extreme has probability one half. Under the bounds of
    the interval, this probability is (1 ∓ confidence) / 2. The estimates do not depend on looks that did not take place.

    Raises `InputError` for information that does not rise, bounds that cross, a look outside 1 to K, a test that has not
    stopped, and values that are not finite.

    Source: Jennison & Turnbull, Group Sequential Methods (2000), §8.2, §8.4 and §8.5; Tsiatis, Rosner & Mehta, Biometrics 40
    (1984); Siegmund, Biometrika 65 (1978).

    >>> stopped = median_unbiased([0.5, 1.0], [-2.178, -2.178], [2.178, 2.178], [1, 2], [3.0, 3.0])
    >>> stopped.estimate.round(3)
    array([4.243, 2.678])
    """
    times, score = finite("information", information), finite("z", z)
    low, high = (np.asarray(bounds, np.float64) for bounds in (lower, upper))
    at = np.asarray(look, np.int64)
    require_share("confidence", confidence)
    require(times.ndim == 1, "information", "must have one axis", f"shape {times.shape}")
    require(at.shape == score.shape and at.ndim == 1, "z", "must have one value for each test, as look", f"shape {score.shape}")
    require(bool(times.size and (np.diff(times, prepend=0.0) > 0).all()), "information", "must rise from above 0", information)
    require(low.shape == high.shape == times.shape, "upper", "must have a bound for each look, as lower", high.shape)
    require(bool((low <= high).all()), "lower", "must not exceed upper", lower)
    require(bool((low < np.inf).all()), "lower", "must be below infinity", lower)
    require(bool((high > -np.inf).all()), "upper", "must be above minus infinity", upper)
    require(bool(((at >= 1) & (at <= times.size)).all()), "look", f"must be from 1 to {times.size}", look)
    beyond = (score >= high[at - 1]) | (score <= low[at - 1]) | (at == times.size)
    require(bool(beyond.all()), "z", "must lie beyond a bound of its look, unless that is the last", z)
    fractions = times / times[-1]
    tails = np.array([0.5, (1 - confidence) / 2, (1 + confidence) / 2])
    drifts = np.full((at.size, tails.size), np.nan)
    for stop in np.unique(at):
        stopped_here = at == stop
        # A result below the lower bound is above the upper bound of the mirrored test.
        below = score <= low[stop - 1]
        for sign, rows, bounds in ((1.0, stopped_here & ~below, (low, high)), (-1.0, stopped_here & below, (-high, -low))):
            if rows.any():
                drifts[rows] = sign * _inverted(fractions[:stop], *bounds, sign * score[rows], tails)
    return Stopped(drifts[:, 0], np.minimum(drifts[:, 1], drifts[:, 2]), np.maximum(drifts[:, 1], drifts[:, 2]))


def _inverted(fractions: Floats, lower: Floats, upper: Floats, z: Floats, tails: Floats) -> Floats:
    """(n, T) drifts under which a result at least as extreme as z (n,) at the last fraction has the probabilities (T,)."""
    roots = np.sqrt(fractions)
    low, high = _range(roots, lower, upper, z, tails)
    nodes = np.linspace(low, high, max(_FEWEST, math.ceil((high - low) * roots[-1] / _STEP)))
    chances = np.stack([_extreme(fractions, lower, upper, z, drift) for drift in nodes])
    scores = ndtri(np.clip(chances, 1e-15, 1 - 1e-15))
    sought = ndtri(tails)
    after = np.clip((scores[:, :, None] < sought).sum(axis=0), 2, nodes.size - 2)
    near = after[..., None] + np.arange(-2, 2)
    known = np.take_along_axis(scores.T[:, None, :], near, axis=2)
    drift: Floats = _lagrange(known, nodes[near], sought)
    return drift


def _range(roots: Floats, lower: Floats, upper: Floats, z: Floats, tails: Floats) -> tuple[float, float]:
    """A range that contains all required drifts, by the union bound over looks."""
    reach = -float(ndtri(tails.min() / roots.size)) + 2 * _STEP
    earlier = len(roots) - 1
    low = (np.append(upper[:earlier], z.min()) - reach) / roots
    # A result is extreme if Z exceeds the upper bound at one look, and is below no lower bound before.
    high = (np.append(upper[:earlier], z.max()) + reach) / roots
    going = np.append(-np.inf, (lower[:earlier] + reach) / roots[:earlier])
    return float(low.min()), float(np.maximum(high, np.maximum.accumulate(going)).min())


def _lagrange(x: Floats, y: Floats, at: Floats) -> Floats:
    """(n, T) values of the cubics through four points each, x and y (n, T, 4), at (T,)."""
    value = np.zeros(x.shape[:2])
    for one in range(4):
        weight = np.ones(x.shape[:2])
        for other in range(4):
            if other != one:
                weight *= (at - x[..., other]) / (x[..., one] - x[..., other])
        value += weight * y[..., one]
    return value


def _extreme(fractions: Floats, lower: Floats, upper: Floats, z: Floats, drift: float) -> Floats:
    """(n,) probability under a drift to cross the upper bound before the last fraction, or to exceed z (n,) there."""
    survivors, crossed = start(drift), 0.0
    for place, time in enumerate(fractions[:-1]):
        crossed += survivors.above(float(upper[place]), float(time))
        survivors = survivors.step(float(lower[place]), float(upper[place]), float(time), float(fractions[place + 1]))
    return crossed + _above(survivors, z, float(fractions[-1]))


def _above(survivors: Survivors, z: Floats, time: float) -> Floats:
    """(n,) `Survivors.above` for many z."""
    increment = time - survivors.time
    mean = survivors.nodes + survivors.drift * increment
    chance: Floats = survivors.mass @ ndtr((mean[:, None] - z * np.sqrt(time)) / np.sqrt(increment))
    return chance
