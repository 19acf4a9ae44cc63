"""What varies from replication to replication: draws of relative effects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sim.scenario.priors import (
    ChoiceEffect,
    NormalEffect,
    Prior,
    SpikeSlabEffect,
    SpikeSlabPrior,
    StudentEffect,
    StudentPrior,
    UniformEffect,
)
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
    from scipy.special import ndtri

    match prior:
        case NormalEffect():
            return prior.normal.mean + prior.normal.sd * ndtri(u)
        case StudentEffect():
            return _student(prior.student_t, u)
        case UniformEffect():
            return prior.uniform.low + (prior.uniform.high - prior.uniform.low) * u
        case ChoiceEffect():
            values = np.asarray(prior.choice.values)
            weights = prior.choice.weights or (1 / len(values),) * len(values)
            levels = np.cumsum(weights)
            return values[np.minimum(np.searchsorted(levels, u, side="right"), len(values) - 1)]
        case SpikeSlabEffect():
            return _spike_slab(prior.spike_slab, u)
        case _:
            return np.full(u.shape, float(prior))


def _student(prior: StudentPrior, u: NDArray[np.float64]) -> NDArray[np.float64]:
    """(R,) quantiles of a Student's t, or of what is left of it where its tails are cut."""
    from scipy.special import stdtr, stdtrit

    if prior.within is not None and prior.scale > 0:
        low, high = (stdtr(prior.df, (end - prior.mean) / prior.scale) for end in (-prior.within, prior.within))
        u = low + (high - low) * u
    effects = prior.mean + prior.scale * np.asarray(stdtrit(prior.df, u), np.float64)
    # What rounding may move over the edge.
    return effects if prior.within is None else np.clip(effects, -prior.within, prior.within)


def _spike_slab(prior: SpikeSlabPrior, u: NDArray[np.float64]) -> NDArray[np.float64]:
    """(R,) quantiles of a spike and slab: below 0 of the slab, then 0 over the share of the spike, then of the slab again."""
    from scipy.special import ndtr, ndtri

    slab = 1 - prior.zero
    negative = slab * (ndtr(-prior.mean / prior.sd) if prior.sd > 0 else float(prior.mean < 0))
    effects = np.zeros(u.shape)
    for of_slab, beneath in ((u < negative, 0.0), (u >= negative + prior.zero, prior.zero)):
        effects[of_slab] = prior.mean + prior.sd * (ndtri((u[of_slab] - beneath) / slab) if prior.sd > 0 else 0.0)
    return effects
