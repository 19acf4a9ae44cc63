"""The posterior of the primary metric, shared by the allocations and the evidence that read it."""

from __future__ import annotations

import numpy as np

from sim.policy.base import Floats, View


def probability_best(view: View) -> Floats:
    """(r, K) posterior probability that an arm is the best of those still in, on the primary metric; 0 for removed arms.

    A binary metric has independent Beta(1, 1) priors. Any other has a normal posterior with the observed mean and standard
    error; while an arm still in has fewer than two known outcomes, the arms still in are equally likely to be best.
    """
    # SciPy behind this takes a third of a second to import, which reading a scenario need not wait for.
    from sim.stats.posterior import probability_best_beta, probability_best_normal

    metric = view.setting.metrics[view.setting.primary]
    count, total, square = view.moments(metric)
    if metric.binary:
        better = total if metric.sign > 0 else count - total
        return probability_best_beta(1 + better, 1 + count - better, view.arms_in)
    known = np.maximum(count, 2)
    mean = total / known
    spread = np.sqrt(np.maximum(square - known * mean**2, 0) / (known - 1) / known)
    even = ((count < 2) & view.arms_in).any(axis=1, keepdims=True)
    best = probability_best_normal(metric.sign * mean, spread, view.arms_in)
    return np.where(even, view.arms_in / view.arms_in.sum(axis=1, keepdims=True), best)
