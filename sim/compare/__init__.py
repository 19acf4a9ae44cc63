"""What follows from the trials: measures with their intervals, paired differences, the frontier, thresholds."""

__all__ = [
    "comparison",
    "decision",
    "frontier",
    "measures",
    "memo",
    "result",
    "rules",
    "saved",
    "sensitivity",
    "several",
    "summary",
    "trials",
    "wording",
]
