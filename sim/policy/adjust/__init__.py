"""Adjustments of a comparison. To add one, write a file with one class and list the class here."""

from __future__ import annotations

from typing import Annotated

from sim.policy.adjust.base import Adjust
from sim.policy.adjust.cluster import Cluster
from sim.policy.adjust.cuped import Cuped
from sim.policy.adjust.ratio import Ratio
from sim.policy.adjust.stratify import Stratify
from sim.policy.adjust.winsorise import Winsorise
from sim.policy.catalogue import Family

ADJUSTMENTS = Family("adjust", Adjust, methods=("needs", "estimates"), shipped=(Cluster, Cuped, Ratio, Stratify, Winsorise))
AnyAdjust = Annotated[Adjust, ADJUSTMENTS]
ADJUST_RULE = "how the comparison is adjusted: less variance, or a standard error by user; requests as they are if left out"

__all__ = ["ADJUSTMENTS", "ADJUST_RULE", "AnyAdjust", "Cluster", "Cuped", "Ratio", "Stratify", "Winsorise"]
