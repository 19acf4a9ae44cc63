"""The normal posterior of how much better each challenger is than the champion, shared by the ramps that follow a risk."""

from __future__ import annotations

import numpy as np

from sim.arrays import Bools, Floats
from sim.policy.base import View
from sim.policy.inference.comparison import compare, information, nominal, primary


def effect_posterior(view: View, rows: Bools, mean: float, spread: float) -> tuple[Floats, Floats]:
    """(rows, K - 1) each: the posterior mean of every challenger's effect, and its standard deviation.

    An effect is the difference of the means of the primary metric, positive where the challenger is better, with a prior
    Normal(`mean`, `spread`²). What was seen is compared within ticks and has the champion's registered variance; where nothing
    was seen the posterior is the prior. `rows` (r,) marks the replications.

    Source: Gelman et al., Bayesian Data Analysis (2013), 2.5: precisions add up.
    """
    known = information(view)[rows][:, 1:]
    seen = known > 0
    effect = np.zeros(seen.shape)
    some = rows.copy()
    some[rows] = seen.any(axis=1)
    if some.any():
        effect[seen.any(axis=1)] = primary(view).sign * compare(view, "auto", some).effect
    weight = np.where(seen, known, 0.0) / nominal(view.setting, None)[1] ** 2
    precision = 1 / spread**2 + weight
    posterior = (mean / spread**2 + weight * np.where(seen, effect, 0.0)) / precision
    return posterior, 1 / np.sqrt(precision)
