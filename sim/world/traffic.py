"""How many requests arrive, and when: the same for every policy and engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from sim.arrays import Floats, Ints
from sim.errors import InputError, Problem
from sim.scenario.traffic import MOST_REQUESTS, FlashCrowd, Traffic, too_many, traffic_problems
from sim.units import format_duration
from sim.world.bursts import Bursts, Paths
from sim.world.clock import NS, to_ns
from sim.world.streams import generator, keys, uniforms
from sim.world.trace import Trace, read_trace

Law = Literal["poisson", "regular"]

DAY_S = 86_400.0
MOST_KNOTS = 10_000_000
_POINTS = 1_000_000
# Levels of a recorded trace lie on this grid, so that sums of them are exact.
_FINE = 2.0**20


@dataclass(frozen=True)
class Pieces:
    """How the arrivals of one tick lie within it, for r replications, which may share pieces.

    Row i's cumulated intensity is the line through offset_ns[j], level[j] for j from first[i] up to and with last[i], from
    (0, 0) to the tick's length; points at equal offsets are a jump. Given their number, arrivals of law `poisson` are uniform
    order statistics on the scale of level, and `regular` ones lie at ahead[i], ahead[i] + 1, … on it. A level that holds for a
    while is left at the end of it. first, last, ahead (r,); offset_ns, level (P,).
    """

    first: Ints
    last: Ints
    offset_ns: Ints
    level: Floats
    ahead: Floats
    law: Law


class _Cut(Protocol):
    """first, last (r,), offset_ns and level (P,) of the pieces of some rows in a tick."""

    def __call__(self, rows: Ints, tick: int) -> tuple[Ints, Ints, Ints, Floats]: ...


@dataclass(frozen=True, eq=False)
class Arrivals:
    """The process in which requests arrive. mean (T,) is what is expected of every tick, over all replications.

    `bursts` modulate the mean; `trace`, times `scale`, says where within a tick requests lie. A `regular` process is shifted
    by a phase of its own in every replication, unless it plays what was `recorded`.

    >>> Arrivals(np.array([3.0, 3.0]), 600 * NS, "regular").counts(7, [0, 1]).tolist()
    [[3, 3], [3, 3]]
    """

    mean: Floats
    tick_ns: int
    law: Law = "poisson"
    bursts: Bursts | None = None
    trace: Trace | None = None
    repeat: bool = False
    scale: float = 1.0
    recorded: bool = False

    @cached_property
    def bent(self) -> bool:
        """Whether the rate of the trace changes within some tick."""
        trace = self.trace
        if trace is None:
            return False
        edges = np.arange(self.mean.size + 1, dtype=np.int64) * self.tick_ns
        # Ticks together, as long as they have about so many points.
        many = max(1, _POINTS * trace.length_ns // (self.tick_ns * trace.offset_ns.size))
        for first in range(0, self.mean.size, many):
            some = edges[first : first + many + 1]
            times, levels = trace.knots(int(some[0]), int(some[-1]), self.repeat)
            reached = trace.before(some, self.repeat)
            tick = (times - some[0]) // self.tick_ns
            within = (times - some[tick]) / self.tick_ns
            even = reached[tick] + within * np.diff(reached)[tick]
            if (self.scale * np.abs(levels - even) > 1e-9 * np.maximum(self.scale * np.diff(reached)[tick], 1.0)).any():
                return True
        return False

    def same(self, other: Arrivals) -> bool:
        """Whether `other` is told to be the same process: its counts are the same. Traces are compared by identity.

        >>> process = Arrivals(np.array([3.0]), NS)
        >>> process.same(Arrivals(np.array([3.0]), NS)), process.same(Arrivals(np.array([4.0]), NS))
        (True, False)
        """
        return self is other or (
            (self.tick_ns, self.law, self.bursts, self.repeat, self.scale, self.recorded)
            == (other.tick_ns, other.law, other.bursts, other.repeat, other.scale, other.recorded)
            and self.trace is other.trace
            and np.array_equal(self.mean, other.mean)
        )

    def counts(self, seed: int, replications: Sequence[int] | Ints) -> Ints:
        """(R, T) requests of every tick, which depend on (seed, replication) alone."""
        return self.schedule(seed, replications).counts()

    def pieces(self, seed: int, replications: Sequence[int] | Ints, tick: int) -> Pieces:
        """How arrivals lie within a tick. With bursts, ask a `schedule`, which keeps the paths from tick to tick."""
        return self.schedule(seed, replications).pieces(np.arange(len(replications)), tick)

    def schedule(self, seed: int, replications: Sequence[int] | Ints) -> Schedule:
        """The process in some replications."""
        return Schedule(self, seed, np.asarray(replications, np.int64))


@dataclass(frozen=True, eq=False)
class Schedule:
    """The arrivals of some replications (R,); `rows` below are places in this list."""

    arrivals: Arrivals
    seed: int
    replications: Ints

    def counts(self) -> Ints:
        """(R, T) requests of every tick."""
        process, size = self.arrivals, self.arrivals.mean.size
        if process.recorded:
            return np.repeat(np.rint(process.mean).astype(np.int64)[None], self.replications.size, axis=0)
        if process.law == "regular":
            # The whole levels passed are counted on their own, so that large ones lose nothing to rounding.
            whole = np.floor(self._level)
            passed = whole + (self._level - whole > self._phase[:, None])
            return np.diff(passed, axis=1).astype(np.int64)
        drawn = np.empty((self.replications.size, size), np.int64)
        mean = np.broadcast_to(self._mean, drawn.shape)
        for row, replication in enumerate(self.replications):
            drawn[row] = generator(self.seed, int(replication), "arrivals").poisson(mean[row])
        return drawn

    def pieces(self, rows: Ints, tick: int) -> Pieces:
        """How the arrivals of some rows (r,) lie within a tick."""
        rows = np.asarray(rows, np.int64)
        first, last, offset_ns, level = self._cut(rows, tick)
        return Pieces(first, last, offset_ns, level, self._ahead(rows, tick), self.arrivals.law)

    def _ahead(self, rows: Ints, tick: int) -> Floats:
        if self.arrivals.law == "poisson":
            return np.zeros(rows.size)
        if self.arrivals.recorded:
            trace, edge = self.arrivals.trace, np.array([tick * self.arrivals.tick_ns])
            assert trace is not None
            reached = trace.recorded_before(edge, self.arrivals.repeat) + trace.lead
            return np.full(rows.size, reached[0] - self._base(edge)[0])
        level = np.broadcast_to(self._level, (self.replications.size, self._level.shape[1]))[rows, tick]
        ahead = self._phase[rows] - (level - np.floor(level))
        return np.asarray(np.where(ahead < 0, ahead + 1, ahead))

    @cached_property
    def _paths(self) -> Paths:
        process = self.arrivals
        assert process.bursts is not None
        return Paths(process.bursts, self.seed, self.replications, process.mean.size, process.tick_ns)

    @cached_property
    def _mean(self) -> Floats:
        """(1, T) or (R, T) the intensity of every tick."""
        process = self.arrivals
        if process.bursts is None:
            return process.mean[None]
        extra = (process.bursts.factor - 1) * (self._paths.burst_ns / process.tick_ns)
        return process.mean * (process.bursts.calm * (1 + extra))

    @cached_property
    def _level(self) -> Floats:
        """(1, T + 1) or (R, T + 1) intensity cumulated up to every edge."""
        cumulated = np.cumsum(self._mean, axis=1)
        return np.concatenate([np.zeros((len(cumulated), 1)), cumulated], axis=1)

    @cached_property
    def _phase(self) -> Floats:
        """(R,) the level of the first regular arrival."""
        return uniforms(keys(self.seed, self.replications, "phase"))

    @property
    def _cut(self) -> _Cut:
        if self.arrivals.trace is not None:
            return self._along_trace
        return self._even if self.arrivals.bursts is None else self._between_switches

    def _even(self, rows: Ints, tick: int) -> tuple[Ints, Ints, Ints, Floats]:
        offset, level = np.array([0, self.arrivals.tick_ns]), np.array([0.0, self.arrivals.mean[tick]])
        return np.zeros(rows.size, np.int64), np.ones(rows.size, np.int64), offset, level

    def _between_switches(self, rows: Ints, tick: int) -> tuple[Ints, Ints, Ints, Floats]:
        process = self.arrivals
        assert process.bursts is not None
        first, last, offset, in_bursts = self._paths.within(rows, tick)
        calm = process.mean[tick] * process.bursts.calm / process.tick_ns
        return first, last, offset, calm * (offset + (process.bursts.factor - 1) * in_bursts)

    def _along_trace(self, rows: Ints, tick: int) -> tuple[Ints, Ints, Ints, Floats]:
        process = self.arrivals
        assert process.trace is not None
        edges = np.array([tick, tick + 1]) * process.tick_ns
        times, levels = process.trace.knots(int(edges[0]), int(edges[1]), process.repeat)
        reached = process.trace.before(edges, process.repeat)
        base = self._base(edges)[0]
        offset = np.concatenate([[0], times - edges[0], [process.tick_ns]])
        level = process.scale * np.concatenate([[0.0], levels - base, [max(reached[1] - base, 0.0)]])
        return np.zeros(rows.size, np.int64), np.full(rows.size, offset.size - 1), offset, level

    def _base(self, edges_ns: Ints) -> Floats:
        """The trace's level at edges; where it is recorded, rounded down so that differences from whole levels are exact."""
        assert self.arrivals.trace is not None
        level = self.arrivals.trace.before(edges_ns, self.arrivals.repeat)
        return np.floor(level * _FINE) / _FINE if self.arrivals.recorded else level


