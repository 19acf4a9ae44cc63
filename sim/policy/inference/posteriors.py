"""The posterior of the primary metric, shared by the allocations and the evidence that read it.

A binary metric has independent Beta(1, 1) priors. Any other has a normal posterior with the observed mean and standard error.
Moments are (r, K) each: how many outcomes are known, their sum and their sum of squares, in the metric's own units.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sim.arrays import Bools, Floats
from sim.policy.base import View
from sim.policy.inference.comparison import Tally, resolved
from sim.policy.setting import Metric

if TYPE_CHECKING:
    from sim.stats.moments import Estimates

Moments = tuple[Floats, Floats, Floats]

# `sim.stats` is imported where it is used: it imports SciPy, which takes a third of a second and which reading a scenario does
# not need.


# The last parameters of Beta posteriors that were asked for, and the probabilities. Equal parameters give equal bits.
_kept: tuple[tuple[Floats | Bools, ...], Floats] = (), np.zeros(0)


def probability_best(metric: Metric, moments: Moments, arms_in: Bools) -> Floats:
    """(r, K) posterior probability that an arm is the best of those still in, on a metric; 0 for removed arms.

    While an arm still in has not shown any variation of a metric that is not binary, the arms still in are equally likely to be
    best: without a sale, nothing is known of how far apart sales may be. This never ends if an arm never varies.
    """
    from sim.stats.posterior import probability_best_beta, probability_best_normal

    if metric.binary:
        global _kept
        asked = *_beta(metric, moments), arms_in
        # Evidence and allocation of a tick ask the same, which takes most of their time.
        before, found = _kept
        if len(before) != len(asked) or not all(map(np.array_equal, before, asked)):
            found = probability_best_beta(*asked)
            _kept = (*asked[:2], arms_in.copy()), found
        return found.copy()
    mean, spread = _normal(metric, moments)
    even = ((spread == 0) & arms_in).any(axis=1, keepdims=True)
    best = probability_best_normal(mean, spread, arms_in)
    return np.where(even, arms_in / arms_in.sum(axis=1, keepdims=True), best)


def expected_loss(view: View, rows: Bools) -> Floats:
    """(rows, K) expected loss of an arm: how much better the best arm still in is, on average over the posterior.

    In the unit of the primary metric, for the replications that `rows` (r,) marks. The loss of a removed arm is infinite. While
    an arm still in has not shown any variation of a metric that is not binary, every loss is infinite.
    """
    from sim.stats.expected_loss import expected_loss_beta, expected_loss_normal

    metric = view.setting.metrics[view.setting.primary]
    if metric.binary:
        better, worse = _beta(metric, view.moments(metric))
        return expected_loss_beta(better[rows], worse[rows], view.arms_in[rows])
    mean, spread = _normal(metric, view.moments(metric))
    unknown = ((spread == 0) & view.arms_in)[rows].any(axis=1, keepdims=True)
    return np.where(unknown, np.inf, expected_loss_normal(mean[rows], spread[rows], view.arms_in[rows]))


def posterior_effect(view: View, rows: Bools, tally: Tally | None = None) -> Estimates:
    """(rows, K - 1) posterior mean and standard deviation of how much better each challenger is than the champion.

    In the unit of the primary metric, for the replications that `rows` (r,) marks. The standard deviation is infinite while
    either arm has not shown any variation of a metric that is not binary. Within ticks it is the normal posterior, under a flat
    prior, of the difference that is compared tick by tick.
    """
    from sim.stats.moments import Estimates
    from sim.stats.within_ticks import difference

    metric = view.setting.metrics[view.setting.primary]
    if resolved(tally) == "within_ticks":
        found = difference(*view.contrasts.part(rows).outcomes(metric))
        known = (found.variance0 > 0) & (found.variance1 > 0)
        error = np.where(known, np.sqrt(found.variance0 + found.variance1), np.inf)
        return Estimates(metric.sign * found.effect, error)
    if metric.binary:
        better, worse = _beta(metric, view.moments(metric))
        trials = better + worse
        mean, spread = better / trials, np.sqrt(better * worse / (trials + 1)) / trials
    else:
        mean, spread = _normal(metric, view.moments(metric))
        spread = np.where(spread > 0, spread, np.inf)
    mean, spread = mean[rows], spread[rows]
    return Estimates(mean[:, 1:] - mean[:, :1], np.hypot(spread[:, 1:], spread[:, :1]))


def _beta(metric: Metric, moments: Moments) -> tuple[Floats, Floats]:
    """(r, K) each: the parameters of the Beta posterior of the chance of a good outcome."""
    from sim.stats.posterior import BETA_LIMITS

    count, total, _ = moments
    better = total if metric.sign > 0 else count - total
    # A prior is added to counts and taken apart again: its rounding must not take a parameter below the least one.
    return np.maximum(1 + better, BETA_LIMITS[0]), np.maximum(1 + count - better, BETA_LIMITS[0])


def _normal(metric: Metric, moments: Moments) -> tuple[Floats, Floats]:
    """(r, K) each: mean and standard deviation of the normal posterior.

    The mean has the sign of the metric, so that more is better. The standard deviation is 0 where outcomes have not varied.
    """
    from sim.stats.moments import spread

    count, total, square = moments
    known = np.maximum(count, 2)
    error = np.sqrt(spread(count, total, square) / (known - 1) / known)
    return metric.sign * total / np.where(count > 0, count, 1.0), error
