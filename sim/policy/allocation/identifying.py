"""The base of allocations that identify the best arm of a binary metric."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from sim.policy.allocation.floor import floor_problems
from sim.policy.base import Allocation
from sim.policy.columns import Column, mean_of
from sim.policy.inference.identification import binary_problems
from sim.policy.setting import DeclaredSetting, Setting
from sim.units import Share


class Identifying(Allocation):
    """All traffic goes where it tells most of which arm is best."""

    adaptive: ClassVar[bool] = True

    kind: str
    floor: Share = Field(0.0, description="least share of every arm still in; floor times the arms must not exceed 100%")

    def needs(self, setting: Setting) -> tuple[Column, ...]:
        return mean_of(setting.primary)

    def least_share(self, setting: DeclaredSetting) -> float | None:
        return self.floor

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        return floor_problems(self.floor, setting)

    def registered_problems(self, setting: Setting) -> list[tuple[str, str]]:
        return binary_problems(self.kind, setting)
