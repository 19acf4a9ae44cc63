"""A mirror: the allocation of a shadow."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from sim.arrays import Floats
from sim.policy.base import Allocation, View
from sim.policy.setting import Setting
from sim.units import Share, format_share


class Mirror(Allocation):
    """Users get the champion's answers only; a share of their requests is copied to every challenger still in.

    A copy of a request that writes does what it does a second time, unless a filter keeps it from being made. What is filtered
    does not reach the challenger: it is no load, and checks see nothing of it.

    >>> Mirror(fraction="20%", writes_filtered="90%").told(Setting(("champion", "a"), 1, 10, 60.0, "conversion", {}))
    'answers users with the champion only, and copies 20% of live requests to the challenger, without 90% of those that write'
    """

    mirrors: ClassVar[bool] = True

    kind: Literal["mirror"] = "mirror"
    fraction: Share = Field(1.0, gt=0, description="share of live requests that is copied to each challenger")
    writes_filtered: Share = Field(
        0.0, description="of the copies of requests that write (`traffic.writes`), the share that a filter catches: not made"
    )

    def most_mirrored(self) -> float:
        return self.fraction

    def told(self, setting: Setting) -> str:
        part = "every live request" if self.fraction == 1 else f"{format_share(self.fraction)} of live requests"
        whom = "the challenger" if len(setting.arms) == 2 else "each challenger"
        filtered = f", without {format_share(self.writes_filtered)} of those that write" if self.writes_filtered else ""
        return f"answers users with the champion only, and copies {part} to {whom}{filtered}"

    def live(self, view: View) -> Floats:
        live = np.zeros(view.arms_in.shape)
        live[:, 0] = 1
        return live

    def mirror(self, view: View) -> Floats:
        mirror = np.where(view.arms_in, self.fraction, 0.0)
        mirror[:, 0] = 0
        return mirror

    def copies_writes(self) -> float:
        return 1.0 - self.writes_filtered
