"""How a stage splits live traffic. A new allocation is one file with one class, listed here."""

from __future__ import annotations

from typing import Annotated

from sim.policy.allocation.champion import ChampionOnly
from sim.policy.allocation.epsilon_greedy import EpsilonGreedy
from sim.policy.allocation.fixed import Fixed
from sim.policy.allocation.kl_lucb import KlLucb
from sim.policy.allocation.kl_ucb import KlUcb
from sim.policy.allocation.mirror import Mirror
from sim.policy.allocation.ramp import Ramp, Schedule, Step
from sim.policy.allocation.risk_budget import RiskBudget
from sim.policy.allocation.sqr import Sqr
from sim.policy.allocation.switchback import Switchback
from sim.policy.allocation.thompson import Thompson
from sim.policy.allocation.track_and_stop import TrackAndStop
from sim.policy.allocation.ucb1 import Ucb1
from sim.policy.base import Allocation
from sim.policy.catalogue import Family

ALLOCATIONS = Family(
    "allocation",
    Allocation,
    methods=("live",),
    shipped=(
        Fixed,
        Ramp,
        Mirror,
        ChampionOnly,
        Thompson,
        EpsilonGreedy,
        Ucb1,
        KlUcb,
        TrackAndStop,
        KlLucb,
        RiskBudget,
        Sqr,
        Switchback,
    ),
)
AnyAllocation = Annotated[Allocation, ALLOCATIONS]

__all__ = [
    "ALLOCATIONS",
    "AnyAllocation",
    "ChampionOnly",
    "EpsilonGreedy",
    "Fixed",
    "KlLucb",
    "KlUcb",
    "Mirror",
    "Ramp",
    "RiskBudget",
    "Schedule",
    "Sqr",
    "Step",
    "Switchback",
    "Thompson",
    "TrackAndStop",
    "Ucb1",
]
