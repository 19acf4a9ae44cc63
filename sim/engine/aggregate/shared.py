"""What the delays of several metrics have in common in a request, for the aggregate engine: where in its tick the call ends.

Given that position, delays are independent (see `sim.world.by_position`), and it changes the chances of a long delay by little.
So a tick is cut into a few bins of positions. In each bin every delay has a law that is a part of its law at any position of
the bin. In each metric a call goes by this law, or is *apart*: it goes by what is left of the law at its position. What goes
by the law of the bin does not depend on the position any more. A call that is apart in one metric takes the chances of all
positions of the bin; only the few calls that are apart in several are each given a position. All of this takes one law to
pieces, so nothing is approximated, whatever the bins and the laws are: they only say what is quick.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sim.arrays import Bools, Floats, Ints
from sim.engine.aggregate.by_age import common, part_of
from sim.engine.aggregate.smooth import BY_CALL
from sim.engine.aggregate.wheel import CALL, Law, numbered
from sim.world.by_position import nodes
from sim.world.by_tick import Late, chances_at, even, known_by
from sim.world.clock import NS, to_ns
from sim.world.fates import Delay
from sim.world.latency import Constant, Latency, Mixture
from sim.world.streams import Keys, at, uniforms

# How many draws a law of a bin takes, and how many placing a call that is apart in several metrics takes.
_LAW, _APART = 120.0, 40.0
# Positions by which a bin is judged, the most bins, and so many positions at a time.
_TRIED, _MOST_BINS, _AT_ONCE = 6, 16, 256
# By how much the chances of all positions together may differ from the closed form.
_EXACT = 1e-10


@dataclass(frozen=True)
class Bins:
    """Bins of positions between edges_s (G + 1,), and for each delay its laws in them, G of them."""

    edges_s: tuple[float, ...]
    laws: dict[Late, tuple[Law, ...]]


@lru_cache(maxsize=64)
def bins_of(metrics: tuple[tuple[Late, ...], ...], calls: float) -> Bins:
    """The bins for delays by metric and group that take the fewest draws at an expected number of calls a tick."""
    lates = tuple(dict.fromkeys(itertools.chain(*metrics)))
    jumps = sorted({jump for late in lates for jump in _jumps(late.delay, late.tick_s)})
    best, least, parts = None, np.inf, 1
    while parts <= _MOST_BINS:
        edges = np.unique([*np.linspace(0.0, lates[0].tick_s, parts + 1), *jumps])
        shared, cost = _tried(metrics, lates, edges, calls)
        if cost >= least:
            break
        best, least, parts = (edges, shared), cost, 2 * parts
    assert best is not None
    edges, shared = best
    width = np.diff(edges) / lates[0].tick_s
    laws = {
        late: tuple(Law.of(each, late.ticks, calls * float(share)) for each, share in zip(of, width, strict=True))
        for late, of in shared.items()
    }
    return Bins(tuple(edges.tolist()), laws)


def _jumps(delay: Latency, tick_s: float) -> list[float]:
    """The positions at which what a constant delay comes to becomes known a tick later."""
    if isinstance(delay, Mixture):
        return [jump for part in delay.parts for jump in _jumps(part, tick_s)]
    return [(-to_ns(delay.mean_s) % to_ns(tick_s)) / NS] if isinstance(delay, Constant) else []


def _tried(
    metrics: tuple[tuple[Late, ...], ...], lates: tuple[Late, ...], edges: Floats, calls: float
) -> tuple[dict[Late, list[Floats]], float]:
    """The laws of bins, and about how many draws a tick takes with them."""
    node, weight = np.polynomial.legendre.leggauss(_TRIED)
    shared: dict[Late, list[Floats]] = {late: [] for late in lates}
    cost = 0.0
    for low, high in itertools.pairwise(edges.tolist()):
        here = calls * (high - low) / lates[0].tick_s
        left: dict[Late, Floats] = {}
        for late in lates:
            own = chances_at(late, low + (high - low) * (node + 1) / 2)
            law = common(own * weight[:, None] / 2)
            shared[late].append(law)
            left[late] = 1 - part_of(own, law)[0]
            single = BY_CALL * here * float(weight @ left[late]) / 2
            cost += min(_LAW, BY_CALL * here) + min(float(np.count_nonzero(law)), single)
        worst = [np.max([left[late] for late in groups], axis=0) for groups in metrics]
        several = sum(one * other for one, other in itertools.combinations(worst, 2))
        cost += _APART * here * float(weight @ several) / 2
    return shared, cost


@dataclass(frozen=True)
class Shared:
    """How calls of one arm go by the laws of bins, at one factor of the latency, for M delays.

    chance (2, cells, G 2^M): of each bin and each set of metrics in which a call is apart, bit by bit. alone: by metric, when,
    cell and bin, the law of a call that is apart in this metric only, if there are any. The first axes are those of
    `Ages.arrive`: whether the call ends after the tick of its arrival, and its band of latency and pattern. at_s (Q,)
    positions, of which `of_bin` (G + 1,) says where each bin's begin; fate (2, cells, Q) their chances; part (M, Q) the share
    of the law of the bin. up_to: by metric, (G, places) the laws of bins, summed up.
    """

    lates: tuple[Late, ...]
    chance: Floats
    alone: dict[tuple[int, int, int, int], Law]
    at_s: Floats
    of_bin: Ints
    fate: Floats
    part: Floats
    up_to: tuple[Floats, ...]

    @property
    def sets(self) -> int:
        """2^M."""
        return 1 << len(self.lates)

    def apart(self, where: tuple[int, int, int, int], calls: Ints, key: Keys) -> tuple[Ints, list[Ints]]:
        """(n,) the row of each of the calls (r,) that are apart in several metrics, and (n,) its place by metric.

        where: the class (when, cell), the bin, and the set of metrics, whose bits say for which there are places. key (r,).
        """
        when, cell, bin_, of = where
        here = slice(self.of_bin[bin_], self.of_bin[bin_ + 1])
        among = _within(of, len(self.lates))
        up_to = np.cumsum(self.fate[when, cell, here] * _chance_of(among, self.part[:, here]))
        row = np.repeat(np.arange(calls.size), calls)
        number, counters = numbered(calls), np.uint64(len(self.lates) + 1)
        start = np.uint64(CALL) + number * counters
        u = uniforms(at(key[row], start)) * up_to[-1]
        node = self.of_bin[bin_] + np.minimum(np.searchsorted(up_to, u, side="right"), up_to.size - 1)
        found: list[Ints] = []
        for metric, late in enumerate(self.lates):
            if not among[metric]:
                found.append(row[:0])
                continue
            part = self.part[metric, node]
            u = uniforms(at(key[row], start + np.uint64(metric + 1))) * (1 - part)
            found.append(_inverted(late, self.up_to[metric][bin_], self.at_s[node], part, u))
        return row, found


def _inverted(late: Late, law_up_to: Floats, x: Floats, part: Floats, u: Floats) -> Ints:
    """(n,) the places at which what is left of the law at positions x (n,), without a part (n,) of another, comes to u (n,)."""
    low, high = np.zeros(u.size, np.int64), np.full(u.size, late.places - 1)
    while (low < high).any():
        middle = (low + high) // 2
        enough = known_by(late, x, middle) - part * law_up_to[middle] >= u
        low, high = np.where(enough, low, np.minimum(middle + 1, high)), np.where(enough, middle, high)
    return high


def _chance_of(among: Bools, part: Floats) -> Floats:
    """(Q,) the chance of being apart in just these of the metrics (M,), at positions with parts (M, Q)."""
    return np.asarray(np.where(among[:, None], 1 - part, part).prod(axis=0))


def _within(of: int, metrics: int) -> Bools:
    return (of >> np.arange(metrics) & 1).astype(bool)


@lru_cache(maxsize=64)
def shared(
    lates: tuple[Late, ...],
    latency: Latency,
    scale: float,
    limits_s: tuple[float, ...],
    others: tuple[Delay, ...],
    metrics: tuple[tuple[Late, ...], ...],
    calls: float,
) -> Shared:
    """For one delay of each metric; metrics and calls as in `bins_of`, the others as in `sim.world.by_position.nodes`."""
    bins = bins_of(metrics, calls)
    found = nodes(lates, latency, scale, limits_s, others, bins.edges_s)  # type: ignore[arg-type]  # laws are frozen
    size, cells = len(bins.edges_s) - 1, found.fate.shape[1] * found.fate.shape[2]
    fate = found.fate.swapaxes(1, 2).reshape(2, cells, -1)
    of_bin = np.searchsorted(found.at_s, bins.edges_s)
    part = np.zeros((len(lates), found.at_s.size))
    chance = np.zeros((2, cells, size, 2 ** len(lates)))
    alone = np.zeros((len(lates), 2, cells, size, lates[0].places))
    whole = np.zeros((len(lates), lates[0].places))
    for bin_ in range(size):
        for first in range(int(of_bin[bin_]), int(of_bin[bin_ + 1]), _AT_ONCE):
            here = slice(first, min(first + _AT_ONCE, int(of_bin[bin_ + 1])))
            rest = []
            for metric, late in enumerate(lates):
                own = chances_at(late, found.at_s[here])
                whole[metric] += fate[..., here].sum(axis=(0, 1)) @ own
                part[metric, here], left = part_of(own, bins.laws[late][bin_].chance)
                rest.append(left)
            for of in range(2 ** len(lates)):
                among = _within(of, len(lates))
                weight = fate[..., here] * _chance_of(among, part[:, here])
                chance[:, :, bin_, of] += weight.sum(axis=2)
                if among.sum() == 1:
                    only = int(np.flatnonzero(among)[0])
                    less = np.maximum(1 - part[only, here], 1e-300)
                    alone[only, :, :, bin_] += (weight / less) @ rest[only]
    for metric, late in enumerate(lates):
        apart = np.abs(whole[metric] - even(late)).max()
        if apart > _EXACT:
            raise ArithmeticError(f"the chances by tick of {late.delay} are {apart:.1g} off, in ticks of {late.tick_s:g} s")
    flat = chance.reshape(2, cells, -1)
    total = flat.sum(axis=2, keepdims=True)
    law_up_to = tuple(np.stack([np.cumsum(law.chance) for law in bins.laws[late]]) for late in lates)
    laws = {}
    for metric, when, cell, bin_ in np.argwhere(alone.any(axis=4)).tolist():
        left = alone[metric, when, cell, bin_]
        share = float(left.sum())
        laws[metric, when, cell, bin_] = Law.of(left / share, lates[metric].ticks, calls * share)
    return Shared(lates, flat / np.where(total > 0, total, 1.0), laws, found.at_s, of_bin, fate, part, law_up_to)
