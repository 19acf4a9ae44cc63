"""How a stage decides. A new rule of evidence is one file with one class, listed here."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sim.policy.evidence.fixed_horizon import FixedHorizon
from sim.policy.evidence.group_sequential import GroupSequential
from sim.policy.evidence.mixture_sprt import MixtureSprt
from sim.policy.evidence.peeking import Peeking
from sim.policy.evidence.posterior import Posterior
from sim.policy.evidence.survive import Survive

AnyEvidence = Annotated[
    FixedHorizon | GroupSequential | MixtureSprt | Peeking | Posterior | Survive, Field(discriminator="kind")
]

__all__ = ["AnyEvidence", "FixedHorizon", "GroupSequential", "MixtureSprt", "Peeking", "Posterior", "Survive"]
