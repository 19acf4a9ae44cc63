"""What varies from replication to replication: draws of relative effects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sim.scenario.priors import ChoiceEffect, NormalEffect, Prior, StudentEffect, UniformEffect
from sim.world.streams import keys, uniforms


def effects(prior: Prior, seed: int, replications: Sequence[int] | NDArray[np.int64], stream: str) -> NDArray[np.float64]:
    """(R,) relative effects, one a replication, by inversion of a keyed uniform.

    >>> effects(0.02, 7, [0, 1], "challenger.conversion").tolist()
    [0.02, 0.02]
    """
    return quantiles(prior, uniforms(keys(seed, replications, f"truth.{stream}")))


def quantiles(prior: Prior, u: NDArray[np.float64]) -> NDArray[np.float64]:
    """(R,) the relative effects below which a prior has the shares `u` (R,), in (0, 1).

    >>> quantiles(0.02, np.array([0.1, 0.9])).tolist()
    [0.02, 0.02]
    """
    from scipy.special import ndtri, stdtrit

    match prior:
        case NormalEffect():
            return prior.normal.mean + prior.normal.sd * ndtri(u)
        case StudentEffect():
            return prior.student_t.mean + prior.student_t.scale * np.asarray(stdtrit(prior.student_t.df, u), np.float64)
        case UniformEffect():
            return prior.uniform.low + (prior.uniform.high - prior.uniform.low) * u
        case ChoiceEffect():
            values = np.asarray(prior.choice.values)
            weights = prior.choice.weights or (1 / len(values),) * len(values)
            levels = np.cumsum(weights)
            return values[np.minimum(np.searchsorted(levels, u, side="right"), len(values) - 1)]
        case _:
            return np.full(u.shape, float(prior))
