"""What can stop an arm, or hold it back, whatever the evidence says. A new guardrail is a file with a class, listed here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Discriminator, Tag

from sim.policy.guardrails.check import AGREEMENT, BUILT_IN, ERROR_RATE, LATENCY, Check
from sim.policy.guardrails.mann_whitney import MannWhitney
from sim.policy.guardrails.non_inferior import NonInferior
from sim.policy.guardrails.rate import LatencyQuantile, RateIncrease
from sim.policy.guardrails.sample_ratio import SampleRatio


def _kind(value: Any) -> str:
    """A threshold needs no kind: it came first, and is the usual one."""
    kind = value.get("kind") if isinstance(value, Mapping) else getattr(value, "kind", None)
    return "threshold" if kind is None else str(kind)


AnyGuardrail = Annotated[
    Annotated[Check, Tag("threshold")]
    | Annotated[LatencyQuantile, Tag("latency_quantile")]
    | Annotated[MannWhitney, Tag("mann_whitney")]
    | Annotated[NonInferior, Tag("non_inferior")]
    | Annotated[RateIncrease, Tag("rate_increase")]
    | Annotated[SampleRatio, Tag("sample_ratio")],
    Discriminator(_kind),
]

__all__ = [
    "AGREEMENT",
    "BUILT_IN",
    "ERROR_RATE",
    "LATENCY",
    "AnyGuardrail",
    "Check",
    "LatencyQuantile",
    "MannWhitney",
    "NonInferior",
    "RateIncrease",
    "SampleRatio",
]
