"""What effects are like, over many experiments: laws of the true effect, fitted to estimates with known standard errors.

The model is that of a random-effects meta-analysis: estimate_i = effect_i + noise_i, effects independent from one law, noise
normal with a known standard error. What is fitted is the law, by the marginal likelihood of the estimates (empirical Bayes).
Sources: Efron, Large-Scale Inference (2010), ch. 1 and 11; for Student's t Azevedo, Deng, Montiel Olea & Weyl, Empirical Bayes
estimation of treatment effects with many A/B tests, AEA Papers and Proceedings 109 (2019); for a spike at 0 beside a slab
Johnstone & Silverman, Needles and straw in haystacks, Annals of Statistics 32 (2004).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sim.arrays import Bools, Floats

LEAST_DF, MOST_DF = 1.05, 100.0
"""Degrees of freedom that are tried. Below 1 there is no mean, and at 100 nobody can tell a Student's t from a normal law."""
_LEAST_LOGIT = -9.0
# A spread of less than a thousandth of the least standard error changes no likelihood.
_NO_SPREAD = 1e-3
_LOG_2PI = math.log(2 * math.pi)
# A gain of log likelihood below this is none.
_NO_GAIN = 1e-7

Terms = tuple[Floats, Floats]
"""Log densities of estimates (n,), and their derivatives by the coordinates (n, P)."""


@dataclass(frozen=True)
class Family:
    """A kind of law of the true effect.

    `parameters` are the names of its P parameters: the mean first, then the spread. `terms(estimates, errors, coordinates)`
    takes coordinates (P,) in which an optimiser moves freely: the mean, the logarithm of the spread, and that of the degrees of
    freedom or the logit of the share of zeros. `third` and `third_bounds` are where to look for the third.
    """

    name: str
    parameters: tuple[str, ...]
    terms: Callable[[Floats, Floats, Floats], Terms]
    third: tuple[float, ...] = ()
    third_bounds: tuple[float, float] = (0.0, 0.0)

    def values(self, coordinates: Floats) -> Floats:
        """The parameters (P,) at coordinates (P,)."""
        values = coordinates.copy()
        values[1] = math.exp(coordinates[1])
        if self.name == "student_t":
            values[2] = math.exp(coordinates[2])
        elif self.name == "spike_slab":
            values[2] = _expit(coordinates[2])
        return values

    def slopes(self, values: Floats) -> Floats:
        """The derivative of each parameter by its coordinate (P,), at parameters (P,)."""
        slopes = np.array([1.0, *values[1:]])
        if self.name == "spike_slab":
            slopes[2] *= 1 - values[2]
        return slopes


@dataclass(frozen=True)
class Maximum:
    """Where the likelihood is highest: coordinates (P,), and the log likelihood there."""

    coordinates: Floats
    log_likelihood: float


def normal_terms(estimates: Floats, errors: Floats, coordinates: Floats) -> Terms:
    """Effects are normal: an estimate has their variance and its own."""
    mean, spread2 = coordinates[0], math.exp(2 * coordinates[1])
    variance, off = spread2 + errors**2, estimates - mean
    logs = -0.5 * (_LOG_2PI + np.log(variance) + off**2 / variance)
    by_log_spread = (off**2 / variance - 1) / variance * spread2
    return logs, np.stack([off / variance, by_log_spread], axis=1)


