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
    "several",
    "summary",
    "trials",
    "wording",
]
