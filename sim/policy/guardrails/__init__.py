"""What can stop an arm, or hold it back, whatever the evidence says. A new guardrail is a file with a class, listed here."""

from __future__ import annotations

from typing import Annotated

from sim.policy.base import Guardrail
from sim.policy.catalogue import Family
from sim.policy.guardrails.burn_rate import BurnRate
from sim.policy.guardrails.check import Check
from sim.policy.guardrails.degradation import Degradation
from sim.policy.guardrails.kayenta import Kayenta
from sim.policy.guardrails.mann_whitney import MannWhitney
from sim.policy.guardrails.measured import AGREEMENT, BUILT_IN, CHECK_ONLY, ERROR_RATE, LATENCY
from sim.policy.guardrails.non_inferior import NonInferior
from sim.policy.guardrails.rate import LatencyQuantile, RateIncrease
from sim.policy.guardrails.sample_ratio import SampleRatio
from sim.policy.guardrails.together import Together

GUARDRAILS = Family(
    "guardrail",
    Guardrail,
    methods=("judge",),
    shipped=(
        BurnRate,
        Check,
        Degradation,
        Kayenta,
        LatencyQuantile,
        MannWhitney,
        NonInferior,
        RateIncrease,
        SampleRatio,
        Together,
    ),
    # A check without a kind is a threshold, the usual check.
    default="threshold",
)
AnyGuardrail = Annotated[Guardrail, GUARDRAILS]

__all__ = [
    "AGREEMENT",
    "BUILT_IN",
    "CHECK_ONLY",
    "ERROR_RATE",
    "GUARDRAILS",
    "LATENCY",
    "AnyGuardrail",
    "BurnRate",
    "Check",
    "Degradation",
    "Kayenta",
    "LatencyQuantile",
    "MannWhitney",
    "NonInferior",
    "RateIncrease",
    "SampleRatio",
    "Together",
]
