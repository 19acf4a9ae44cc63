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
    best = np.zeros(count.shape)
    patterns, which = np.unique(view.arms_in, axis=0, return_inverse=True)
    for number, pattern in enumerate(patterns):
        cell = np.ix_(np.flatnonzero(which.ravel() == number), np.flatnonzero(pattern))
        n, s = count[cell], total[cell]
        if metric.binary:
            better = s if metric.sign > 0 else n - s
            best[cell] = probability_best_beta(1 + better, 1 + n - better)
            continue
        known = np.maximum(n, 2)
        mean = s / known
        spread = np.sqrt(np.maximum(square[cell] - known * mean**2, 0) / (known - 1) / known)
        even = (n < 2).any(axis=1, keepdims=True)
        best[cell] = np.where(even, 1 / n.shape[1], probability_best_normal(metric.sign * mean, spread))
    return best
