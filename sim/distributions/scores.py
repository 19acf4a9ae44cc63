"""Scores: values within bounds, which a factor on the mean never leaves."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import BeforeValidator, Field, PlainSerializer, ValidatorFunctionWrapHandler, WrapValidator, model_validator

from sim.arrays import Floats
from sim.distributions.base import Frozen
from sim.distributions.outcome import Family, OutcomeKind
from sim.distributions.strata import edges
from sim.units import Share, format_share, shown

_MOST_CATEGORIES = 1_000
_NUMBER = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]{1,3})?")
# Of the largest sd that is possible. Beyond, a score is nearly always 0 or 1; below, shapes mean nothing.
_MOST_SD, _LEAST_SD = 0.9, 0.001


class Bernoulli(OutcomeKind):
    """1 with probability `rate`, else 0: ``{bernoulli: 5%}``.

    >>> Bernoulli(bernoulli="5%").rate
    0.05
    """

    family: ClassVar[Family] = "binary"
    bernoulli: Share

    @property
    def rate(self) -> float:
        """P(1)."""
        return self.bernoulli

    @property
    def mean(self) -> float:
        return self.rate

    @property
    def sd(self) -> float:
        return math.sqrt(self.rate * (1 - self.rate))

    def atoms(self) -> tuple[Floats, Floats]:
        return np.array([0.0, 1.0]), np.array([1 - self.rate, self.rate])

    def levels(self, least: float = 1.0, most: float = 1.0) -> tuple[Floats, Floats]:
        return _possible(*self.atoms())


def _possible(values: Floats, chance: Floats) -> tuple[Floats, Floats]:
    """(values, log chances) of what has a chance."""
    there = chance > 0
    return values[there], np.log(chance[there])


def _category(value: object) -> float:
    """The value of a category, which is the text of a key."""
    rule = "a category must be a number from -1e12 to 1e12, such as 1 or 4.5"
    text = value if isinstance(value, str) else repr(value)
    if isinstance(value, bool) or not _NUMBER.fullmatch(text) or not abs(float(text)) <= 1e12:
        raise ValueError(f"{rule}; got {shown(value)}")
    return float(text) + 0.0


def _check_shares(value: Any, handler: ValidatorFunctionWrapHandler) -> dict[float, float]:
    shares: dict[float, float] = handler(value)
    if len(shares) < len(value):
        raise ValueError("the same value is given twice")
    if abs(math.fsum(shares.values()) - 1) > 1e-9:
        raise ValueError(f"shares must sum to 100%; got {format_share(round(math.fsum(shares.values()), 12))}")
    return dict(sorted(shares.items()))


Category = Annotated[
    float,
    BeforeValidator(_category),
    PlainSerializer(lambda value: repr(value).removesuffix(".0"), return_type=str, when_used="json"),
]


class Categorical(OutcomeKind):
    """One of a few values, each with its share: ``{categorical: {1: 10%, 3: 20%, 5: 70%}}``, stars.

    An effect on the mean changes the shares, and not the values: see docs/world.md.

    >>> stars = Categorical(categorical={1: "10%", 3: "20%", 5: "70%"})
    >>> round(stars.mean, 9), round(stars.sd, 4)
    (4.2, 1.3266)
    """

    family: ClassVar[Family] = "tilted"
    categorical: Annotated[
        dict[Category, Share], Field(min_length=1, max_length=_MOST_CATEGORIES), WrapValidator(_check_shares)
    ]

    @property
    def _arrays(self) -> tuple[Floats, Floats]:
        chance = np.array(list(self.categorical.values()))
        return np.array(list(self.categorical)), chance / chance.sum()

    @property
    def mean(self) -> float:
        values, chance = self._arrays
        return float((values * chance).sum())

    @property
    def sd(self) -> float:
        values, chance = self._arrays
        return math.sqrt(float(((values - self.mean) ** 2 * chance).sum()))

    def levels(self, least: float = 1.0, most: float = 1.0) -> tuple[Floats, Floats]:
        return _possible(*self._arrays)

    def __hash__(self) -> int:
        return hash(tuple(self.categorical.items()))


class MeanSdShare(Frozen):
    """A score from 0 to 1 by its mean and standard deviation."""

    mean: Annotated[Share, Field(gt=0, lt=1)]
    sd: Annotated[Share, Field(gt=0)]

    @model_validator(mode="after")
    def _possible(self) -> Self:
        largest = math.sqrt(self.mean * (1 - self.mean))
        if not _LEAST_SD * largest <= self.sd <= _MOST_SD * largest:
            bounds = f"from {_LEAST_SD:g} to {_MOST_SD:g} times the square root of mean (1 - mean), which is {largest:.4g}"
            raise ValueError(f"sd must be {bounds}; got mean {self.mean:g} and sd {self.sd:g}")
        return self


class Beta(OutcomeKind):
    """A score from 0 to 1: ``{beta: {mean: 0.4, sd: 0.1}}`` (Johnson, Kotz & Balakrishnan 1995, ch. 25).

    An effect on the mean keeps it between 0 and 1: see docs/world.md.

    >>> score = Beta.model_validate({"beta": {"mean": 0.4, "sd": 0.2}})
    >>> round(score.a, 9), round(score.b, 9)
    (2.0, 3.0)
    """

    family: ClassVar[Family] = "tilted"
    beta: MeanSdShare

    @property
    def _sum(self) -> float:
        return self.mean * (1 - self.mean) / self.sd**2 - 1

    @property
    def a(self) -> float:
        """The power of x, plus one."""
        return self.mean * self._sum

    @property
    def b(self) -> float:
        """The power of 1 - x, plus one."""
        return (1 - self.mean) * self._sum

    @property
    def mean(self) -> float:
        return self.beta.mean

    @property
    def sd(self) -> float:
        return self.beta.sd

    def levels(self, least: float = 1.0, most: float = 1.0) -> tuple[Floats, Floats]:
        # The finer strata are on the side of the longer tail.
        if self.mean > 0.5:
            values, chance = _strata(self.b, self.a)
            values, chance = 1 - values[::-1], chance[::-1]
        else:
            values, chance = _strata(self.a, self.b)
        values, place = np.unique(values, return_inverse=True)
        return _possible(values, np.bincount(place, chance).astype(np.float64))


def _strata(a: float, b: float) -> tuple[Floats, Floats]:
    """(values, chances) of the strata of a beta distribution, by its powers plus one."""
    from scipy.special import betainccinv, betaincinv

    below, above = edges()
    chance = -np.diff(above, append=0.0)
    low = np.where(below < 0.5, betaincinv(a, b, below), betainccinv(a, b, above))
    high = np.where(below < 0.5, betainccinv(b, a, below), betaincinv(b, a, above))
    # In units of the distance from the nearer end, of which no digits are lost.
    values = np.where(low < 0.5, _means(a, b, low, chance), 1 - _means(b, a, high, chance, 0.0))
    return np.clip(values, 0.0, 1.0), chance


def _means(a: float, b: float, edge: Floats, chance: Floats, last: float = 1.0) -> Floats:
    """The means of X between each edge and the next, the last of which is `last`."""
    from scipy.special import betainc, betaincc

    edge = np.append(edge, last)
    under, over = betainc(a + 1, b, edge), betaincc(a + 1, b, edge)
    # Each difference is taken between the smaller numbers, where no digits cancel.
    share = np.abs(np.where(under[:-1] < 0.5, np.diff(under), np.diff(over)))
    return np.asarray(a / (a + b) * share / chance)
