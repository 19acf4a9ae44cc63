"""What is added up and judged in every tick, compiled, with the same bits: the sums of `contrast` and `estimates`, and the
findings of a posterior.

Read `Contrasts.add`, `Aipw.add` and `Posterior.judge` first, which have the same operations, in the same order, on whole
arrays. Only they import this module, when there is enough to do; `tests/policy/test_sums.py` holds the two together.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.arrays import Bools, Floats, Ints
from sim.jit import compiled

# `Finding.PASS`, `FAIL` and `NULL`, which stands above this module.
PASSED, FAILED, NOTHING = np.int8(1), np.int8(2), np.int8(4)


@compiled
def add_contrasts(sums: Floats, rows: Ints, counts: Ints, live: Floats, places: Ints) -> None:
    """Add a tick to sums (2, KINDS, C, K - 1, R): columns `places` (C',) of counts (r, K, ·), under shares live (r, K)."""
    for place in range(rows.size):
        row = rows[place]
        for challenger in range(live.shape[1] - 1):
            both = live[place, 0] + live[place, challenger + 1]
            weight = live[place, challenger + 1] / (both if both > 0 else 1.0)
            rest = 1.0 - weight
            centre = weight * rest
            for column in range(places.size):
                at = places[column]
                own, other = float(counts[place, 0, at]), float(counts[place, challenger + 1, at])
                sums[0, 0, column, challenger, row] += centre * own
                sums[0, 1, column, challenger, row] += weight * own
                sums[0, 2, column, challenger, row] += weight * weight * own
                sums[1, 0, column, challenger, row] += centre * other
                sums[1, 1, column, challenger, row] += rest * other
                sums[1, 2, column, challenger, row] += rest * rest * other


@compiled
def add_scores(sums: Floats, rows: Ints, last: Ints, total: Ints, places: Ints, live: Floats, expected: Any, grid: Any) -> None:
    """Add a tick to sums (7, K - 1, R) of `Aipw`: last (r, K, C) of it, total (R, K, C) of the ticks before.

    places (3,): of the columns of counts, sums and sums of squares.
    """
    for place in range(rows.size):
        row, everyone = rows[place], 0.0
        for arm in range(live.shape[1]):
            everyone += float(last[place, arm, places[0]])
        share_0, mean_0, off_0, spread_0 = _arm(last[place, 0], total[row, 0], places, live[place, 0], expected, grid)
        for challenger in range(live.shape[1] - 1):
            arm = challenger + 1
            share, mean, off, spread = _arm(last[place, arm], total[row, arm], places, live[place, arm], expected, grid)
            compared = live[place, 0] * live[place, arm] > 0
            weight = 1.0 / (1.0 / share_0 + 1.0 / share) if compared else 0.0
            h, gap, apart = math.sqrt(weight), mean - mean_0, off - off_0
            sums[0, challenger, row] += h * everyone
            sums[1, challenger, row] += h * (everyone * gap + apart)
            sums[2, challenger, row] += weight * (everyone * gap * gap + 2.0 * gap * apart + spread + spread_0)
            sums[3, challenger, row] += weight * (everyone * gap + apart)
            sums[4, challenger, row] += weight * everyone
            sums[5, challenger, row] += h * (everyone * mean_0 + off_0)
            sums[6, challenger, row] += weight * spread_0


@compiled
def _arm(last: Ints, total: Ints, places: Ints, live: Any, expected: Any, grid: Any) -> Any:
    """An arm's share, its mean before the tick, and the sum and the sum of squares of its deviations over the share."""
    n, y, yy = float(last[places[0]]), float(last[places[1]]) * grid, float(last[places[2]]) * (grid * grid)
    known = float(total[places[0]])
    mean = float(total[places[1]]) * grid / known if known > 0 else expected
    share = live if live > 0 else 1.0
    off = (y - mean * n) / share
    return share, mean, off, (yy - 2.0 * mean * y + mean * mean * n) / (share * share)


@compiled
def judge_best(known: Ints, arms_in: Bools, best: Floats, least: Any, threshold: Any) -> NDArray[np.int8]:
    """(r, K) findings by the probability (r, K) of being best, where every arm still in has `least` known outcomes."""
    rows, arms = best.shape
    findings = np.zeros((rows, arms), np.int8)
    for row in range(rows):
        ready, won, challengers = True, False, 0
        for arm in range(arms):
            ready &= known[row, arm] >= least or not arms_in[row, arm]
            if arm > 0:
                challengers += arms_in[row, arm]
                won |= best[row, arm] >= threshold
        rest = (1 - threshold) / max(challengers, 1)
        for arm in range(arms):
            if not ready:
                continue
            if won:
                findings[row, arm] = PASSED if best[row, arm] >= threshold else NOTHING
            elif best[row, arm] <= rest or best[row, 0] >= threshold:
                findings[row, arm] = FAILED
    return findings
