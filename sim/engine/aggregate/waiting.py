"""Where outcomes wait until they become known, for the aggregate engine: counts of calls by the tick in which they do.

An exponential delay has no memory, so what waits is a pool that loses a fixed expected share a tick. A constant delay is a line
of ticks. An attribution window gives a pool an age at which it is cut off; a calendar keeps that at the cost of a logarithm.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sim.arrays import Floats, Ints
from sim.world.clock import to_ns
from sim.world.draws import binomial, multinomial
from sim.world.latency import Constant, Latency
from sim.world.streams import Keys, at

_IN_TIME, _TOO_LATE, _SPREAD, _HALVE, _GROUP = 2**8, 2**8 + 1, 2**8 + 2, 2**9, 2**10


class Waiting(Protocol):
    """Calls of R replications in some arms k, in V groups, from their end until their outcome is known."""

    def arrive(self, rows: Ints, tick: int, early: Ints, late: Ints, over: Ints, key: Keys) -> tuple[Ints, Ints]:
        """(r, k, V) each: calls whose outcome becomes known in a tick, and calls whose window closes in it before that.

        early, late, over (r, k, V): calls that end in the tick, by their bits: not late; late, and in time should it come to
        the tick in which the window closes; late, and too late then. key (r, k).
        """

    def drop(self, rows: Ints) -> None:
        """Drop what waits in these rows."""


def waiting(laws: Sequence[Latency], window: int | None, rows: int, groups: int, tick_s: float, ticks: int) -> Waiting:
    """Where the calls of K arms wait, each under its law, with a window of some ticks or None; groups is V."""
    shape, tick_ns = (rows, len(laws), groups), to_ns(tick_s)
    kinds: dict[object, list[int]] = {}
    for arm, law in enumerate(laws):
        kinds.setdefault(to_ns(law.mean_s) // tick_ns if isinstance(law, Constant) else "exponential", []).append(arm)

    def made(kind: object, arms: list[int]) -> Waiting:
        of = rows, len(arms), groups
        if isinstance(kind, int):
            return Line(kind, np.zeros((min(kind, ticks) + 2, *of), np.int64))
        rate = [tick_s / laws[arm].mean_s for arm in arms]
        if window is not None:
            return Calendar.of(np.array(rate)[:, None], window, of)
        return Pool(np.array([math.exp(-each) for each in rate])[:, None], np.zeros(of, np.int64))

    if len(kinds) == 1:
        ((kind, arms),) = kinds.items()
        return made(kind, arms)
    return ByArm(shape, tuple((np.array(arms), made(kind, arms)) for kind, arms in kinds.items()))


@dataclass(frozen=True)
class ByArm:
    """Arms that wait under laws of different kinds. shape (R, K, V)."""

    shape: tuple[int, int, int]
    parts: tuple[tuple[Ints, Waiting], ...]

    def arrive(self, rows: Ints, tick: int, early: Ints, late: Ints, over: Ints, key: Keys) -> tuple[Ints, Ints]:
        known, expired = np.zeros((2, rows.size, *self.shape[1:]), np.int64)
        for arms, part in self.parts:
            known[:, arms], expired[:, arms] = part.arrive(
                rows, tick, early[:, arms], late[:, arms], over[:, arms], key[:, arms]
            )
        return known, expired

    def drop(self, rows: Ints) -> None:
        for _, part in self.parts:
            part.drop(rows)


@dataclass(frozen=True)
class ByGroup:
    """Groups that wait under laws of their own: each part holds one group, V of them."""

    parts: tuple[Waiting, ...]

    def arrive(self, rows: Ints, tick: int, early: Ints, late: Ints, over: Ints, key: Keys) -> tuple[Ints, Ints]:
        found = []
        for group, part in enumerate(self.parts):
            of = ..., slice(group, group + 1)
            found.append(part.arrive(rows, tick, early[of], late[of], over[of], at(key, _GROUP + group)))
        known, expired = (np.concatenate(each, axis=2) for each in zip(*found, strict=True))
        return known, expired

    def drop(self, rows: Ints) -> None:
        for part in self.parts:
            part.drop(rows)


@dataclass(frozen=True)
class Pool:
    """Exponential delays: `waiting` (R, k, V) calls, each of which still waits after a tick with probability kept (k, 1)."""

    kept: Floats
    waiting: Ints

    def arrive(self, rows: Ints, tick: int, early: Ints, late: Ints, over: Ints, key: Keys) -> tuple[Ints, Ints]:
        waiting = self.waiting[rows]
        staying = binomial(waiting, self.kept, subkeys(key, waiting.shape[2]))
        self.waiting[rows] = staying + late + over
        return early + waiting - staying, np.zeros_like(early)

    def drop(self, rows: Ints) -> None:
        self.waiting[rows] = 0


@dataclass(frozen=True)
class Line:
    """A constant delay of some ticks and a rest, which `early` calls have behind them; `line` (ticks, R, k, V) is a ring."""

    ticks: int
    line: Ints

    def arrive(self, rows: Ints, tick: int, early: Ints, late: Ints, over: Ints, key: Keys) -> tuple[Ints, Ints]:
        size = len(self.line)
        if self.ticks + 2 == size:  # else it is longer than the horizon
            self.line[(tick + self.ticks) % size, rows] += early
            self.line[(tick + self.ticks + 1) % size, rows] += late + over
        known = self.line[tick % size, rows]
        self.line[tick % size, rows] = 0
        return known, np.zeros_like(known)

    def drop(self, rows: Ints) -> None:
        self.line[:, rows] = 0


@dataclass(frozen=True)
class Calendar:
    """Exponential delays that a window cuts off after m ticks, counted from the end of a call.

    A call that is late is known in one of the next m - 1 ticks, or in the tick in which its window closes, or never. Which of
    the m - 1, is drawn in halves: `blocks` holds counts of calls that will be known in an aligned block of 2^n ticks, which is
    split in two when it begins. Within a block an exponential delay lies alike whatever the age of the call, so calls of any
    age share one count, and a tick takes some 2 log2(m) draws instead of m. It is a hierarchical timing wheel of counts
    (Varghese & Lauck, Hashed and Hierarchical Timing Wheels, SOSP 1987).

    rate (k, 1) of the delay, a tick; blocks[n] (ring, R, k, V); closing (m + 1, 2, R, k, V) calls that are known, and that are
    too late, when their window closes.
    """

    rate: Floats
    window: int
    blocks: tuple[Ints, ...]
    closing: Ints

    @classmethod
    def of(cls, rate: Floats, window: int, shape: tuple[int, int, int]) -> Calendar:
        """An empty calendar for a window of at least one tick."""
        levels = max(window - 1, 1).bit_length()
        blocks = tuple(np.zeros(((window >> level) + 2, *shape), np.int64) for level in range(levels))
        return cls(rate, window, blocks, np.zeros((window + 1, 2, *shape), np.int64))

    def arrive(self, rows: Ints, tick: int, early: Ints, late: Ints, over: Ints, key: Keys) -> tuple[Ints, Ints]:
        known = early + self._due(rows, tick, key)
        place = tick % len(self.closing)
        in_time, expired = self.closing[place][:, rows]
        self.closing[place][:, rows] = 0
        self._enter(rows, tick, late, over, key)
        return known + in_time, expired

    def drop(self, rows: Ints) -> None:
        for block in self.blocks:
            block[:, rows] = 0
        self.closing[:, :, rows] = 0

    def _due(self, rows: Ints, tick: int, key: Keys) -> Ints:
        """Calls that become known in a tick, after the blocks that begin with it are split."""
        for level in range(len(self.blocks) - 1, 0, -1):
            if tick % (1 << level):
                continue
            block, halves = self.blocks[level], self.blocks[level - 1]
            whole = block[(tick >> level) % len(block), rows]
            if whole.any():
                share = 1 / (1 + np.exp(-self.rate * (1 << level - 1)))
                first = binomial(whole, share, subkeys(at(key, _HALVE + level), whole.shape[2]))
                place = tick >> level - 1
                halves[place % len(halves), rows] += first
                halves[(place + 1) % len(halves), rows] += whole - first
                block[(tick >> level) % len(block), rows] = 0
        last = self.blocks[0]
        due: Ints = last[tick % len(last), rows]
        last[tick % len(last), rows] = 0
        return due

    def _enter(self, rows: Ints, tick: int, late: Ints, over: Ints, key: Keys) -> None:
        """Calls that begin to wait at the end of a tick."""
        to_the_end = np.exp(-self.rate * (self.window - 1))
        place = (tick + self.window) % len(self.closing)
        spread = np.zeros_like(late)
        for number, (some, slot) in enumerate(((late, _IN_TIME), (over, _TOO_LATE))):
            staying = binomial(some, to_the_end, subkeys(at(key, slot), some.shape[2]))
            self.closing[place, number, rows] += staying
            spread += some - staying
        if self.window == 1 or not spread.any():
            return
        found = list(aligned(tick + 1, tick + self.window))
        start, size = (np.array(column) for column in zip(*found, strict=True))
        weight = np.exp(-self.rate * (start - tick - 1)) * -np.expm1(-self.rate * size)
        share = weight / weight.sum(axis=1, keepdims=True)
        drawn = multinomial(spread, share[:, None, :], subkeys(at(key, _SPREAD), spread.shape[2]))
        for number, (first, length) in enumerate(found):
            level = length.bit_length() - 1
            block = self.blocks[level]
            block[(first >> level) % len(block), rows] += drawn[..., number]


def aligned(start: int, stop: int) -> Iterator[tuple[int, int]]:
    """(first, length) of the fewest blocks that make up start, …, stop - 1, each of a power of two and aligned to it.

    >>> list(aligned(3, 13))
    [(3, 1), (4, 4), (8, 4), (12, 1)]
    """
    while start < stop:
        length = start & -start or 1 << (stop - start).bit_length()
        while start + length > stop:
            length //= 2
        yield start, length
        start += length


def subkeys(key: Keys, count: int) -> Keys:
    """(…, count) keys of the groups of an element."""
    return at(key[..., None], np.arange(1, count + 1, dtype=np.uint64))
