"""Priors of a relative effect in a scenario file: what it may be, from replication to replication."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag, model_validator

from sim.policy.telling import listed
from sim.scenario.spec import Spec
from sim.units import Effect, Share, format_effect, format_share


class NormalPrior(Spec):
    """A normal distribution."""

    mean: Effect = Field(description="mean of the relative effect")
    sd: Share = Field(description="standard deviation of the relative effect")


class UniformPrior(Spec):
    """A uniform distribution."""

    low: Effect
    high: Effect

    @model_validator(mode="after")
    def _ordered(self) -> UniformPrior:
        if not self.low <= self.high:
            raise ValueError(f"low must not exceed high, got {self.low:g} and {self.high:g}")
        return self


class ChoicePrior(Spec):
    """A few values with their probabilities."""

    values: tuple[Effect, ...] = Field(min_length=1)
    weights: tuple[Share, ...] | None = Field(None, description="summing to 100%; even if left out")

    @model_validator(mode="after")
    def _sums(self) -> ChoicePrior:
        if self.weights is not None and len(self.weights) != len(self.values):
            raise ValueError(f"needs one weight a value, got {len(self.weights)} for {len(self.values)}")
        if self.weights is not None and abs(sum(self.weights) - 1) > 1e-9:
            raise ValueError(f"weights must sum to 100%, got {sum(self.weights):.4%}")
        return self


class NormalEffect(Spec):
    normal: NormalPrior

    def told(self) -> str:
        """The prior in words."""
        return f"normal, mean {format_effect(self.normal.mean)}, sd {format_share(self.normal.sd)}"


class UniformEffect(Spec):
    uniform: UniformPrior

    def told(self) -> str:
        """The prior in words."""
        return f"uniform from {format_effect(self.uniform.low)} to {format_effect(self.uniform.high)}"


class ChoiceEffect(Spec):
    choice: ChoicePrior

    def told(self) -> str:
        """The prior in words."""
        values = [format_effect(value) for value in self.choice.values]
        if self.choice.weights is None:
            return f"{listed(values, 'or')}, each as likely"
        weights = [format_share(weight) for weight in self.choice.weights]
        return listed([f"{value} in {weight}" for value, weight in zip(values, weights, strict=True)], "or")


def _prior_kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return next((str(key) for key in value), "constant")
    return type(value).__name__.removesuffix("Effect").lower() if isinstance(value, Spec) else "constant"


Prior = Annotated[
    Annotated[Effect, Tag("constant")]
    | Annotated[NormalEffect, Tag("normal")]
    | Annotated[UniformEffect, Tag("uniform")]
    | Annotated[ChoiceEffect, Tag("choice")],
    Discriminator(_prior_kind),
]


def prior_told(prior: Prior) -> str:
    """A prior of a relative effect in words.

    >>> prior_told(0.02), prior_told(NormalEffect(normal=NormalPrior(mean=0.0, sd=0.03)))
    ('+2%', 'normal, mean 0%, sd 3%')
    """
    return format_effect(prior) if isinstance(prior, float) else prior.told()
