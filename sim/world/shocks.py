"""Random shocks: a factor on an outcome's mean that all arms share, with a course of its own in every replication.

The factor of a tick is exp(s Z) / E[exp(s Z)]. Z is a standard normal process, sampled once a tick, with autocorrelation
exp(-lag / correlation time): an Ornstein-Uhlenbeck process. It is cut off at four standard deviations, so that there is a
largest factor, by which a world is checked before it is played; one value in 16,000 is cut. s is such that the standard
deviation of the factor is the one asked for, cut-off included, and its mean is 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from sim.arrays import Floats
from sim.world.draws import normal
from sim.world.streams import at, keys

CUT = 4.0
"""Standard deviations of the logarithm, beyond which a shock is cut off."""
# The standard deviation of a standard normal that is cut off: E[Z^2] within, and the two ends.
_CUT_SD = math.sqrt(1 - 2 * ndtr(-CUT) - 2 * CUT * math.exp(-CUT * CUT / 2) / math.sqrt(2 * math.pi) + 2 * CUT**2 * ndtr(-CUT))
_SMALL = 1e-4


@dataclass(frozen=True)
class Shocks:
    """Shocks of one metric. sd: of the factor; correlation: of the factor's logarithm from one tick to the next.

    >>> shocks = Shocks("conversion", 0.1, 0.9)
    >>> round(shocks.least, 3), round(shocks.most, 3)
    (0.668, 1.483)
    """

    metric: str
    sd: float
    correlation: float

    @classmethod
    def of(cls, metric: str, sd: float, correlation_s: float, tick_s: float) -> Shocks:
        """Of a correlation time in seconds."""
        return cls(metric, sd, math.exp(-tick_s / correlation_s))

    @cached_property
    def spread(self) -> float:
        """s, the standard deviation of the logarithm before it is cut off."""
        if self.sd < _SMALL:
            # The factor is 1 + s Z but for its square: the formula below would lose its digits.
            return self.sd / _CUT_SD
        from scipy.optimize import brentq

        # Without the cut-off, the variance of a log-normal factor of mean 1 is exp(s^2) - 1.
        uncut = math.sqrt(math.log1p(self.sd**2))
        found = brentq(lambda s: _moment(2 * s) / _moment(s) ** 2 - 1 - self.sd**2, 0.5 * uncut, 2 * uncut, xtol=1e-15)
        return float(found)

    @cached_property
    def _centre(self) -> float:
        return _moment(self.spread)

    @property
    def most(self) -> float:
        """The largest factor."""
        return math.exp(self.spread * CUT) / self._centre

    @property
    def least(self) -> float:
        """The smallest factor."""
        return math.exp(-self.spread * CUT) / self._centre

    def factors(self, seed: int, replications: Sequence[int] | NDArray[np.int64], ticks: int) -> Floats:
        """(R, T) the factor of every tick, which depends on (seed, replication, metric) alone."""
        from scipy.signal import lfilter

        key = keys(seed, replications, f"shocks.{self.metric}")[:, None]
        fresh = normal(at(key, np.arange(1, ticks + 1, dtype=np.uint64)))
        if ticks > 1:
            # Stationary from the first tick on.
            fresh[:, 1:] *= math.sqrt(1 - self.correlation**2)
            fresh = lfilter([1.0], [1.0, -self.correlation], fresh, axis=1)
        factors: Floats = np.exp(self.spread * np.clip(fresh, -CUT, CUT)) / self._centre
        return factors


def _moment(s: float) -> float:
    """E[exp(s Z)] of a standard normal Z that is cut off at both sides: what lies within, and the two ends."""
    within = math.exp(s * s / 2) * (ndtr(CUT - s) - ndtr(-CUT - s))
    return float(within + ndtr(-CUT) * (math.exp(s * CUT) + math.exp(-s * CUT)))
