"""Tests for sample-ratio mismatch: whether the arms get their intended shares of traffic."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import chdtrc, gammaln

from sim.arrays import Floats
from sim.stats.moments import non_negative, positive
from sim.stats.validation import broadcast, require

# At larger concentrations c, rounding errors of log-gammas look like a mismatch: about c ln c times the float precision, .006
# here.
MOST_CONCENTRATED = 1e12


@dataclass(frozen=True)
class MismatchTest:
    """Pearson's statistic and its p-value, one per replication."""

    statistic: Floats
    p_value: Floats


@dataclass(frozen=True)
class SequentialMismatchTest:
    """Logarithm of the Bayes factor against the intended shares, and a p-value that is valid at any look."""

    log_bayes_factor: Floats
    p_value: Floats


def test(counts: ArrayLike, shares: ArrayLike | None = None) -> MismatchTest:  # noqa: PT028
    """Chi-square test that `counts`, (..., K) units per arm, follow the intended `shares`, (K,) or (..., K).

    Without `shares` all arms have equal shares. The test is for one look at a planned time; for repeated looks use
    `sequential_test`. It needs about five expected units per arm. Without units the statistic is 0 and the p-value 1.

    Raises `InputError` for negative counts, fewer than two arms, shares that are not positive or do not sum to 1.

    Source: Pearson (1900); Fabijan et al., KDD (2019); Kohavi, Tang & Xu, Trustworthy Online Controlled
    Experiments (2020), ch. 21.

    >>> test([821_588, 815_482]).p_value
    array(1.8...e-06)
    """
    observed, intended = _inputs(counts, shares)
    total = observed.sum(-1, keepdims=True)
    expected = np.where(total > 0, total * intended, 1.0)
    statistic = np.where(total[..., 0] > 0, ((observed - total * intended) ** 2 / expected).sum(-1), 0.0)
    return MismatchTest(statistic, np.asarray(chdtrc(observed.shape[-1] - 1, statistic)))


test.__test__ = False  # type: ignore[attr-defined]


def sequential_test(
    counts: ArrayLike, shares: ArrayLike | None = None, *, concentration: float = 100.0
) -> SequentialMismatchTest:
    """Multinomial test of the cumulative `counts`, (..., K), against `shares`; it allows a look after every unit.

    It uses the Bayes factor of shares drawn from Dirichlet(`concentration` · `shares`) against the intended shares.
    Under the intended shares the p-value *ever* falls to α with probability at most α. A larger concentration detects
    smaller mismatches, but later. The intended shares must be constant: start a new test when they change.

    Raises `InputError` as `test`, and for a concentration that is not positive or above 1e12.

    Source: Lindon & Malek, Anytime-Valid Inference for Multinomial Count Data, NeurIPS (2022; arXiv 2011.03567).

    >>> result = sequential_test([[821_588, 815_482], [0, 0]])
    >>> result.log_bayes_factor.round(2), result.p_value.round(5)
    (array([6.53, 0.  ]), array([0.00146, 1.     ]))
    """
    observed, intended = _inputs(counts, shares)
    rule = f"must be positive, at most {MOST_CONCENTRATED:g}"
    require(0 < concentration <= MOST_CONCENTRATED, "concentration", rule, concentration)
    prior = concentration * intended
    gained = (gammaln(observed + prior) - gammaln(prior) - observed * np.log(intended)).sum(-1)
    log_factor = gained - (gammaln(observed.sum(-1) + concentration) - gammaln(concentration))
    log_factor = np.where(observed.sum(-1) > 0, log_factor, 0.0)
    return SequentialMismatchTest(log_factor, np.exp(-np.maximum(log_factor, 0.0)))


def _inputs(counts: ArrayLike, shares: ArrayLike | None) -> tuple[Floats, Floats]:
    observed = non_negative("counts", counts)
    arms = observed.shape[-1] if observed.ndim else 0
    require(arms >= 2, "counts", "must have at least two arms on the last axis", f"shape {observed.shape}")
    intended = np.full(arms, 1 / arms) if shares is None else positive("shares", shares)
    fits = intended.ndim > 0 and intended.shape[-1] == arms
    require(fits, "shares", f"must have one share for each of {arms} arms", f"shape {intended.shape}")
    sums = np.ravel(intended.sum(-1))
    wrong = np.abs(sums - 1) > 1e-9
    require(not wrong.any(), "shares", "must sum to 1", sums[np.argmax(wrong)])
    observed, intended = broadcast(counts=observed, shares=intended)
    return observed, intended
