"""Sums over users of their outcomes, weighed by the shares of the tick in which each was sent; for both event engines.

Weights are multiples of 2⁻²⁰, and sums of products are kept as two integers, the whole part and the rest in units of 2⁻⁴⁰. So
sums are exact, and do not depend on the order of the log. They telescope, as all sums over users do: a tick adds their growth.

Memory holds n, s, n₀ and s₀ of each user and challenger, as `WeighedUserMoment` defines them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import numpy as np

from sim.arrays import Ints
from sim.engine.limbs import add_product
from sim.engine.needs import of_class
from sim.engine.visits import VISIT_BITS
from sim.jit import compiled
from sim.policy.columns import WEIGHT_BITS, Column, Digits, WeighedKind, WeighedUserMoment
from sim.world.potential import Potential, user_of
from sim.world.world import Truth

_KINDS: tuple[WeighedKind, ...] = get_args(WeighedKind)
_DIGITS: tuple[Digits, ...] = get_args(Digits)
SQUARE, BASE_SQUARE, JOINT_SQUARE, JOINT_CROSS, JOINT_COUNTER, JOINT_SIZES = (
    _KINDS.index(kind)
    for kind in ("square", "base_square", "joint_square", "joint_cross", "joint_counter", "joint_sizes")
)  # fmt: skip
ONE = 1 << WEIGHT_BITS
# Of a product of two weighed amounts.
SUM_BITS = 2 * WEIGHT_BITS
FINER = VISIT_BITS - WEIGHT_BITS
HALF = 1 << FINER - 1


class WeighedUsers:
    """The weighed sums of a block of R replications. `metrics` are those that are logged, in the order of the log's numbers."""

    def __init__(self, truth: Truth, potential: Potential, columns: Sequence[Column], metrics: Sequence[str]) -> None:
        self._potential = potential
        # For every column: its place in telemetry, the number of its metric here, its moment and its digits.
        asked = of_class(columns, WeighedUserMoment)
        names = [name for name in metrics if any(column.metric == name for _, column in asked)]
        self._columns = [
            (place, names.index(column.metric), _KINDS.index(column.moment), _DIGITS.index(column.digits))
            for place, column in asked
        ]
        self._where = np.array([names.index(name) if name in names else -1 for name in metrics], np.int64)
        challengers, population = len(truth.world.arms) - 1, truth.world.population
        users = 0 if population is None else population.users
        self._sums = np.zeros((truth.rows, len(names), challengers, len(_KINDS), len(_DIGITS)), np.int64)
        self._tally = np.zeros((truth.rows, len(names), users, challengers, 4), np.int64)

    def enter(self, rows: Ints) -> None:
        """Start a new cohort in rows (r,): its sums start at 0."""
        self._sums[rows] = 0
        self._tally[rows] = 0

    def count(self, log: Ints, weight: Ints) -> None:
        """Add a log (n, FIELDS) of what becomes known in this tick; weight (R, T, K - 1) as in `sim.engine.visits`."""
        if self._columns:
            _count(*self._potential.tables, log, self._where, weight, self._sums, self._tally)

    def report(self, rows: Ints, counts: Ints) -> None:
        """Write the growth of this tick into counts (r, K, C)."""
        for place, metric, kind, digits in self._columns:
            counts[:, 0, place] = 0
            counts[:, 1:, place] = self._sums[rows, metric, :, kind, digits]
        self._sums[:] = 0


@compiled
def _count(
    rules_1: Any, rows: Any, arms: Any, metrics: Any, cells: Any, floats: Any, ints: Any, log: Any, where: Any, weight: Any,
    sums: Any, tally: Any,
) -> None:  # fmt: skip
    rules, challengers = rules_1[0], weight.shape[2]
    for j in range(log.shape[0]):
        r, lane, m, i, value, counts = log[j, 0], log[j, 2], log[j, 3], log[j, 4], log[j, 5], log[j, 6]
        # Copies of requests are compared with nothing.
        if where[m] < 0 or lane > challengers:
            continue
        user = user_of(rules, rows[r], floats, ints, i)
        for k in range(challengers):
            if lane != 0 and lane != k + 1:
                continue
            # The outcome's own side of what the user has, and the other arm's.
            share = (weight[r, log[j, 7], k] + HALF) >> FINER
            own, first, w = (2, BASE_SQUARE, share) if lane == 0 else (0, SQUARE, ONE - share)
            of, to = tally[r, where[m], user, k], sums[r, where[m], k]
            n, s, other_n, other_s = of[own], of[own + 1], of[2 - own], of[3 - own]
            more_n, more_s = w * counts, w * value
            add_product(to[first], more_s, 2 * s + more_s, SUM_BITS)
            add_product(to[first + 1], n, more_s, SUM_BITS)
            add_product(to[first + 1], more_n, s + more_s, SUM_BITS)
            add_product(to[first + 2], more_n, 2 * n + more_n, SUM_BITS)
            add_product(to[JOINT_SQUARE], more_s, other_s, SUM_BITS)
            add_product(to[JOINT_CROSS], more_n if lane == 0 else more_s, other_s if lane == 0 else other_n, SUM_BITS)
            add_product(to[JOINT_COUNTER], more_s if lane == 0 else more_n, other_n if lane == 0 else other_s, SUM_BITS)
            add_product(to[JOINT_SIZES], more_n, other_n, SUM_BITS)
            of[own] += more_n
            of[own + 1] += more_s
