"""How long a behaviour model takes to answer: one distribution in seconds, as written in a models file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, WrapValidator, model_validator

from sim.distributions.base import (
    Frozen,
    Positive,
    check_bounded,
    check_ordered,
    check_quantiles,
    lognormal_of_mean,
    lognormal_of_median,
    single_key,
)
from sim.units import Duration, Share, format_duration, format_share


class MedianP99Duration(Frozen):
    """A log-normal duration by its median and its 99% point."""

    median: Duration
    p99: Duration

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        return check_ordered(self, self.median, self.p99)


class MeanSdDuration(Frozen):
    """A duration by its mean and standard deviation."""

    mean: Duration
    sd: Duration

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        return check_bounded(self, self.mean, self.sd)


class LatencyLogNormal(Frozen):
    """``{lognormal: {median: 45ms, p99: 180ms}}`` or ``{lognormal: {mean: 50ms, sd: 20ms}}``.

    >>> import math
    >>> latency = LatencyLogNormal.model_validate({"lognormal": {"median": "45ms", "p99": "180ms"}})
    >>> round(math.exp(latency.mu), 9)
    0.045
    """

    lognormal: Annotated[
        Annotated[MedianP99Duration, Tag("median")] | Annotated[MeanSdDuration, Tag("mean")],
        Discriminator(single_key(("median", "mean"))),
    ]

    @property
    def _log_moments(self) -> tuple[float, float]:
        given = self.lognormal
        if isinstance(given, MedianP99Duration):
            return lognormal_of_median(given.median, given.p99)
        return lognormal_of_mean(given.mean, given.sd)

    @property
    def mu(self) -> float:
        """Mean of the logarithm of seconds."""
        return self._log_moments[0]

    @property
    def sigma(self) -> float:
        """Standard deviation of the logarithm of seconds."""
        return self._log_moments[1]


class Exponential(Frozen):
    """``{exponential: 45ms}``, by its mean."""

    exponential: Duration

    @property
    def mean_s(self) -> float:
        """The mean, seconds."""
        return self.exponential


class LatencyGamma(Frozen):
    """``{gamma: {mean: 45ms, sd: 20ms}}``."""

    gamma: MeanSdDuration

    @property
    def shape(self) -> float:
        """(mean / sd)²."""
        return (self.gamma.mean / self.gamma.sd) ** 2

    @property
    def scale(self) -> float:
        """sd² / mean, seconds."""
        return self.gamma.sd * (self.gamma.sd / self.gamma.mean)


Shape = Annotated[Positive, Field(ge=0.1, le=100)]


class WeibullByMean(Frozen):
    """A Weibull duration by its mean and shape."""

    mean: Duration
    shape: Shape


class WeibullByScale(Frozen):
    """A Weibull duration by its scale, the 63.2% point, and shape."""

    scale: Duration
    shape: Shape


class LatencyWeibull(Frozen):
    """``{weibull: {mean: 50ms, shape: 0.7}}`` or ``{weibull: {scale: 45ms, shape: 0.7}}``.

    Shape 1 is exponential; below it the tail is heavier, above it lighter.

    >>> latency = LatencyWeibull.model_validate({"weibull": {"mean": "50ms", "shape": 1}})
    >>> latency.shape, latency.scale_s
    (1.0, 0.05)
    """

    weibull: Annotated[
        Annotated[WeibullByMean, Tag("mean")] | Annotated[WeibullByScale, Tag("scale")],
        Discriminator(single_key(("mean", "scale"))),
    ]

    @property
    def shape(self) -> float:
        """k in P(L > x) = exp(-(x / scale)^k)."""
        return self.weibull.shape

    @property
    def scale_s(self) -> float:
        """The scale, seconds: mean / gamma(1 + 1 / shape) (Johnson, Kotz & Balakrishnan 1994, ch. 21)."""
        given = self.weibull
        return given.scale if isinstance(given, WeibullByScale) else given.mean / math.gamma(1 + 1 / given.shape)


class MinimumTail(Frozen):
    """A Pareto duration by its least value and its tail index."""

    minimum: Duration
    tail: Annotated[Positive, Field(gt=1, le=1000)]


class LatencyPareto(Frozen):
    """``{pareto: {minimum: 10ms, tail: 2.5}}``: P(L > x) = (minimum / x)^tail.

    The tail must be above 1, or there is no mean; up to 2 there is no variance.

    >>> latency = LatencyPareto.model_validate({"pareto": {"minimum": "10ms", "tail": 2.5}})
    >>> latency.minimum_s, latency.tail
    (0.01, 2.5)
    """

    pareto: MinimumTail

    @property
    def minimum_s(self) -> float:
        """The least value, seconds."""
        return self.pareto.minimum

    @property
    def tail(self) -> float:
        """The tail index."""
        return self.pareto.tail


class Constant(Frozen):
    """``{constant: 45ms}``."""

    constant: Duration

    @property
    def value_s(self) -> float:
        """The only value, seconds."""
        return self.constant


class Quantiles(Frozen):
    """An empirical latency: its inverse distribution function, linear between the levels given.

    ``{quantiles: {0%: 10ms, 50%: 45ms, 99%: 180ms, 100%: 1s}}``

    >>> latency = Quantiles.of([0, 0.5, 1], [0.01, 0.045, 1])
    >>> latency.levels, latency.values_s
    ((0.0, 0.5, 1.0), (0.01, 0.045, 1.0))
    """

    quantiles: Annotated[dict[Share, Duration], WrapValidator(check_quantiles("durations", format_duration))]

    @classmethod
    def of(cls, levels: Sequence[float], values_s: Sequence[float]) -> Quantiles:
        """From levels in [0, 1] and seconds of the same length. Raises pydantic's error as for a file."""
        shown = (
            map(format_share, levels),
            (format_duration(value) if value > 0 else value for value in values_s),
        )
        return cls.model_validate({"quantiles": dict(zip(*shown, strict=True))})

    @property
    def levels(self) -> tuple[float, ...]:
        """Levels, increasing from 0 to 1."""
        return tuple(self.quantiles)

    @property
    def values_s(self) -> tuple[float, ...]:
        """Seconds at `levels`, never decreasing."""
        return tuple(self.quantiles.values())

    def __hash__(self) -> int:
        return hash(tuple(self.quantiles.items()))


