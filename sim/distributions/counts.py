"""Counts: Poisson and negative binomial. Their values are whole numbers, whatever a factor does to the mean."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from sim.arrays import Floats
from sim.distributions.base import Frozen, Positive
from sim.distributions.outcome import Family, OutcomeKind

TAIL = 1e-12
"""A count *is* the distribution without its rarest values, of less than this chance in all, and with the same mean."""
MOST_VALUES = 10_000


@dataclass(frozen=True)
class _Law:
    """Counts of mean m and variance m + dispersion m², by the ratio of the chances of k + 1 and k (Johnson, Kemp & Kotz 2005,
    ch. 2.3): ratios are exact where logarithms of gamma functions cancel.
    """

    mean: float
    dispersion: float

    def log_ratio(self, k: Floats) -> Floats:
        """log P(k + 1) - log P(k)."""
        m, d = self.mean, self.dispersion
        ratio: Floats = np.log1p(d * k) - np.log1p(k) + (math.log(m) - math.log1p(m * d))
        return ratio

    @property
    def mode(self) -> int:
        return max(math.floor(self.mean * (1 - self.dispersion)), 0)

    def last(self) -> int:
        """The last value that is kept: above it lies less than half of `TAIL`."""
        # Ratios beyond a value are at most the one there, or where they grow (dispersion > 1) what they tend to.
        tends_to = self.mean * self.dispersion / (1 + self.mean * self.dispersion)
        size = 64
        while True:
            k = self.mode + np.arange(size, dtype=np.float64)
            steps = self.log_ratio(k)
            log_chance = np.concatenate([[0.0], np.cumsum(steps[:-1])])
            ratio = np.maximum(np.exp(steps), tends_to)
            with np.errstate(divide="ignore", invalid="ignore"):
                beyond = np.where(ratio < 1, log_chance + np.log(ratio / (1 - ratio)), np.inf)
            kept = np.flatnonzero(beyond < math.log(TAIL / 2))
            if kept.size:
                return self.mode + int(kept[0])
            if size > MOST_VALUES:
                raise _too_many(self.mean)
            size *= 2

    def first(self) -> int:
        """The first value that is kept: below it lies less than half of `TAIL`."""
        k = self.mode - np.arange(min(self.mode, MOST_VALUES) + 1, dtype=np.float64)
        log_chance = -np.concatenate([[0.0], np.cumsum(self.log_ratio(k[1:]))])
        # Downwards from the mode ratios only fall, so what lies below k is at most k times the next chance.
        with np.errstate(divide="ignore"):
            below = np.append(log_chance[1:], -np.inf) + np.log(k)
        kept = np.flatnonzero(below < math.log(TAIL / 2))
        return self.mode - int(kept[0]) if kept.size else 0


def _too_many(mean: float) -> ValueError:
    more = f"takes more than {MOST_VALUES:,} different values"
    return ValueError(f"a count of mean {mean:g} {more}; a normal or a gamma amount is as good there")


def _levels(mean: float, dispersion: float, least: float, most: float) -> tuple[Floats, Floats]:
    """(values, log chances) of a count, with every value that matters while its mean is multiplied by `least` to `most`."""
    first, last = _Law(mean * least, dispersion).first(), _Law(mean * most, dispersion).last()
    # However rare, a value above the mean is kept: without one there is no such mean.
    last = max(last, math.floor(mean) + 1)
    if last - first >= MOST_VALUES:
        raise _too_many(mean * most)
    k = np.arange(first, last + 1, dtype=np.float64)
    log_chance = np.concatenate([[0.0], np.cumsum(_Law(mean, dispersion).log_ratio(k[:-1]))])
    # What was left out had a part of the mean: an exponential tilt, which is of the same family, gives it back.
    for _ in range(3):
        log_chance = log_chance - log_chance.max()
        log_chance = log_chance - math.log(np.exp(log_chance).sum())
        chance = np.exp(log_chance)
        away = k - mean
        log_chance = log_chance - away * ((chance * away).sum() / (chance * away**2).sum())
    return k, log_chance - math.log(np.exp(log_chance).sum())


class _Count(OutcomeKind):
    family: ClassVar[Family] = "tilted"

    @property
    def dispersion(self) -> float:
        """d in variance = mean + d mean²."""
        raise NotImplementedError(f"{type(self).__name__} does not say its dispersion")

    @property
    def sd(self) -> float:
        return math.sqrt(self.mean + self.dispersion * self.mean**2)

    def levels(self, least: float = 1.0, most: float = 1.0) -> tuple[Floats, Floats]:
        return _levels(self.mean, self.dispersion, least, most)

    @property
    def bounds(self) -> tuple[float, float]:
        return 0.0, math.inf

    @model_validator(mode="after")
    def _few_enough(self) -> Self:
        self.levels()
        return self


class Poisson(_Count):
    """A count of events that come independently of each other, by its mean: ``{poisson: 1.3}``.

    An effect moves the mean, and the count stays Poisson.

    >>> items = Poisson(poisson=1.3)
    >>> values, log_chances = items.levels()
    >>> values[:3].tolist(), np.exp(log_chances[:3]).round(4).tolist(), len(values)
    ([0.0, 1.0, 2.0], [0.2725, 0.3543, 0.2303], 17)
    """

    poisson: Positive

    @property
    def mean(self) -> float:
        return self.poisson

    @property
    def dispersion(self) -> float:
        return 0.0


class Overdispersed(Frozen):
    """A count by its mean and its dispersion."""

    mean: Positive
    dispersion: Annotated[Positive, Field(description="d in variance = mean + d mean²; towards 0 the count is Poisson")]


class NegativeBinomial(_Count):
    """A count that varies more than a Poisson one: ``{negative_binomial: {mean: 2, dispersion: 1.5}}``.

    Its variance is mean + dispersion mean² ("NB2", Cameron & Trivedi 2013, §3.3): a Poisson count whose rate differs from
    request to request as a gamma of shape 1 / dispersion does. An effect moves the mean, and the dispersion stays.

    >>> rounds = NegativeBinomial.model_validate({"negative_binomial": {"mean": 2, "dispersion": 1.5}})
    >>> round(rounds.sd**2, 9)
    8.0
    """

    negative_binomial: Overdispersed

    @property
    def mean(self) -> float:
        return self.negative_binomial.mean

    @property
    def dispersion(self) -> float:
        return self.negative_binomial.dispersion
