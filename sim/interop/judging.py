"""What conditions and bounds make of the results of a measure, result by result."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

from sim.interop.checks import Judged
from sim.interop.conditions import Condition, bounds_of
from sim.interop.queries import Measure
from sim.interop.tokens import Unread

Finding: TypeAlias = Callable[["float | None"], str]
"""Of a result, or None where there is none: pass, fail, doubt, or error."""


def by_conditions(success: Condition | None, failure: Condition | None) -> Finding:
    """What Argo makes of a result: a failure first; between a failure and a success it is in doubt."""

    def find(result: float | None) -> str:
        failed = failure.holds(result) if failure else None
        passed = success.holds(result) if success else None
        if (failure and failed is None) or (success and passed is None):
            return "error"
        if not failure:
            return "pass" if passed else "fail"
        if failed:
            return "fail"
        return "pass" if passed or not success else "doubt"

    return find


def judge(measure: Measure, find: Finding, numbers: tuple[float, ...]) -> Judged:
    """The numbers that are good, those that are no failure, and what a look without requests is. Raises `Unread`.

    >>> from sim.interop.conditions import condition_of
    >>> from sim.interop.queries import Whose
    >>> share = Measure("error_rate", 60.0, Whose.CANARY)
    >>> judge(share, by_conditions(condition_of("result[0] <= 0.01"), None), (0.01,)).no_data
    'fail'
    """
    good = bounds_of(lambda result: find(result) == "pass", numbers)
    fine = bounds_of(lambda result: find(result) != "fail", numbers)
    if good is None or fine is None:
        raise Unread("no number is good: every measurement fails")
    without = find(measure.zero)
    return Judged(good, fine, "wait" if without == "error" else without)


def empty_told(measure: Measure, find: Finding) -> str:
    """What a measurement comes to where there is nothing to measure, in words; empty where that does no harm."""
    zero, absent = find(measure.zero), find(measure.absent)
    what = "no result" if measure.zero is None else "0/0"
    says = {"pass": "passes", "fail": "counts as a failure", "doubt": "is inconclusive", "error": "is an error"}
    if _is_nan(measure.zero) or measure.zero is None:
        text = f"without requests of the canary in the window it gives {what}, which {says[zero]}"
        if measure.absent is not None and _is_nan(measure.zero):
            text += "; `or vector` stands in for missing series only, not for 0/0"
        elif absent != zero:
            text += f", and before its first request no result, which {says[absent]}"
        return text
    return ""


def _is_nan(value: float | None) -> bool:
    return value is not None and math.isnan(value)
