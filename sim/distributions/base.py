"""What distributions of a models file share: how they are read, and the rules of their numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidatorFunctionWrapHandler

from sim.units import format_share

Z_99 = 2.3263478740408408
"""The 99% point of the standard normal distribution."""

M = TypeVar("M")
_WIDEST = 1e6

Number = Annotated[float, Field(strict=True, ge=-1e12, le=1e12, allow_inf_nan=False)]
Positive = Annotated[float, Field(strict=True, ge=1e-12, le=1e12, allow_inf_nan=False)]


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


def check_ordered(value: M, median: float, p99: float) -> M:
    """`value`, or a `ValueError` where its 99% point does not exceed its median, or does a million times.

    Beyond, a log-normal has a mean that rests on what never comes, and beyond numbers of floating point none at all.
    """
    if not p99 > median:
        raise ValueError(f"p99 must be above the median; got median {median:g} and p99 {p99:g}")
    if not p99 / median <= _WIDEST:
        raise ValueError(f"p99 must be at most {_WIDEST:,.0f} times the median; got median {median:g} and p99 {p99:g}")
    return value


def check_bounded(value: M, mean: float, sd: float) -> M:
    """`value`, or a `ValueError` where sd/mean is outside 1e-6 to 1e3, beyond which shapes mean nothing."""
    if not 1e-6 <= sd / mean <= 1e3:
        raise ValueError(f"sd must be from 0.000001 to 1000 times the mean; got mean {mean:g} and sd {sd:g}")
    return value


def check_quantiles(
    what: str, show: Callable[[float], str]
) -> Callable[[Any, ValidatorFunctionWrapHandler], dict[float, float]]:
    """A pydantic validator of {level: value}: levels increase from 0 to 1, and values do not decrease.

    `what` names the values in messages, in the plural, and `show` writes one.
    """

    def check(value: Any, handler: ValidatorFunctionWrapHandler) -> dict[float, float]:
        quantiles: dict[float, float] = handler(value)
        if len(quantiles) < len(value):
            raise ValueError("the same level is given twice")
        levels, values = list(quantiles), list(quantiles.values())
        if len(levels) < 2 or levels[0] != 0 or levels[-1] != 1:
            ends = f"from {format_share(levels[0])} to {format_share(levels[-1])}" if levels else "nothing"
            raise ValueError(f"levels must start at 0% and end at 100%; got {ends}")
        for low, high in pairwise(levels):
            if not low < high:
                raise ValueError(f"levels must increase; got {format_share(low)} before {format_share(high)}")
        for (level, low), high in zip(quantiles.items(), values[1:], strict=False):
            if low > high:
                raise ValueError(f"{what} must not decrease; got {show(low)} at {format_share(level)} before {show(high)}")
        return quantiles

    return check


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
