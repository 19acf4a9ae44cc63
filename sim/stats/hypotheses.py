"""Tests with a margin: non-inferiority and equivalence."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from sim.arrays import Floats
from sim.stats.two_sample import Alternative, TestResult, tail
from sim.stats.validation import require, require_positive

Direction = Literal["increase", "decrease"]


def against(result: TestResult, null: float, alternative: Alternative = "two-sided") -> Floats:
    """P-values of effect = `null`, for every test of a `two_sample` result with unpooled variances.

    A pooled variance assumes equal means, so do not use it with a null other than 0. The p-value is 1 where the standard error
    is 0 or infinite.

    Raises `InputError` for a null that is not finite and an unknown alternative.

    >>> from sim.stats.two_sample import two_sample
    >>> against(two_sample("z_unpooled", 1000, 100, 100, 1000, 90, 90), -0.03, "greater").round(4)
    np.float64(0.0636)
    """
    require(math.isfinite(null), "null", "must be finite", null)
    known = np.isfinite(result.standard_error) & (result.standard_error > 0)
    distance = np.where(known, (result.effect - null) / np.where(known, result.standard_error, 1.0), 0.0)
    return np.where(known, tail(distance, result.degrees_of_freedom, alternative), 1.0)


def non_inferiority(result: TestResult, margin: float, direction: Direction = "increase") -> Floats:
    """P-values of *worse by `margin` or more*; a small one shows that arm 1 is not inferior.

    `margin` is positive, in the unit of the effect. The metric improves in `direction`.

    Raises `InputError` for a margin that is not positive and an unknown direction.

    Source: Blackwelder, Controlled Clinical Trials 3 (1982); Wellek, Testing Statistical Hypotheses of
    Equivalence and Noninferiority (2010), ch. 2.

    >>> from sim.stats.two_sample import two_sample
    >>> non_inferiority(two_sample("z_unpooled", 1000, 100, 100, 1000, 90, 90), 0.03).round(4)
    np.float64(0.0636)
    """
    _require_margin(margin, direction)
    return against(result, -margin, "greater") if direction == "increase" else against(result, margin, "less")


def equivalence(result: TestResult, margin: float) -> Floats:
    """P-values of *different by `margin` or more*, by two one-sided tests (TOST); the larger of the two.

    At level α the test rejects if the 1 − 2α confidence interval lies within the margins.

    Raises `InputError` for a margin that is not positive.

    Source: Schuirmann, J. Pharmacokinetics and Biopharmaceutics 15 (1987).

    >>> from sim.stats.two_sample import two_sample
    >>> equivalence(two_sample("z_unpooled", 10000, 1000, 1000, 10000, 990, 990), 0.01).round(4)
    np.float64(0.0167)
    """
    _require_margin(margin, "increase")
    return np.maximum(against(result, -margin, "greater"), against(result, margin, "less"))


def _require_margin(margin: float, direction: str) -> None:
    require_positive("margin", margin)
    require(direction in ("increase", "decrease"), "direction", "must be increase or decrease", direction)
