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
from functools import lru_cache

import numpy as np

from sim.arrays import Floats, Ints
from sim.engine.aggregate.wheel import Law, Wheel
from sim.world.by_tick import Late, base, by_class
from sim.world.draws import binomial
from sim.world.fates import Delay
from sim.world.latency import Latency
from sim.world.streams import Keys, at

# For so many factors of the latency chances are kept.
_MOST_SCALES = 32
# Chances below these, and chances that differ between classes by more than these factors, may be left out of the common law.
_LEAST, _FACTORS = (0.0, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6), (1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, np.inf)


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
        self._law = _fitted(late, latency, calls)  # type: ignore[arg-type]  # laws are frozen
        self._wheel = Wheel(late, rows)
        self._apart: dict[float, tuple[Floats, Floats]] = {}

    def arrive(
        self, rows: Ints, tick: int, ends: tuple[Ints, Ints], scales: tuple[float, float], key: Keys
    ) -> tuple[Ints, Ints]:
        """(r,) each: calls whose outcome becomes known in a tick, and calls whose window closes in it before that.

        ends: (r, cells) calls that end in the tick and arrived in it, or in the tick before; cells are bands of latency by
        patterns of other late feedback. scales: the factors of the latency in these two ticks. key (r,).
        """
        self._wheel.split(rows, tick, key)
        together = np.zeros(rows.size, np.int64)
        for when, (ended, scale) in enumerate(zip(ends, scales, strict=True)):
            for cell in range(ended.shape[1]):
                calls = ended[:, cell]
                if not calls.any():
                    continue
                share, rest = (each[when, cell] for each in self._classes(scale))
                # Two counters of keys for each class, from 1 on; those of `Wheel` are far above.
                number = 2 * (when * ended.shape[1] + cell) + 1
                common_ = binomial(calls, share, at(key, number))
                together += common_
                self._wheel.spread(rows, tick, calls - common_, rest, at(key, number + 1))
        self._wheel.enter(rows, tick, together, self._law, key)
        return self._wheel.due(rows, tick)

    def drop(self, rows: Ints) -> None:
        """Drop what waits in these rows."""
        self._wheel.drop(rows)

    def _classes(self, scale: float) -> tuple[Floats, Floats]:
        """(2, cells) the share of each class that goes by the common law, and (2, cells, places) what else its chances are."""
        if scale not in self._apart:
            if len(self._apart) == _MOST_SCALES:
                self._apart.clear()
            joint = by_class(self._late, self._latency, scale, self._limits_s, self._others)  # type: ignore[arg-type]
            chance = joint.swapaxes(1, 2).reshape(2, -1, self._late.places)
            total = chance.sum(axis=2, keepdims=True)
            own = chance / np.where(total > 0, total, 1.0)
            self._apart[scale] = part_of(own, self._law.chance)
        return self._apart[scale]


@lru_cache(maxsize=64)
def _fitted(late: Late, latency: Latency, calls: float) -> Law:
    """The law that calls have in common, and how it is told; it is the same in every group and block."""
    return Law.of(common(base(late, latency)), late.ticks, calls)


def part_of(own: Floats, law: Floats) -> tuple[Floats, Floats]:
    """(…) the largest share of a law (places,) that is a part of the chances own (…, places), and (…, places) the rest of them.

    >>> share, rest = part_of(np.array([0.2, 0.8]), np.array([0.5, 0.5]))
    >>> round(float(share), 3), rest.round(3).tolist()
    (0.4, [0.0, 0.6])
    """
    there = law > 0
    if not there.any():
        return np.zeros(own.shape[:-1]), own
    share = (own[..., there] / law[there]).min(axis=-1, initial=1.0)
    return share, np.maximum(own - share[..., None] * law, 0.0)


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
