"""Sums of a metric's outcomes by the tick in which they become known, for the aggregate engine.

The calls that end well in a tick are counted by segment and by *pattern* of late feedback: bit m says that the feedback of the
m-th delayed metric is not known by the end of the tick. An exponential delay has no memory, so the feedback still to come is a
pool that loses a fixed expected share a tick. A constant delay is a line of ticks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sim.arrays import Floats, Ints
from sim.engine.aggregate.refusals import changing, delayed
from sim.world.clock import to_ns
from sim.world.draws import binomial
from sim.world.latency import Constant, Exponential
from sim.world.outcomes import Factor, Outcomes
from sim.world.streams import Keys, at, keys, uniforms
from sim.world.world import Truth

Sums = tuple[Ints, Ints, Ints]

_LATER, _PENDING, _RELEASE = 2**20, 2**21, 2**22


class FeedbackStream(Protocol):
    """The feedback of one metric, for the live or the mirrored calls of R replications."""

    def arrive(self, rows: Ints, tick: int, ended: Ints, late: Ints, key: Keys) -> Sums:
        """Count, sum and sum of squares, (r, K) each, of the outcomes that become known in a tick.

        ended, late (r, K, S, P): calls that end well in the tick and arrived in it, or in the tick before. key (r, K).
        """

    def drop(self, rows: Ints) -> None:
        """Drop the feedback still to come for these rows."""


@dataclass(frozen=True)
class Earnings:
    """Outcomes of one metric, by segment and by the tick of arrival.

    by_segment (S,) factors of the mean, or None if all segments are equal; by_tick gives the factors of a tick, (K,) or (R, K),
    and is None if the mean is constant.
    """

    outcome: Outcomes
    by_segment: Floats | None
    by_tick: Callable[[int], Floats] | None

    @classmethod
    def of(cls, truth: Truth, metric: str) -> Earnings:
        """The earnings of a metric in a block."""
        segments = truth.world.segments
        by_segment = None if segments is None else segments.factors.get(metric)
        by_tick = (lambda tick: truth.factor(metric, tick)) if changing(truth.world, metric) else None
        return cls(truth.outcomes[metric], by_segment, by_tick)  # type: ignore[arg-type]

    def same(self, tick: int, other: int) -> bool:
        """Whether requests that arrive in two ticks have the same outcome distribution."""
        return self.by_tick is None or other < 0 or np.array_equal(self.by_tick(tick), self.by_tick(other))

    def sums(self, n: Ints, rows: Ints, tick: int, key: Keys) -> tuple[Ints, Ints]:
        """(r, K) each: sum and sum of squares of the outcomes of n (r, K, S) requests of a tick."""
        factor: Factor = 1.0
        if self.by_tick is not None:
            found = self.by_tick(tick)
            factor = found[rows] if found.ndim == 2 else found
        if self.by_segment is None:
            return self.outcome.sums(summed(n, 2), rows, key, factor)
        sums = [
            self.outcome.sums(n[..., place], rows, at(key, place + 1), factor * by)
            for place, by in enumerate(self.by_segment)
        ]  # fmt: skip
        return sum(total for total, _ in sums), sum(square for _, square in sums)  # type: ignore[return-value]

    def both(self, now: Ints, before: Ints, rows: Ints, tick: int, key: Keys) -> tuple[Ints, Ints]:
        """(r, K) each: sum and sum of squares over requests (r, K, S) of a tick and of the tick before."""
        if self.same(tick, tick - 1):
            return self.sums(now + before, rows, tick, key)
        if not before.any():
            return self.sums(now, rows, tick, key)
        one, other = self.sums(now, rows, tick, key), self.sums(before, rows, tick - 1, at(key, _LATER))
        return one[0] + other[0], one[1] + other[1]


def feedback(truth: Truth, metric: str) -> FeedbackStream:
    """The feedback stream of a metric, by its delay."""
    world = truth.world
    earnings = Earnings.of(truth, metric)
    delay = world.delays.get(metric)
    if delay is None:
        return Prompt(earnings)
    bit = delayed(world).index(metric)
    shape = truth.rows, len(world.arms)
    if isinstance(delay, Constant):
        ticks = to_ns(delay.mean_s) // to_ns(world.tick_s)
        return Line(earnings, bit, ticks, np.zeros((min(ticks, world.ticks) + 2, 3, *shape), np.int64))
    assert isinstance(delay, Exponential)
    kept = math.exp(-world.tick_s / delay.mean_s)
    if changing(world, metric):
        return ValuePool(earnings, bit, kept, np.zeros((*shape, 2), np.int64))
    segments = 1 if world.segments is None else world.segments.share.size
    return CountPool(earnings, bit, kept, np.zeros((*shape, segments), np.int64))


@dataclass(frozen=True)
class Prompt:
    """Feedback that is known at the end of the call."""

    earnings: Earnings

    def arrive(self, rows: Ints, tick: int, ended: Ints, late: Ints, key: Keys) -> Sums:
        known, before = summed(ended, 3), summed(late, 3)
        total, square = self.earnings.both(known, before, rows, tick, key)
        return summed(known + before, 2), total, square

    def drop(self, rows: Ints) -> None:
        pass


@dataclass(frozen=True)
class Line:
    """Feedback with a constant delay: its value is drawn when the call ends, and waits in `line` (ticks, 3, R, K)."""

    earnings: Earnings
    bit: int
    ticks: int
    line: Ints

    def arrive(self, rows: Ints, tick: int, ended: Ints, late: Ints, key: Keys) -> Sums:
        size = len(self.line)
        if self.ticks + 2 == size:
            for pending, (now, before) in enumerate(zip(_split(ended, self.bit), _split(late, self.bit), strict=True)):
                drawn = at(key, _PENDING) if pending else key
                total, square = self.earnings.both(now, before, rows, tick, drawn)
                self.line[(tick + self.ticks + pending) % size][:, rows] += np.stack(
                    [(now + before).sum(axis=2), total, square]
                )
        count, total, square = self.line[tick % size][:, rows]
        self.line[tick % size] = 0
        return count, total, square

    def drop(self, rows: Ints) -> None:
        self.line[:, :, rows] = 0


@dataclass(frozen=True)
class CountPool:
    """Feedback with an exponential delay and a constant distribution: `waiting` (R, K, S) calls, by segment."""

    earnings: Earnings
    bit: int
    kept: float
    waiting: Ints

    def arrive(self, rows: Ints, tick: int, ended: Ints, late: Ints, key: Keys) -> Sums:
        prompt, pending = _split(ended + late, self.bit)
        waiting = self.waiting[rows]
        staying = binomial(waiting, self.kept, _subkeys(at(key, _RELEASE), waiting.shape[2]))
        self.waiting[rows] = staying + pending
        known = prompt + waiting - staying
        total, square = self.earnings.sums(known, rows, tick, key)
        return known.sum(axis=2), total, square

    def drop(self, rows: Ints) -> None:
        self.waiting[rows] = 0


@dataclass(frozen=True)
class ValuePool:
    """Feedback with an exponential delay, for a rate that changes: `waiting` (R, K, 2) calls by their outcome, 0 or 1."""

    earnings: Earnings
    bit: int
    kept: float
    waiting: Ints

    def arrive(self, rows: Ints, tick: int, ended: Ints, late: Ints, key: Keys) -> Sums:
        waiting = self.waiting[rows]
        staying = binomial(waiting, self.kept, _subkeys(at(key, _RELEASE), 2))
        known = waiting - staying
        for pending, (now, before) in enumerate(zip(_split(ended, self.bit), _split(late, self.bit), strict=True)):
            ones, _ = self.earnings.both(now, before, rows, tick, at(key, _PENDING) if pending else key)
            by_value = np.stack([(now + before).sum(axis=2) - ones, ones], axis=2)
            if pending:
                staying = staying + by_value
            else:
                known = known + by_value
        self.waiting[rows] = staying
        return known.sum(axis=2), known[..., 1], known[..., 1]

    def drop(self, rows: Ints) -> None:
        self.waiting[rows] = 0


def segment_shares(truth: Truth) -> Floats | None:
    """(1, S) or (R, S) shares of requests from each segment, or None if all segments are equal.

    A user stays in one segment. So where requests come from users, the shares are those of the simulated users.
    """
    segments, population = truth.world.segments, truth.world.population
    if segments is None or not segments.factors:
        return None
    if population is None:
        return segments.share[None]
    up_to, users = np.cumsum(segments.share)[:-1], np.arange(population.users, dtype=np.uint64)
    shares = np.empty((truth.rows, segments.share.size))
    for row, key in enumerate(keys(truth.world.seed, truth.replications, "segment")):
        of_user = np.searchsorted(up_to, uniforms(at(key[None], users)), side="right")
        shares[row] = np.bincount(of_user, population.activity, segments.share.size)
    return shares


def summed(counts: Ints, axis: int) -> Ints:
    """Sums over an axis. An axis of length 1, as in most worlds, is only taken away, which is faster.

    >>> summed(np.array([[3], [4]]), 1).tolist()
    [3, 4]
    """
    return np.asarray(counts.take(0, axis) if counts.shape[axis] == 1 else counts.sum(axis))


def _split(ended: Ints, bit: int) -> tuple[Ints, Ints]:
    """(r, K, S) each: calls, of `ended` (r, K, S, P), whose metric is known in the tick of their end, and the other calls."""
    late = (np.arange(ended.shape[3]) >> bit & 1).astype(bool)
    return ended[..., ~late].sum(axis=3), ended[..., late].sum(axis=3)


def _subkeys(key: Keys, count: int) -> Keys:
    return at(key[..., None], np.arange(1, count + 1, dtype=np.uint64))
