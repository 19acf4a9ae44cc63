"""Thompson sampling, by probability matching."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sim.arrays import Floats
from sim.policy.allocation.floor import floor_problems, floored
from sim.policy.base import Allocation, DeclaredSetting, Setting, View
from sim.policy.columns import Column, moments_of
from sim.policy.inference.posteriors import probability_best
from sim.units import Share


class Thompson(Allocation):
    """Each arm gets its posterior probability of being the best, and at least `floor`.

    Sampling every request of a tick from the posterior of the tick's start gives a multinomial with just these shares
    (Thompson 1933; Chapelle & Li 2011, batched feedback), so the policy needs no randomness of its own.
    """

    kind: Literal["thompson"] = "thompson"
    floor: Share = Field(0.0, description="least share of every arm still in; floor times the arms must not exceed 100%")

    def needs(self, setting: Setting) -> tuple[Column, ...]:
        return moments_of(setting.metrics[setting.primary])

    def live(self, view: View) -> Floats:
        return floored(probability_best(view), self.floor, view.arms_in)

    def declared_problems(self, setting: DeclaredSetting) -> list[tuple[str, str]]:
        return floor_problems(self.floor, setting)
