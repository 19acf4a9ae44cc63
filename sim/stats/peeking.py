"""The false positive rate of several looks with a test that was designed for one look."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from sim.errors import InputError, Problem
from sim.stats.stopping_probability import exits
from sim.stats.validation import is_whole

MOST_LOOKS = 1000


def false_positive_rate(looks: int, alpha: float = 0.05, sides: int = 2) -> float:
    """Probability that at least one of several equally spaced looks has p < alpha although there is no effect.

    Each look is a z test at the nominal level `alpha`, one- or two-sided, of all outcomes so far. The test stops at the first
    significant look. Up to 1,000 looks.

    Raises `InputError`, naming every argument that breaks its rule.

    Source: Armitage, McPherson & Rowe (1969), Repeated significance tests on accumulating data, J. R. Stat.
    Soc. A 132, Table 2.

    >>> [round(false_positive_rate(looks), 3) for looks in (1, 2, 5, 10)]
    [0.05, 0.083, 0.142, 0.193]
    """
    rules = {
        "looks": (
            looks,
            is_whole(looks) and 1 <= looks <= MOST_LOOKS,
            f"must be a whole number, 1 to {MOST_LOOKS}",
        ),
        "alpha": (alpha, 0 < alpha < 1, "must lie strictly between 0 and 1"),
        "sides": (sides, sides in (1, 2), "must be 1 or 2"),
    }
    problems = [Problem(f"{rule}, got {value}", path=name) for name, (value, holds, rule) in rules.items() if not holds]
    if problems:
        raise InputError(problems)
    critical = np.full(looks, -ndtri(alpha / sides))
    lower = -critical if sides == 2 else np.full(looks, -np.inf)
    crossings = exits(np.arange(1, looks + 1) / looks, lower, critical)
    return float((crossings.upper + crossings.lower).sum())