def arrivals_of(traffic: Traffic, ticks: int, tick_s: float, trace: Trace | None = None) -> Arrivals:
    """The process that a scenario asks for; `trace` is what its trace file holds, which is read if it is left out.

    Raises `InputError` for keys that do not go together, a trace too short for the horizon, and numbers too large to count.
    """
    tick_ns = to_ns(tick_s)
    found = list(traffic_problems(traffic, ticks * tick_s))
    if traffic.trace is not None and trace is None:
        trace = read_trace(traffic.trace)
    if trace is not None and not found:
        found += _length_problems(traffic, trace, ticks, tick_ns)
    if found:
        raise InputError(found)
    if traffic.trace is None:
        bursts = None
        if traffic.bursts is not None:
            bursts = Bursts(traffic.bursts.factor, traffic.bursts.every * NS, traffic.bursts.duration * NS)
        made = Arrivals(expected(traffic, ticks, tick_s), tick_ns, traffic.arrivals, bursts)
    else:
        assert trace is not None
        made = _of_trace(traffic, trace, ticks, tick_ns)
    most = made.mean.sum() * (1.0 if made.bursts is None else made.bursts.calm * made.bursts.factor)
    if not most < MOST_REQUESTS:
        key = "flash_crowds" if traffic.flash_crowds else "bursts" if traffic.bursts else "rate" if traffic.rate else "trace"
        raise InputError([Problem(too_many(most), path=f"traffic.{key}")])
    return made


