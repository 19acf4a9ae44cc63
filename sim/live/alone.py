"""What an arm's server does when nothing else is asked of it: calls one after another, before the traffic and after it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sim.arrays import Floats
from sim.live.router import Router
from sim.serving.calls import TIMEOUT_S, call
from sim.stats.service import drift

BLOCKS = 12
"""Half of them before the traffic, half after it: between them the machine's drift is seen."""
LEAST = 5 * BLOCKS
_LONGEST_PAUSE_S = 0.1
_LEVELS = (0.5, 0.9, 0.99)
_ABOVE = 10


def levels_of(calls: int) -> tuple[float, ...]:
    """The quantiles that so many calls tell: those with ten calls above them.

    >>> levels_of(100)
    (0.5, 0.9)
    """
    return tuple(level for level in _LEVELS if calls * (1 - level) >= _ABOVE - 1e-9)


@dataclass(frozen=True, eq=False)
class Alone:
    """Calls of one arm: `blocks` of their seconds, (n,) each, and how many of all failed."""

    blocks: tuple[Floats, ...]
    failed: int

    @property
    def took_s(self) -> Floats:
        """(m,) seconds of all calls, increasing."""
        return np.sort(np.concatenate(self.blocks))

    @property
    def mean_s(self) -> float:
        """Mean seconds of a call."""
        return float(self.took_s.mean())

    @property
    def speed_sd(self) -> float:
        """The relative sd of the machine's speed between the blocks."""
        return drift(self.blocks)

    def __add__(self, later: Alone) -> Alone:
        return Alone((*self.blocks, *later.blocks), self.failed + later.failed)


def ask_alone(router: Router, arms: int, rows: Sequence[int], calls: int, gap_s: float, seed: int) -> tuple[Alone, ...]:
    """Half of `calls` of each arm, through the router, in turn: BLOCKS / 2 blocks, one call at a time.

    A server that is asked without a pause is quicker than one that is asked now and then. So there are pauses between the
    calls as between requests, `gap_s` on average, or a tenth of a second where that is less.
    """
    draws = np.random.default_rng(seed)
    size = calls // BLOCKS
    blocks: list[list[Floats]] = [[] for _ in range(arms)]
    failed = [0] * arms
    for _ in range(BLOCKS // 2):
        took_s = np.empty((size, arms))
        for place in range(size):
            for arm in draws.permutation(arms):
                time.sleep(float(draws.exponential(min(gap_s, _LONGEST_PAUSE_S))))
                row = rows[int(draws.integers(len(rows)))]
                call(replace(router.endpoint, path=f"/arms/{arm}/rows/{row}"), b"{}", 2 * TIMEOUT_S)
                answer = router.alone[-1]
                took_s[place, arm] = answer.took_s
                failed[arm] += answer.failed
        for arm in range(arms):
            blocks[arm].append(took_s[:, arm].copy())
    return tuple(Alone(tuple(own), bad) for own, bad in zip(blocks, failed, strict=True))


def together(before: Sequence[Alone], after: Sequence[Alone]) -> tuple[Alone, ...]:
    """The calls of each arm before the traffic and after it."""
    return tuple(first + second for first, second in zip(before, after, strict=True))
