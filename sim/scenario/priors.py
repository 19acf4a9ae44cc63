"""Priors of a relative effect in a scenario file: what it may be, from replication to replication."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag, model_validator

from sim.policy.telling import listed
from sim.scenario.spec import Spec
from sim.units import Effect, Share, format_effect, format_share


class NormalPrior(Spec):
    """A normal distribution."""

    mean: Effect = Field(description="mean of the relative effect")
    sd: Share = Field(description="standard deviation of the relative effect")


class StudentPrior(Spec):
    """Student's t distribution: most effects are near the mean, and a few are far larger than any normal one."""

    mean: Effect = Field(description="mean of the relative effect")
    scale: Share = Field(description="of the relative effect; with many degrees of freedom, its standard deviation")
    df: float = Field(gt=1, le=1e6, description="degrees of freedom: the fewer, the fatter the tails")
    within: Share | None = Field(
        None,
        gt=0,
        lt=1,
        description="no effect is further from 0: the tails are cut there, and what is left is drawn in proportion",
    )

    @model_validator(mode="after")
    def _inside(self) -> StudentPrior:
        if self.within is not None and not abs(self.mean) < self.within:
            raise ValueError(f"mean must lie within ±{format_share(self.within)}, got {format_effect(self.mean)}")
        return self


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


class SpikeSlabPrior(Spec):
    """A spike and slab: some effects are exactly 0, and the others, the slab, are normal."""

    zero: Share = Field(description="share of effects that are exactly 0")
    mean: Effect = Field(description="mean of the effects that are not 0")
    sd: Share = Field(description="standard deviation of the effects that are not 0")


class NormalEffect(Spec):
    normal: NormalPrior

    @property
    def sd(self) -> float:
        """Its standard deviation."""
        return self.normal.sd

    def moved(self, times: float, by: float) -> dict[str, Any]:
        """As in a file: with so many times the spread, and `by` added."""
        mean = _rounded(self.normal.mean + by)
        return {"normal": {"mean": format_effect(mean), "sd": _share(self.normal.sd * times)}}

    def told(self) -> str:
        """The prior in words."""
        return f"normal, mean {format_effect(self.normal.mean)}, sd {format_share(self.normal.sd)}"


class StudentEffect(Spec):
    student_t: StudentPrior

    @property
    def sd(self) -> float:
        """Its scale, in place of a standard deviation, of which there is none at 2 degrees of freedom or fewer."""
        return self.student_t.scale

    def moved(self, times: float, by: float) -> dict[str, Any]:
        """As in a file: with so many times the spread, and `by` added."""
        prior = self.student_t
        mean = _rounded(prior.mean + by)
        said = {"mean": format_effect(mean), "scale": _share(prior.scale * times), "df": prior.df}
        if prior.within is not None:
            # Further out only where the mean would else be outside.
            said["within"] = format_share(prior.within if abs(mean) < prior.within else (1 + min(abs(mean), 1)) / 2)
        return {"student_t": said}

    def told(self) -> str:
        """The prior in words."""
        prior = self.student_t
        centre, scale = format_effect(prior.mean), format_share(prior.scale)
        cut = "" if prior.within is None else f", none beyond ±{format_share(prior.within)}"
        return f"Student's t with {prior.df:g} degrees of freedom, mean {centre}, scale {scale}{cut}"


class UniformEffect(Spec):
    uniform: UniformPrior

    @property
    def sd(self) -> float:
        """Its standard deviation."""
        return (self.uniform.high - self.uniform.low) / math.sqrt(12)

    def moved(self, times: float, by: float) -> dict[str, Any]:
        """As in a file: with so many times the spread, and `by` added."""
        middle, half = (self.uniform.low + self.uniform.high) / 2 + by, (self.uniform.high - self.uniform.low) / 2 * times
        low, high = _rounded(middle - half), _rounded(middle + half)
        return {"uniform": {"low": format_effect(low), "high": format_effect(high)}}

    def told(self) -> str:
        """The prior in words."""
        return f"uniform from {format_effect(self.uniform.low)} to {format_effect(self.uniform.high)}"


class ChoiceEffect(Spec):
    choice: ChoicePrior

    @property
    def sd(self) -> float:
        """Its standard deviation."""
        mean = self._mean(self.choice.values)
        return math.sqrt(self._mean([(value - mean) ** 2 for value in self.choice.values]))

    def moved(self, times: float, by: float) -> dict[str, Any]:
        """As in a file: with so many times the spread, and `by` added."""
        mean = self._mean(self.choice.values)
        values = [format_effect(_rounded(mean + (value - mean) * times + by)) for value in self.choice.values]
        weights = {} if self.choice.weights is None else {"weights": [format_share(each) for each in self.choice.weights]}
        return {"choice": {"values": values, **weights}}

    def _mean(self, values: Sequence[float]) -> float:
        weights = self.choice.weights or [1 / len(values)] * len(values)
        return math.fsum(weight * value for weight, value in zip(weights, values, strict=True))

    def told(self) -> str:
        """The prior in words."""
        values = [format_effect(value) for value in self.choice.values]
        if self.choice.weights is None:
            return f"{listed(values, 'or')}, each as likely"
        weights = [format_share(weight) for weight in self.choice.weights]
        return listed([f"{value} in {weight}" for value, weight in zip(values, weights, strict=True)], "or")


class SpikeSlabEffect(Spec):
    spike_slab: SpikeSlabPrior

    @property
    def sd(self) -> float:
        """Its standard deviation, with the effects that are 0."""
        prior = self.spike_slab
        return math.sqrt((1 - prior.zero) * (prior.sd**2 + prior.zero * prior.mean**2))

    def moved(self, times: float, by: float) -> dict[str, Any]:
        """As in a file: what is not 0 has so many times the spread, and `by` added. As many effects as before are 0."""
        prior = self.spike_slab
        # The spread of it all is a root, so that `by` has digits that nobody wrote.
        slab = {"mean": format_effect(_rounded(prior.mean + float(f"{by:.3g}"))), "sd": _share(prior.sd * times)}
        return {"spike_slab": {"zero": format_share(prior.zero), **slab}}

    def told(self) -> str:
        """The prior in words."""
        prior = self.spike_slab
        slab = f"mean {format_effect(prior.mean)}, sd {format_share(prior.sd)}"
        return f"0% in {format_share(prior.zero)}, else normal, {slab}"


def _prior_kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return next((str(key) for key in value), "constant")
    return next(iter(type(value).model_fields)) if isinstance(value, Spec) else "constant"


Prior = Annotated[
    Annotated[Effect, Tag("constant")]
    | Annotated[NormalEffect, Tag("normal")]
    | Annotated[StudentEffect, Tag("student_t")]
    | Annotated[UniformEffect, Tag("uniform")]
    | Annotated[ChoiceEffect, Tag("choice")]
    | Annotated[SpikeSlabEffect, Tag("spike_slab")],
    Discriminator(_prior_kind),
]


def _rounded(value: float) -> float:
    """The value without the last digits of sums, which nobody wrote."""
    return float(f"{value:.9g}") + 0.0


def _share(share: float) -> str:
    """As `format_share`, with three digits, as people write it; also above 100%, which no scenario takes."""
    return format_share(float(f"{share:.3g}"))


def prior_told(prior: Prior) -> str:
    """A prior of a relative effect in words.

    >>> prior_told(0.02), prior_told(NormalEffect(normal=NormalPrior(mean=0.0, sd=0.03)))
    ('+2%', 'normal, mean 0%, sd 3%')
    """
    return format_effect(prior) if isinstance(prior, float) else prior.told()
