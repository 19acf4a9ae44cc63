"""Where in its tick a call ends, as finitely many positions, for what several delays of a request have in common.

Given the position x at which a call ends, the delays of its metrics are independent of each other, and so are the ticks in
which they become known. Over all calls they are not, as all metrics of a call share its x: their joint law is an integral over
x of products. The positions here are the nodes of Gauss and Legendre's rule, on panels that break where an integrand does,
refined until no product changes. So a call may be taken to end at one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sim.arrays import Floats
from sim.world.by_tick import Late, beyond, fate_at, nodes_of, panels
from sim.world.fates import Delay
from sim.world.latency import Latency

_HALVINGS = 7
# By how much refined products may differ from those before, and how much of all calls nodes may have that are left out.
_CONVERGED, _EXACT, _NOTHING = 1e-12, 1e-10, 1e-15


@dataclass(frozen=True)
class Nodes:
    """Positions at_s (Q,) in seconds, increasing; fate (2, 2^M, B, Q) the chance of each, jointly with a call's fate.

    The axes of fate are those of `by_tick.by_class`.
    """

    at_s: Floats
    fate: Floats


@lru_cache(maxsize=64)
def nodes(
    lates: tuple[Late, ...],
    latency: Latency,
    scale: float,
    limits_s: tuple[float, ...] = (),
    others: tuple[Delay, ...] = (),
    edges_s: tuple[float, ...] = (),
) -> Nodes:
    """The positions of calls whose latency is `scale` times a latency, for delays that are watched through the same ticks.

    No panel reaches over one of `edges_s`. Chances of two outcomes' ticks, as sums over the nodes, are within 1e-10 of the
    integral; one that is not raises ArithmeticError.

    >>> from sim.world.latency import Constant, Exponential
    >>> lates = (Late(Exponential(10.0), tick_s=10.0, ticks=3), Late(Exponential(20.0), tick_s=10.0, ticks=3))
    >>> found = nodes(lates, Constant(1.0), 1.0)
    >>> found.fate.sum(axis=3).ravel().round(4).tolist()
    [0.9, 0.1]
    """
    tick_s = lates[0].tick_s
    bends = [panels(late, latency, scale, limits_s, others) for late in lates]
    points = np.unique(np.concatenate([*bends, np.array(edges_s)]))
    before: Floats | None = None
    apart = np.inf
    for halving in range(_HALVINGS):
        parts = list(nodes_of(points, tick_s, 2**halving))
        x, mass = (np.concatenate(each) for each in zip(*parts, strict=True))
        fate = np.maximum(fate_at(x, latency, scale, limits_s, tick_s, others) * mass, 0.0)
        found = _products(lates, x, fate)
        apart = np.inf if before is None else float(np.abs(found - before).max())
        if apart <= _CONVERGED:
            break
        before = found
    if apart > _EXACT:
        raise ArithmeticError(f"the chances by tick of {lates} together are {apart:.1g} off, in ticks of {tick_s:g} s")
    there = fate.sum(axis=(0, 1, 2)) > _NOTHING
    return Nodes(x[there], fate[..., there])


def _products(lates: Sequence[Late], x: Floats, fate: Floats) -> Floats:
    """(cells, g, g) the chances, in each cell, that two outcomes are known some ticks on or later, for g of both."""
    ticks = np.unique(np.minimum([0, 1, 2, 3, 5, 9, 17, 33, 80, 200, 600, 2000], lates[0].ticks))
    later = [beyond(late.delay, late.tick_s * ticks[:, None] - x) for late in lates]
    tails = np.concatenate([np.ones((1, x.size)), *later])
    return np.stack([(tails * cell) @ tails.T for cell in fate.reshape(-1, x.size)])
