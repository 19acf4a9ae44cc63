"""Ramps by a rule: short forms of steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sim.units import Duration, Share, format_share


class Growth(BaseModel):
    """What rules have in common: weights are added until one is at least `until`. None is above 100%."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    every: Duration = Field(description="how long each weight is held, a whole number of ticks")

    @property
    def end(self) -> float:
        """The first weight that is at least this is the last."""
        raise NotImplementedError(f"{type(self).__name__} does not say where it ends")

    @property
    def most(self) -> float:
        """No weight is above this."""
        return 1.0

    def weight(self, step: int) -> float:
        """The weight of a step, the first being number 0; it may be above 1."""
        raise NotImplementedError(f"{type(self).__name__} does not say its weights")

    def weights(self) -> Iterator[float]:
        """The weights, in order."""
        step = 0
        while True:
            # Three steps of 20% are 60%, and not a rounding error above.
            weight = min(round(self.weight(step), 12), self.most)
            yield weight
            if weight >= self.end:
                return
            step += 1


class LinearRamp(Growth):
    """Every weight is a step above the one before, the first too. The last may be above `until`, as with Flagger's `maxWeight`.

    >>> list(LinearRamp(step="20%", until="50%", every="1m").weights())
    [0.2, 0.4, 0.6]
    """

    kind: Literal["linear"] = "linear"
    step: Share = Field(ge=0.001, description="the first weight, and how much every other one is above the one before")
    until: Share = Field(1.0, gt=0, description="the first weight that is at least this is the last; it may be above")

    @property
    def end(self) -> float:
        return self.until

    def weight(self, step: int) -> float:
        return self.step * (step + 1)


class ExponentialRamp(Growth):
    """Every weight is a multiple of the one before, but for the last, which is `until`.

    So do exponential deployments of AWS AppConfig end, whose targets double until all have it: at 100%, and not at 128%.

    >>> list(ExponentialRamp(kind="exponential", first="1%", factor=4, until="50%", every="1h").weights())
    [0.01, 0.04, 0.16, 0.5]
    """

    kind: Literal["exponential"] = "exponential"
    first: Share = Field(ge=1e-6, description="the first weight")
    factor: float = Field(2.0, ge=1.01, le=1e6, allow_inf_nan=False, description="what every weight is multiplied by")
    until: Share = Field(1.0, gt=0, description="the last weight, at least `first`")

    @property
    def end(self) -> float:
        return self.until

    @model_validator(mode="after")
    def _begins_below_its_end(self) -> Self:
        if self.first > self.until:
            raise ValueError(
                f"until must be at least first, which is {format_share(self.first)}; got {format_share(self.until)}"
            )
        return self

    @property
    def most(self) -> float:
        return self.until

    def weight(self, step: int) -> float:
        return self.first * self.factor**step


AnyGrowth = Annotated[LinearRamp | ExponentialRamp, Field(discriminator="kind")]
