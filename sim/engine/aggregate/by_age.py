"""Where outcomes wait whose delay is of any law, for the aggregate engine: counts by the tick in which they become known.

An exponential delay has no memory, and a constant one no chance; what is left of any other depends on its age. So calls of
each tick are drawn on their own: over the ticks that are left, by the chances of `sim.world.by_tick`, in the few draws of
`smooth`.

Calls that end in the tick of their arrival, and after it, of each band of latency and each pattern of other late feedback,
differ a little in where in their tick they end, and so in their chances. Each such class has nearly all of its chances in
common with the others: a share of its calls goes in with them under the law that they share, and the few that are left under
what is left of their own law. A law is the sum of both, so this is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sim.arrays import Floats, Ints
from sim.engine.aggregate.smooth import BY_CALL, LEAST_LEVEL, SHAPES, Fits, halves, places, shapes, slots
from sim.world.by_tick import Late, base, by_class
from sim.world.draws import binomial, multinomial
from sim.world.fates import Delay
from sim.world.latency import Latency
from sim.world.streams import Keys, at, uniforms

# Counters of keys: two for each class, from 1 on; those of the common law; of blocks that are split; of calls by themselves.
_COMMON, _COMMON_REST, _HALVE, _CALL = 2**20, 2**20 + 1, 2**21, 2**33
# As few calls are placed one by one; and for so many factors of the latency chances are kept.
_FEW, _MOST_SCALES = 24, 32
# Chances below these, and chances that differ between classes by more than these factors, may be left out of the common law.
_LEAST, _FACTORS = (0.0, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6), (1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, np.inf)


@dataclass(frozen=True)
class Plan:
    """How the calls of a tick are drawn from the common law.

    slots (G,) that get the first G of the chances (G + 2,); then come the rest, whose chances are `rest` (J,), and never.
    """

    slots: Ints
    chance: Floats
    rest: Floats


class Ages:
    """Calls of R replications in one arm and one group, from their end until their outcome is known.

    calls: the expected number of a tick, which only says what is quicker. limits_s, others: what `by_class` takes, beside the
    delay.
    """

    def __init__(
        self,
        late: Late,
        latency: Latency,
        rows: int,
        calls: float,
        limits_s: Sequence[float] = (),
        others: Sequence[Delay] = (),
    ) -> None:
        self._late, self._latency, self._limits_s, self._others = late, latency, tuple(limits_s), tuple(others)
        self._common, self._fits = _fitted(late, latency, calls)  # type: ignore[arg-type]  # laws are frozen
        size, self._begins = slots(late.ticks, late.window)
        self._store = np.zeros((size, rows), np.int64)
        self._apart: dict[float, tuple[Floats, Floats]] = {}

    def arrive(
        self, rows: Ints, tick: int, ends: tuple[Ints, Ints], scales: tuple[float, float], key: Keys
    ) -> tuple[Ints, Ints]:
        """(r,) each: calls whose outcome becomes known in a tick, and calls whose window closes in it before that.

        ends: (r, cells) calls that end in the tick and arrived in it, or in the tick before; cells are bands of latency by
        patterns of other late feedback. scales: the factors of the latency in these two ticks. key (r,).
        """
        self._split(rows, tick, key)
        together = np.zeros(rows.size, np.int64)
        for when, (ended, scale) in enumerate(zip(ends, scales, strict=True)):
            for cell in range(ended.shape[1]):
                calls = ended[:, cell]
                if not calls.any():
                    continue
                share, rest = (each[when, cell] for each in self._classes(scale))
                number = 2 * (when * ended.shape[1] + cell) + 1
                common_ = binomial(calls, share, at(key, number))
                together += common_
                self._spread(rows, tick, calls - common_, rest, at(key, number + 1))
        self._enter(rows, tick, together, key)
        return self._due(tick, rows), self._due(self._late.ticks + tick, rows) if self._late.window else np.zeros_like(together)

    def drop(self, rows: Ints) -> None:
        """Drop what waits in these rows."""
        self._store[:, rows] = 0

    def _due(self, slot: int, rows: Ints) -> Ints:
        due: Ints = self._store[slot, rows]
        self._store[slot, rows] = 0
        return due

    def _classes(self, scale: float) -> tuple[Floats, Floats]:
        """(2, cells) the share of each class that goes by the common law, and (2, cells, places) what else its chances are."""
        if scale not in self._apart:
            if len(self._apart) == _MOST_SCALES:
                self._apart.clear()
            joint = by_class(self._late, self._latency, scale, self._limits_s, self._others)  # type: ignore[arg-type]
            chance = joint.swapaxes(1, 2).reshape(2, -1, self._late.places)
            total = chance.sum(axis=2, keepdims=True)
            own = chance / np.where(total > 0, total, 1.0)
            there = self._common > 0
            share = (own[..., there] / self._common[there]).min(axis=2, initial=1.0)
            rest = np.maximum(own - share[..., None] * self._common, 0.0) if there.any() else own
            self._apart[scale] = (share if there.any() else np.zeros_like(share)), rest
        return self._apart[scale]

    def _enter(self, rows: Ints, tick: int, calls: Ints, key: Keys) -> None:
        """Calls that end in a tick, of the common law."""
        many = calls > _FEW
        self._spread(rows, tick, np.where(many, 0, calls), self._common, at(key, _COMMON_REST))
        if not many.any():
            return
        plan = self._plan(tick)
        some = rows if many.all() else rows[many]
        drawn = multinomial(calls[many], plan.chance, at(key, _COMMON)[many])
        self._add(plan.slots, some, drawn[:, : plan.slots.size])
        self._spread(some, tick, drawn[:, -2], plan.rest, at(key, _COMMON_REST)[many])

    def _plan(self, tick: int) -> Plan:
        late = self._late
        left = late.ticks - tick
        rest = self._common[:left].copy()
        slots_, chances = [np.zeros(0, np.int64)], [np.zeros(0)]
        for piece in self._fits.pieces(tick):
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
            chances.append(self._common[late.ticks : late.ticks + 1])
        told = np.concatenate(chances)
        over = rest.sum()
        never = max(1.0 - told.sum() - over, 0.0)
        return Plan(np.concatenate(slots_), np.concatenate([told, [over, never]]), rest)

    def _spread(self, rows: Ints, tick: int, calls: Ints, chance: Floats, key: Keys) -> None:
        """Calls (r,) that end in a tick, by chances (places,) or (J,) of when they are known, without blocks."""
        if not calls.any():
            return
        known_in = np.flatnonzero(chance)
        few = calls * BY_CALL <= known_in.size
        row = np.repeat(np.flatnonzero(few), calls[few])
        number = np.arange(row.size) - np.repeat(np.cumsum(calls[few]) - calls[few], calls[few])
        up_to = np.cumsum(chance[known_in])
        u = uniforms(at(key[row], number.astype(np.uint64) + np.uint64(_CALL))) * up_to[-1]
        found = known_in[np.minimum(np.searchsorted(up_to, u, side="right"), known_in.size - 1)]
        slot, seen = self._slots(tick, found)
        np.add.at(self._store, (slot[seen], rows[row[seen]]), 1)
        if not few.all():
            drawn = multinomial(calls[~few], chance[known_in], key[~few])
            slot, seen = self._slots(tick, known_in)
            self._add(slot[seen], rows[~few], drawn[:, seen])

    def _slots(self, tick: int, known_in: Ints) -> tuple[Ints, Ints]:
        """(n,) the slots of places in a vector of chances, and which of them are within the run."""
        late = self._late
        at_tick = np.where(known_in == late.ticks, tick + (late.window or 0), tick + known_in)
        over = known_in == late.ticks
        seen = (at_tick < late.ticks) & (known_in <= late.ticks)
        return np.where(over, late.ticks + at_tick, at_tick), np.flatnonzero(seen)

    def _split(self, rows: Ints, tick: int, key: Keys) -> None:
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

    def _add(self, slot: Ints, rows: Ints, counts: Ints) -> None:
        """Add counts (r, n) to n slots, no two of them the same."""
        if rows.size == self._store.shape[1]:
            self._store[slot] += counts.T
        else:
            self._store[np.ix_(slot, rows)] += counts.T


@lru_cache(maxsize=64)
def _fitted(late: Late, latency: Latency, calls: float) -> tuple[Floats, Fits]:
    """The law that calls have in common, and how it is told; it is the same in every group and block."""
    law = common(base(late, latency))
    return law, Fits(law[: late.ticks], calls)


def common(chance: Floats) -> Floats:
    """(places,) a law that calls of classes with these chances (classes, places), which sum to 1, have nearly all in common.

    It is the law of the largest class or that of all calls, but for the places that keep it from being a part of each law: of
    hardly any chance, or of unlike ones.

    >>> law = common(np.array([[0.45, 0.45, 0.0], [0.045, 0.045, 0.01]]))
    >>> law.round(3).tolist()
    [0.5, 0.5, 0.0]
    """
    weight = chance.sum(axis=1)
    some = weight > 0
    own, weight = chance[some] / weight[some, None], weight[some]
    best, least = np.zeros(chance.shape[1]), 1.0
    for law in (own[weight.argmax()], chance.sum(axis=0)):
        ratio = own / np.where(law > 0, law, 1.0)
        for factor in _FACTORS:
            alike = ((ratio <= factor) & (ratio >= 1 / factor)).all(axis=0)
            for floor in _LEAST:
                kept = alike & (law > floor)
                if not kept.any():
                    continue
                apart = float(weight @ (1 - ratio[:, kept].min(axis=1) * law[kept].sum()))
                if apart < least:
                    best, least = np.where(kept, law, 0.0), apart
    return np.asarray(best / max(best.sum(), 1e-300), np.float64)
