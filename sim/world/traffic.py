"""How many requests arrive, and when."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sim.scenario.schema import Traffic
from sim.world.streams import generator

DAY_S = 86_400.0


def expected(traffic: Traffic, ticks: int, tick_s: float) -> NDArray[np.float64]:
    """(T,) mean requests of every tick: the rate at the tick's middle, times its length.

    >>> expected(Traffic(rate="40/s"), 2, 600.0).tolist()
    [24000.0, 24000.0]
    """
    middle = traffic.start + (np.arange(ticks) + 0.5) * tick_s
    rate = np.full(ticks, traffic.rate)
    if traffic.daily is not None:
        phase = 2 * np.pi * (middle - traffic.daily.peak) / DAY_S
        rate = rate * (1 + traffic.daily.amplitude * np.cos(phase))
    if traffic.weekly is not None:
        rate = rate * np.asarray(traffic.weekly)[(middle // DAY_S).astype(np.int64) % 7]
    return rate * tick_s


def arrivals(mean: NDArray[np.float64], seed: int, replications: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    """(R, T) requests of every tick: Poisson, the same for every policy and engine."""
    drawn = np.empty((len(replications), mean.size), np.int64)
    for row, replication in enumerate(replications):
        drawn[row] = generator(seed, int(replication), "arrivals").poisson(mean)
    return drawn