class Component(Frozen):
    """Some of the calls of a mixture."""

    share: Share | None = Field(None, gt=0, description="of all calls; even shares where every component leaves it out")


class LogNormalComponent(LatencyLogNormal, Component):
    """A share of the calls, log-normal."""


class ExponentialComponent(Exponential, Component):
    """A share of the calls, exponential."""


class GammaComponent(LatencyGamma, Component):
    """A share of the calls, gamma."""


class WeibullComponent(LatencyWeibull, Component):
    """A share of the calls, Weibull."""


class ParetoComponent(LatencyPareto, Component):
    """A share of the calls, Pareto."""


class ConstantComponent(Constant, Component):
    """A share of the calls, all of one duration."""


class QuantilesComponent(Quantiles, Component):
    """A share of the calls, as measured."""


KINDS = ("lognormal", "exponential", "gamma", "weibull", "pareto", "constant", "quantiles")


def _has_a_kind(value: Any) -> Any:
    if isinstance(value, Mapping) and list(value) == ["share"]:
        raise ValueError("needs a distribution beside its share, such as constant: 1ms")
    return value


AnyComponent = Annotated[
    Annotated[LogNormalComponent, Tag("lognormal")]
    | Annotated[ExponentialComponent, Tag("exponential")]
    | Annotated[GammaComponent, Tag("gamma")]
    | Annotated[WeibullComponent, Tag("weibull")]
    | Annotated[ParetoComponent, Tag("pareto")]
    | Annotated[ConstantComponent, Tag("constant")]
    | Annotated[QuantilesComponent, Tag("quantiles")],
    Discriminator(single_key(KINDS)),
    BeforeValidator(_has_a_kind),
]


def _check_shares(components: tuple[Component, ...]) -> tuple[Component, ...]:
    said = [component.share for component in components if component.share is not None]
    if said and len(said) < len(components):
        raise ValueError(f"shares must be given for all components or for none; got {len(said)} of {len(components)}")
    if said and abs(math.fsum(said) - 1) > 1e-9:
        raise ValueError(f"shares must sum to 100%; got {format_share(round(math.fsum(said), 12))}")
    return components


class Mixture(Frozen):
    """Several distributions, each of a share of the calls: hits and misses of a cache, cold starts.

    ``{mixture: [{share: 90%, constant: 2ms}, {share: 10%, lognormal: {median: 80ms, p99: 400ms}}]}``

    >>> latency = Mixture.model_validate({"mixture": [{"constant": "1ms"}, {"constant": "1s"}]})
    >>> latency.shares
    (0.5, 0.5)
    """

    mixture: Annotated[tuple[AnyComponent, ...], Field(min_length=2, max_length=100), AfterValidator(_check_shares)]

    @property
    def shares(self) -> tuple[float, ...]:
        """The share of each component, even where none is given."""
        return tuple(1 / len(self.mixture) if each.share is None else each.share for each in self.mixture)


Distribution = (
    Annotated[LatencyLogNormal, Tag("lognormal")]
    | Annotated[Exponential, Tag("exponential")]
    | Annotated[LatencyGamma, Tag("gamma")]
    | Annotated[LatencyWeibull, Tag("weibull")]
    | Annotated[LatencyPareto, Tag("pareto")]
    | Annotated[Constant, Tag("constant")]
    | Annotated[Quantiles, Tag("quantiles")]
    | Annotated[Mixture, Tag("mixture")]
)
LATENCIES = (*KINDS, "mixture")
Latency = Annotated[Distribution, Discriminator(single_key(LATENCIES))]
