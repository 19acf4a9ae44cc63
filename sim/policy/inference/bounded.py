"""Bounds of outcomes, for the allocations and the evidence that need outcomes between two bounds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sim.arrays import Floats
from sim.errors import InputError, Problem
from sim.policy.setting import DeclaredMetric, Metric

LOWEST_RULE = "no outcome is below; 0 if left out"
HIGHEST_RULE = "no outcome is above; required unless the metric is binary"


def order_problems(lowest: float | None, highest: float | None, metric: DeclaredMetric | None) -> list[tuple[str, str]]:
    """The rules that bounds are two, the highest exceeds the lowest, and what a failed request counts as lies between them, as
    (key, message) pairs.

    >>> order_problems(None, -1.0, None)
    [('highest', 'must exceed lowest (0), got -1')]
    >>> order_problems(None, 9.0, DeclaredMetric("revenue", 1, failed=-5.0))
    [('lowest', 'must be at most -5, the least revenue that a request can have; got 0')]
    """
    if lowest is not None and highest is None:
        return [("highest", f"is required beside lowest ({lowest:g}): the bound that no outcome exceeds")]
    if highest is not None and highest <= (lowest or 0.0):
        return [("highest", f"must exceed lowest ({lowest or 0.0:g}), got {highest:g}")]
    if metric is None or highest is None or metric.failed is None:
        return []
    return list(reached(metric.name, lowest or 0.0, highest, metric.failed, metric.failed))


def reached(metric: str, low: float, high: float, least: float, most: float) -> Iterator[tuple[str, str]]:
    """The rule that bounds from `low` to `high` hold what goes from `least` to `most`, as (key, message) pairs.

    >>> list(reached("revenue", 0.0, 100.0, 0.0, 250.0))
    [('highest', 'must be at least 250, the largest revenue that a request can have; got 100')]
    """
    for key, bound, value, holds, rule, which in (
        ("lowest", low, least, least >= low, "at most", "least"),
        ("highest", high, most, most <= high, "at least", "largest"),
    ):
        if not holds:
            yield key, f"must be {rule} {value:.10g}, the {which} {metric} that a request can have; got {bound:g}"


def bound_problems(lowest: float | None, highest: float | None, metric: Metric) -> list[tuple[str, str]]:
    """The rule that an amount has bounds and a binary metric has none, as (key, message) pairs.

    >>> bound_problems(None, None, Metric("revenue", 1, False, 0.01, 10.0, 5.0))
    [('highest', 'is required, as revenue is not binary: the bound that no outcome exceeds')]
    """
    if metric.binary:
        given = (("lowest", lowest), ("highest", highest))
        return [(key, f"is for a metric that is not binary, got {value:g}") for key, value in given if value is not None]
    if highest is None:
        return [("highest", f"is required, as {metric.name} is not binary: the bound that no outcome exceeds")]
    return []


def bounds_of(lowest: float | None, highest: float | None, metric: Metric) -> tuple[float, float] | None:
    """The bounds of an amount; None for a binary metric, whose bounds are known.

    >>> bounds_of(None, 100.0, Metric("revenue", 1, False, 0.01, 10.0, 5.0))
    (0.0, 100.0)
    """
    return None if metric.binary or highest is None else (lowest or 0.0, highest)


def rescaled(
    kind: str, metric: Metric, count: Floats, total: Floats, lowest: float | None, highest: float | None
) -> tuple[Floats, float, float]:
    """Sums of outcomes, rescaled to lie between 0 and `count` and of the same shape, and the two bounds.

    Raises `InputError` where outcomes were seen outside the bounds, for the part that the file calls `kind`.
    """
    low, high = lowest or 0.0, highest or 0.0
    inside = (total - low * count) / (high - low)
    slack = 1e-9 * (1 + count)
    if (inside < -slack).any() or (inside > count + slack).any():
        raise InputError([outside(kind, metric, low, high)])
    return np.clip(inside, 0.0, count), low, high


def outside(kind: str, metric: Metric, low: float, high: float) -> Problem:
    """The problem that outcomes were seen outside the bounds."""
    rule = f"of {kind} must bound {metric.name}, and outcomes were seen outside lowest to highest"
    return Problem(f"{rule}, got {low:g} to {high:g}", path="highest")