def student_terms(estimates: Floats, errors: Floats, coordinates: Floats) -> Terms:
    """Effects follow a Student's t: normal with a variance that is the squared scale over g, with g of a gamma law of mean 1.

    The trapezoid rule in log g is exact to about 1e-8, as the integrand is analytic and falls off exponentially on both sides.
    The nodes begin so low that the largest estimates, which need a small g, are in their middle.
    """
    from scipy.special import digamma, gammaln

    mean, scale2, df = coordinates[0], math.exp(2 * coordinates[1]), math.exp(coordinates[2])
    off2 = (estimates - mean) ** 2
    needed = math.log((df + 1) * scale2 / max(float(off2.max()), scale2 * (df + 1)))
    low = needed - 44 / (df + 1) - 7 * math.sqrt(2 / df)
    high = math.log(1 + math.sqrt(88 / df) + 44 / df)
    nodes = math.ceil((high - low) / min(0.4, 0.65 * math.sqrt(2 / (df + 1))))
    log_g, step = np.linspace(low, high, nodes + 1, retstep=True)
    g = np.exp(log_g)
    half = df / 2
    weights = half * math.log(half) - gammaln(half) + half * (log_g - g) + math.log(step)
    variance = scale2 / g + errors[:, None] ** 2
    ratio = off2[:, None] / variance
    inside = weights - 0.5 * (_LOG_2PI + np.log(variance) + ratio)
    top = inside.max(axis=1, keepdims=True)
    shares = np.exp(inside - top)
    total = shares.sum(axis=1, keepdims=True)
    shares /= total
    logs = top[:, 0] + np.log(total[:, 0])
    by_mean = (estimates - mean) * (shares / variance).sum(axis=1)
    # Not by matrix products: those of a library may depend on its number of threads in their last bits.
    by_log_scale = (shares * (ratio - 1) / variance * (scale2 / g)).sum(axis=1)
    by_log_df = half * (shares * (math.log(half) + 1 - digamma(half) + log_g - g)).sum(axis=1)
    return logs, np.stack([by_mean, by_log_scale, by_log_df], axis=1)


def spike_terms(estimates: Floats, errors: Floats, coordinates: Floats) -> Terms:
    """Effects are exactly 0 with a probability, and else normal."""
    zero = _expit(coordinates[2])
    slab, by_slab = normal_terms(estimates, errors, coordinates[:2])
    spike = -0.5 * (_LOG_2PI + (estimates / errors) ** 2) - np.log(errors)
    logs = np.logaddexp(math.log(zero) + spike, math.log1p(-zero) + slab)
    of_slab = np.exp(math.log1p(-zero) + slab - logs)
    return logs, np.column_stack([of_slab[:, None] * by_slab, (1 - of_slab) - zero])


NORMAL = Family("normal", ("mean", "sd"), normal_terms)
STUDENT = Family(
    "student_t", ("mean", "scale", "df"), student_terms, (math.log(2.0), math.log(8.0)), (math.log(LEAST_DF), math.log(MOST_DF))
)
SPIKE = Family("spike_slab", ("mean", "sd", "zero"), spike_terms, (-1.0, 1.5), (_LEAST_LOGIT, -_LEAST_LOGIT))
FAMILIES = (NORMAL, STUDENT, SPIKE)
"""All families, those with fewer parameters first."""


def bounds(family: Family, estimates: Floats, errors: Floats) -> list[tuple[float, float]]:
    """The least and the largest of each coordinate that is tried."""
    low, high = float(estimates.min()), float(estimates.max())
    widest = 4 * (high - low) + float(errors.max())
    spread = (math.log(_NO_SPREAD * float(errors.min())), math.log(widest))
    beyond = 3 * float(errors.max())
    return [(low - beyond, high + beyond), spread, family.third_bounds][: len(family.parameters)]


