"""Series that are worked out in every tick, compiled: those of `log_odds`, with the same bits.

Read `log_odds` first, which has the same operations, in the same order, on whole arrays. Only it imports this module, when
there is enough to work out; `tests/stats/test_log_odds.py` holds the two together.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sim.arrays import Floats
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
        sign = -1.0
        for order in range(orders):
            apart = _polynomial(table[order], 1.0 / a0) + _polynomial(table[order], 1.0 / b1)
            added = _polynomial(table[order], 1.0 / a1) + _polynomial(table[order], 1.0 / b0)
            cumulant[order] = added + sign * apart
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
def _polynomial(coefficients: Floats, x: Any) -> Any:
    value = 0.0
    for order in range(coefficients.size - 1, -1, -1):
        value = value * x + coefficients[order]
    return value
