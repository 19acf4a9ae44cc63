"""Amounts: what a factor on the mean multiplies value by value."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Self

import numpy as np
from pydantic import Discriminator, Field, Tag, WrapValidator, model_validator

from sim.arrays import Floats
from sim.distributions.base import (
    Frozen,
    Number,
    Positive,
    check_bounded,
    check_ordered,
    check_quantiles,
    lognormal_of_mean,
    lognormal_of_median,
    single_key,
)
from sim.distributions.outcome import Family, OutcomeKind
from sim.distributions.strata import strata
from sim.units import Share

_MOST_LEVELS = 1_000
# Into so many parts, about, a measured distribution is cut.
_PARTS = 256
# A power law that loses more of its variance than this to strata cannot be played.
_MOST_LOST = 0.1


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


class Normal(OutcomeKind):
    """A normal amount: ``{normal: {mean: 10, sd: 2}}``."""

    family: ClassVar[Family] = "normal"
    normal: Location

    @property
    def mean(self) -> float:
        return self.normal.mean

    @property
    def sd(self) -> float:
        return self.normal.sd


class LogNormal(OutcomeKind):
    """A log-normal amount: ``{lognormal: {median: 20, p99: 300}}`` or ``{lognormal: {mean: 30, sd: 40}}``.

    >>> amount = LogNormal.model_validate({"lognormal": {"mean": 30, "sd": 40}})
    >>> round(amount.mean, 9), round(amount.sd, 9)
    (30.0, 40.0)
    """

    family: ClassVar[Family] = "scaled"
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
        return math.exp(self.mu + self.sigma**2 / 2)

    @property
    def sd(self) -> float:
        return self.mean * math.sqrt(math.expm1(self.sigma**2))

    def parts(self, below: Floats, above: Floats) -> tuple[Floats, Floats]:
        """What lies below and above points of the distribution: see `sim.distributions.strata.Stratified`."""
        from scipy.special import ndtr, ndtri

        z = -ndtri(above)
        return ndtr(z - self.sigma), ndtr(self.sigma - z)

    def atoms(self) -> tuple[Floats, Floats]:
        return strata(self)


class Gamma(OutcomeKind):
    """A gamma amount: ``{gamma: {mean: 30, sd: 20}}``.

    >>> amount = Gamma.model_validate({"gamma": {"mean": 30, "sd": 15}})
    >>> amount.shape, amount.scale
    (4.0, 7.5)
    """

    family: ClassVar[Family] = "scaled"
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
        return self.gamma.mean

    @property
    def sd(self) -> float:
        return self.gamma.sd

    def parts(self, below: Floats, above: Floats) -> tuple[Floats, Floats]:
        """What lies below and above points of the distribution: see `sim.distributions.strata.Stratified`."""
        from scipy.special import gammainc, gammaincc, gammainccinv, gammaincinv

        x = np.where(below < 0.5, gammaincinv(self.shape, below), gammainccinv(self.shape, above))
        return np.asarray(gammainc(self.shape + 1, x)), np.asarray(gammaincc(self.shape + 1, x))

    def atoms(self) -> tuple[Floats, Floats]:
        return strata(self)


class PowerLaw(Frozen):
    """A power law by its least value and its tail index, cut at `maximum` if that is given."""

    minimum: Positive
    tail: Annotated[Positive, Field(le=1000, description="P(X > x) falls as x^-tail")]
    maximum: Positive | None = Field(
        None, description="no amount is above it; needed up to tail 1, and up to about tail 2.5 for a metric of a scenario"
    )

    @model_validator(mode="after")
    def _has_a_mean(self) -> Self:
        if self.maximum is None and self.tail <= 1:
            raise ValueError(f"a tail up to 1 has no mean: give a maximum; got tail {self.tail:g}")
        if self.maximum is not None and not self.maximum >= 1.01 * self.minimum:
            raise ValueError(
                f"maximum must be at least 1% above minimum; got minimum {self.minimum:g} and maximum {self.maximum:g}"
            )
        return self


class Pareto(OutcomeKind):
    """A power law: ``{pareto: {minimum: 5, tail: 3}}`` or ``{pareto: {minimum: 5, tail: 1.5, maximum: 10000}}``.

    P(X > x) = (minimum / x)^tail, given X <= maximum if there is one (Johnson, Kotz & Balakrishnan 1994, ch. 20; Aban,
    Meerschaert & Panorska 2006). Without a maximum there is no variance up to tail 2, and a scenario refuses the metric. An
    effect multiplies every amount, and so the maximum.

    >>> amount = Pareto.model_validate({"pareto": {"minimum": 5, "tail": 3}})
    >>> round(amount.mean, 9), round(amount.sd, 9)
    (7.5, 4.330127019)
    >>> Pareto.model_validate({"pareto": {"minimum": 5, "tail": 1.5}}).sd
    inf
    """

    family: ClassVar[Family] = "scaled"
    pareto: PowerLaw

    @property
    def _log_range(self) -> float:
        """The logarithm of maximum / minimum."""
        return math.inf if self.pareto.maximum is None else math.log(self.pareto.maximum / self.pareto.minimum)

    def _moment(self, order: int) -> float:
        """E[(X / minimum)^order]."""
        tail, reach = self.pareto.tail, self._log_range
        if math.isinf(reach):
            return tail / (tail - order) if tail > order else math.inf
        exponent = (order - tail) * reach
        grown = math.expm1(exponent) / exponent if exponent else 1.0
        return tail * reach * grown / -math.expm1(-tail * reach)

    @property
    def mean(self) -> float:
        return self.pareto.minimum * self._moment(1)

    @property
    def sd(self) -> float:
        square = self._moment(2)
        return math.inf if math.isinf(square) else self.pareto.minimum * math.sqrt(max(square - self._moment(1) ** 2, 0.0))

    def parts(self, below: Floats, above: Floats) -> tuple[Floats, Floats]:
        """What lies below and above points of the distribution: see `sim.distributions.strata.Stratified`."""
        from scipy.special import exprel

        tail, reach = self.pareto.tail, self._log_range
        if math.isinf(reach):
            rest = (1 - 1 / tail) * np.log(above)
            return -np.expm1(rest), np.exp(rest)
        kept = -math.expm1(-tail * reach)
        # The logarithms of x / minimum, and of maximum / x.
        low = np.where(
            below < 0.5, -np.log1p(-below * kept), tail * reach - np.logaddexp(0, np.log(above * kept) + tail * reach)
        )
        high = np.logaddexp(0, np.log(above * kept) + tail * reach) / tail
        low = low / tail
        grows = 1 - tail
        total = reach * exprel(grows * reach)
        return low * exprel(grows * low) / total, np.exp(grows * low) * high * exprel(grows * high) / total

    def atoms(self) -> tuple[Floats, Floats]:
        return strata(self)

    def incomparable(self) -> str | None:
        """A power law whose variance is infinite, or rests on amounts rarer than strata tell.

        >>> Pareto.model_validate({"pareto": {"minimum": 5, "tail": 1.5}}).incomparable()
        'a power law of tail 1.5 without a maximum has no variance: give it a maximum'
        """
        name = f"a power law of tail {self.pareto.tail:g}"
        if math.isinf(self.sd):
            return f"{name} without a maximum has no variance: give it a maximum"
        values, chance = self.atoms()
        lost = 1 - float(((values - self.mean) ** 2 * chance).sum()) / self.sd**2
        if lost <= _MOST_LOST:
            return None
        cut = "without a maximum" if self.pareto.maximum is None else f"up to {self.pareto.maximum:g}"
        return (
            f"{name} {cut} takes {lost:.0%} of its variance from amounts that come less than once in a hundred million "
            "requests: give it a lower maximum"
        )


class AmountQuantiles(OutcomeKind):
    """A measured amount: its inverse distribution function, linear between the levels given.

    ``{quantiles: {0%: 0, 60%: 0, 90%: 20, 100%: 900}}``: six requests in ten earn nothing. An effect multiplies every value.

    >>> amount = AmountQuantiles.model_validate({"quantiles": {"0%": 0, "50%": 3, "100%": 9}})
    >>> amount.mean
    3.75
    """

    family: ClassVar[Family] = "scaled"
    quantiles: Annotated[
        dict[Share, Number], Field(max_length=_MOST_LEVELS), WrapValidator(check_quantiles("values", "{:g}".format))
    ]

    @property
    def _lines(self) -> tuple[Floats, Floats, Floats]:
        """(chances, values at the lower end, values at the upper end) between two levels each."""
        values = np.array(list(self.quantiles.values()))
        return np.diff(list(self.quantiles)), values[:-1], values[1:]

    @property
    def mean(self) -> float:
        chance, low, high = self._lines
        return float((chance * (low + high)).sum() / 2)

    @property
    def sd(self) -> float:
        chance, low, high = self._lines
        low, high = low - self.mean, high - self.mean
        return math.sqrt(float((chance * (low**2 + low * high + high**2)).sum() / 3))

    def atoms(self) -> tuple[Floats, Floats]:
        """Parts of equal chance of each line, by their middles: the mean is exact.

        Long lines have more parts, such that of all ways to cut the lines into as many parts this loses the least variance.
        """
        chance, low, high = self._lines
        weight = np.cbrt(chance * (high - low) ** 2)
        parts = np.maximum(np.rint(_PARTS * weight / (weight.sum() or 1.0)).astype(np.intp), 1)
        place = np.repeat(np.arange(parts.size), parts)
        middle = (np.arange(place.size) - (np.cumsum(parts) - parts)[place] + 0.5) / parts[place]
        values, of = np.unique(low[place] + (high - low)[place] * middle, return_inverse=True)
        return values, np.bincount(of, (chance / parts)[place]).astype(np.float64)

    def __hash__(self) -> int:
        return hash(tuple(self.quantiles.items()))


PositiveAmount = Annotated[
    Annotated[LogNormal, Tag("lognormal")] | Annotated[Gamma, Tag("gamma")] | Annotated[Pareto, Tag("pareto")],
    Discriminator(single_key(("lognormal", "gamma", "pareto"))),
]
"""A strictly positive amount."""


class Inflated(Frozen):
    """How often an amount is earned at all, and how much then."""

    rate: Share
    amount: PositiveAmount


class ZeroInflated(OutcomeKind):
    """0, or with probability `rate` a positive amount: revenue.

    >>> text = {"zero_inflated": {"rate": "5%", "amount": {"gamma": {"mean": 30, "sd": 15}}}}
    >>> revenue = ZeroInflated.model_validate(text)
    >>> revenue.rate, revenue.amount.mean, revenue.mean
    (0.05, 30.0, 1.5)
    """

    family: ClassVar[Family] = "scaled"
    zero_inflated: Inflated

    @property
    def rate(self) -> float:
        """P(amount > 0)."""
        return self.zero_inflated.rate

    @property
    def amount(self) -> LogNormal | Gamma | Pareto:
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

    def atoms(self) -> tuple[Floats, Floats]:
        values, chance = strata(self.amount)
        return np.append(0.0, values), np.append(1 - self.rate, self.rate * chance)

    def incomparable(self) -> str | None:
        return self.amount.incomparable()
