"""When feedback after a delay of any law becomes known, counted in ticks from the one in which its call ends.

A call ends at a position x in its tick of length T, and its outcome is known D later: J = floor((x + D) / T) ticks on. Given x,
P(J >= j) = P(D >= j T - x). Arrivals are uniform within a tick, so over all calls x is uniform, and the chances follow from the
limited mean of the delay alone. The calls that end in the tick of their arrival lie otherwise than those that end in the next,
and so do slow calls, and those whose other feedback is late: their chances are integrals over x, by Gauss and Legendre's rule
on panels that break where the integrand does, refined until nothing changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sim.arrays import Floats, Ints
from sim.world.clock import NS, to_ns
from sim.world.fates import Delay, Overtime, breaks, on_clock, rest_s
from sim.world.latency import Constant, Exponential, Latency

_NODES, _HALVINGS, _TO_0, _TO_T = 16, 7, 30, 20
# By how much a refined integral may differ from the one before, and by how much all classes together from the closed form.
_CONVERGED, _EXACT = 1e-12, 1e-10
# Panels are integrated so many at a time, which bounds the memory.
_AT_ONCE = 24


@dataclass(frozen=True)
class Late:
    """A delay and how it is watched: through whole ticks, for as many as there are, and within a window of some or None."""

    delay: Latency
    tick_s: float
    ticks: int
    window: int | None = None

    @property
    def places(self) -> int:
        """Length of a vector of chances: known 0, 1, …, `ticks` - 1 ticks on; too late as the window closes; not in the run."""
        return self.ticks + 2


def even(late: Late) -> Floats:
    """(places,) chances of calls that end uniformly within their tick, to 1e-12.

    >>> from sim.world.latency import Exponential
    >>> even(Late(Exponential(10.0), tick_s=10.0, ticks=3)).round(4).tolist()
    [0.3679, 0.3996, 0.147, 0.0, 0.0855]
    """
    # E[min(D, y)] is the integral of P(D > x) up to y.
    means = late.delay.limited_mean(late.tick_s * np.arange(late.ticks + 1.0))
    means[0] = 0.0
    return _chances(late, np.concatenate([[1.0], np.diff(means) / late.tick_s]))


@lru_cache(maxsize=64)
def by_class(
    late: Late, latency: Latency, scale: float, limits_s: tuple[float, ...] = (), others: tuple[Delay, ...] = ()
) -> Floats:
    """(2, 2^M, B, places) chances of calls whose latency is `scale` times a latency, jointly with the rest of their fate.

    The first three axes are those of `fates`: whether the call ends after the tick of its arrival; the pattern of M other
    metrics whose feedback is late; the band of latency. Errors are below 1e-10; an integral that does not reach this raises
    ArithmeticError. They are kept, as many replications, groups and blocks ask for the same.

    >>> from sim.world.latency import Exponential
    >>> found = by_class(Late(Exponential(10.0), tick_s=10.0, ticks=3), Constant(1.0), 1.0)
    >>> found.sum(axis=3).ravel().round(4).tolist()
    [0.9, 0.1]
    """
    points = panels(late, latency, scale, limits_s, others)
    before = _integral(late, latency, scale, limits_s, others, points, 1)
    for halving in range(1, _HALVINGS):
        found = _integral(late, latency, scale, limits_s, others, points, 2**halving)
        if np.abs(found - before).max() <= _CONVERGED:
            break
        before = found
    # What has not converged, or not to what is known in closed form, is said and not used.
    apart = max(np.abs(found - before).max(), np.abs(found.sum(axis=(0, 1, 2)) - even(late)).max())
    if apart > _EXACT:
        raise ArithmeticError(f"the chances by tick of {late.delay} are {apart:.1g} off, in ticks of {late.tick_s:g} s")
    return np.maximum(found, 0.0)


def chances_at(late: Late, x: Floats) -> Floats:
    """(Q, places) chances of calls that end at positions x (Q,) of their tick, in seconds."""
    return _chances(late, beyond(late.delay, late.tick_s * np.arange(late.ticks + 1.0) - x[:, None]))


def known_by(late: Late, x: Floats, place: Ints) -> Floats:
    """(N,) chances that a call that ends at a position x (N,) has a place up to some (N,) in a vector of chances.

    >>> late = Late(Constant(15.0), tick_s=10.0, ticks=3)
    >>> known_by(late, np.array([2.0, 8.0]), np.array([1, 1])).tolist()
    [1.0, 0.0]
    """
    last = late.ticks if late.window is None else late.window
    known = 1 - beyond(late.delay, late.tick_s * (np.minimum(place, last) + 1) - x)
    if late.window is None:
        # Of what is too late there is nothing; what is not known in the run comes last.
        run = 1 - beyond(late.delay, late.tick_s * late.ticks - x)
        return np.where(place > late.ticks, 1.0, np.where(place < late.ticks, known, run))
    in_time = 1 - beyond(late.delay, np.array(late.window * late.tick_s))
    return np.where(place >= late.ticks, 1.0, np.where(place < late.window, known, in_time))


def _chances(late: Late, at_least: Floats) -> Floats:
    """(…, places) from the chances (…, ticks + 1) that an outcome becomes known at least so many ticks on."""
    known = np.maximum(-np.diff(at_least, axis=-1), 0.0)
    over = np.zeros((*known.shape[:-1], 1))
    never = at_least[..., -1:]
    if late.window is not None:
        # The window closes at the position at which the call has ended.
        after = np.broadcast_to(beyond(late.delay, np.array(late.window * late.tick_s)), over.shape)
        known[..., late.window] = np.maximum(at_least[..., late.window] - after[..., 0], 0.0)
        known[..., late.window + 1 :] = 0.0
        over, never = after, np.zeros_like(over)
    return np.concatenate([known, over, never], axis=-1)


def beyond(delay: Latency, limit_s: Floats) -> Floats:
    """P(D > limit); 1 below 0, where some laws are not defined."""
    return np.where(limit_s > 0, delay.above(np.maximum(limit_s, 0.0)), 1.0)


def panels(late: Late, latency: Latency, scale: float, limits_s: Sequence[float], others: Sequence[Delay]) -> Floats:
    """Where the panels of the position begin and end: halved towards both ends, and where an integrand bends or jumps."""
    tick_s, tick_ns = late.tick_s, to_ns(late.tick_s)
    bends = [tick_s - rest_s(other, tick_s) for other in others if isinstance(other, Constant)]
    bends += [scale * at for at in breaks(latency)] + list(limits_s)
    # The delay bends at b, so what is known j ticks on bends at j T - b.
    bends += [(-to_ns(at) % tick_ns) / NS for at in breaks(late.delay)]
    halves = np.concatenate([0.5 ** np.arange(_TO_0), 1 - 0.5 ** np.arange(1, _TO_T)]) * tick_s
    return np.unique(np.clip(np.concatenate([[0.0], halves, bends]), 0.0, tick_s))


def _integral(
    late: Late, latency: Latency, scale: float, limits_s: Sequence[float], others: Sequence[Delay], points: Floats, cuts: int
) -> Floats:
    total: Floats | None = None
    for x, mass in nodes_of(points, late.tick_s, cuts):
        fate = fate_at(x, latency, scale, limits_s, late.tick_s, others) * mass
        found = fate @ chances_at(late, x)
        total = found if total is None else total + found
    assert total is not None
    return total


def nodes_of(points: Floats, tick_s: float, cuts: int) -> Iterator[tuple[Floats, Floats]]:
    """(Q,) positions and (Q,) weights of Gauss and Legendre's rule on panels between points, each cut in so many, in parts."""
    node, weight = np.polynomial.legendre.leggauss(_NODES)
    at, share = ((np.arange(cuts)[:, None] + (node + 1) / 2) / cuts).ravel(), np.tile(weight / (2 * cuts), cuts)
    step = max(1, _AT_ONCE // cuts)
    for first in range(0, points.size - 1, step):
        low, high = points[:-1][first : first + step, None], points[1:][first : first + step, None]
        yield (low + (high - low) * at).ravel(), ((high - low) * share).ravel() / tick_s


def fate_at(
    x: Floats, latency: Latency, scale: float, limits_s: Sequence[float], tick_s: float, others: Sequence[Delay]
) -> Floats:
    """(2, 2^M, B, N) the density at positions x (N,), times T, of the fates of a call."""
    edges = [0.0, *(min(limit, tick_s) for limit in limits_s), np.inf]
    above = [1.0, *(float(latency.above(on_clock(np.array(edge / scale)))) for edge in edges[1:-1]), 0.0]
    here = latency.above(x / scale)
    by_end = np.empty((2, len(edges) - 1, x.size))
    for band, low in enumerate(edges[:-1]):
        longer, longest = above[band], above[band + 1]
        # A call that ends at x in the tick of its arrival takes less than x; one from the tick before takes more.
        by_end[1, band] = np.maximum(np.where(x > low, here, longer) - longest, 0.0)
        by_end[0, band] = longer - longest - by_end[1, band]
    made = by_end[:, None]
    for other in others:
        match other:
            case Exponential():
                late = np.exp(-(tick_s - x) / other.mean_s)
            case Overtime():
                late = np.exp(-x / other.mean_s)
            case Constant():
                late = (x >= tick_s - rest_s(other, tick_s)).astype(np.float64)
        made = np.concatenate([made * (1 - late), made * late], axis=1)
    return made


def base(late: Late, latency: Latency) -> Floats:
    """(2, places) chances of calls that end in the tick of their arrival, and after it, at a latency as registered."""
    return np.asarray(by_class(late, latency, 1.0)[:, 0, 0])  # type: ignore[arg-type]  # laws are frozen
