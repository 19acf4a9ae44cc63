"""The posterior of the primary metric, shared by the allocations and the evidence that read it.

A binary metric has independent Beta(1, 1) priors. Any other has a normal posterior with the observed mean and standard error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sim.arrays import Bools, Floats
from sim.policy.base import View

if TYPE_CHECKING:
    from sim.stats.moments import Estimates

# SciPy behind `sim.stats` takes a third of a second to import, which reading a scenario need not wait for: so it is imported
# where it is used.


def probability_best(view: View) -> Floats:
    """(r, K) posterior probability that an arm is the best of those still in, on the primary metric; 0 for removed arms.

    While an arm still in has not shown any variation of a metric that is not binary, the arms still in are equally likely to be
    best: without a sale, nothing is known of how far apart sales may be. Of an arm that never varies that is so for ever.
    """
    from sim.stats.posterior import probability_best_beta, probability_best_normal

    metric = view.setting.metrics[view.setting.primary]
    if metric.binary:
        return probability_best_beta(*_beta(view), view.arms_in)
    mean, spread = _normal(view)
    even = ((spread == 0) & view.arms_in).any(axis=1, keepdims=True)
    best = probability_best_normal(mean, spread, view.arms_in)
    return np.where(even, view.arms_in / view.arms_in.sum(axis=1, keepdims=True), best)


def expected_loss(view: View, rows: Bools) -> Floats:
    """(rows, K) how much better the best arm still in is than this one, on average over the posterior; infinite if removed.

    In the unit of the primary metric, for the replications that `rows` (r,) marks. While an arm still in has not shown any
    variation of a metric that is not binary, nothing is known, and every loss is infinite.
    """
    from sim.stats.expected_loss import expected_loss_beta, expected_loss_normal

    if view.setting.metrics[view.setting.primary].binary:
        better, worse = _beta(view)
        return expected_loss_beta(better[rows], worse[rows], view.arms_in[rows])
    mean, spread = _normal(view)
    unknown = ((spread == 0) & view.arms_in)[rows].any(axis=1, keepdims=True)
    return np.where(unknown, np.inf, expected_loss_normal(mean[rows], spread[rows], view.arms_in[rows]))


def posterior_effect(view: View, rows: Bools) -> Estimates:
    """(rows, K - 1) posterior mean and standard deviation of how much better each challenger is than the champion.

    In the unit of the primary metric, for the replications that `rows` (r,) marks. The standard deviation is infinite while
    either has not shown any variation of a metric that is not binary.
    """
    from sim.stats.moments import Estimates

    if view.setting.metrics[view.setting.primary].binary:
        better, worse = _beta(view)
        trials = better + worse
        mean, spread = better / trials, np.sqrt(better * worse / (trials + 1)) / trials
    else:
        mean, spread = _normal(view)
        spread = np.where(spread > 0, spread, np.inf)
    mean, spread = mean[rows], spread[rows]
    return Estimates(mean[:, 1:] - mean[:, :1], np.hypot(spread[:, 1:], spread[:, :1]))


def _beta(view: View) -> tuple[Floats, Floats]:
    """(r, K) each: the parameters of the posterior of a good outcome."""
    metric = view.setting.metrics[view.setting.primary]
    count, total, _ = view.moments(metric)
    better = total if metric.sign > 0 else count - total
    return 1 + better, 1 + count - better


def _normal(view: View) -> tuple[Floats, Floats]:
    """(r, K) each: mean and standard deviation of the posterior, more being better; 0 where no variation has been seen."""
    from sim.stats import moments

    metric = view.setting.metrics[view.setting.primary]
    count, total, square = view.moments(metric)
    known = np.maximum(count, 2)
    spread = np.sqrt(moments.spread(count, total, square) / (known - 1) / known)
    return metric.sign * total / known, spread
