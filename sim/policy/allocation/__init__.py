"""How a stage splits live traffic. A new allocation is one file with one class, listed here."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sim.policy.allocation.epsilon_greedy import EpsilonGreedy
from sim.policy.allocation.fixed import Fixed
from sim.policy.allocation.kl_lucb import KlLucb
from sim.policy.allocation.kl_ucb import KlUcb
from sim.policy.allocation.mirror import Mirror
from sim.policy.allocation.ramp import Ramp, Step
from sim.policy.allocation.thompson import Thompson
from sim.policy.allocation.track_and_stop import TrackAndStop
from sim.policy.allocation.ucb1 import Ucb1

AnyAllocation = Annotated[
    Fixed | Ramp | Mirror | Thompson | EpsilonGreedy | Ucb1 | KlUcb | TrackAndStop | KlLucb, Field(discriminator="kind")
]

__all__ = [
    "AnyAllocation",
    "EpsilonGreedy",
    "Fixed",
    "KlLucb",
    "KlUcb",
    "Mirror",
    "Ramp",
    "Step",
    "Thompson",
    "TrackAndStop",
    "Ucb1",
]
