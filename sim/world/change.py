"""What changes on the way, constant within a tick: drift, novelty, incidents and cycles, the same in every replication; and
shocks and effects by the hour, which may differ between replications.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from sim.arrays import Floats, Ints
from sim.world.shocks import Shocks
from sim.world.timed import Timed

ERROR_RATE, LATENCY = "error_rate", "latency"


@dataclass(frozen=True)
class Change:
    """Factors by tick and arm, on top of what is true without any change.

    failing (T, K) the chance that a call fails which would not have; slowness (T, K) what latencies are multiplied by;
    factors {metric: (T, K)} what means are multiplied by; out (T, P) how many replicas of each pool are down.
    shocks: the metrics that have any; timed: the effects that are others at some times.
    bounds {metric: {key: the smallest and the largest factor that it makes}}, for the keys of a metric, such as `daily`.
    """

    failing: Floats
    slowness: Floats
    factors: Mapping[str, Floats]
    out: Ints
    shocks: tuple[Shocks, ...] = ()
    timed: tuple[Timed, ...] = ()
    bounds: Mapping[str, Mapping[str, tuple[float, float]]] = field(default_factory=dict)

    @classmethod
    def none(cls, ticks: int, arms: int, pools: int) -> Change:
        """No change of any of so many arms and pools."""
        shape = ticks, arms
        return cls(np.zeros(shape), np.ones(shape), {}, np.zeros((ticks, pools), np.int64))

    def telling(self, metric: str) -> list[Floats]:
        """(T, any) arrays; ticks that are alike in all of them have the same mean of a metric in every arm and replication."""
        found = [self.factors[metric]] if metric in self.factors else []
        found += [each.share for each in self.timed if each.metric == metric]
        if any(each.metric == metric for each in self.shocks):
            found.append(np.arange(len(self.failing), dtype=np.float64)[:, None])
        return found

    def changing(self, metric: str) -> bool:
        """Whether a metric's mean changes from tick to tick."""
        moved = {*self.factors, *(each.metric for each in self.shocks), *(each.metric for each in self.timed)}
        return metric in moved


@dataclass(frozen=True)
class Conditions:
    """What is in force in one tick. error_rate, latency_scale (R, K); factors, for the metrics that change: {metric: (K,)}, or
    (R, K) where replications differ.
    """

    error_rate: Floats
    latency_scale: Floats
    factors: Mapping[str, Floats]
