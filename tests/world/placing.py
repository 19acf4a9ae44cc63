"""When the requests of a replication arrive, by the definition of `Pieces`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim.world.traffic import Arrivals, Pieces

Ints = NDArray[np.int64]


def within(pieces: Pieces, row: int, count: int, rng: np.random.Generator) -> Ints:
    """(count,) nanoseconds since the tick's edge; Poisson arrivals from a generator of the test's own."""
    own = slice(pieces.first[row], pieces.last[row] + 1)
    offset, level = pieces.offset_ns[own], pieces.level[own]
    poisson = pieces.law == "poisson"
    reached = np.sort(rng.random(count)) * level[-1] if poisson else pieces.ahead[row] + np.arange(count)
    left = np.minimum(np.searchsorted(level[:-1], reached, side="right") - 1, level.size - 2)
    rise = level[left + 1] - level[left]
    part = (reached - level[left]) / np.where(rise > 0, rise, 1.0)
    exact = offset[left] + np.rint(part * (offset[left + 1] - offset[left])).astype(np.int64)
    return np.asarray(np.minimum(exact, offset[-1] - 1))


def placed(process: Arrivals, seed: int, replication: int, ticks: int) -> Ints:
    """When all requests of the first ticks of a replication arrive, nanoseconds."""
    rng = np.random.default_rng([seed, replication])
    schedule = process.schedule(seed, [replication])
    counts = schedule.counts()[0]
    row = np.zeros(1, np.int64)
    return np.concatenate(
        [tick * process.tick_ns + within(schedule.pieces(row, tick), 0, int(counts[tick]), rng) for tick in range(ticks)]
    )
