"""What changes on the way: drift, novelty and incidents, constant within a tick and the same in every replication."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sim.arrays import Floats, Ints

ERROR_RATE, LATENCY = "error_rate", "latency"


@dataclass(frozen=True)
class Change:
    """Factors by tick and arm, on top of what is true without any change.

    failing (T, K) the chance that a call fails which would not have; slowness (T, K) what latencies are multiplied by;
    factors {metric: (T, K)} what means are multiplied by; out (T, P) how many replicas of each pool are down.
    """

    failing: Floats
    slowness: Floats
    factors: Mapping[str, Floats]
    out: Ints


@dataclass(frozen=True)
class Conditions:
    """What is in force in one tick. error_rate, latency_scale (R, K); factors {metric: (K,)}, for the metrics that change."""

    error_rate: Floats
    latency_scale: Floats
    factors: Mapping[str, Floats]
