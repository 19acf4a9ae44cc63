"""Speed and memory of the compiled engine, from a thousand requests to a hundred million."""

from __future__ import annotations

import statistics
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass

from sim.bench.measure import timed
from sim.bench.worlds import play, stations

SIZES = tuple(10**power for power in range(3, 9))
QUICK_SIZES = SIZES[:-1]
_LEAST = 1_000_000


@dataclass(frozen=True)
class Size:
    """A run of one size: median times over `rounds` runs, including set-up, and the peak memory of a run."""

    requests: float
    cpu_s: float
    wall_s: float
    rounds: int
    peak_bytes: int

    @property
    def per_s(self) -> float:
        """Requests per second of one core."""
        return self.requests / self.cpu_s


def scale(sizes: tuple[int, ...], rounds: int, say: Callable[[str], None]) -> list[Size]:
    """Play one replication of about each size; small sizes are repeated until their time can be measured.

    Memory is what Python and NumPy allocate (tracemalloc), in a separate run that is not timed.
    """
    rows = []
    for size in sizes:
        say(f"{size:,} requests")
        world = stations(size)
        play(world, "compiled")
        times = 1 if size > 10 * _LEAST else max(rounds, min(_LEAST // size, 100))
        runs = [timed(lambda world=world: play(world, "compiled")) for _ in range(times)]  # type: ignore[misc]
        tracemalloc.start()
        try:
            play(world, "compiled")
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        count, cpu_s, wall_s = (statistics.median(values) for values in zip(*runs, strict=True))
        rows.append(Size(count, cpu_s, wall_s, times, peak))
    return rows
