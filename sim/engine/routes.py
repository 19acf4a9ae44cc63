"""The thresholds by which both event engines route requests."""

from __future__ import annotations

import numpy as np

from sim.arrays import Floats


def thresholds(live: Floats) -> Floats:
    """(r, K) thresholds for a uniform number: cumulative weights; infinite from the last arm with any weight on.

    >>> thresholds(np.array([[0.25, 0.75, 0.0]])).tolist()
    [[0.25, inf, inf]]
    """
    limits = np.cumsum(live, axis=1)
    last = live.shape[1] - 1 - np.argmax(live[:, ::-1] > 0, axis=1)
    limits[np.arange(live.shape[1]) >= last[:, None]] = np.inf
    return limits