def _of_trace(traffic: Traffic, trace: Trace, ticks: int, tick_ns: int) -> Arrivals:
    assert traffic.trace is not None
    repeat = traffic.trace.repeat
    edges = np.arange(ticks + 1, dtype=np.int64) * tick_ns
    scale = 1.0 if traffic.rate is None else traffic.rate * (trace.length_ns / NS) / trace.total
    recorded = traffic.arrivals == "regular" and traffic.rate is None and trace.times_ns is not None
    if recorded:
        mean = np.diff(trace.recorded_before(edges, repeat)).astype(np.float64)
    else:
        mean = scale * np.diff(trace.before(edges, repeat))
    return Arrivals(mean, tick_ns, traffic.arrivals, None, trace, repeat, scale, recorded)


def _length_problems(traffic: Traffic, trace: Trace, ticks: int, tick_ns: int) -> Iterator[Problem]:
    assert traffic.trace is not None
    horizon_ns = ticks * tick_ns
    length, horizon = format_duration(trace.length_ns / NS), format_duration(horizon_ns / NS)
    # After the last recorded request there may be silence, but not for a whole tick.
    reaches_ns = horizon_ns if trace.times_ns is None else horizon_ns - tick_ns + 1
    if trace.times_ns is not None and trace.times_ns[0] >= horizon_ns:
        start = format_duration(int(trace.times_ns[0]) / NS)
        yield Problem(
            f"seconds count from the start of the run: the first request comes after {start}, and the horizon is {horizon}",
            path="traffic.trace.time",
        )
    elif trace.length_ns < reaches_ns and not traffic.trace.repeat:
        yield Problem(
            f"is shorter than the horizon: it lasts {length}, and the horizon is {horizon}; `repeat: true` starts it again",
            path="traffic.trace.file",
        )
    rounds = tick_ns / trace.length_ns
    if traffic.trace.repeat and trace.offset_ns.size * rounds > MOST_KNOTS:
        yield Problem(
            f"its {trace.offset_ns.size - 1} rows would be repeated {rounds:,.0f} times in a tick: it lasts {length}, a tick "
            f"{format_duration(tick_ns / NS)}; take a longer trace or a shorter tick",
            path="traffic.trace.file",
        )


def expected(traffic: Traffic, ticks: int, tick_s: float) -> Floats:
    """(T,) mean requests of every tick: the rate at the tick's middle, times its length and the mean of its flash crowds.

    >>> expected(Traffic(rate="40/s"), 2, 600.0).tolist()
    [24000.0, 24000.0]
    """
    assert traffic.rate is not None
    middle = traffic.start + (np.arange(ticks) + 0.5) * tick_s
    rate = np.full(ticks, traffic.rate)
    if traffic.daily is not None:
        phase = 2 * np.pi * (middle - traffic.daily.peak) / DAY_S
        rate = rate * (1 + traffic.daily.amplitude * np.cos(phase))
    if traffic.weekly is not None:
        rate = rate * np.asarray(traffic.weekly)[(middle // DAY_S).astype(np.int64) % 7]
    if traffic.flash_crowds:
        with np.errstate(over="ignore", invalid="ignore"):
            rate = rate * (1 + sum(_crowd(crowd, ticks, tick_s) for crowd in traffic.flash_crowds))
    return rate * tick_s


def _crowd(crowd: FlashCrowd, ticks: int, tick_s: float) -> Floats:
    """(T,) what a flash crowd adds to the rate, as a multiple of it: the mean of its profile over each tick."""
    edges = np.arange(ticks + 1) * tick_s
    falls = crowd.at + crowd.rise + crowd.duration
    risen, fallen = _ramp(edges - crowd.at, crowd.rise), _ramp(edges - falls, crowd.decay)
    return (crowd.factor - 1) * np.diff(risen - fallen) / tick_s


def _ramp(time_s: NDArray[np.floating], length_s: float) -> Floats:
    """The integral, up to a time, of what rises in a line from 0 at time 0 to 1 at `length_s`, and stays."""
    after = np.maximum(time_s, 0.0)
    rising = after * after / (2 * length_s) if length_s else after
    integral: Floats = np.where(after < length_s, rising, after - length_s / 2)
    return integral
