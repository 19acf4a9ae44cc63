"""Ramps by a rule: short forms of steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from sim.units import Duration, Share


class Growth(BaseModel):
    """What rules have in common: weights are added until one is at least `until`, as Flagger does with `maxWeight`.

    So the last weight may be above `until`; it is never above 100%.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    every: Duration = Field(description="how long each weight is held, a whole number of ticks")
    until: Share = Field(1.0, gt=0, description="the first weight that is at least this is the last")

    def weight(self, step: int) -> float:
        """The weight of a step, the first being number 0; it may be above 1."""
        raise NotImplementedError(f"{type(self).__name__} does not say its weights")

    def weights(self) -> Iterator[float]:
        """The weights, in order."""
        step = 0
        while True:
            # Three steps of 20% are 60%, and not a rounding error above.
            weight = min(round(self.weight(step), 12), 1.0)
            yield weight
            if weight >= self.until:
                return
            step += 1


class LinearRamp(Growth):
    """Every weight is a step above the one before, the first too.

    >>> list(LinearRamp(step="20%", until="50%", every="1m").weights())
    [0.2, 0.4, 0.6]
    """

    kind: Literal["linear"] = "linear"
    step: Share = Field(ge=0.001, description="the first weight, and how much every other one is above the one before")

    def weight(self, step: int) -> float:
        return self.step * (step + 1)


class ExponentialRamp(Growth):
    """Every weight is a multiple of the one before.

    >>> list(ExponentialRamp(kind="exponential", first="1%", factor=4, until="50%", every="1h").weights())
    [0.01, 0.04, 0.16, 0.64]
    """

    kind: Literal["exponential"] = "exponential"
    first: Share = Field(ge=1e-6, description="the first weight")
    factor: float = Field(2.0, ge=1.01, le=1e6, allow_inf_nan=False, description="what every weight is multiplied by")

    def weight(self, step: int) -> float:
        return self.first * self.factor**step


AnyGrowth = Annotated[LinearRamp | ExponentialRamp, Field(discriminator="kind")]
