"""Draws of a distribution of times, made of one uniform each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim.arrays import Floats
from sim.distributions import latency as written


def drawn(distribution: written.Latency, uniform: Floats) -> Floats:
    """Seconds, in the shape of `uniform`: by inversion. `uniform` is between 0 and 1, and neither.

    Of a mixture, the part of a uniform that says which component it is leaves the rest of it for the component's own draw.

    >>> spec = written.Exponential(exponential="1h")
    >>> drawn(spec, np.array([0.5])).round(3).tolist()
    [2495.33]
    """
    from scipy.special import gammaincinv, ndtri

    found: NDArray[np.floating]
    match distribution:
        case written.LatencyLogNormal():
            found = np.exp(distribution.mu + distribution.sigma * ndtri(uniform))
        case written.Exponential():
            found = -distribution.mean_s * np.log1p(-uniform)
        case written.LatencyGamma():
            found = distribution.scale * gammaincinv(distribution.shape, uniform)
        case written.LatencyWeibull():
            found = distribution.scale_s * (-np.log1p(-uniform)) ** (1 / distribution.shape)
        case written.LatencyPareto():
            found = distribution.minimum_s * (1 - uniform) ** (-1 / distribution.tail)
        case written.Constant():
            found = np.full(np.shape(uniform), distribution.value_s)
        case written.Quantiles():
            found = np.interp(uniform, distribution.levels, distribution.values_s)
        case written.Mixture():
            ends = np.cumsum(distribution.shares) / sum(distribution.shares)
            starts = np.concatenate([[0.0], ends[:-1]])
            which = np.minimum(np.searchsorted(ends, uniform, side="right"), ends.size - 1)
            rest = (uniform - starts[which]) / (ends - starts)[which]
            rest = np.clip(rest, 2.0**-54, 1 - 2.0**-53)
            found = np.zeros(np.shape(uniform))
            for place, component in enumerate(distribution.mixture):
                found[which == place] = drawn(component, rest[which == place])
    return np.asarray(found, np.float64)
