"""What a test is worth where most ideas do harm and a few are very good: priors of the effect with thin and with fat tails.

Source: Azevedo, Deng, Montiel Olea, Rao & Weyl, A/B Testing with Fat Tails, Journal of Political Economy 128 (2020), whose
production function `value` is.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from sim.arrays import Floats

Density = Callable[[Floats], Floats]
"""Densities (N,) of effects (N,)."""

# The integrands are smooth on x = width * sinh(y), so that the trapezoid rule converges geometrically, also in fat tails.
_Y, _STEP = np.linspace(-40.0, 40.0, 5_121, retstep=True)


def threshold(error: float, prior: Density, scale: float) -> float:
    """The least estimate above 0 at which an idea is worth taking: where the mean of the effect, given the estimate, is 0.

    `error` is the standard error of a normal estimate of the effect. `scale` is the width of the prior; its mean is at most 0.

    >>> from scipy.stats import norm
    >>> round(threshold(2.0, norm(-1, 1).pdf, 1.0), 6)
    4.0
    """
    from scipy.optimize import brentq

    effects, weights = _grid(error, scale)
    weighted = effects * prior(effects) * weights

    def gain(estimate: float) -> float:
        return float(weighted @ np.exp(-(((estimate - effects) / error) ** 2) / 2))

    if gain(0.0) >= 0:
        return 0.0
    above = error + scale
    while gain(above) < 0:
        above *= 2
    return float(brentq(gain, 0.0, above, xtol=1e-12 * above))


def value(error: float, prior: Density, scale: float) -> float:
    """What an idea is worth in expectation, if it is taken where its estimate is above the `threshold` and else is dropped.

    >>> from scipy.stats import norm
    >>> round(value(2.0, norm(-1, 1).pdf, 1.0), 6), round(normal_value(2.0, -1.0, 1.0), 6)
    (0.001971, 0.001971)
    """
    from scipy.special import ndtr

    effects, weights = _grid(error, scale)
    taken = ndtr((effects - threshold(error, prior, scale)) / error)
    return float((effects * prior(effects) * weights) @ taken)


def normal_value(error: float, mean: float, sd: float) -> float:
    """`value` for a normal prior, in closed form: the mean of the positive part of the posterior mean, which is normal too."""
    from scipy.special import ndtr

    spread = sd**2 / math.hypot(sd, error)
    standard = mean / spread
    return float(spread * math.exp(-(standard**2) / 2) / math.sqrt(2 * math.pi) + mean * ndtr(standard))


def _grid(error: float, scale: float) -> tuple[Floats, Floats]:
    """(N,) effects and the weights of an integral over them, fine where the prior or the test changes fast."""
    width = min(error, scale)
    return width * np.sinh(_Y), width * np.cosh(_Y) * _STEP
