"""Sample size, power and smallest detectable effect of a fixed-horizon comparison of two means."""

from __future__ import annotations

import math
from typing import Literal

from scipy.special import ndtr, ndtri

from sim.errors import InputError, Problem

Kind = Literal["proportions", "means"]


def sample_size(
    kind: Kind,
    *,
    effect: float,
    baseline: float | None = None,
    sd: float | None = None,
    alpha: float = 0.05,
    power: float = 0.8,
    sides: int = 2,
    ratio: float = 1.0,
    comparisons: int = 1,
) -> float:
    """Outcomes that the champion needs, not rounded; each challenger needs `ratio` times as many.

    `effect` is the absolute difference, challenger − champion. Proportions need `baseline`, the champion's
    proportion; means need `sd`, the standard deviation of an outcome in either arm. `alpha` is the type I
    error of the whole family, divided among `comparisons` challengers (Bonferroni); `sides` is 1 or 2.

    Power is the probability to declare a difference *in the direction of the effect*. A two-sided test that
    declares the wrong direction (a type S error: below 1e-5 of the time where power is above 0.65 at alpha
    5%) is not counted as a success.

    Raises `InputError`, naming every argument that breaks its rule.

    Source: Fleiss, Levin & Paik, Statistical Methods for Rates and Proportions (2003), ch. 4, with unpooled
    variances; Chow, Shao, Wang & Lokhnygina, Sample Size Calculations in Clinical Research (2018), §3.2,
    §4.2: n = (z₁₋α + z_power)² (v₀ + v₁/ratio) / effect².

    >>> [round(sample_size("means", sd=1, effect=1, power=power), 2) for power in (0.8, 0.9)]
    [15.7, 21.01]
    >>> math.ceil(sample_size("proportions", baseline=0.05, effect=0.005))
    31231
    """
    problems = _design(kind, baseline, sd, alpha, sides, ratio, comparisons) + _effect(kind, baseline, effect)
    problems += _power(power, alpha)
    if problems:
        raise InputError(problems)
    z = _critical(alpha, sides, comparisons) + float(ndtri(power))
    return z * z * _variance(kind, baseline, sd, effect, ratio) / effect**2


def power(
    n: float,
    kind: Kind,
    *,
    effect: float,
    baseline: float | None = None,
    sd: float | None = None,
    alpha: float = 0.05,
    sides: int = 2,
    ratio: float = 1.0,
    comparisons: int = 1,
) -> float:
    """Probability to declare a difference in the direction of `effect` with `n` outcomes of the champion.

    Arguments, errors and source are those of `sample_size`, of which this is the inverse.

    >>> round(power(31231, "proportions", baseline=0.05, effect=0.005), 4)
    0.8
    """
    problems = _design(kind, baseline, sd, alpha, sides, ratio, comparisons) + _effect(kind, baseline, effect)
    problems += _n(n)
    if problems:
        raise InputError(problems)
    standard_error = math.sqrt(_variance(kind, baseline, sd, effect, ratio) / n)
    return float(ndtr(abs(effect) / standard_error - _critical(alpha, sides, comparisons)))


def minimum_detectable_effect(
    n: float,
    kind: Kind,
    *,
    baseline: float | None = None,
    sd: float | None = None,
    alpha: float = 0.05,
    power: float = 0.8,
    sides: int = 2,
    ratio: float = 1.0,
    comparisons: int = 1,
    direction: Literal["increase", "decrease"] = "increase",
) -> float:
    """Smallest absolute effect found with probability `power` with `n` outcomes of the champion.

    Negative for a decrease. For proportions the variance of the challenger depends on the effect, and the
    root of the quadratic is taken. Other arguments and the source are those of `sample_size`, of which this
    is the inverse. Raises `InputError` also where `n` is too small to find any proportion between 0 and 1.

    >>> round(minimum_detectable_effect(15.698, "means", sd=1), 3)
    1.0
    >>> round(minimum_detectable_effect(31231, "proportions", baseline=0.05), 6)
    0.005
    """
    problems = _design(kind, baseline, sd, alpha, sides, ratio, comparisons) + _n(n) + _power(power, alpha)
    if direction not in ("increase", "decrease"):
        problems.append(Problem(f"must be increase or decrease, got {direction}", path="direction"))
    if problems:
        raise InputError(problems)
    z = _critical(alpha, sides, comparisons) + float(ndtri(power))
    sign = 1 if direction == "increase" else -1
    if kind == "means":
        assert sd is not None
        return sign * z * sd * math.sqrt((1 + 1 / ratio) / n)
    assert baseline is not None
    champion, challenger = z * z / n, z * z / (n * ratio)
    slope = challenger * (1 - 2 * baseline)
    constant = baseline * (1 - baseline) * (champion + challenger)
    root = math.sqrt(slope**2 + 4 * (1 + challenger) * constant)
    effect = (slope + sign * root) / (2 * (1 + challenger))
    if not 0 < baseline + effect < 1:
        raise InputError([Problem(f"too few to find any {direction} from {baseline}, got {n}", path="n")])
    return effect


def _critical(alpha: float, sides: int, comparisons: int) -> float:
    return -float(ndtri(alpha / (sides * comparisons)))


def _variance(kind: Kind, baseline: float | None, sd: float | None, effect: float, ratio: float) -> float:
    """n times the variance of the difference."""
    if kind == "means":
        assert sd is not None
        return sd * sd * (1 + 1 / ratio)
    assert baseline is not None
    challenger = baseline + effect
    return baseline * (1 - baseline) + challenger * (1 - challenger) / ratio


def _design(
    kind: Kind,
    baseline: float | None,
    sd: float | None,
    alpha: float,
    sides: int,
    ratio: float,
    comparisons: int,
) -> list[Problem]:
    rules: dict[str, tuple[object, bool, str]] = {
        "kind": (kind, kind in ("proportions", "means"), "must be proportions or means"),
        "alpha": (alpha, 0 < alpha < 1, "must lie strictly between 0 and 1"),
        "sides": (sides, sides in (1, 2), "must be 1 or 2"),
        "ratio": (ratio, 0 < ratio < math.inf, "must be positive and finite"),
        "comparisons": (comparisons, comparisons >= 1, "must be at least 1"),
    }
    if kind == "means":
        rules["sd"] = (sd, sd is not None and 0 < sd < math.inf, "must be positive and finite for means")
    elif kind == "proportions":
        proper = baseline is not None and 0 < baseline < 1
        rules["baseline"] = (baseline, proper, "must lie strictly between 0 and 1 for proportions")
    return [Problem(f"{rule}, got {value}", path=name) for name, (value, holds, rule) in rules.items() if not holds]


def _effect(kind: Kind, baseline: float | None, effect: float) -> list[Problem]:
    if not (math.isfinite(effect) and effect != 0):
        return [Problem(f"must be finite and not 0, got {effect}", path="effect")]
    if kind == "proportions" and baseline is not None and not 0 < baseline + effect < 1:
        rule = "must leave the challenger's proportion strictly between 0 and 1"
        return [Problem(f"{rule}, got {effect} on a baseline of {baseline}", path="effect")]
    return []


def _power(power: float, alpha: float) -> list[Problem]:
    if 0 < alpha < 1 and not alpha < power < 1:
        return [Problem(f"must lie strictly between alpha ({alpha}) and 1, got {power}", path="power")]
    return []


def _n(n: float) -> list[Problem]:
    return [] if 0 < n < math.inf else [Problem(f"must be positive and finite, got {n}", path="n")]
