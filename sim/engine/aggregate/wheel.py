"""Counts of calls by the tick in which their outcome becomes known, for laws that many calls share, and for single calls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.arrays import Floats, Ints
from sim.engine.aggregate.smooth import BY_CALL, LEAST_LEVEL, SHAPES, Fits, halves, places, shapes, slots
from sim.world.by_tick import Late
from sim.world.draws import multinomial
from sim.world.streams import Keys, at, uniforms

# Counters of keys: those of a law that is told in blocks; of blocks that are split; of calls by themselves.
_COMMON, _REST, _HALVE, CALL = 2**20, 2**20 + 1, 2**21, 2**33
# As few calls are placed one by one.
_FEW = 24


@dataclass(frozen=True)
class Law:
    """Chances (places,) of when calls are known, and how those of ticks are told."""

    chance: Floats
    fits: Fits

    @classmethod
    def of(cls, chance: Floats, ticks: int, calls: float) -> Law:
        """Told at the fewest draws for an expected number of calls a tick."""
        return cls(chance, Fits(chance[:ticks], calls))


@dataclass(frozen=True)
class Plan:
    """How the calls of a tick are drawn from a law.

    slots (G,) that get the first G of the chances (G + 2,); then come the rest, whose chances are `rest` (J,), and never.
    """

    slots: Ints
    chance: Floats
    rest: Floats


class Wheel:
    """Calls of R replications in one arm and one group, from their end until their outcome is known.

    A tick is: `split`, any number of `enter`, `spread` and `place`, and `due`. rows (r,) and keys (r,).
    """

    def __init__(self, late: Late, rows: int) -> None:
        self._late = late
        size, self._begins = slots(late.ticks, late.window)
        self._store = np.zeros((size, rows), np.int64)

    def due(self, rows: Ints, tick: int) -> tuple[Ints, Ints]:
        """(r,) each: calls whose outcome becomes known in a tick, and calls whose window closes in it before that."""
        known = self._due(tick, rows)
        return known, self._due(self._late.ticks + tick, rows) if self._late.window else np.zeros_like(known)

    def drop(self, rows: Ints) -> None:
        """Drop what waits in these rows."""
        self._store[:, rows] = 0

    def _due(self, slot: int, rows: Ints) -> Ints:
        due: Ints = self._store[slot, rows]
        self._store[slot, rows] = 0
        return due

    def enter(self, rows: Ints, tick: int, calls: Ints, law: Law, key: Keys) -> None:
        """Calls (r,) that end in a tick, by a law, in blocks."""
        many = calls > _FEW
        self.spread(rows, tick, np.where(many, 0, calls), law.chance, at(key, _REST))
        if not many.any():
            return
        plan = self.plan(tick, law)
        some = rows if many.all() else rows[many]
        drawn = multinomial(calls[many], plan.chance, at(key, _COMMON)[many])
        self._add(plan.slots, some, drawn[:, : plan.slots.size])
        self.spread(some, tick, drawn[:, -2], plan.rest, at(key, _REST)[many])

    def plan(self, tick: int, law: Law) -> Plan:
        """How calls that end in a tick are drawn from a law."""
        late = self._late
        left = late.ticks - tick
        rest = law.chance[:left].copy()
        slots_, chances = [np.zeros(0, np.int64)], [np.zeros(0)]
        for piece in law.fits.pieces(tick):
            if piece.first >= left:
                break
            within = rest[piece.first :]
            of = places(piece, tick, self._begins)
            if piece.level is None:
                seen = min(piece.chance.size, within.size)
                within[:seen] = 0.0
                slots_.append(of[:seen])
                chances.append(piece.chance[:seen])
            else:
                made = shapes(piece.level) @ piece.chance
                seen = min(made.size, within.size)
                within[:seen] = np.maximum(within[:seen] - made[:seen], 0.0)
                slots_.append(of)
                chances.append(piece.chance)
        if late.window is not None and late.window < left:
            slots_.append(np.array([late.ticks + tick + late.window]))
            chances.append(law.chance[late.ticks : late.ticks + 1])
        told = np.concatenate(chances)
        over = rest.sum()
        never = max(1.0 - told.sum() - over, 0.0)
        return Plan(np.concatenate(slots_), np.concatenate([told, [over, never]]), rest)

    def spread(self, rows: Ints, tick: int, calls: Ints, chance: Floats, key: Keys) -> None:
        """Calls (r,) that end in a tick, by chances (places,) or (J,) of when they are known, without blocks."""
        if not calls.any():
            return
        known_in = np.flatnonzero(chance)
        few = calls * BY_CALL <= known_in.size
        row = np.repeat(np.flatnonzero(few), calls[few])
        up_to = np.cumsum(chance[known_in])
        u = uniforms(at(key[row], numbered(calls[few]) + np.uint64(CALL))) * up_to[-1]
        found = known_in[np.minimum(np.searchsorted(up_to, u, side="right"), known_in.size - 1)]
        self.place(rows[row], tick, found)
        if not few.all():
            drawn = multinomial(calls[~few], chance[known_in], key[~few])
            slot, seen = self._slots(tick, known_in)
            self._add(slot[seen], rows[~few], drawn[:, seen])

    def place(self, rows: Ints, tick: int, known_in: Ints) -> None:
        """Single calls (n,) that end in a tick, in rows (n,), by their places (n,) in a vector of chances."""
        slot, seen = self._slots(tick, known_in)
        np.add.at(self._store, (slot[seen], rows[seen]), 1)

    def split(self, rows: Ints, tick: int, key: Keys) -> None:
        """Split the blocks that begin with a tick, the longest first."""
        for level, begin in reversed(self._begins.items()):
            if tick % (1 << level):
                continue
            block = slice(begin + SHAPES * (tick >> level), begin + SHAPES * ((tick >> level) + 1))
            waiting = self._store[block][:, rows].T
            if not waiting.any():
                continue
            chance = halves() if level > LEAST_LEVEL else shapes(level).T
            keyed = at(at(key, _HALVE + level)[:, None], np.arange(1, SHAPES + 1, dtype=np.uint64))
            drawn = multinomial(waiting, chance, keyed).sum(axis=1)
            self._store[block, rows] = 0
            if level > LEAST_LEVEL:
                # What begins after the last tick is not seen any more.
                both = slice(0, drawn.shape[1] if tick + (1 << level - 1) < self._late.ticks else SHAPES)
                slot = self._begins[level - 1] + SHAPES * (tick >> level - 1) + np.arange(drawn.shape[1])
                self._add(slot[both], rows, drawn[:, both])
            else:
                seen = min(drawn.shape[1], self._late.ticks - tick)
                self._add(np.arange(tick, tick + seen), rows, drawn[:, :seen])

    def _slots(self, tick: int, known_in: Ints) -> tuple[Ints, Ints]:
        """(n,) the slots of places in a vector of chances, and which of them are within the run."""
        late = self._late
        at_tick = np.where(known_in == late.ticks, tick + (late.window or 0), tick + known_in)
        over = known_in == late.ticks
        seen = (at_tick < late.ticks) & (known_in <= late.ticks)
        return np.where(over, late.ticks + at_tick, at_tick), np.flatnonzero(seen)

    def _add(self, slot: Ints, rows: Ints, counts: Ints) -> None:
        """Add counts (r, n) to n slots, no two of them the same."""
        if rows.size == self._store.shape[1]:
            self._store[slot] += counts.T
        else:
            self._store[np.ix_(slot, rows)] += counts.T


def numbered(calls: Ints) -> Keys:
    """(n,) the number of each call within its row, from calls (r,) by row.

    >>> numbered(np.array([2, 0, 3])).tolist()
    [0, 1, 0, 1, 2]
    """
    return (np.arange(calls.sum()) - np.repeat(np.cumsum(calls) - calls, calls)).astype(np.uint64)
