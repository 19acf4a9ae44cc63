"""Draws as functions of a key: what a request gets is the same whenever, by whomever and in whichever order it is asked.

Scalar functions for `sim.jit`. A key is a 64-bit word, as `sim.world.streams` makes them; one key is one draw.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sim.jit import compiled, integer, word
from sim.world import elementary
from sim.world import latency as latencies
from sim.world.clock import NS
from sim.world.elementary import LOG_2_HIGH, LOG_2_LOW, ROOT_HALF
from sim.world.streams import BELOW_ONE

_ALL = word(2**64 - 1)
_GOLDEN = word(0x9E3779B97F4A7C15)
_MIX_1 = word(0xBF58476D1CE4E5B9)
_MIX_2 = word(0x94D049BB133111EB)
_30, _27, _31, _11 = word(30), word(27), word(31), word(11)
_TO_UNIT = 2.0**-53
# Ends of calls are at most 2^62, which leaves room for one more call.
_LONGEST_NS = 2.0**61
# The bits of a number's fraction, and those of the exponent with which it lies in [0.5, 1).
_FRACTION, _HALF = 2**52 - 1, 1022 << 52
BLOCK = 1024
"""So many draws at once stay in the nearest cache from one pass over them to the next."""
# How many draws a request can have of one stream: one an attempt.
SLOTS = 16


@compiled
def at(key: Any, counter: Any) -> Any:
    """The key number `counter` of a stream: `sim.world.streams.at`, one at a time."""
    z = (word(key) + _GOLDEN * word(counter)) & _ALL
    z = ((z ^ (z >> _30)) * _MIX_1) & _ALL
    z = ((z ^ (z >> _27)) * _MIX_2) & _ALL
    return z ^ (z >> _31)


@compiled
def unit(key: Any) -> Any:
    """A uniform in the open interval (0, 1).

    >>> from sim.world.streams import keys, uniforms
    >>> key = keys(7, [0], "x")
    >>> bool(unit(key[0]) == uniforms(key)[0])
    True
    """
    return min((float(integer(word(key) >> _11)) + 0.5) * _TO_UNIT, BELOW_ONE)


_atanh_series: Any = compiled(elementary.atanh_series)


@compiled
def log(x: Any) -> Any:
    """`elementary.log` of one number, without a branch, so that loops of it can be vectorised.

    >>> bool(log(0.3) == elementary.log(np.array([0.3]))[0])
    True
    """
    bits = np.float64(x).view(np.int64)
    part = np.int64(bits & _FRACTION | _HALF).view(np.float64)
    power = float((bits >> 52) - 1022)
    low = part < ROOT_HALF
    part = 2.0 * part if low else part
    power = power - 1.0 if low else power
    return power * LOG_2_HIGH + (power * LOG_2_LOW + _atanh_series((part - 1.0) / (part + 1.0)))


@compiled
def exponential(key: Any) -> Any:
    """Standard exponential, by inversion."""
    return -log(unit(key))


@compiled
def add_up(key: Any, out: Any) -> None:
    """Fill `out` with the sums of the first 1, 2, … of the standard exponentials of a stream.

    In passes over blocks: a chain of operations as long as a whole draw would keep a processor waiting.
    """
    total = 0.0
    for start in range(0, out.size, BLOCK):
        block = out[start : start + BLOCK]
        for j in range(block.size):
            block[j] = unit(at(key, start + j))
        for j in range(block.size):
            block[j] = -log(block[j])
        for j in range(block.size):
            total += block[j]
            block[j] = total


@compiled
def normal(key: Any) -> Any:
    """Standard normal (Box & Muller 1958)."""
    return math.sqrt(-2.0 * math.log(unit(key))) * math.cos(2.0 * math.pi * unit(at(key, 1)))


@compiled
def gamma(shape: Any, key: Any) -> Any:
    """Standard gamma (Marsaglia & Tsang 2000), with a boost below shape 1."""
    boost = 1.0
    if shape < 1.0:
        boost = unit(at(key, 0)) ** (1.0 / shape)
        shape = shape + 1.0
    d = shape - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    attempt = 1
    while True:
        x = normal(at(key, attempt))
        v = (1.0 + c * x) ** 3
        if v > 0.0 and math.log(unit(at(key, attempt + 1))) < 0.5 * x * x + d - d * v + d * math.log(v):
            return boost * d * v
        attempt += 2


# A distribution of times is a kind, two parameters, and for some kinds a table in `floats` that begins at `first`. That of
# quantiles has `count` levels, then as many values; that of a mixture `count` cumulated shares, then the laws of its parts.
NONE, LOGNORMAL, EXPONENTIAL, GAMMA, CONSTANT, WEIBULL, PARETO, QUANTILES, MIXTURE = range(9)
TABLED = QUANTILES
"""The kinds from here on have a table."""
LAW = [("law", np.int64), ("a", np.float64), ("b", np.float64), ("first", np.int64), ("count", np.int64)]
FIELDS = len(LAW)
# The key of a component's own draw, apart from that which picks the component.
_COMPONENT = 2**32


class Heap:
    """Numbers of one kind, gathered piece by piece; records say where a piece begins."""

    def __init__(self, kind: type[np.generic]) -> None:
        self._kind = kind
        self._pieces: list[NDArray[Any]] = []
        self.size = 0

    def add(self, numbers: ArrayLike) -> int:
        """Where the numbers, in the order of their array, begin."""
        piece = np.asarray(numbers, self._kind).ravel()
        self._pieces.append(piece)
        self.size += piece.size
        return self.size - piece.size

    def all(self) -> NDArray[Any]:
        """Every number; at least one, as compiled code must know their kind."""
        return np.concatenate([*self._pieces, np.zeros(1, self._kind)])


def law(distribution: latencies.Latency | None, floats: Heap) -> tuple[int, float, float, int, int]:
    """A distribution as `LAW` has it, its table added to `floats`; None is no time at all."""
    first = floats.size
    match distribution:
        case None:
            return NONE, 0.0, 0.0, first, 0
        case latencies.LogNormal():
            return LOGNORMAL, distribution.mu, distribution.sigma, first, 0
        case latencies.Exponential():
            return EXPONENTIAL, distribution.mean_s, 0.0, first, 0
        case latencies.Gamma():
            return GAMMA, distribution.shape, distribution.scale_s, first, 0
        case latencies.Constant():
            return CONSTANT, distribution.mean_s, 0.0, first, 0
        case latencies.Quantiles():
            floats.add([*distribution.levels, *distribution.values_s])
            return QUANTILES, 0.0, 0.0, first, len(distribution.levels)
        case latencies.Weibull():
            return WEIBULL, distribution.shape, distribution.scale_s, first, 0
        case latencies.Pareto():
            return PARETO, distribution.tail, distribution.minimum_s, first, 0
        case latencies.Mixture():
            laws = [law(part, floats) for part in distribution.parts]
            up_to = [*np.cumsum(distribution.shares)[:-1], 1.0]
            return MIXTURE, 0.0, 0.0, floats.add([*up_to, *(number for each in laws for number in each)]), len(laws)
    raise TypeError(f"{type(distribution).__name__} cannot be drawn request by request")


@compiled
def parametric(kind: Any, a: Any, b: Any, key: Any) -> Any:
    """A time in seconds from a distribution that has no table."""
    if kind == EXPONENTIAL:
        return a * exponential(key)
    if kind == LOGNORMAL:
        return math.exp(a + b * normal(key))
    if kind == CONSTANT:
        return a
    if kind == GAMMA:
        return b * gamma(a, key)
    if kind == WEIBULL:
        return b * exponential(key) ** (1.0 / a)
    if kind == PARETO:
        return b * math.exp(exponential(key) / a)
    return 0.0


@compiled
def seconds(kind: Any, a: Any, b: Any, first: Any, size: Any, floats: Any, key: Any) -> Any:
    """A time in seconds from any distribution."""
    if kind == MIXTURE:
        u = unit(key)
        part = 0
        while part < size - 1 and u >= floats[first + part]:
            part += 1
        of = first + size + part * FIELDS
        kind, a, b = integer(floats[of]), floats[of + 1], floats[of + 2]
        first, size = integer(floats[of + 3]), integer(floats[of + 4])
        key = at(key, _COMPONENT)
    if kind != QUANTILES:
        return parametric(kind, a, b, key)
    u = unit(key)
    low, high = first, first + size - 1
    while high - low > 1:
        middle = (low + high) // 2
        if floats[middle] <= u:
            low = middle
        else:
            high = middle
    part_ = (u - floats[low]) / (floats[high] - floats[low])
    return floats[low + size] + part_ * (floats[high + size] - floats[low + size])


@compiled
def law_at(floats: Any, of: Any, key: Any) -> Any:
    """A time in seconds from the law whose fields are at a place in `floats`."""
    return seconds(
        integer(floats[of]), floats[of + 1], floats[of + 2], integer(floats[of + 3]), integer(floats[of + 4]), floats, key
    )


@compiled
def nanoseconds(time_s: Any, least: Any) -> Any:
    """A time on the clock of the event engines, rounded once, half to even; at least `least`."""
    return max(integer(np.rint(min(time_s * NS, _LONGEST_NS))), integer(least))


@compiled
def spread(
    poisson: Any, count: Any, key: Any, offset_ns: Any, level: Any, first: Any, last: Any, ahead: Any, gaps: Any, out: Any
) -> None:
    """Place `count` arrivals within a tick: out[:count], in nanoseconds from its edge, increasing.

    Given their number, the arrivals of a Poisson process are uniform order statistics on the scale of cumulated intensity,
    which are cumulated exponential gaps over their total; regular ones come `ahead`, `ahead` + 1, … on it. The pieces
    first to last of (offset_ns, level) lead from that scale to time. gaps (count + 1,) is room to work.
    """
    ratio = 1.0
    if poisson:
        add_up(key, gaps[: count + 1])
        ratio = level[last] / gaps[count]
    else:
        for j in range(count):
            gaps[j] = ahead + j
    latest = offset_ns[last] - 1
    done = 0
    for piece in range(first, last):
        # The requests of a piece end where its level does; the last piece has the rest.
        end = count
        if piece + 1 < last:
            high = count
            end = done
            while end < high:
                middle = (end + high) // 2
                if gaps[middle] * ratio < level[piece + 1]:
                    end = middle + 1
                else:
                    high = middle
        height, begins, lies = level[piece + 1] - level[piece], offset_ns[piece], level[piece]
        rise = (offset_ns[piece + 1] - begins) / height if height > 0.0 else 0.0
        reached, times = gaps[done:end], out[done:end]
        for j in range(times.size):
            times[j] = min(begins + integer((reached[j] * ratio - lies) * rise), latest)
        done = end
