"""Families of distributions, fitted to values and chosen by how likely they make values that they were not fitted to."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import gammaln

from sim.arrays import Floats
from sim.fitting.found import length, rounded

Z99 = 2.3263478740408408
_MOST = 200_000
_FAR = 0.02
"""How far the distribution function of a family may be from that of the data, beyond chance, before quantiles are written."""
LEVELS = (0.0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1.0)


def _stats() -> Any:
    """`scipy.stats`, which takes long to load."""
    from scipy import stats

    return stats


@dataclass(frozen=True)
class Family:
    """A family: how it is fitted to values (n,), and with these numbers its log-density, its distribution and its writing."""

    name: str
    fit: Callable[[Floats], tuple[float, ...]]
    log_density: Callable[[Floats, tuple[float, ...]], Floats]
    below: Callable[[Floats, tuple[float, ...]], Floats]
    written: Callable[[tuple[float, ...]], Any]
    mean: Callable[[tuple[float, ...]], float]
    size: int = 2
    """How many numbers are fitted."""


@dataclass(frozen=True)
class Chosen:
    """The family that was chosen for some values, with its numbers. `far`: the largest distance to the data's distribution.

    `gain`: log-likelihood a value more than the next family has, of values that neither was fitted to, and its standard error.
    """

    family: Family
    numbers: tuple[float, ...]
    far: float
    fits: bool
    gain: tuple[str, float, float] | None

    def told(self) -> str:
        """What was chosen, and against what."""
        if self.gain is None:
            return self.family.name
        other, more, error = self.gain
        return f"{self.family.name} rather than {other} (log-likelihood a value {more:+.3f} ± {error:.3f})"


def choose(values: Floats, families: Sequence[Family]) -> Chosen:
    """The family of values (n,) by held-out likelihood: fitted to one half, told apart by the other.

    One of fewer numbers is taken where it is less likely by no more than two standard errors.

    >>> drawn = np.random.default_rng(1).gamma(2.0, 3.0, 4000)
    >>> choose(drawn, AMOUNTS).family.name
    'gamma'
    """
    # Every so manieth: the order of a log may follow the hour.
    used = values[:: max(len(values) // _MOST, 1)]
    fitted, held = used[::2], used[1::2]
    scores: dict[str, Floats] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for family in families:
            density = family.log_density(held, family.fit(fitted))
            scores[family.name] = np.where(np.isfinite(density), density, -1e6)
        ranked = sorted(families, key=lambda family: -float(scores[family.name].mean()))
        best = ranked[0]
        for simpler in ranked[1:]:
            more = scores[best.name] - scores[simpler.name]
            if simpler.size < best.size and more.mean() < 2 * more.std() / math.sqrt(len(more)):
                best = simpler
        gain = None
        if len(ranked) > 1:
            other = next(each for each in ranked if each is not best)
            more = scores[best.name] - scores[other.name]
            gain = (other.name, float(more.mean()), float(more.std() / math.sqrt(len(more))))
        numbers = best.fit(values)
        ordered = np.sort(used)
        # At values that occur several times, the data's distribution jumps: both of its sides are looked at.
        share = np.searchsorted(ordered, ordered, side="right") / len(ordered)
        before = np.searchsorted(ordered, ordered, side="left") / len(ordered)
        below = best.below(ordered, numbers)
        far = float(np.maximum(np.abs(share - below), np.abs(before - below)).max())
        if best.name in _COUNTS:
            far = float(np.abs(share - below).max())
    mean = best.mean(numbers)
    near = far <= _FAR + 1.63 / math.sqrt(len(ordered))
    error = float(values.std() / math.sqrt(len(values)))
    return Chosen(
        best, numbers, far, near and abs(mean - values.mean()) <= max(0.02 * abs(float(values.mean())), 4 * error), gain
    )


def quantiles(values: Floats, write: Callable[[float], Any]) -> Mapping[str, Any]:
    """Values (n,) by their levels, as files write them.

    >>> quantiles(np.arange(101.0), float)["50%"]
    50.0
    """
    found = np.quantile(values, LEVELS)
    return {f"{100 * level:g}%": write(float(value)) for level, value in zip(LEVELS, found, strict=True)}


def _number(value: float) -> float:
    return rounded(value)


def _lognormal(values: Floats) -> tuple[float, float]:
    logs = np.log(values)
    return float(logs.mean()), max(float(logs.std()), 1e-6)


def _lognormal_density(values: Floats, of: tuple[float, ...]) -> Floats:
    return np.asarray(_stats().norm.logpdf(np.log(values), of[0], of[1]) - np.log(values))


def _lognormal_written(write: Callable[[float], Any]) -> Callable[[tuple[float, ...]], Any]:
    return lambda of: {"lognormal": {"median": write(math.exp(of[0])), "p99": write(math.exp(of[0] + Z99 * of[1]))}}


def _gamma(values: Floats) -> tuple[float, float]:
    # Minka (2002), "Estimating a gamma distribution": Newton's steps in 1 / shape.
    mean = float(values.mean())
    gap = max(math.log(mean) - float(np.log(values).mean()), 1e-12)
    shape = (3 - gap + math.sqrt((gap - 3) ** 2 + 24 * gap)) / (12 * gap)
    from scipy.special import digamma, polygamma

    for _ in range(20):
        step = (math.log(shape) - float(digamma(shape)) - gap) / (shape**2 * (1 / shape - float(polygamma(1, shape))))
        shape = 1 / (1 / shape + step)
    return shape, mean / shape


def _weibull(values: Floats) -> tuple[float, float]:
    logs = np.log(values)
    logs_mean = float(logs.mean())
    low, high = 0.02, 100.0
    for _ in range(60):
        # The likelihood's slope rises in the shape (Johnson, Kotz & Balakrishnan 1994, ch. 21).
        shape = math.sqrt(low * high)
        power = np.exp(shape * (logs - logs.max()))
        if float((power * logs).sum() / power.sum()) - 1 / shape - logs_mean > 0:
            high = shape
        else:
            low = shape
    power = np.exp(shape * (logs - logs.max()))
    return shape, float(np.exp(logs.max() + math.log(float(power.mean())) / shape))


def _pareto(values: Floats) -> tuple[float, float, float]:
    least = float(values.min())
    return least, min(1 / max(float(np.log(values / least).mean()), 1e-3), 1000.0), float(values.max())


def _pareto_below(values: Floats, of: tuple[float, ...]) -> Floats:
    least, tail, most = of
    return np.asarray((1 - (least / np.clip(values, least, most)) ** tail) / (1 - (least / most) ** tail))


def _pareto_mean(of: tuple[float, ...]) -> float:
    least, tail, most = of
    if abs(tail - 1) < 1e-9:
        return least * math.log(most / least) / (1 - least / most)
    return float(tail / (tail - 1) * least * (1 - (least / most) ** (tail - 1)) / (1 - (least / most) ** tail))


def _beta(values: Floats) -> tuple[float, float]:
    mean, variance = float(values.mean()), max(float(values.var()), 1e-9)
    size = max(mean * (1 - mean) / variance - 1, 1e-6)
    return mean * size, (1 - mean) * size


def _negative_binomial(values: Floats) -> tuple[float, float]:
    mean = max(float(values.mean()), 1e-9)
    return mean, max((float(values.var()) - mean) / mean**2, 1e-6)


def _negative_binomial_density(values: Floats, of: tuple[float, ...]) -> Floats:
    mean, size = of[0], 1 / of[1]
    log_ratio = math.log(size / (size + mean)) * size
    found = gammaln(values + size) - gammaln(size) - gammaln(values + 1) + log_ratio
    return np.asarray(found + values * math.log(mean / (size + mean)))


def _durations(write: Callable[[float], Any]) -> tuple[Family, ...]:
    return (
        Family("log-normal", _lognormal, _lognormal_density, lambda x, of: _stats().norm.cdf(np.log(x), of[0], of[1]),
               _lognormal_written(write), lambda of: math.exp(min(of[0] + of[1] ** 2 / 2, 700))),
        Family("gamma", _gamma, lambda x, of: _stats().gamma.logpdf(x, of[0], scale=of[1]),
               lambda x, of: _stats().gamma.cdf(x, of[0], scale=of[1]),
               lambda of: {"gamma": {"mean": write(of[0] * of[1]), "sd": write(math.sqrt(of[0]) * of[1])}},
               lambda of: of[0] * of[1]),
    )  # fmt: skip


AMOUNTS = (
    *_durations(_number),
    Family("Pareto", _pareto, lambda x, of: _stats().pareto.logpdf(np.maximum(x, of[0]), of[1], scale=of[0]), _pareto_below,
           lambda of: {"pareto": {"minimum": _number(of[0]), "tail": _number(of[1]), "maximum": _number(of[2])}}, _pareto_mean),
)  # fmt: skip
"""Of positive amounts."""

NORMAL = Family(
    "normal", lambda x: (float(x.mean()), float(x.std())), lambda x, of: _stats().norm.logpdf(x, of[0], of[1]),
    lambda x, of: _stats().norm.cdf(x, of[0], of[1]), lambda of: {"normal": {"mean": _number(of[0]), "sd": _number(of[1])}},
    lambda of: of[0],
)  # fmt: skip

SCORES = (
    Family(
        "beta", _beta, lambda x, of: _stats().beta.logpdf(np.clip(x, 1e-9, 1 - 1e-9), of[0], of[1]),
        lambda x, of: _stats().beta.cdf(x, of[0], of[1]),
        lambda of: {"beta": {"mean": _number(of[0] / (of[0] + of[1])),
                             "sd": _number(math.sqrt(of[0] * of[1] / (of[0] + of[1] + 1)) / (of[0] + of[1]))}},
        lambda of: of[0] / (of[0] + of[1]),
    ),
)  # fmt: skip
"""Of scores from 0 to 1."""

COUNTS = (
    Family("Poisson", lambda x: (max(float(x.mean()), 1e-9),), lambda x, of: _stats().poisson.logpmf(x, of[0]),
           lambda x, of: _stats().poisson.cdf(x, of[0]), lambda of: {"poisson": _number(of[0])}, lambda of: of[0], size=1),
    Family("negative binomial", _negative_binomial, _negative_binomial_density,
           lambda x, of: _stats().nbinom.cdf(x, 1 / of[1], 1 / (1 + of[0] * of[1])),
           lambda of: {"negative_binomial": {"mean": _number(of[0]), "dispersion": _number(of[1])}}, lambda of: of[0]),
)  # fmt: skip
"""Of whole numbers from 0."""
_COUNTS = tuple(each.name for each in COUNTS)

DURATIONS = (
    *_durations(length),
    Family("Weibull", _weibull, lambda x, of: _stats().weibull_min.logpdf(x, of[0], scale=of[1]),
           lambda x, of: _stats().weibull_min.cdf(x, of[0], scale=of[1]),
           lambda of: {"weibull": {"scale": length(of[1]), "shape": _number(of[0])}},
           lambda of: of[1] * math.gamma(1 + 1 / of[0])),
    Family("exponential", lambda x: (float(x.mean()),), lambda x, of: _stats().expon.logpdf(x, scale=of[0]),
           lambda x, of: _stats().expon.cdf(x, scale=of[0]), lambda of: {"exponential": length(of[0])},
           lambda of: of[0], size=1),
)  # fmt: skip
"""Of lengths of time, in seconds."""
