"""All live traffic to the champion: the allocation of a stage that decides before any challenger is served."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from sim.arrays import Floats
from sim.policy.base import Allocation, View
from sim.policy.setting import DeclaredSetting, Setting


class ChampionOnly(Allocation):
    """The champion serves every request, and no request is copied."""

    serves_challengers: ClassVar[bool] = False

    kind: Literal["champion"] = "champion"

    def constant_weights(self, setting: DeclaredSetting) -> Floats:
        return np.asarray(np.eye(len(setting.arms))[0])

    def live(self, view: View) -> Floats:
        return np.broadcast_to(self.constant_weights(view.setting), view.arms_in.shape)

    def told(self, setting: Setting) -> str:
        return "leaves all live traffic to the champion"
