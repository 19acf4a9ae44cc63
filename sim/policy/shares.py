"""From what an allocation proposes to what is routed: arms that are out, and a baseline beside the challengers."""

from __future__ import annotations

import numpy as np

from sim.arrays import Bools, Floats


def masked(proposed: Floats, arms_in: Bools) -> Floats:
    """(r, K) shares without the removed arms; all to the champion where the arms still in have none.

    >>> masked(np.array([[0.2, 0.4, 0.4]]), np.array([[True, True, False]])).round(3).tolist()
    [[0.333, 0.667, 0.0]]
    """
    live = np.where(arms_in, proposed, 0.0)
    total = live.sum(axis=1, keepdims=True)
    if not total.all():
        none = total[:, 0] == 0
        live[none, 0], total[none] = 1.0, 1.0
    shares: Floats = live / total
    return shares


def beside(live: Floats) -> Floats:
    """(r, K + 1) shares with a baseline, the last: that of each challenger, at most the champion's, from whom it is taken.

    >>> beside(np.array([[0.9, 0.1, 0.0], [0.3, 0.7, 0.0]])).round(3).tolist()
    [[0.8, 0.1, 0.1], [0.0, 0.7, 0.3]]
    """
    share = np.minimum(live[:, 1:-1].max(axis=1), live[:, 0])
    found: Floats = live.copy()
    found[:, 0], found[:, -1] = live[:, 0] - share, share
    return found
