"""How far a metric's outcomes go: the least and the largest value that a request can have."""

from __future__ import annotations

import numpy as np

from sim.world.metric import OutcomeWorld
from sim.world.rounding import Corners

Z_RARE = 5.612001244174965
"""The point of the standard normal distribution above which lies a chance of 1e-8."""


def extent(outcome: OutcomeWorld, corners: Corners) -> tuple[float, float]:
    """The least and the largest value of a request, over arms, effects and changes, as rounded to the grid.

    Of an outcome that takes finitely many values these are the values themselves: nothing that is played lies beyond. A normal
    amount has none: the two are points that it passes with a chance of 1e-8 each, where its mean lies furthest out.

    >>> from scipy.special import ndtr
    >>> round(float(ndtr(-Z_RARE)) * 1e8, 9)
    1.0
    """
    if outcome.kind == "binary":
        return 0.0, 1.0
    found = []
    for arm, of in enumerate(corners.base):
        if outcome.kind == "normal":
            far = np.array([-Z_RARE, Z_RARE]) * outcome.sd[of]
            found += [
                np.rint((outcome.mean[of] * factor + far) / outcome.grid) * outcome.grid
                for factor in (e * c for e, c in corners.pairs[arm])
            ]
            continue
        values = outcome.atoms[of][outcome.chance[of] > 0 if outcome.log_chance is None else outcome.log_chance[of] > -np.inf]
        for effect, change in corners.pairs[arm]:
            found.append(np.rint(np.rint(values * effect / outcome.grid) * change) * outcome.grid)
    values = np.concatenate(found)
    return float(values.min()), float(values.max())
