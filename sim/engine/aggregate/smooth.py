"""Feedback to come, told in few draws: the chances of many ticks as shares of blocks of ticks, exactly.

What calls of one tick add to each later tick takes a draw for each of those ticks. Where chances change slowly from tick to
tick, far fewer will do. Take an *aligned block*: 2^n ticks that begin at a multiple of 2^n. Within it, chances are written as
a sum of a few fixed shapes and a small rest that is nowhere below 0. The shapes are the Bernstein polynomials of a degree,
integrated over ticks; none of them depends on when the calls were sent, so calls of all ticks that were given a shape of a
block share one count. When the block begins, each shape is split over its two halves, where it is a sum of the same shapes
with shares above 0 (de Casteljau's subdivision: Farouki, "The Bernstein polynomial basis: a centennial retrospective", CAGD
29, 2012, section 3.4). The rest is drawn call by call. A sum of laws is what it was, so nothing is approximated: a poor fit
makes a large rest, which takes longer.

The blocks are those of a hierarchical timing wheel (Varghese & Lauck, SOSP 1987).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.special import betainc

from sim.arrays import Floats, Ints

DEGREE = 6
SHAPES = DEGREE + 1
LEAST_LEVEL = 4
"""Blocks of fewer than 2^4 ticks would take as many draws as their ticks."""
BY_CALL = 3.0
"""How many draws of a count take as long as placing one call by itself."""


@cache
def shapes(level: int) -> Floats:
    """(2^level, SHAPES) the chance of each tick of a block under each shape; columns sum to 1.

    >>> bool(np.allclose(shapes(5).sum(axis=0), 1))
    True
    """
    edges = np.arange(2**level + 1) / 2**level
    order = np.arange(SHAPES)
    return np.asarray(np.diff(betainc(order + 1.0, DEGREE - order + 1.0, edges[:, None]), axis=0), np.float64)


@cache
def halves() -> Floats:
    """(SHAPES, 2 SHAPES) the shares of the shapes of the first half, then of the second, in each shape of a block.

    >>> whole = halves() @ np.block([[shapes(4).T, np.zeros((SHAPES, 16))], [np.zeros((SHAPES, 16)), shapes(4).T]])
    >>> bool(np.allclose(whole, shapes(5).T, atol=1e-14))
    True
    """
    first = np.array([[math.comb(k, i) / 2 ** (k + 1) for k in range(SHAPES)] for i in range(SHAPES)])
    return np.concatenate([first, first[::-1, ::-1]], axis=1)


@cache
def _nearest(level: int) -> Floats:
    return np.asarray(np.linalg.pinv(shapes(level)), np.float64)


def below(chance: Floats, level: int) -> Floats:
    """(SHAPES,) shares of the shapes of a block whose sum is nowhere above the chances (2^level,), and nearly all of them.

    >>> shares = below(np.exp(-np.arange(32) / 20.0), 5)
    >>> rest = np.exp(-np.arange(32) / 20.0) - shapes(5) @ shares
    >>> bool((rest >= -1e-16).all() and rest.sum() < 1e-5)
    True
    """
    fit = np.maximum(_nearest(level) @ chance, 0.0)
    # The same share of each shape is even over the block.
    less = np.maximum(fit - (shapes(level) @ fit - chance).max() * len(chance) / SHAPES, 0.0)
    return max((_scaled(each, chance, level) for each in (fit, less)), key=np.sum)


def _scaled(fit: Floats, chance: Floats, level: int) -> Floats:
    made = shapes(level) @ fit
    there = made > 0
    return np.asarray(fit * min(1.0, (chance[there] / made[there]).min(initial=1.0)))


@dataclass(frozen=True)
class Piece:
    """What is drawn of some ticks, from the `first` after a call's end on: shares of the shapes of a block, or single ticks.

    chance (SHAPES,) of the shapes, or (n,) of n ticks. level: that of the block, or None.
    """

    first: int
    level: int | None
    chance: Floats


class Fits:
    """How the chances (J,) of ticks are told, at the fewest draws for some expected `calls` of a tick."""

    def __init__(self, chance: Floats, calls: float) -> None:
        self.chance = chance
        self._calls = calls
        self._known: dict[tuple[int, int], tuple[float, tuple[Piece, ...]]] = {}
        # No block reaches beyond the last tick that has a chance, but for ticks that nobody sees any more.
        self._last = int(np.flatnonzero(chance)[-1]) + 1 if chance.any() else 0

    def pieces(self, tick: int) -> Iterator[Piece]:
        """The pieces for calls that end in a tick; what they leave of `chance` is the rest."""
        first = 0
        while first < self._last:
            start = tick + first
            level = min(_level(start), _floor_log2(first), _floor_log2(self._last - first))
            if level < LEAST_LEVEL:
                size = min(2**LEAST_LEVEL - start % 2**LEAST_LEVEL, self._last - first)
                yield from self._ticks(first, size)[1]
            else:
                size = 2**level
                yield from self._best(first, level)[1]
            first += size

    def _best(self, first: int, level: int) -> tuple[float, tuple[Piece, ...]]:
        """The cheapest pieces of a block, and what they cost, in draws."""
        if (first, level) not in self._known:
            self._known[first, level] = self._found(first, level)
        return self._known[first, level]

    def _found(self, first: int, level: int) -> tuple[float, tuple[Piece, ...]]:
        size = 2**level
        chance = self.chance[first : first + size]
        ticks = self._ticks(first, size)
        if ticks[0] < SHAPES:
            return ticks
        shares = below(chance, level)
        rest = BY_CALL * self._calls * max(float(chance.sum() - shares.sum()), 0.0)
        found = min(ticks, (SHAPES + rest, (Piece(first, level, shares),)), key=lambda each: each[0])
        if rest <= SHAPES or level == LEAST_LEVEL:
            return found
        parts = [self._best(first + place, level - 1) for place in (0, size // 2)]
        return min(found, (sum(cost for cost, _ in parts), parts[0][1] + parts[1][1]), key=lambda each: each[0])

    def _ticks(self, first: int, size: int) -> tuple[float, tuple[Piece, ...]]:
        """Single ticks, or none where placing calls by themselves takes less."""
        chance = self.chance[first : first + size]
        alone = BY_CALL * self._calls * float(chance.sum())
        return (alone, ()) if alone <= size else (float(size), (Piece(first, None, chance),))


def _level(tick: int) -> int:
    """The largest n such that 2^n divides a tick.

    >>> [_level(tick) for tick in (1, 12, 16)]
    [0, 2, 4]
    """
    return (tick & -tick).bit_length() - 1 if tick else 62


def _floor_log2(number: int) -> int:
    return number.bit_length() - 1


def slots(ticks: int, window: int | None) -> tuple[int, dict[int, int]]:
    """How many counts a replication has, and where those of the blocks of each level begin.

    First come `ticks` counts of what becomes known, then with a window as many of what is too late, then SHAPES for each block.
    """
    size, begins = ticks * (1 if window is None else 2), {}
    for level in range(LEAST_LEVEL, max(ticks - 1, 1).bit_length()):
        begins[level] = size
        size += SHAPES * ((ticks >> level) + 1)
    return size, begins


def places(piece: Piece, tick: int, begins: dict[int, int]) -> Ints:
    """(n,) the slots of a piece, for calls that end in a tick."""
    if piece.level is None:
        return tick + piece.first + np.arange(piece.chance.size)
    return begins[piece.level] + SHAPES * (tick + piece.first >> piece.level) + np.arange(SHAPES)
