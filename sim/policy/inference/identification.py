"""Outcomes, for the allocations and the evidence that identify the best arm: the one with the highest rate of good outcomes."""

from __future__ import annotations

import numpy as np

from sim.arrays import Bools, Floats
from sim.policy.base import View
from sim.policy.setting import Setting


def good_outcomes(view: View) -> tuple[Floats, Floats]:
    """(r, K) each: known outcomes of the primary metric, and the good ones among them."""
    metric = view.setting.metrics[view.setting.primary]
    count, total, _ = view.moments(metric)
    return count, total if metric.sign > 0 else count - total


def all_outcomes(count: Floats, arms_in: Bools) -> Floats:
    """(r, 1) known outcomes of all arms still in: the time t of the literature."""
    t: Floats = np.where(arms_in, count, 0.0).sum(axis=1, keepdims=True)
    return t


def binary_problems(kind: str, setting: Setting) -> list[tuple[str, str]]:
    """The rule that the primary metric is binary: (key, message) pairs, none or one."""
    metric = setting.metrics[setting.primary]
    if metric.binary:
        return []
    return [("kind", f"{kind} is for a binary metric, and {metric.name} is an amount")]
