"""Where a routing sends requests, for both event engines."""

from __future__ import annotations

import numpy as np

from sim.arrays import Floats


def thresholds(live: Floats) -> Floats:
    """(r, K) what a uniform is compared with: cumulated weights (r, K); the last arm that has any takes what rounding leaves.

    >>> thresholds(np.array([[0.25, 0.75, 0.0]])).tolist()
    [[0.25, inf, inf]]
    """
    found = np.cumsum(live, axis=1)
    last = live.shape[1] - 1 - np.argmax(live[:, ::-1] > 0, axis=1)
    found[np.arange(live.shape[1]) >= last[:, None]] = np.inf
    return found
