"""Bursts: calm and bursts in turn, exponentially long, on a path of its own in every replication."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sim.arrays import Ints
from sim.world.streams import generator


@dataclass(frozen=True)
class Bursts:
    """A Markov-modulated process of two states (Fischer & Meier-Hellstern 1993): mean lengths of calm and of a burst."""

    factor: float
    every_ns: float
    duration_ns: float

    @property
    def share(self) -> float:
        """The long-run share of time in bursts, and the chance that a run starts in one."""
        return self.duration_ns / (self.every_ns + self.duration_ns)

    @property
    def calm(self) -> float:
        """The rate in calm, as a multiple of the mean rate."""
        return 1 / (1 + (self.factor - 1) * self.share)

    def path(self, seed: int, replication: int, horizon_ns: int) -> tuple[bool, Ints]:
        """Whether the replication starts in a burst, and when (S,) it switches before the horizon, at most 2^58 ns.

        Exponential lengths have no memory, so what is left of the first state is as long as a whole one: it starts stationary.
        A longer horizon only adds switches.

        >>> Bursts(5.0, 3600e9, 120e9).path(7, 0, 10**13)[1].size
        4
        """
        rng = generator(seed, replication, "bursts")
        burst = bool(rng.random() < self.share)
        lengths = (self.duration_ns, self.every_ns) if burst else (self.every_ns, self.duration_ns)
        pairs = 8 + int(1.2 * horizon_ns / (self.every_ns + self.duration_ns))
        switches = np.zeros(1, np.int64)
        while switches[-1] < horizon_ns:
            drawn = rng.standard_exponential((pairs, 2)) * lengths
            whole = np.maximum(np.rint(np.minimum(drawn, horizon_ns)), 1).astype(np.int64).ravel()
            switches = np.concatenate([switches, switches[-1] + np.cumsum(whole)])
        return burst, switches[1 : np.searchsorted(switches, horizon_ns)]


class Paths:
    """The paths of some replications over a grid of ticks.

    burst_ns (R, T) time in a burst in each tick.
    """

    def __init__(self, bursts: Bursts, seed: int, replications: Sequence[int] | Ints, ticks: int, tick_ns: int) -> None:
        edges = np.arange(ticks + 1, dtype=np.int64) * tick_ns
        rows = len(replications)
        self._tick_ns = tick_ns
        self._starts = np.zeros(rows, bool)
        self._before = np.zeros((rows, ticks + 1), np.int64)
        self._first = np.zeros(rows, np.int64)
        self.burst_ns = np.zeros((rows, ticks), np.int64)
        switches, so_far = [], 0
        for row, replication in enumerate(replications):
            burst, times = bursts.path(seed, int(replication), int(edges[-1]))
            self._starts[row], self._first[row] = burst, so_far
            self._before[row] = np.searchsorted(times, edges)
            self.burst_ns[row] = np.diff(_time_in_bursts(burst, times, edges, self._before[row]))
            switches.append(times)
            so_far += times.size
        self._switches = np.concatenate([*switches, np.zeros(0, np.int64)])

    def within(self, rows: Ints, tick: int) -> tuple[Ints, Ints, Ints, Ints]:
        """first, last (r,), and by piece: offset_ns (P,) and time in bursts up to it (P,), both from the tick's edge."""
        before, after = self._before[rows, tick], self._before[rows, tick + 1]
        sizes = after - before + 2
        last = np.cumsum(sizes) - 1
        first = last - sizes + 1
        # A row's boundaries are the edge, its switches, and the next edge: place j holds switch number before + j - 1.
        place = np.arange(last[-1] + 1 if last.size else 0) - np.repeat(first, sizes)
        of_row = np.repeat(self._first[rows] + before, sizes) + place - 1
        inner = np.ones(place.size, bool)
        inner[first] = inner[last] = False
        offset = np.zeros(place.size, np.int64)
        offset[inner] = self._switches[of_row[inner]] - tick * self._tick_ns
        offset[last] = self._tick_ns
        gained = np.diff(offset, prepend=0)
        gained[first] = 0
        burst = np.repeat(self._starts[rows] ^ (before % 2 == 1), sizes) ^ (place % 2 == 0)
        in_bursts = np.cumsum(gained * burst)
        return first, last, offset, in_bursts - np.repeat(in_bursts[first], sizes)


def _time_in_bursts(burst: bool, switches: Ints, edges: Ints, before: Ints) -> Ints:
    """(T + 1,) time in bursts up to each edge, with `before` (T + 1,) switches before it."""
    lengths = np.diff(switches, prepend=0)
    lengths[1 if burst else 0 :: 2] = 0
    up_to = np.concatenate([[0], np.cumsum(lengths)])
    latest = np.concatenate([[0], switches])[before]
    in_burst = (before % 2 == 1) ^ burst
    total: Ints = up_to[before] + in_burst * (edges - latest)
    return total
