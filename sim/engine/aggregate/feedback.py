"""Sums of a metric's outcomes by the tick in which they become known, for the aggregate engine.

The calls that end well in a tick are counted by segment and by *pattern* of late feedback, whose bits say of each delayed
metric whether its outcome is known by the end of the tick (see `late`). What is not known yet waits (see `waiting`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sim.arrays import Floats, Ints
from sim.engine.aggregate.by_age import Ages
from sim.engine.aggregate.earnings import Earnings, Sums, summed
from sim.engine.aggregate.late import Bits, aged, bits_of, delays_of, failure_of, window_of
from sim.engine.aggregate.refusals import changing, steady
from sim.engine.aggregate.together import Together, together
from sim.engine.aggregate.waiting import ByGroup, Waiting, subkeys, waiting
from sim.world.by_tick import Late
from sim.world.clock import to_ns
from sim.world.latency import Latency
from sim.world.streams import Keys, at, keys, uniforms
from sim.world.world import Truth

_PENDING, _RELEASE = 2**21, 2**22

Pattern = tuple[bool, bool, bool]
"""Bits of a metric: whether a success is late, whether it is over, and whether a failure is late."""
_BY_CALL: tuple[Pattern, ...] = ((False, False, False), (True, False, False), (True, True, False))


class FeedbackStream(Protocol):
    """The feedback of one metric, for the live or the mirrored calls of R replications."""

    def arrive(self, rows: Ints, tick: int, ended: Ints, late: Ints, key: Keys) -> Sums:
        """Count, sum and sum of squares, (r, K) each, of the outcomes that become known in a tick.

        ended, late (r, K, S, P): calls that end well in the tick and arrived in it, or in the tick before. The lowest bits of
        the last axis are those of `late`; where a delay is aged, the band of latency stands above them. key (r, K).
        """

    def drop(self, rows: Ints) -> None:
        """Drop the feedback still to come for these rows."""


class Streams:
    """Makes the feedback streams of the live or the mirrored calls of R replications.

    read: the metrics whose sums are asked for. Calls are told apart by bands of latency that are cut at `limits_s`.
    """

    def __init__(self, truth: Truth, read: Collection[str], limits_s: Sequence[float] = ()) -> None:
        self._truth, self._read, self._limits_s = truth, frozenset(read), tuple(limits_s)
        self._together: dict[int, Together] = {}

    def of(self, metric: str, number: int = 0) -> FeedbackStream:
        """The stream of a metric; streams of unlike numbers know nothing of each other."""
        if metric not in together(self._truth.world):
            return feedback(self._truth, metric, self._limits_s)
        if number not in self._together:
            self._together[number] = Together(self._truth, self._read, self._limits_s)
        stream = self._together[number].stream(metric)
        return Provisional(stream) if self._truth.world.feedback[metric].provisional else stream


def feedback(truth: Truth, metric: str, limits_s: Sequence[float] = ()) -> FeedbackStream:
    """The feedback stream of a metric by itself, by its delays; see `Streams` for `limits_s`."""
    world = truth.world
    earnings = Earnings.of(truth, metric)
    if metric not in world.feedback:
        return Prompt(earnings)
    told = world.feedback[metric]
    if aged(told):
        late = ByAge.of(earnings, truth, metric, limits_s)
        return Provisional(late) if told.provisional else late
    bits = bits_of(world.feedback, world.tick_s, world.ticks)[metric]
    window = window_of(told, world.tick_s, world.ticks)
    segments = 1 if world.segments is None else world.segments.share.size

    def room(laws: Sequence[Latency], groups: int) -> Waiting:
        return waiting(laws, window, truth.rows, groups, world.tick_s, world.ticks)

    stream: FeedbackStream
    if steady(told):
        stream = Lines.of(earnings, bits.success, told.success, truth)
    elif told.by_outcome:
        stream = ByValue(earnings, bits, ByGroup((room(failure_of(world, metric), 1), room(told.success, 1))))
    elif changing(world, metric):
        stream = ByValue(earnings, bits, room(told.success, 2))
    else:
        stream = ByCall(earnings, bits, room(told.success, segments))
    return Provisional(stream) if told.provisional else stream


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
class Provisional:
    """Outcomes that count as 0 from the end of the call on: the count rises then, and the sums when the outcome is known."""

    late: FeedbackStream

    def arrive(self, rows: Ints, tick: int, ended: Ints, late: Ints, key: Keys) -> Sums:
        _, total, square = self.late.arrive(rows, tick, ended, late, key)
        return (ended + late).sum(axis=(2, 3)), total, square

    def drop(self, rows: Ints) -> None:
        self.late.drop(rows)


@dataclass(frozen=True)
class Lines:
    """Feedback with constant delays: its value is drawn when the call ends, and waits in `line` (ticks, 3, R, K).

    groups: (arms, ticks) of the arms that share a delay, whose indices are `arms`.
    """

    earnings: Earnings
    bit: int
    groups: tuple[tuple[Ints, int], ...]
    line: Ints

    @classmethod
    def of(cls, earnings: Earnings, bit: int, delays: Sequence[Latency], truth: Truth) -> Lines:
        """Empty lines for the delays of K arms; those that are longer than the horizon have no line."""
        ticks = np.array([to_ns(delay.mean_s) // to_ns(truth.world.tick_s) for delay in delays])
        groups = tuple((np.flatnonzero(ticks == each), int(each)) for each in np.unique(ticks) if each < truth.world.ticks)
        longest = max((each for _, each in groups), default=0)
        return cls(earnings, bit, groups, np.zeros((longest + 2, 3, truth.rows, ticks.size), np.int64))

    def arrive(self, rows: Ints, tick: int, ended: Ints, late: Ints, key: Keys) -> Sums:
        size = len(self.line)
        if self.groups:
            for pending, (now, before) in enumerate(zip(_split(ended, self.bit), _split(late, self.bit), strict=True)):
                drawn = at(key, _PENDING) if pending else key
                total, square = self.earnings.both(now, before, rows, tick, drawn)
                sums = np.stack([(now + before).sum(axis=2), total, square])
                for arms, ticks in self.groups:
                    self.line[(tick + ticks + pending) % size][np.ix_(np.arange(3), rows, arms)] += sums[..., arms]
        count, total, square = self.line[tick % size][:, rows]
        self.line[tick % size] = 0
        return count, total, square

    def drop(self, rows: Ints) -> None:
        self.line[:, :, rows] = 0


@dataclass(frozen=True)
class ByCall:
    """Feedback whose distribution does not change: calls wait by segment, and what they earned is drawn when it is known."""

    earnings: Earnings
    bits: Bits
    waiting: Waiting

    def arrive(self, rows: Ints, tick: int, ended: Ints, late: Ints, key: Keys) -> Sums:
        early, waits, over = (_picked(ended + late, self.bits, of) for of in _BY_CALL)
        known, expired = self.waiting.arrive(rows, tick, early, waits, over, at(key, _RELEASE))
        total, square = self.earnings.sums(known, rows, tick, key)
        return (known + expired).sum(axis=2), total, square

    def drop(self, rows: Ints) -> None:
        self.waiting.drop(rows)


@dataclass(frozen=True)
class ByValue:
    """Feedback of failures and successes, two groups that are drawn when the call ends, and wait apart."""

    earnings: Earnings
    bits: Bits
    waiting: Waiting

    def arrive(self, rows: Ints, tick: int, ended: Ints, late: Ints, key: Keys) -> Sums:
        # (early, late, over; r, K, value)
        ends = np.zeros((3, *ended.shape[:2], 2), np.int64)
        for number, of in enumerate(_by_value(self.bits)):
            now, before = _picked(ended, self.bits, of), _picked(late, self.bits, of)
            ones, _ = self.earnings.both(now, before, rows, tick, at(key, _PENDING + number - 1) if number else key)
            success, over, failure = of
            ends[int(failure if self.bits.failure is not None else success), ..., 0] += (now + before).sum(axis=2) - ones
            ends[success + over, ..., 1] += ones
        known, expired = self.waiting.arrive(rows, tick, ends[0], ends[1], ends[2], at(key, _RELEASE))
        return (known + expired).sum(axis=2), known[..., 1], known[..., 1]

    def drop(self, rows: Ints) -> None:
        self.waiting.drop(rows)


@dataclass(frozen=True)
class ByAge:
    """Feedback after delays of any law. ages: by arm and group, which are segments, or failures and successes.

    The value of an outcome is drawn when the call ends if it says when it is known (`by_value`), else when it is known.
    slowness (T or 1, K): the factor of the latency in each tick.
    """

    earnings: Earnings
    ages: tuple[tuple[Ages, ...], ...]
    by_value: bool
    slowness: Floats

    @classmethod
    def of(cls, earnings: Earnings, truth: Truth, metric: str, limits_s: Sequence[float]) -> ByAge:
        """Nobody waits yet."""
        world = truth.world
        told = world.feedback[metric]
        by_value = told.by_outcome or changing(world, metric)
        segments = 1 if world.segments is None else world.segments.share.size
        laws = [failure_of(world, metric) if told.by_outcome else told.success, told.success]
        window = window_of(told, world.tick_s, world.ticks)
        others, requests = delays_of(world), float(world.requests.mean())

        def ages(arm: int, law: Latency) -> Ages:
            late = Late(law, world.tick_s, world.ticks, window)
            return Ages(late, world.latency[arm], truth.rows, requests, limits_s, others[arm])

        by_arm = [
            tuple(ages(arm, law[arm]) for law in (laws if by_value else [told.success] * segments))
            for arm in range(len(world.arms))
        ]  # fmt: skip
        slowness = np.ones((1, len(world.arms))) if world.change is None else world.change.slowness
        return cls(earnings, tuple(by_arm), by_value, slowness)

    def arrive(self, rows: Ints, tick: int, ended: Ints, late: Ints, key: Keys) -> Sums:
        ends = [
            self._by_value(each, rows, tick, when, key) if self.by_value else each for when, each in enumerate((ended, late))
        ]
        factors = [self.slowness[min(max(each, 0), len(self.slowness) - 1)] for each in (tick, tick - 1)]
        groups = len(self.ages[0])
        keyed = subkeys(at(key, _RELEASE), groups)
        known, expired = np.zeros((2, *ended.shape[:2], groups), np.int64)
        for arm, of_arm in enumerate(self.ages):
            scales = float(factors[0][arm]), float(factors[1][arm])
            for group, ages in enumerate(of_arm):
                mine = ends[0][:, arm, group], ends[1][:, arm, group]
                known[:, arm, group], expired[:, arm, group] = ages.arrive(rows, tick, mine, scales, keyed[:, arm, group])
        count = (known + expired).sum(axis=2)
        if self.by_value:
            return count, known[..., 1], known[..., 1]
        return count, *self.earnings.sums(known, rows, tick, key)

    def drop(self, rows: Ints) -> None:
        for of_arm in self.ages:
            for ages in of_arm:
                ages.drop(rows)

    def _by_value(self, ended: Ints, rows: Ints, tick: int, when: int, key: Keys) -> Ints:
        """(r, K, 2, cells) failures and successes among calls (r, K, S, cells) that arrived `when` ticks ago."""
        cells = ended.shape[3]
        ones = [
            self.earnings.sums(ended[..., cell], rows, tick - when, at(key, _PENDING + when * cells + cell))[0]
            for cell in range(cells)
        ]
        success = np.stack(ones, axis=2)
        return np.stack([ended.sum(axis=2) - success, success], axis=2)


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


def _by_value(bits: Bits) -> list[Pattern]:
    """The patterns that matter to successes and failures, those that are not late first."""
    late = [(False, False), (True, False), *([(True, True)] if bits.over is not None else [])]
    failures = (False, True) if bits.failure is not None else (False,)
    return [(success, over, failure) for failure in failures for success, over in late]


def _picked(ended: Ints, bits: Bits, of: Pattern) -> Ints:
    """(r, K, S) the calls, of `ended` (r, K, S, P), with some bits of a metric. Whoever is not late is not over."""
    pattern, (success, over, failure) = np.arange(ended.shape[3]), of
    chosen = (pattern >> bits.success & 1) == success
    if success:
        chosen &= (np.zeros_like(pattern) if bits.over is None else pattern >> bits.over & 1) == over
    if bits.failure is not None:
        chosen &= (pattern >> bits.failure & 1) == failure
    return np.asarray(ended[..., chosen].sum(axis=3))


def _split(ended: Ints, bit: int) -> tuple[Ints, Ints]:
    """(r, K, S) each: calls, of `ended` (r, K, S, P), whose metric is known in the tick of their end, and the other calls."""
    late = (np.arange(ended.shape[3]) >> bit & 1).astype(bool)
    return ended[..., ~late].sum(axis=3), ended[..., late].sum(axis=3)
