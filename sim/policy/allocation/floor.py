"""A least share for every arm still in, so that no arm is starved of evidence."""

from __future__ import annotations

import numpy as np

from sim.arrays import Bools, Floats
from sim.policy.setting import DeclaredSetting


def floored(shares: Floats, floor: float, arms_in: Bools) -> Floats:
    """(r, K) shares mixed with the floor: an arm still in gets floor + (1 - floor * arms in) * its share.

    >>> floored(np.array([[0.0, 1.0]]), 0.05, np.array([[True, True]])).round(9).tolist()
    [[0.05, 0.95]]
    """
    left = np.maximum(1 - floor * arms_in.sum(axis=1, keepdims=True), 0.0)
    return np.where(arms_in, floor + left * shares, 0.0)


def floor_problems(floor: float, setting: DeclaredSetting) -> list[tuple[str, str]]:
    """The rule that the floors of all arms must fit into the traffic."""
    arms = len(setting.arms)
    if floor * arms > 1 + 1e-9:
        return [("floor", f"floor times arms must not exceed 100%, got {floor:g} x {arms} = {floor * arms:.4%}")]
    return []
