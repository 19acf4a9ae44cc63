"""A mirror: the allocation of a shadow."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from sim.arrays import Floats
from sim.policy.base import Allocation, Setting, View
from sim.units import Share, format_share


class Mirror(Allocation):
    """Users get the champion's answers only; a share of their requests is copied to every challenger still in."""

    mirrors: ClassVar[bool] = True

    kind: Literal["mirror"] = "mirror"
    fraction: Share = Field(1.0, gt=0, description="share of live requests that is copied to each challenger")

    def most_mirrored(self) -> float:
        return self.fraction

    def told(self, setting: Setting) -> str:
        part = "every live request" if self.fraction == 1 else f"{format_share(self.fraction)} of live requests"
        whom = "the challenger" if len(setting.arms) == 2 else "each challenger"
        return f"answers users with the champion only, and copies {part} to {whom}"

    def live(self, view: View) -> Floats:
        live = np.zeros(view.arms_in.shape)
        live[:, 0] = 1
        return live

    def mirror(self, view: View) -> Floats:
        mirror = np.where(view.arms_in, self.fraction, 0.0)
        mirror[:, 0] = 0
        return mirror
