"""What a request earns from a behaviour model: one distribution per metric, as written in a models file."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from sim.units import Share

Z_99 = 2.3263478740408408
"""The 99% point of the standard normal distribution."""

M = TypeVar("M")

Number = Annotated[float, Field(strict=True, ge=-1e12, le=1e12, allow_inf_nan=False)]
Positive = Annotated[float, Field(strict=True, gt=0, le=1e12, allow_inf_nan=False)]


class Frozen(BaseModel):
    """A value of a models file: immutable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def single_key(keys: tuple[str, ...]) -> Callable[[Any], str | None]:
    """A pydantic discriminator for mappings such as ``{bernoulli: 5%}``, told apart by their key.

    >>> single_key(("normal", "gamma"))({"gamma": 1})
    'gamma'
    """

    def discriminate(value: Any) -> str | None:
        if isinstance(value, Mapping):
            names = [key for key in value if isinstance(key, str)]
        else:
            names = list(getattr(type(value), "model_fields", ()))
        return next((name for name in names if name in keys), names[0] if names else None)

    return discriminate


class MedianP99(Frozen):
    """A log-normal amount by its median and its 99% point."""

    median: Positive
    p99: Positive

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        return check_ordered(self, self.median, self.p99)


class MeanSd(Frozen):
    """A positive amount by its mean and standard deviation."""

    mean: Positive
    sd: Positive

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        return check_bounded(self, self.mean, self.sd)


class Location(Frozen):
    """A normal amount by its mean, of any sign, and standard deviation."""

    mean: Number
    sd: Positive


def check_ordered(value: M, median: float, p99: float) -> M:
    """`value`, or a `ValueError` where its 99% point does not exceed its median."""
    if not p99 > median:
        raise ValueError(f"p99 must be above the median; got median {median:g} and p99 {p99:g}")
    return value


def check_bounded(value: M, mean: float, sd: float) -> M:
    """`value`, or a `ValueError` where sd/mean is outside 1e-6 to 1e3, beyond which shapes mean nothing."""
    if not 1e-6 <= sd / mean <= 1e3:
        raise ValueError(f"sd must be from 0.000001 to 1000 times the mean; got mean {mean:g} and sd {sd:g}")
    return value


def lognormal_of_mean(mean: float, sd: float) -> tuple[float, float]:
    """(mu, sigma) of the logarithm, from mean and sd (Johnson, Kotz & Balakrishnan 1994, ch. 14).

    >>> mu, sigma = lognormal_of_mean(30.0, 40.0)
    >>> round(math.exp(mu + sigma**2 / 2), 9), round(30 * math.sqrt(math.expm1(sigma**2)), 9)
    (30.0, 40.0)
    """
    variance = math.log1p((sd / mean) ** 2)
    return math.log(mean) - variance / 2, math.sqrt(variance)


def lognormal_of_median(median: float, p99: float) -> tuple[float, float]:
    """(mu, sigma) of the logarithm, from the median and the 99% point.

    >>> mu, sigma = lognormal_of_median(0.045, 0.180)
    >>> round(math.exp(mu), 9), round(math.exp(mu + Z_99 * sigma), 9)
    (0.045, 0.18)
    """
    return math.log(median), math.log(p99 / median) / Z_99


class Bernoulli(Frozen):
    """1 with probability `rate`, else 0: ``{bernoulli: 5%}``.

    >>> Bernoulli(bernoulli="5%").rate
    0.05
    """

    bernoulli: Share

    @property
    def rate(self) -> float:
        """P(1)."""
        return self.bernoulli

    @property
    def mean(self) -> float:
        """The expectation."""
        return self.rate

    @property
    def sd(self) -> float:
        """The standard deviation."""
        return math.sqrt(self.rate * (1 - self.rate))


class Normal(Frozen):
    """A normal amount: ``{normal: {mean: 10, sd: 2}}``."""

    normal: Location

    @property
    def mean(self) -> float:
        """The expectation."""
        return self.normal.mean

    @property
    def sd(self) -> float:
        """The standard deviation."""
        return self.normal.sd


