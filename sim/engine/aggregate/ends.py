"""Probabilities of when the calls of a tick end and how slow they are, by tick, for the aggregate engine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sim.arrays import Floats, Ints
from sim.engine.aggregate.late import delays_of
from sim.world.fates import Positions, fates, reach
from sim.world.world import Truth, World

# The largest share of mirrored calls that may be in flight at an edge together with their live calls.
_MOST_TOGETHER = 0.005


def mirror_refusals(world: World) -> Iterator[str]:
    """The reasons why this engine cannot mirror in a world.

    A call and its copy arrive together, so they can be in flight at an edge together, but this engine draws them independently.
    Where calls of two arms are in flight with probabilities p <= q, both are in flight with probability up to p, instead of
    p q. The correlation of their responses in a tick is then too small by at most 2 p (1 - q). So p must not exceed half a
    percent. Arrivals are assumed to be uniform within a tick.
    """
    chances = []
    for arm, latency in enumerate(world.latency):
        slowest = world.varied_latency.get(arm, 1.0) * (world.change.slowness[:, arm].max() if world.change else 1.0)
        law = world.latency[0] if arm in world.varied_latency else latency
        chances.append(float(law.limited_mean(world.tick_s / slowest)) * slowest / world.tick_s)
    together = sorted(chances)[-2]
    if together > _MOST_TOGETHER:
        where = f"in flight at the edge of a tick of {world.tick_s:g} s together with their live calls"
        yield f"mirrored calls: up to {together:.2%} are {where}, over {_MOST_TOGETHER:.1%}"


@dataclass(frozen=True)
class Ends:
    """Probabilities of how the calls of a tick end, in A rows (1 if all are equal), L lanes, P patterns and B latency bands.

    late (A, L) the probability of ending after the tick. The others are pairs, for calls that end in the tick [0] and after it
    [1]: pattern (A, L, P) the probability that exactly these metrics are not known by the end of the tick in which the call
    ends; band (A, L, B) the shares of the bands; band_by_pattern (A, L, P, B) the shares of the bands in each pattern.
    """

    late: Floats
    pattern: tuple[Floats, Floats]
    band: tuple[Floats, Floats]
    band_by_pattern: tuple[Floats, Floats]

    @classmethod
    def of(cls, chance: Floats, jointly: bool) -> Ends:
        """From the probabilities of every fate, (A, L, 2, P, B)."""
        by_end = chance[:, :, 0], chance[:, :, 1]
        patterns = [part.swapaxes(2, 3).reshape(*part.shape[:2], -1) if jointly else part.sum(axis=3) for part in by_end]
        return cls(
            by_end[1].sum(axis=(2, 3)),
            *(tuple(_shares(made) for made in parts) for parts in (  # type: ignore[arg-type]
                patterns, [part.sum(axis=2) for part in by_end], by_end,
            )),
        )  # fmt: skip


class Timing:
    """The ends of calls by tick; `planes` is 1 for live lanes, 2 for live and mirrored lanes; `jointly` as in `Ends`."""

    def __init__(self, truth: Truth, limits_s: tuple[float, ...], planes: int, jointly: bool = False) -> None:
        self._truth = truth
        self._limits_s = limits_s
        self._planes = planes
        self._jointly = jointly
        self._delays = delays_of(truth.world)
        change = truth.world.change
        self._slowness = np.ones((1, len(truth.world.arms))) if change is None else change.slowness
        self._now: tuple[bytes, Floats, Ends] | None = None

    def ends(self, rows: Ints, tick: int) -> Ends:
        """The ends of the calls that arrive in rows (r,) in a tick; A is 1 or r."""
        scale, even = self._even(tick)
        arrivals = self._truth.world.arrivals
        if rows.size == 0 or (arrivals.trace is None and arrivals.bursts is None):
            return even if len(scale) == 1 or rows.size == len(scale) else _rows(even, rows)
        pieces = self._truth.pieces(rows, tick)
        positions = Positions.of(pieces, self._truth.world.tick_s, self._reach_s)
        return Ends.of(self._chance(scale if len(scale) == 1 else scale[rows], positions), self._jointly)

    def _even(self, tick: int) -> tuple[Floats, Ends]:
        """(1, K) or (R, K) latency factors of a tick, and the ends if arrivals are uniform; cached until the factors change."""
        slowness = self._slowness[min(tick, len(self._slowness) - 1)]
        if self._now is None or self._now[0] != slowness.tobytes():
            scale = self._truth.latency_scale * slowness
            scale = scale[:1] if (scale == scale[0]).all() else scale
            self._now = slowness.tobytes(), scale, Ends.of(self._chance(scale, None), self._jointly)
        return self._now[1:]

    @cached_property
    def _reach_s(self) -> float:
        slowest = float((self._truth.latency_scale.max(axis=0) * self._slowness).max())
        return reach(self._truth.latency, slowest, self._truth.world.tick_s)

    def _chance(self, scale: Floats, positions: Positions | None) -> Floats:
        """(A, L, 2, P, B) probabilities of every fate."""
        rows = max(len(scale), 1 if positions is None else len(positions.share))
        by_arm = []
        for arm, latency in enumerate(self._truth.latency):
            own = scale[:, arm]
            own = own[:1] if (own == own[0]).all() and positions is None else np.broadcast_to(own, (rows,))
            made = fates(latency, own, self._limits_s, self._truth.world.tick_s, self._delays[arm], positions)
            by_arm.append(np.broadcast_to(made, (rows, *made.shape[1:])))
        return np.concatenate([np.stack(by_arm, axis=1)] * self._planes, axis=1)


def _rows(ends: Ends, rows: Ints) -> Ends:
    pattern, band = [tuple(chance[rows] for chance in pair) for pair in (ends.pattern, ends.band)]
    by_pattern = ends.band_by_pattern[0][rows], ends.band_by_pattern[1][rows]
    return Ends(ends.late[rows], pattern, band, by_pattern)  # type: ignore[arg-type]


def _shares(weights: Floats) -> Floats:
    total = weights.sum(axis=-1, keepdims=True)
    return np.asarray(weights / np.where(total > 0, total, 1.0))
