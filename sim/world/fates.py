"""How calls lie at the edge of a tick: which end in the tick of their arrival, how slow they are, and whose feedback is late.

A call arrives at some time before the edge, takes L, and its feedback takes a delay D more. All three are independent, and no
call outlasts a tick of length T. Everything here is an expectation over L, taken by parts with the tail of L:
E[F(L); L > a] = F(a) P(L > a) + the integral of F'(x) P(L > x) over x > a.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sim.arrays import Floats
from sim.world.clock import NS, to_ns
from sim.world.latency import Constant, Exponential, Latency, Mixture, Pareto, Quantiles
from sim.world.traffic import Pieces


@dataclass(frozen=True)
class Overtime:
    """How far an exponential delay gets in the tick in which a window closes, were it still under way when that tick begins.

    The window is whole ticks from the end of a call, so it closes as long after the edge as the call ended after one. The delay
    is *over* if it is longer than that, as if it started with the tick.
    """

    mean_s: float


Delay = Exponential | Constant | Overtime

# Where tails are below this, nothing is left to integrate; and by how much a refined integral may differ from the one before.
_NOTHING, _CONVERGED = 1e-13, 1e-12
_NODES, _HALVINGS, _PANELS, _CHUNK = 16, 10, 34, 64


@dataclass(frozen=True)
class Positions:
    """How arrivals lie before the edge that ends their tick, in A rows; by default they are uniform.

    before_s (A, J) times before the edge, from 0 on; share (A, J) of a tick's arrivals that lie nearer to the edge. Between
    two of them arrivals are uniform; at two equal ones they are all at once.
    """

    before_s: Floats
    share: Floats

    @classmethod
    def of(cls, pieces: Pieces, tick_s: float, reach_s: float) -> Positions:
        """The positions of Poisson arrivals, as far from the edge as any call reaches. A is 1 where all rows share pieces."""
        first, last = pieces.first, pieces.last
        if (first == first[0]).all() and (last == last[0]).all():
            first, last = first[:1], last[:1]
        before_s = (to_ns(tick_s) - pieces.offset_ns) / NS
        count = 1
        while ((last - count > first) & (before_s[np.maximum(last - count, first)] < reach_s)).any():
            count += 1
        place = np.maximum(last[:, None] - np.arange(count + 1), first[:, None])
        total = pieces.level[last][:, None]
        share = 1 - pieces.level[place] / np.where(total > 0, total, 1.0)
        return cls(before_s[place], share)


def reach(latency: Sequence[Latency], slowest: float, tick_s: float) -> float:
    """A time in seconds that no call exceeds, slowed down by up to a factor; at most a tick.

    >>> reach([Constant(1.0)], 2.0, 64.0)
    2.0
    """
    found = tick_s
    while found > 1 / NS and all(float(each.above(found / 2 / slowest)) <= _NOTHING for each in latency):
        found /= 2
    return found


def fates(
    latency: Latency,
    scale: Floats,
    limits_s: Sequence[float],
    tick_s: float,
    delays: Sequence[Delay] = (),
    positions: Positions | None = None,
) -> Floats:
    """(A, 2, 2^M, B) chances of every fate of a call whose latency is `scale` (A,) times a latency.

    It ends in the tick of its arrival, or after it; it is in one of B bands of latency, cut at `limits_s` (increasing); and the
    feedback of M metrics, which comes `delays` after the end, is seen in the tick of the end, or not yet: bit m of the pattern
    says that metric m's is not. A constant delay counts as what is left of it beyond whole ticks; an `Overtime` is seen if the
    window closes after it.

    A call of latency L that arrives uniformly ends after its tick with chance L / T, and its end is uniform over the last
    T - L, or the first L, of a tick. With delays of rate `a` in all, and constant ones that reach the edge from `e` on, none
    of them is over at the edge with chance exp(-a (T - x)) for an end at x > e. An overtime of rate b is longer than x with
    chance exp(-b x), which is a rate of -b and a factor of exp(-b T). Chances are exact to rounding, and with
    exponential delays to 1e-11, by quadrature.

    >>> from sim.world.latency import Exponential
    >>> fates(Exponential(0.1), np.array([1.0]), (0.2,), 10.0).round(4).tolist()
    [[[[0.8587, 0.1313]], [[0.0059, 0.0041]]]]
    """
    edges = np.minimum(np.array([0.0, *limits_s]), tick_s)
    above = latency.above(on_clock(edges / scale[:, None]))
    above[:, 0] = 1.0
    share = _by_band(above)
    made = np.empty((scale.size, 2, 2 ** len(delays), edges.size))
    if positions is None:
        late = _by_band(edges / tick_s * above + _discounted(latency, scale, edges, tick_s, 0.0))
    else:
        late = _by_band(_late(latency, scale, edges, above, positions))
    made[:, 1, 0] = np.clip(late, 0.0, share)
    made[:, 0, 0] = share - made[:, 1, 0]
    for subset in range(1, made.shape[2]):
        among = [delay for place, delay in enumerate(delays) if subset >> place & 1]
        less = sum(1 / delay.mean_s for delay in among if isinstance(delay, Overtime))
        rate, shift = sum(1 / delay.mean_s for delay in among if isinstance(delay, Exponential)) - less, less * tick_s
        start = max([0.0, *(tick_s - rest_s(delay, tick_s) for delay in among if isinstance(delay, Constant))])
        from_ = np.maximum(edges, start)
        integral = _discounted(latency, scale, from_, tick_s, rate, shift)
        ends_in = _mass(tick_s - from_, rate, shift) / tick_s * above - integral
        ends_after = _mass(from_ - start, rate, shift + rate * (tick_s - from_)) / tick_s * above + integral
        made[:, 0, subset], made[:, 1, subset] = _by_band(ends_in), _by_band(ends_after)
    # From "at least these are not seen yet" to "exactly these".
    for bit in (1 << place for place in range(len(delays))):
        without = [subset for subset in range(made.shape[2]) if not subset & bit]
        made[:, :, without] -= made[:, :, [subset | bit for subset in without]]
    return np.maximum(made, 0.0)


def rest_s(delay: Constant, tick_s: float) -> float:
    """What is left of a delay beyond whole ticks, in seconds.

    >>> rest_s(Constant(25.0), 10.0)
    5.0
    """
    return to_ns(delay.mean_s) % to_ns(tick_s) / NS


def on_clock(time_s: Floats) -> Floats:
    """Times on the clock of nanoseconds: a latency of just a limit is not above it, whatever a factor rounds to."""
    return np.rint(time_s * NS) / NS


def _by_band(beyond: Floats) -> Floats:
    """(..., B) amounts in each band from what lies beyond each lower edge (..., B)."""
    return np.asarray(-np.diff(beyond, axis=-1, append=0.0))


def _mass(length_s: Floats, rate: float, shift: Floats | float) -> Floats:
    """The integral of exp(-rate x - shift) over a length; a rate below 0 grows by no more than the shift takes away."""
    if rate < 0:
        return np.asarray(np.exp(-rate * length_s - shift) * np.expm1(rate * length_s) / rate)
    return np.asarray(np.exp(-shift) * (length_s if rate == 0 else -np.expm1(-rate * length_s) / rate))


def _late(latency: Latency, scale: Floats, edges: Floats, above: Floats, positions: Positions) -> Floats:
    """(A, B) chance of being slower than each edge and in flight at the end of the tick: the tail by the position's share."""
    low, high = positions.before_s[:, :-1, None], positions.before_s[:, 1:, None]
    gained = np.diff(positions.share, axis=1)[..., None]
    width = np.where(high > low, high - low, 1.0)
    nearer = (gained * np.where(high > low, np.clip((edges - low) / width, 0, 1), low <= edges)).sum(axis=1)
    by = scale[:, None, None]
    upper, lower = np.maximum(high, edges) / by, np.maximum(low, edges) / by
    part = by * (latency.limited_mean(upper) - latency.limited_mean(lower)) / width
    # A call that ends just at the edge ends after its tick.
    at_once = np.where(low > edges, latency.above(np.maximum(on_clock(low / by) - 0.5 / NS, 0.0)), 0.0)
    return np.asarray(nearer * above + (gained * np.where(high > low, part, at_once)).sum(axis=1))