class LogNormal(Frozen):
    """A log-normal amount: ``{lognormal: {median: 20, p99: 300}}`` or ``{lognormal: {mean: 30, sd: 40}}``.

    >>> amount = LogNormal.model_validate({"lognormal": {"mean": 30, "sd": 40}})
    >>> round(amount.mean, 9), round(amount.sd, 9)
    (30.0, 40.0)
    """

    lognormal: Annotated[
        Annotated[MedianP99, Tag("median")] | Annotated[MeanSd, Tag("mean")],
        Discriminator(single_key(("median", "mean"))),
    ]

    @property
    def _log_moments(self) -> tuple[float, float]:
        given = self.lognormal
        if isinstance(given, MedianP99):
            return lognormal_of_median(given.median, given.p99)
        return lognormal_of_mean(given.mean, given.sd)

    @property
    def mu(self) -> float:
        """Mean of the logarithm."""
        return self._log_moments[0]

    @property
    def sigma(self) -> float:
        """Standard deviation of the logarithm."""
        return self._log_moments[1]

    @property
    def mean(self) -> float:
        """The expectation."""
        return math.exp(self.mu + self.sigma**2 / 2)

    @property
    def sd(self) -> float:
        """The standard deviation."""
        return self.mean * math.sqrt(math.expm1(self.sigma**2))


class Gamma(Frozen):
    """A gamma amount: ``{gamma: {mean: 30, sd: 20}}``.

    >>> amount = Gamma.model_validate({"gamma": {"mean": 30, "sd": 15}})
    >>> amount.shape, amount.scale
    (4.0, 7.5)
    """

    gamma: MeanSd

    @property
    def shape(self) -> float:
        """(mean / sd)²."""
        return (self.mean / self.sd) ** 2

    @property
    def scale(self) -> float:
        """sd² / mean."""
        return self.sd * (self.sd / self.mean)

    @property
    def mean(self) -> float:
        """The expectation."""
        return self.gamma.mean

    @property
    def sd(self) -> float:
        """The standard deviation."""
        return self.gamma.sd


Amount = Annotated[
    Annotated[LogNormal, Tag("lognormal")] | Annotated[Gamma, Tag("gamma")],
    Discriminator(single_key(("lognormal", "gamma"))),
]
"""A strictly positive amount."""


class Inflated(Frozen):
    """How often an amount is earned at all, and how much then."""

    rate: Share
    amount: Amount


class ZeroInflated(Frozen):
    """0, or with probability `rate` a positive amount: revenue.

    >>> text = {"zero_inflated": {"rate": "5%", "amount": {"gamma": {"mean": 30, "sd": 15}}}}
    >>> revenue = ZeroInflated.model_validate(text)
    >>> revenue.rate, revenue.amount.mean, revenue.mean
    (0.05, 30.0, 1.5)
    """

    zero_inflated: Inflated

    @property
    def rate(self) -> float:
        """P(amount > 0)."""
        return self.zero_inflated.rate

    @property
    def amount(self) -> LogNormal | Gamma:
        """The distribution of the amount, given that there is one."""
        return self.zero_inflated.amount

    @property
    def mean(self) -> float:
        """The expectation, zeros included."""
        return self.rate * self.amount.mean

    @property
    def sd(self) -> float:
        """The standard deviation, zeros included."""
        return math.sqrt(self.rate * (self.amount.sd**2 + (1 - self.rate) * self.amount.mean**2))


Outcome = Annotated[
    Annotated[Bernoulli, Tag("bernoulli")]
    | Annotated[Normal, Tag("normal")]
    | Annotated[LogNormal, Tag("lognormal")]
    | Annotated[Gamma, Tag("gamma")]
    | Annotated[ZeroInflated, Tag("zero_inflated")],
    Discriminator(single_key(("bernoulli", "normal", "lognormal", "gamma", "zero_inflated"))),
]
