"""KL-UCB."""

from __future__ import annotations

from typing import Literal

import numpy as np

from sim.arrays import Floats
from sim.policy.allocation.index import Index
from sim.policy.setting import Setting


class KlUcb(Index):
    """All traffic of a tick goes to the arm with the highest bound by the Kullback–Leibler divergence.

    The bound is the highest mean q with n d(observed mean, q) ≤ log t, where d is the divergence of Bernoulli distributions, n
    are an arm's known outcomes and t those of all arms still in (c = 0, which its authors recommend in practice; their proof
    takes c = 3). For binary rewards its regret grows as slowly as any can; it holds for all that lie between 0 and 1. Arms
    without outcomes come first, and ties share evenly. With many requests a tick it runs in batches, as `ucb1` does.

    Source: Garivier & Cappé, COLT (2011), Algorithm 1.

    >>> KlUcb().index(np.array([[0.5, 0.6]]), np.array([[10.0, 90.0]]), np.array([[100.0]])).round(3)
    array([[0.888, 0.746]])
    """

    kind: Literal["kl_ucb"] = "kl_ucb"

    def told(self, setting: Setting) -> str:
        return f"sends all live traffic of a tick to the arm whose upper confidence bound is highest (KL-UCB){self.limits()}"

    def index(self, mean: Floats, count: Floats, t: Floats) -> Floats:
        from sim.stats.bandits import kl_upper

        return kl_upper(mean, np.log(t) / count)
