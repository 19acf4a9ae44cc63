"""Adjustments of a comparison: less variance, or an honest one. A new one is a file with a class, listed here."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sim.policy.adjust.cluster import Cluster
from sim.policy.adjust.cuped import Cuped
from sim.policy.adjust.ratio import Ratio
from sim.policy.adjust.stratify import Stratify
from sim.policy.adjust.winsorise import Winsorise

AnyAdjust = Annotated[Cluster | Cuped | Ratio | Stratify | Winsorise, Field(discriminator="kind")]
ADJUST_RULE = "how the comparison is adjusted: less variance, or a standard error by user; requests as they are if left out"

__all__ = ["ADJUST_RULE", "AnyAdjust", "Cluster", "Cuped", "Ratio", "Stratify", "Winsorise"]
