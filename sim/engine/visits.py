"""Sums within ticks of what is known late, weighed by the shares of the tick in which each call was sent; for event engines.

Weights are multiples of 2⁻³⁰, and sums of products are kept as two integers, the whole part and the rest in units of 2⁻³⁰. So
sums are exact, and do not depend on the order of the log.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sim.arrays import Floats, Ints
from sim.engine.limbs import add_product
from sim.jit import compiled
from sim.policy.contrast import KINDS, share_of_two
from sim.world.world import Truth

VISIT_BITS = 30
ONE = 1 << VISIT_BITS


class Visits:
    """The weighed sums of a block of R replications, of the current tick and the next ones, as a ring.

    `slots` are the places among all `size` sums of the log that are weighed. weight (R, T, K - 1): each challenger's share of
    its and the champion's traffic in every tick so far.
    """

    def __init__(self, truth: Truth, slots: Sequence[int], size: int) -> None:
        challengers = len(truth.world.arms) - 1
        self._slots = len(slots)
        # The place of every slot among those that are weighed, or -1.
        self._place_of = np.full(max(size, 1), -1, np.int64)
        self._place_of[list(slots)] = np.arange(len(slots))
        self.weight = np.zeros((truth.rows, truth.world.ticks, challengers), np.int64)
        # By side (the champion, the challenger), kind of weight, and digits.
        self._sums = np.zeros((truth.rows, 1, challengers, 2, len(slots), KINDS, 2), np.int64)

    @property
    def tables(self) -> tuple[Ints, Ints, Ints]:
        """What `put` takes: the places of the slots, the weights and the sums."""
        return self._place_of, self.weight, self._sums

    def weigh(self, rows: Ints, tick: int, live: Floats) -> None:
        """The shares live (r, K) of a tick, in replications `rows` (r,)."""
        self.weight[rows, tick] = np.rint(share_of_two(live) * ONE)

    def enter(self, rows: Ints) -> None:
        """Start a new cohort in rows (r,): its sums start at 0."""
        self._sums[rows] = 0

    def grow(self, tick: int, before: int, ahead: int) -> None:
        """Make room for more ticks from this one on."""
        grown = np.zeros((len(self._sums), ahead, *self._sums.shape[2:]), np.int64)
        ticks = np.arange(tick, tick + before)
        grown[:, ticks % ahead] = self._sums[:, ticks % before]
        self._sums = grown

    def report(self, rows: Ints, slot: int) -> Floats | None:
        """(2, r, K - 1, C', KINDS) the sums of the tick at a place of the ring, which is then cleared; None without any."""
        if not self._slots:
            return None
        found = self._sums[rows, slot]
        self._sums[:, slot] = 0
        whole: Floats = found[..., 0] + found[..., 1] / ONE
        return np.ascontiguousarray(np.moveaxis(whole, 2, 0))


@compiled
def put(
    sums: Any, weighed: Any, place_of: Any, weight: Any, r: Any, tick: Any, visited: Any, lane: Any, slot: Any, amount: Any
) -> None:  # fmt: skip
    """Add an amount to a sum of a lane, and to the weighed sums of its arm if the slot is among those."""
    sums[r, tick, lane, slot] += amount
    place, challengers = place_of[slot], weight.shape[2]
    if place < 0 or lane > challengers or amount == 0:
        return
    for k in range(challengers):
        if lane != 0 and lane != k + 1:
            continue
        share = weight[r, visited, k]
        rest = ONE - share
        own = share if lane == 0 else rest
        of = weighed[r, tick, k, 0 if lane == 0 else 1, place]
        add_product(of[0], share * rest >> VISIT_BITS, amount, VISIT_BITS)
        add_product(of[1], own, amount, VISIT_BITS)
        add_product(of[2], own * own >> VISIT_BITS, amount, VISIT_BITS)
