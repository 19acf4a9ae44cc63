"""How a stage decides. A new rule of evidence is one file with one class, listed here."""

from __future__ import annotations

from typing import Annotated

from sim.policy.base import Evidence
from sim.policy.catalogue import Family
from sim.policy.evidence.bayes_factor import BayesFactor
from sim.policy.evidence.best_arm import BestArm
from sim.policy.evidence.betting import Betting
from sim.policy.evidence.by_period import ByPeriod
from sim.policy.evidence.confidence_sequence import ConfidenceSequence
from sim.policy.evidence.decision import Decision
from sim.policy.evidence.expected_loss import ExpectedLoss
from sim.policy.evidence.fixed_horizon import FixedHorizon
from sim.policy.evidence.group_sequential import GroupSequential
from sim.policy.evidence.mixture_sprt import MixtureSprt
from sim.policy.evidence.offline import OfflineScores
from sim.policy.evidence.peeking import Peeking
from sim.policy.evidence.posterior import Posterior
from sim.policy.evidence.rope import Rope
from sim.policy.evidence.sprt import Sprt
from sim.policy.evidence.survive import Survive

EVIDENCE = Family(
    "evidence",
    Evidence,
    methods=("judge",),
    shipped=(
        BayesFactor,
        BestArm,
        Betting,
        ByPeriod,
        ConfidenceSequence,
        Decision,
        ExpectedLoss,
        FixedHorizon,
        GroupSequential,
        MixtureSprt,
        OfflineScores,
        Peeking,
        Posterior,
        Rope,
        Sprt,
        Survive,
    ),
)
AnyEvidence = Annotated[Evidence, EVIDENCE]

__all__ = [
    "EVIDENCE",
    "AnyEvidence",
    "BayesFactor",
    "BestArm",
    "Betting",
    "ByPeriod",
    "ConfidenceSequence",
    "Decision",
    "ExpectedLoss",
    "FixedHorizon",
    "GroupSequential",
    "MixtureSprt",
    "OfflineScores",
    "Peeking",
    "Posterior",
    "Rope",
    "Sprt",
    "Survive",
]