def _discounted(latency: Latency, scale: Floats, start_s: Floats, tick_s: float, rate: float, shift: float = 0.0) -> Floats:
    """(A, B) the integral of exp(-rate (T - x) - shift) P(scale L > x) / T over x from each start (B,) to T.

    Without a rate it is a limited mean. Else Gauss and Legendre's rule on panels that halve towards 0 and T and break where the
    tail does, refined until nothing changes.
    """
    by = scale[:, None]
    if rate == 0:
        length = (latency.limited_mean(tick_s / by) - latency.limited_mean(start_s / by)) * by / tick_s
        return np.asarray(length * math.exp(-shift))
    found = np.empty((scale.size, start_s.size))
    for first in range(0, scale.size, _CHUNK):
        part = slice(first, first + _CHUNK)
        found[part] = _refined(latency, by[part], start_s, tick_s, rate, shift)
    return found


def _refined(latency: Latency, scale: Floats, start_s: Floats, tick_s: float, rate: float, shift: float) -> Floats:
    rows, top = len(scale), tick_s / scale
    grid = [
        np.zeros((rows, 1)),
        top * 0.5 ** np.arange(_PANELS),
        top * (1 - 0.5 ** np.arange(1, _PANELS // 2)),
        np.broadcast_to(breaks(latency), (rows, len(breaks(latency)))),
        start_s / scale,
    ]
    points = np.sort(np.minimum(np.concatenate(grid, axis=1), top), axis=1)
    place = (points[:, None, :] < (start_s / scale)[:, :, None]).sum(axis=2)
    node, weight = np.polynomial.legendre.leggauss(_NODES)
    before = np.full((rows, start_s.size), np.inf)
    for halving in range(_HALVINGS):
        cuts = 2**halving
        at = ((np.arange(cuts)[:, None] + (node + 1) / 2) / cuts).ravel()
        width = np.diff(points, axis=1)
        x = points[:, :-1, None] + width[..., None] * at
        value = np.exp(-rate * (tick_s - scale[..., None] * x) - shift) * latency.above(x)
        panel = (value @ np.tile(weight / (2 * cuts), cuts)) * width * scale / tick_s
        beyond = np.concatenate([np.cumsum(panel[:, ::-1], axis=1)[:, ::-1], np.zeros((rows, 1))], axis=1)
        found = np.take_along_axis(beyond, place, axis=1)
        if np.abs(found - before).max() <= _CONVERGED:
            return np.asarray(found)
        before = found
    raise ArithmeticError(f"an integral of {latency} up to {tick_s:g} s at a rate of {rate:g}/s has not converged")


def breaks(latency: Latency) -> tuple[float, ...]:
    """Where a tail jumps or bends."""
    match latency:
        case Constant():
            return (latency.mean_s,)
        case Quantiles():
            return latency.values_s
        case Pareto():
            return (latency.minimum_s,)
        case Mixture():
            return tuple(at for part in latency.parts for at in breaks(part))
    return ()
