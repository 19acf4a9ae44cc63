"""Latency distributions as numbers: how much of a distribution lies above a limit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from scipy.special import gammainc, gammaincc, ndtr

from sim.arrays import Floats
from sim.distributions import latency as written

Array = Floats | float


class Latency(Protocol):
    """A distribution of service times in seconds."""

    @property
    def mean_s(self) -> float:
        """E[L] in seconds."""

    def above(self, limit_s: Array) -> Floats:
        """P(L > limit)."""

    def limited_mean(self, limit_s: Array) -> Floats:
        """E[min(L, limit)] in seconds."""


@dataclass(frozen=True)
class LogNormal:
    """exp of a normal."""

    mu: float
    sigma: float

    @property
    def mean_s(self) -> float:
        return math.exp(self.mu + self.sigma**2 / 2)

    def above(self, limit_s: Array) -> Floats:
        with np.errstate(divide="ignore"):
            return ndtr((self.mu - np.log(limit_s)) / self.sigma)

    def limited_mean(self, limit_s: Array) -> Floats:
        with np.errstate(divide="ignore"):
            z = (np.log(limit_s) - self.mu) / self.sigma
        return self.mean_s * ndtr(z - self.sigma) + limit_s * ndtr(-z)


@dataclass(frozen=True)
class Exponential:
    """Memoryless."""

    mean_s: float

    def above(self, limit_s: Array) -> Floats:
        return np.exp(-np.asarray(limit_s) / self.mean_s)

    def limited_mean(self, limit_s: Array) -> Floats:
        return -self.mean_s * np.expm1(-np.asarray(limit_s) / self.mean_s)


@dataclass(frozen=True)
class Gamma:
    """Shape and scale in seconds."""

    shape: float
    scale_s: float

    @property
    def mean_s(self) -> float:
        return self.shape * self.scale_s

    def above(self, limit_s: Array) -> Floats:
        return np.asarray(gammaincc(self.shape, np.asarray(limit_s) / self.scale_s))

    def limited_mean(self, limit_s: Array) -> Floats:
        x = np.asarray(limit_s) / self.scale_s
        return self.mean_s * gammainc(self.shape + 1, x) + np.asarray(limit_s) * gammaincc(self.shape, x)


@dataclass(frozen=True)
class Weibull:
    """Shape and scale in seconds (Johnson, Kotz & Balakrishnan 1994, ch. 21)."""

    shape: float
    scale_s: float

    @property
    def mean_s(self) -> float:
        return self.scale_s * math.gamma(1 + 1 / self.shape)

    def above(self, limit_s: Array) -> Floats:
        return np.exp(-self._power(limit_s))

    def limited_mean(self, limit_s: Array) -> Floats:
        # The integral of the tail from 0 to the limit, by u = (x / scale)^shape.
        return np.asarray(self.mean_s * gammainc(1 / self.shape, self._power(limit_s)))

    def _power(self, limit_s: Array) -> Floats:
        with np.errstate(over="ignore"):
            return np.asarray((np.asarray(limit_s) / self.scale_s) ** self.shape)


@dataclass(frozen=True)
class Pareto:
    """Least value in seconds and tail index, above 1 (Johnson, Kotz & Balakrishnan 1994, ch. 20)."""

    minimum_s: float
    tail: float

    @property
    def mean_s(self) -> float:
        return self.minimum_s * self.tail / (self.tail - 1)

    def above(self, limit_s: Array) -> Floats:
        return (self.minimum_s / np.maximum(limit_s, self.minimum_s)) ** self.tail

    def limited_mean(self, limit_s: Array) -> Floats:
        limit = np.asarray(limit_s, np.float64)
        beyond = self.above(limit) ** (1 - 1 / self.tail)
        return np.where(limit < self.minimum_s, limit, self.mean_s - self.minimum_s / (self.tail - 1) * beyond)


@dataclass(frozen=True)
class Constant:
    """Always the same."""

    mean_s: float

    def above(self, limit_s: Array) -> Floats:
        return np.where(self.mean_s > np.asarray(limit_s), 1.0, 0.0)

    def limited_mean(self, limit_s: Array) -> Floats:
        return np.minimum(self.mean_s, limit_s)


@dataclass(frozen=True)
class Quantiles:
    """An inverse distribution function, linear between the levels; equal values make a jump."""

    levels: tuple[float, ...]
    values_s: tuple[float, ...]
    mean_s: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean_s", float(self.limited_mean(self.values_s[-1])))

    def above(self, limit_s: Array) -> Floats:
        levels, values = np.array(self.levels), np.array(self.values_s)
        limit = np.asarray(limit_s, np.float64)
        right = np.searchsorted(values, limit, side="right")
        low, high = np.clip(right - 1, 0, None), np.clip(right, None, len(values) - 1)
        width = values[high] - values[low]
        part = np.where(width > 0, (limit - values[low]) / np.where(width > 0, width, 1.0), 0.0)
        below = levels[low] + part * (levels[high] - levels[low])
        return np.where(right == 0, 1.0, np.where(right == len(values), 0.0, 1.0 - below))

    def limited_mean(self, limit_s: Array) -> Floats:
        levels, values = np.array(self.levels), np.array(self.values_s)
        low, high, mass = values[:-1], values[1:], np.diff(levels)
        limit = np.asarray(limit_s, np.float64)[..., None]
        width = np.where(high > low, high - low, 1.0)
        part = np.clip((limit - low) / width, 0.0, 1.0)
        inside = part * (low + np.minimum(limit, high)) / 2 + (1 - part) * limit
        per_piece = np.where(high > low, inside, np.minimum(low, limit))
        mean: Floats = (mass * per_piece).sum(axis=-1)
        return mean


@dataclass(frozen=True)
class Mixture:
    """Shares, which sum to 1, of several distributions, none of which is a mixture."""

    shares: tuple[float, ...]
    parts: tuple[Latency, ...]

    @property
    def mean_s(self) -> float:
        return sum(share * part.mean_s for share, part in self._each())

    def above(self, limit_s: Array) -> Floats:
        return np.asarray(sum(share * part.above(limit_s) for share, part in self._each()))

    def limited_mean(self, limit_s: Array) -> Floats:
        return np.asarray(sum(share * part.limited_mean(limit_s) for share, part in self._each()))

    def _each(self) -> Iterator[tuple[float, Latency]]:
        return zip(self.shares, self.parts, strict=True)


def of(spec: written.Latency) -> Latency:
    """The numbers of a latency as it stands in a models file."""
    match spec:
        case written.LatencyLogNormal():
            return LogNormal(spec.mu, spec.sigma)
        case written.Exponential():
            return Exponential(spec.mean_s)
        case written.LatencyGamma():
            return Gamma(spec.shape, spec.scale)
        case written.LatencyWeibull():
            return Weibull(spec.shape, spec.scale_s)
        case written.LatencyPareto():
            return Pareto(spec.minimum_s, spec.tail)
        case written.Constant():
            return Constant(spec.value_s)
        case written.Quantiles():
            return Quantiles(spec.levels, spec.values_s)
        case written.Mixture():
            total = sum(spec.shares)
            return Mixture(tuple(share / total for share in spec.shares), tuple(map(of, spec.mixture)))
