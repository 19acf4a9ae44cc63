"""Tests and intervals that hold at every look: the mixture sequential probability ratio test and its confidence sequence.

All functions take an estimate and its standard error. So a difference of means, a ratio metric, a covariate-adjusted or a
stratified effect are monitored in the same way. An estimate with a standard error of 0 (no variation yet) or infinity (too
few outcomes) has no information: likelihood ratio 1, p-value 1, unbounded interval.

The guarantees are exact for normal outcomes with known variance, and asymptotic otherwise. So start monitoring only when
each arm has a few dozen outcomes of either kind. For bounded outcomes, `betting` has intervals that hold at any sample size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import lambertw, log_ndtr

from sim.arrays import Floats
from sim.stats.moments import finite, non_negative, positive, standard_errors
from sim.stats.two_sample import Alternative
from sim.stats.validation import broadcast, require, require_positive, require_share

HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


@dataclass(frozen=True)
class MixtureTest:
    """A mixture test at one look of each replication; both fields share the shape of the inputs.

    `log_likelihood_ratio` is that of the mixture against the null. `p_value` is valid at this look, for any rule
    that chose the look. Over several looks use `running_p_value`.
    """

    log_likelihood_ratio: Floats
    p_value: Floats

    @property
    def likelihood_ratio(self) -> Floats:
        """The likelihood ratio; infinite where it exceeds the largest float."""
        with np.errstate(over="ignore"):
            return np.asarray(np.exp(self.log_likelihood_ratio))


@dataclass(frozen=True)
class Interval:
    """Lower and upper bounds, one per replication; infinite where there is no information."""

    lower: Floats
    upper: Floats


def mixture_sprt(
    estimate: ArrayLike,
    standard_error: ArrayLike,
    *,
    mixing_sd: ArrayLike,
    null: ArrayLike = 0.0,
    alternative: Alternative = "two-sided",
) -> MixtureTest:
    """Mixture sequential probability ratio test of effect = `null`, at any look, for each replication at once.

    The alternative's effect is null + Normal(0, `mixing_sd`²), in the metric's unit; `greater` and `less` mix
    over the half-normal on their side; their nulls are effect ≤ `null` and effect ≥ `null`. `mixing_sd` must be
    chosen before the data; `best_mixing_sd` gives one. Inputs broadcast together.

    A test that rejects when the p-value is at most α, at any time, errs with probability at most α.

    Raises `InputError` for an estimate that is not finite, a negative standard error, a mixing standard
    deviation that is not positive or an unknown alternative.

    Source: Robbins, Annals of Mathematical Statistics 41 (1970); Johari, Koomen, Pekelis & Walsh, Operations
    Research 70 (2022), normal mixture with V = standard error²: Λ = √(V/(V+τ²)) exp(τ²(θ̂−θ₀)²/(2V(V+τ²))).
    One-sided: Howard, Ramdas, McAuliffe & Sekhon, Annals of Statistics 49 (2021),
    one-sided normal mixture.

    >>> result = mixture_sprt([0.2, 0.0], [0.05, np.inf], mixing_sd=0.1)
    >>> result.likelihood_ratio.round(1), result.p_value.round(4)
    (array([269.2,   1. ]), array([0.0037, 1.    ]))
    """
    _require_alternative(alternative)
    centre, error, mixing, nothing = broadcast(
        estimate=finite("estimate", estimate),
        standard_error=standard_errors("standard_error", standard_error),
        mixing_sd=positive("mixing_sd", mixing_sd),
        null=finite("null", null),
    )
    effect = centre - nothing
    informed = (error > 0) & np.isfinite(error)
    safe = np.where(informed, error, 1.0)
    total = np.hypot(safe, mixing)
    u = np.where(informed, effect / safe * (mixing / total), 0.0)
    log_ratio = 0.5 * u * u - np.where(informed, np.log(total / safe), 0.0)
    if alternative != "two-sided":
        log_ratio = log_ratio + log_ndtr(u if alternative == "greater" else -u) + math.log(2)
        log_ratio = np.where(informed, log_ratio, 0.0)
    return MixtureTest(np.asarray(log_ratio), np.exp(-np.maximum(log_ratio, 0.0)))


def confidence_sequence(
    estimate: ArrayLike,
    standard_error: ArrayLike,
    *,
    mixing_sd: ArrayLike,
    alpha: float = 0.05,
    alternative: Alternative = "two-sided",
) -> Interval:
    """Normal-mixture confidence sequence: it covers the effect at all looks at once with probability 1 − α.

    It is the set of nulls that `mixture_sprt`, with the same arguments, does not reject. `greater` gives only a
    lower bound, `less` only an upper bound.

    Raises `InputError` as `mixture_sprt`, and for an `alpha` outside (0, 1).

    Source: Howard, Ramdas, McAuliffe & Sekhon, Annals of Statistics 49 (2021), two-sided normal mixture, with
    intrinsic time v = 1/V and ρ = 1/τ²: half width √(V(V+τ²)/τ² · log((V+τ²)/(V α²))).

    >>> interval = confidence_sequence([0.2, 0.0], [0.05, np.inf], mixing_sd=0.1)
    >>> interval.lower.round(3), interval.upper.round(3)
    (array([0.046,  -inf]), array([0.354,   inf]))
    """
    _require_alternative(alternative)
    require_share("alpha", alpha)
    centre, error, mixing = broadcast(
        estimate=finite("estimate", estimate),
        standard_error=standard_errors("standard_error", standard_error),
        mixing_sd=positive("mixing_sd", mixing_sd),
    )
    return _interval(centre, error, mixing, alpha, alternative)


def asymptotic_confidence_sequence(
    estimate: ArrayLike,
    standard_error: ArrayLike,
    n: ArrayLike,
    *,
    planned_n: float,
    alpha: float = 0.05,
    alternative: Alternative = "two-sided",
) -> Interval:
    """Confidence sequence without a scale parameter: the mixing sd follows the estimated variance.

    `n` is the number of outcomes of each estimate (of both arms, for a difference). The interval is narrowest at
    `planned_n` outcomes. The probability to cover the effect at all looks at once tends to 1 − α as the first look
    gets later. The interval is unbounded where n is 0.

    Raises `InputError` as `confidence_sequence`, and for a negative `n` or a `planned_n` that is not positive.

    Source: Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, Annals of Statistics 52 (2024; arXiv 2103.06476), the
    Gaussian-mixture sequence: half width SE·√(2(nρ²+1)/(nρ²) · log(√(nρ²+1)/α)).

    >>> interval = asymptotic_confidence_sequence(0.2, 0.05, 1000, planned_n=1000)
    >>> interval.lower.round(3), interval.upper.round(3)
    (np.float64(0.048), np.float64(0.352))
    """
    _require_alternative(alternative)
    require_share("alpha", alpha)
    require_positive("planned_n", planned_n)
    centre, error, size = broadcast(
        estimate=finite("estimate", estimate),
        standard_error=standard_errors("standard_error", standard_error),
        n=non_negative("n", n),
    )
    growth = np.sqrt(size / planned_n) * best_mixing_sd(1.0, alpha, alternative)
    informed = np.isfinite(error) & (size > 0)
    return _interval(centre, np.where(informed, error, np.inf), np.where(informed, error, 1.0) * growth, alpha, alternative)


def best_mixing_sd(standard_error: float, alpha: float = 0.05, alternative: Alternative = "two-sided") -> float:
    """The mixing standard deviation whose confidence sequence is narrowest at this standard error.

    For one-sided sequences it is the two-sided optimum at 2α, which is within 0.01% of the narrowest for α ≤ 10%.

    Raises `InputError` for a standard error that is not positive, for α outside (0, 1) and, one-sided, outside (0, ½).

    Source: Howard, Ramdas, McAuliffe & Sekhon (2021), tuning: τ²/V = −W₋₁(−α²/e) − 1.

    >>> round(best_mixing_sd(0.05), 4)
    0.1433
    """
    _require_alternative(alternative)
    require_share("alpha", alpha)
    require_positive("standard_error", standard_error)
    if alternative != "two-sided":
        require(alpha < 0.5, "alpha", "must lie below 0.5 for a one-sided sequence", alpha)
        alpha *= 2
    return standard_error * math.sqrt(-lambertw(-(alpha**2) / math.e, -1).real - 1)


def running_p_value(p_values: ArrayLike, axis: int = -1) -> Floats:
    """Always-valid p-values: the running minimum along the axis of looks.

    Raises `InputError` for a p-value outside [0, 1].

    Source: Johari, Koomen, Pekelis & Walsh (2022).

    >>> running_p_value([0.4, 0.03, 0.2])
    array([0.4 , 0.03, 0.03])
    """
    values = non_negative("p_values", p_values)
    require(values.size == 0 or values.max() <= 1, "p_values", "must lie between 0 and 1", values.max(initial=0.0))
    return np.asarray(np.minimum.accumulate(values, axis=axis))


def running_interval(interval: Interval, axis: int = -1) -> Interval:
    """Running intersection of a confidence sequence along the axis of looks; it has the same coverage.

    The bounds may cross. This is evidence that the assumptions of the sequence do not hold, for example because of drift.

    >>> running_interval(Interval(np.array([0.0, -1.0]), np.array([3.0, 2.0])))
    Interval(lower=array([0., 0.]), upper=array([3., 2.]))
    """
    return Interval(
        np.asarray(np.maximum.accumulate(interval.lower, axis=axis)),
        np.asarray(np.minimum.accumulate(interval.upper, axis=axis)),
    )


def _interval(centre: Floats, error: Floats, mixing: Floats, alpha: float, alternative: Alternative) -> Interval:
    informed = (error > 0) & np.isfinite(error)
    safe, spread = np.where(informed, error, 1.0), np.where(informed, mixing, 1.0)
    total = np.hypot(safe, spread)
    growth = np.log(total / safe)
    u = np.sqrt(2 * (growth - math.log(alpha))) if alternative == "two-sided" else _one_sided(growth, alpha)
    half = np.where(informed, u * safe * (total / spread), np.inf)
    lower, upper = centre - half, centre + half
    if alternative != "two-sided":
        unbounded = np.full(half.shape, np.inf)
        lower, upper = (lower, unbounded) if alternative == "greater" else (-unbounded, upper)
    return Interval(np.asarray(lower), np.asarray(upper))


def _one_sided(growth: Floats, alpha: float) -> Floats:
    """The u at which 2 exp(u²/2) Φ(u) = exp(growth)/α.

    The logarithm of the left side is convex and increasing, so Newton's method never overshoots from above.
    """
    target = growth - math.log(2 * alpha)
    u = np.sqrt(2 * np.logaddexp(0.0, target))
    for _ in range(100):
        log_cdf = log_ndtr(u)
        slope = u + np.exp(-0.5 * u * u - HALF_LOG_TWO_PI - log_cdf)
        step = (0.5 * u * u + log_cdf - target) / slope
        u = u - step
        if np.all(np.abs(step) <= 1e-14 * (1 + np.abs(u))):
            break
    return np.asarray(u)


def _require_alternative(alternative: str) -> None:
    known = get_args(Alternative)
    require(alternative in known, "alternative", f"must be one of {', '.join(known)}", alternative)
