"""Sequential test that the rate of an event is higher in one arm than in another."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from sim.arrays import Floats
from sim.stats.moments import non_negative, positive
from sim.stats.validation import broadcast, require, require_positive

# The alternatives of the mixture: from a small rise, which takes long to detect, to a large rise.
MULTIPLES = np.geomspace(1.1, 32.0, 16)


def log_ratios(
    events0: ArrayLike,
    units0: ArrayLike,
    events1: ArrayLike,
    units1: ArrayLike,
    *,
    multiples: ArrayLike = MULTIPLES,
    null: float = 1.0,
) -> Floats:
    """Log likelihood ratios (..., G) of a batch of events: arm 1's rate is `null` · multiples[g] times arm 0's, against `null`.

    An event belongs to arm 1 with probability p·ρ / (1 + p·(ρ − 1)), where ρ is the ratio of the rates and p is arm 1's share
    of the units. So a batch with e₁ of e events in arm 1 has the log ratio e₁·log(m) − e·log((1 + p·(m·ρ₀ − 1)) /
    (1 + p·(ρ₀ − 1))). Inputs are counts and broadcast together. The log ratio is 0 where there is no event or an arm has no
    units. Log ratios of batches add up, for any shares and levels of the rates in the batches.

    Each ratio is a supermartingale with mean at most 1 if arm 1's rate is at most `null` times arm 0's. At the boundary the
    mean is exactly 1 for Poisson events, and less for binomial events, since E[aˣ] = (1 + q(a − 1))ⁿ ≤ exp(nq(a − 1)). The
    average of the ratios is a supermartingale too; `log_mixture` gives its logarithm.

    Raises `InputError` for negative counts, multiples that do not exceed 1, or a null that is not positive.

    Source: Lindon, Sanden & Shirikian, Rapid Regression Detection in Software Deployments through Sequential Testing, KDD
    (2022), §4, with a discrete, one-sided mixture (Robbins, Annals of Mathematical Statistics 41 (1970)) in place of its
    conjugate one.

    >>> log_ratios([10, 0], [1000, 0], [20, 0], [1000, 0], multiples=[2.0]).round(3)
    array([[1.699],
           [0.   ]])
    """
    require_positive("null", null)
    multiple = positive("multiples", multiples)
    if (multiple <= 1).any():
        require(False, "multiples", "must exceed 1", multiple[multiple <= 1][0])
    other, n0, events, n1 = broadcast(
        events0=non_negative("events0", events0), units0=non_negative("units0", units0),
        events1=non_negative("events1", events1), units1=non_negative("units1", units1),
    )  # fmt: skip
    both = (n0 > 0) & (n1 > 0)
    share = np.where(both, n1 / np.maximum(n0 + n1, 1.0), 0.0)[..., None]
    grown = np.log1p(share * (multiple * null - 1)) - np.log1p(share * (null - 1))
    ratios = events[..., None] * np.log(multiple) - (events + other)[..., None] * grown
    return np.where(both[..., None], ratios, 0.0)


def log_mixture(log_ratio: Floats) -> Floats:
    """Logarithm of the average of ratios over the last axis: the evidence that the rate rose.

    If the rate did not rise, the logarithm *ever* reaches log(1/α) with probability at most α.

    >>> log_mixture(np.log([[1.0, 3.0], [1.0, 1.0]])).round(3)
    array([0.693, 0.   ])
    """
    most = log_ratio.max(axis=-1, keepdims=True)
    return np.asarray(most[..., 0] + np.log(np.exp(log_ratio - most).mean(axis=-1)))
