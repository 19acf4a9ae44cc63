"""Telemetry of users, to test what compares users without an engine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sim.arrays import Floats, Ints
from sim.policy.columns import (
    WEIGHT_BITS,
    Column,
    JointKind,
    JointUserMoment,
    WeighedKind,
    WeighedUserMoment,
    joint_user_moments,
    weighed_user_moments,
)
from sim.policy.contrast import share_of_two

# What a sum over users in both arms is called when champion and challenger change places.
_TURNED_JOINT: dict[JointKind, JointKind] = {"cross": "counter", "counter": "cross"}
_TURNED_WEIGHED: dict[WeighedKind, WeighedKind] = {
    "square": "base_square", "cross": "base_cross", "sizes": "base_sizes", "base_square": "square", "base_cross": "cross",
    "base_sizes": "sizes", "joint_cross": "joint_counter", "joint_counter": "joint_cross",
}  # fmt: skip


def in_one_arm(metric: str, square: Ints, cross: Ints, sizes: Ints, live: Floats) -> dict[Column, Ints]:
    """The joint and the weighed columns of a tick whose users meet one arm, and had met none before.

    square, cross, sizes (r, K): the sums over the users of each arm, as in `UserMoment`; live (r, K) shares of traffic.
    """
    w = share_of_two(live)
    nothing = np.zeros(w.shape)
    own, base = (1 - w) ** 2, w**2
    sums = {
        "square": own * square[:, 1:], "cross": own * cross[:, 1:], "sizes": own * sizes[:, 1:],
        "base_square": base * square[:, :1], "base_cross": base * cross[:, :1], "base_sizes": base * sizes[:, :1],
    }  # fmt: skip
    columns: dict[Column, Ints] = {column: np.zeros_like(square) for column in joint_user_moments(metric)}
    for column in weighed_user_moments(metric):
        value = sums.get(column.moment, nothing)
        whole = np.floor(value)
        columns[column] = np.zeros_like(square)
        columns[column][:, 1:] = whole if column.digits == "whole" else np.rint((value - whole) * 4.0**WEIGHT_BITS)
    return columns


def turned(counts: Ints, columns: Sequence[Column]) -> Ints:
    """Telemetry (..., 2, C) of two arms, as it is when champion and challenger change places."""
    other = counts[..., ::-1, :].copy()
    places = {column: place for place, column in enumerate(columns)}
    for column, place in places.items():
        # These stand at the challenger, whoever that is.
        if isinstance(column, JointUserMoment):
            same: Column = JointUserMoment(column.metric, _TURNED_JOINT.get(column.moment, column.moment))
        elif isinstance(column, WeighedUserMoment):
            same = WeighedUserMoment(column.metric, _TURNED_WEIGHED.get(column.moment, column.moment), column.digits)
        else:
            continue
        other[..., places[same]] = counts[..., place]
    return other