def maximise(
    family: Family,
    estimates: Floats,
    errors: Floats,
    fixed: Mapping[int, float] | None = None,
    starts: Sequence[Floats] = (),
) -> Maximum:
    """The highest marginal likelihood of estimates (n,) with standard errors (n,), from several starts.

    `fixed` holds coordinates at values. `starts` (P,) each take the place of the usual ones. No spread at all is tried too, and
    wins where it is as likely.

    >>> at = maximise(NORMAL, np.array([-2.0, 0.0, 2.0]), np.ones(3)).coordinates  # mean square 8/3, of which 1 is noise
    >>> [round(float(value), 4) + 0.0 for value in NORMAL.values(at) ** [1, 2]]
    [0.0, 1.6667]
    """
    from scipy.optimize import minimize

    limits, held = bounds(family, estimates, errors), dict(fixed or {})
    free = [index for index in range(len(limits)) if index not in held]

    def whole(part: Floats) -> Floats:
        coordinates = np.empty(len(limits))
        coordinates[free] = part
        coordinates[list(held)] = list(held.values())
        return coordinates

    def objective(part: Floats) -> tuple[float, Floats]:
        logs, slopes = family.terms(estimates, errors, whole(part))
        return -float(logs.mean()), -slopes[:, free].mean(axis=0)

    lows, highs = np.array(limits).T
    best: Maximum | None = None
    for start in starts or usual_starts(family, estimates, errors):
        part = np.clip(start, lows, highs)[free]
        if free:
            freely = [limits[index] for index in free]
            options: Any = {"maxiter": 500, "ftol": 1e-13, "gtol": 1e-8}
            part = minimize(objective, part, jac=True, method="L-BFGS-B", bounds=freely, options=options).x
        found = Maximum(whole(part), float(family.terms(estimates, errors, whole(part))[0].sum()))
        if best is None or found.log_likelihood > best.log_likelihood + _NO_GAIN:
            best = found
    assert best is not None
    if 1 in free:
        none = maximise(family, estimates, errors, {**held, 1: limits[1][0]}, [best.coordinates])
        if none.log_likelihood >= best.log_likelihood - _NO_GAIN:
            return none
    return best


def no_spread(family: Family, estimates: Floats, errors: Floats, coordinates: Floats) -> bool:
    """Whether the effects do not differ at these coordinates: the spread is so small that nothing can tell it from none."""
    return bool(coordinates[1] <= bounds(family, estimates, errors)[1][0] + 1e-9)


def is_simpler(family: Family, estimates: Floats, errors: Floats, coordinates: Floats) -> bool:
    """Whether a family with three parameters is at these coordinates (P,) no more than a normal law, or than no spread at all.

    >>> estimates, errors, at = np.array([-2.0, 2.0]), np.ones(2), np.array([0.0, 0.0, math.log(MOST_DF)])
    >>> is_simpler(STUDENT, estimates, errors, at), is_simpler(NORMAL, estimates, errors, at[:2])
    (True, False)
    """
    if len(coordinates) < 3:
        return False
    low, high = family.third_bounds
    at_high, at_low = coordinates[2] >= high - 1e-6, coordinates[2] <= low + 1e-6
    return bool(at_high or (at_low and family.name == "spike_slab") or no_spread(family, estimates, errors, coordinates))


def information(family: Family, estimates: Floats, errors: Floats, at: Floats) -> Floats:
    """The observed information (P, P) at coordinates (P,): minus the second derivatives of the log likelihood."""
    step, size = 1e-4, len(at)
    rows = np.empty((size, size))
    scale = np.ones(size)
    scale[0] = math.exp(float(at[1])) + float(np.median(errors))
    for index in range(size):
        moved = np.zeros(size)
        moved[index] = step * scale[index]
        up = family.terms(estimates, errors, at + moved)[1].sum(axis=0)
        down = family.terms(estimates, errors, at - moved)[1].sum(axis=0)
        rows[index] = -(up - down) / (2 * moved[index])
    return (rows + rows.T) / 2


def usual_starts(family: Family, estimates: Floats, errors: Floats) -> list[Floats]:
    """Coordinates (P,) to start from: about the middle, at spreads that quantiles and moments tell."""
    middle = float(np.median(estimates))
    off2 = (estimates - middle) ** 2
    inner = max(float(np.median(off2 / 0.455 - errors**2)), 0.01 * float(np.median(errors)) ** 2)
    whole = max(float((off2 - errors**2).mean()), inner)
    spreads = {0.5 * math.log(inner), 0.5 * math.log(whole)}
    thirds: list[tuple[float, ...]] = [(each,) for each in family.third] or [()]
    return [np.array([middle, spread, *third]) for spread in sorted(spreads) for third in thirds]


def held_within(at: Floats, limits: Sequence[tuple[float, float]]) -> Bools:
    """Which coordinates (P,) are at neither of their bounds."""
    return np.array([low + 1e-6 < value < high - 1e-6 for value, (low, high) in zip(at, limits, strict=True)])


def _expit(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))
