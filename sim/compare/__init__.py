"""What follows from the trials: measures with their intervals, paired differences, the frontier, thresholds."""

__all__ = [
    "amounts",
    "comparison",
    "decision",
    "elsewhere",
    "enough",
    "frontier",
    "measure",
    "measures",
    "memo",
    "picked",
    "result",
    "rules",
    "saved",
    "sensitivity",
    "several",
    "summary",
    "support",
    "trials",
    "wording",
]
