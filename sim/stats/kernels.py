"""Which of two Beta variables is larger, compiled, as every tick asks it: `log_odds` and `posterior`, with the same bits.

Read these first, which have the same operations, in the same order, on whole arrays. Only they import this module, when there
is enough to work out; `tests/stats/test_log_odds.py` holds them together. Logarithms, exponentials and the normal distribution
stay with NumPy and SciPy, whose last bits are their own.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sim.arrays import Bools, Floats
from sim.jit import compiled


@compiled
def edgeworth(table: Floats, parameters: Floats, odds: Floats, x: Floats, series: Floats) -> None:
    """Fill x and series (n,), as `log_odds._edgeworth` returns them, of parameters (4, n): a0, b0, a1 and b1.

    table (6, ·): the series of the polygamma functions.
    """
    orders = table.shape[0]
    cumulant = np.empty(orders)
    hermite = np.ones(12)
    for place in range(odds.size):
        a0, b0, a1, b1 = parameters[0, place], parameters[1, place], parameters[2, place], parameters[3, place]
        per_a0, per_b1, per_a1, per_b0 = 1.0 / a0, 1.0 / b1, 1.0 / a1, 1.0 / b0
        sign = -1.0
        for order in range(orders):
            # Four polynomials side by side: no sum waits for those of the others.
            of_a0, of_b1, of_a1, of_b0 = 0.0, 0.0, 0.0, 0.0
            for power_of in range(table.shape[1] - 1, -1, -1):
                coefficient = table[order, power_of]
                of_a0 = of_a0 * per_a0 + coefficient
                of_b1 = of_b1 * per_b1 + coefficient
                of_a1 = of_a1 * per_a1 + coefficient
                of_b0 = of_b0 * per_b0 + coefficient
            cumulant[order] = (of_a1 + of_b0) + sign * (of_a0 + of_b1)
            sign = -sign
        scale = math.sqrt(cumulant[1])
        at = -(odds[place] + cumulant[0]) / scale
        power = scale * scale
        for order in range(2, orders):
            power *= scale
            cumulant[order] = cumulant[order] / power
        third, fourth, fifth, sixth = cumulant[2], cumulant[3], cumulant[4], cumulant[5]
        hermite[1] = at
        for order in range(1, 11):
            hermite[order + 1] = at * hermite[order] - order * hermite[order - 1]
        square = third * third
        x[place] = at
        series[place] = (
            third / 6 * hermite[2]
            + fourth / 24 * hermite[3] + square / 72 * hermite[5]
            + fifth / 120 * hermite[4] + third * fourth / 144 * hermite[6] + square * third / 1296 * hermite[8]
            + sixth / 720 * hermite[5] + (fourth * fourth / 1152 + third * fifth / 720) * hermite[7]
            + square * fourth / 1728 * hermite[9] + square * square / 31104 * hermite[11]
        )  # fmt: skip


@compiled
def pairs(a: Floats, b: Floats, least: Any, most: Any, given: Floats, ratio: Floats) -> Any:
    """Fill given (4, n): a0, b0, a1 and b1; and ratio (n,) of the odds, of parameters a, b (n, 2).

    Returns whether all of these are from `least` to `most`.
    """
    for place in range(ratio.size):
        for arm in range(2):
            if not (least <= a[place, arm] <= most and least <= b[place, arm] <= most):
                return False
            given[2 * arm, place], given[2 * arm + 1, place] = a[place, arm], b[place, arm]
        ratio[place] = (a[place, 1] / b[place, 1]) / (a[place, 0] / b[place, 0])
    return True


@compiled
def alone(exceeds: Floats, among: Bools, best: Floats) -> None:
    """Fill best (n, 2), normalised over the arms among (n, 2), of the chance (n,) that the second is the larger."""
    for place in range(exceeds.size):
        first, second = among[place, 0], among[place, 1]
        own = max(exceeds[place], 0.0) if second else 0.0
        other = max(1.0 - exceeds[place], 0.0) if first else 0.0
        if first != second:
            own, other = (1.0, 0.0) if second else (0.0, 1.0)
        total = other + own
        over = total if total > 0 else 1.0
        best[place, 0], best[place, 1] = other / over, own / over
