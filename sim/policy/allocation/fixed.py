"""Fixed weights: the allocation of an A/B test."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from sim.arrays import Floats
from sim.policy.base import Allocation, View
from sim.policy.setting import DeclaredSetting, Setting
from sim.policy.telling import listed
from sim.units import Share, format_share


class Fixed(Allocation):
    """Every arm keeps its weight for as long as the stage lasts.

    >>> Fixed(weights=("90%", "10%")).weights
    (0.9, 0.1)
    """

    rests: ClassVar[bool] = True

    kind: Literal["fixed"] = "fixed"
    weights: tuple[Share, ...] | None = Field(
        None, description="one share an arm, in the order of `models`, summing to 100%; an even split if left out"
    )

    def shares(self, setting: DeclaredSetting) -> Floats:
        """(K,) the weights, an even split if none were given."""
        if self.weights is None:
            return np.full(len(setting.arms), 1 / len(setting.arms))
        return np.asarray(self.weights)

    def constant_weights(self, setting: DeclaredSetting) -> Floats:
        return self.shares(setting)

    def live(self, view: View) -> Floats:
        return np.broadcast_to(self.shares(view.setting), view.arms_in.shape)

    def told(self, setting: Setting) -> str:
        shares = self.shares(setting)
        if np.ptp(shares) < 1e-9:
            return f"splits live traffic evenly between {listed(setting.arms)}"
        each = [f"{format_share(share)} to {arm}" for share, arm in zip(shares.tolist(), setting.arms, strict=True)]
        return f"splits live traffic, {listed(each)}"

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        if self.weights is None:
            return []
        if len(self.weights) != len(setting.arms):
            return [("weights", f"must have one share for each of the {len(setting.arms)} arms, got {len(self.weights)}")]
        if abs(sum(self.weights) - 1) > 1e-9:
            return [("weights", f"shares must sum to 100%, got {sum(self.weights):.6g} = {sum(self.weights):.4%}")]
        return []
