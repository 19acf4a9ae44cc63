"""UCB1."""

from __future__ import annotations

from typing import Literal

import numpy as np

from sim.arrays import Floats
from sim.policy.allocation.index import Index
from sim.policy.setting import Setting


class Ucb1(Index):
    """All traffic of a tick goes to the arm with the highest upper confidence bound, mean + √(2 ln t / n).

    n are an arm's known outcomes and t those of all arms still in, rewards being scaled to lie between 0 and 1; arms without
    outcomes come first, and ties share evenly. The bounds are those of the start of a tick: with one request a tick this is
    UCB1 itself, with many it is UCB1 in batches, which sends whole ticks to an arm only to see how it does.

    Source: Auer, Cesa-Bianchi & Fischer, Machine Learning 47 (2002), Figure 1.

    >>> Ucb1().index(np.array([[0.5, 0.6]]), np.array([[10.0, 90.0]]), np.array([[100.0]])).round(3)
    array([[1.46, 0.92]])
    """

    kind: Literal["ucb1"] = "ucb1"

    def told(self, setting: Setting) -> str:
        return f"sends all live traffic of a tick to the arm whose upper confidence bound is highest (UCB1){self.limits()}"

    def index(self, mean: Floats, count: Floats, t: Floats) -> Floats:
        return np.asarray(mean + np.sqrt(2 * np.log(t) / count))
