"""Sample size, power and smallest detectable effect of a fixed-horizon comparison of two means."""

from __future__ import annotations

import math
from typing import Literal, get_args

from scipy.special import ndtr, ndtri

from sim.errors import InputError, Problem
from sim.stats.hypotheses import Direction
from sim.stats.two_sample import Scale
from sim.stats.validation import is_whole

Kind = Literal["proportions", "means"]
Hypothesis = Literal["superiority", "non_inferiority", "equivalence"]
Correction = Literal["bonferroni", "dunnett"]

# The root of the largest sample.
LARGEST = 1e100


def sample_size(
    kind: Kind,
    *,
    effect: float = 0.0,
    baseline: float | None = None,
    sd: float | None = None,
    alpha: float = 0.05,
    power: float = 0.8,
    sides: int | None = None,
    ratio: float = 1.0,
    comparisons: int = 1,
    correction: Correction = "bonferroni",
    scale: Scale = "absolute",
    hypothesis: Hypothesis = "superiority",
    margin: float | None = None,
    direction: Direction = "increase",
) -> float:
    """The number of outcomes that the champion needs, not rounded; each challenger needs `ratio` times as many.

    `effect` is the true difference, challenger − champion; on the relative `scale`, over |champion's mean|.
    Proportions need `baseline`, the champion's proportion; means need `sd`, the standard deviation of an outcome
    in either arm, and `baseline`, the champion's mean, on the relative scale. `alpha` is the type I error of the
    whole family, shared among `comparisons` challengers by Bonferroni (which Holm needs too) or Dunnett.

    | `hypothesis` | what is declared with probability `power` | `sides`, if left out |
    | --- | --- | --- |
    | `superiority` | a difference, in the direction of `effect`, which is not 0 | 2 |
    | `non_inferiority` | not worse by `margin`, where `direction` is better | 1 |
    | `equivalence` | not different by `margin`, by two one-sided tests | 1 |

    With two `sides` each bound has half of alpha. A two-sided test that declares the wrong direction (a type S error) is not a
    success; its probability is below 1e-5 if power is above 0.65 at alpha 5%. `margin` is positive, in the unit of `effect`.
    `effect` must be better than the margin; it is mostly 0, the default.

    Raises `InputError`, naming every argument that breaks its rule.

    Source: Fleiss, Levin & Paik, Statistical Methods for Rates and Proportions (2003), ch. 4, with unpooled
    variances; Chow, Shao, Wang & Lokhnygina, Sample Size Calculations in Clinical Research (2018), §3.2,
    §4.2: n = (z₁₋α + z_power)² (v₀ + v₁/ratio) / effect², with effect + margin for non-inferiority; for
    equivalence power = Φ((margin − effect)/SE − z₁₋α) + Φ((margin + effect)/SE − z₁₋α) − 1.

    >>> [round(sample_size("means", sd=1, effect=1, power=power), 2) for power in (0.8, 0.9)]
    [15.7, 21.01]
    >>> math.ceil(sample_size("proportions", baseline=0.05, effect=0.005))
    31231
    >>> [round(sample_size("means", sd=1, margin=1, hypothesis=h), 2) for h in ("non_inferiority", "equivalence")]
    [12.37, 17.13]
    """
    problems = _design(kind, baseline, sd, alpha, sides, ratio, comparisons, correction, scale)
    problems += _goal(kind, baseline, effect, scale, hypothesis, margin, direction) + _power(power, alpha)
    if problems:
        raise InputError(problems)
    critical = _critical(alpha, sides or (2 if hypothesis == "superiority" else 1), comparisons, correction, ratio)
    unit = math.sqrt(_variance(kind, baseline, sd, effect, ratio, scale))
    if hypothesis == "equivalence":
        precision = _equivalence_precision(critical, power, effect, margin or 0.0)
    else:
        precision = (critical + float(ndtri(power))) / _distance(effect, hypothesis, margin, direction)
    if not unit * precision < LARGEST:
        name, value = ("effect", effect) if hypothesis == "superiority" else ("margin", margin)
        raise InputError([Problem(f"must be larger: its sample exceeds {LARGEST**2:g}, got {value}", path=name)])
    return (unit * precision) ** 2


def power(
    n: float,
    kind: Kind,
    *,
    effect: float = 0.0,
    baseline: float | None = None,
    sd: float | None = None,
    alpha: float = 0.05,
    sides: int | None = None,
    ratio: float = 1.0,
    comparisons: int = 1,
    correction: Correction = "bonferroni",
    scale: Scale = "absolute",
    hypothesis: Hypothesis = "superiority",
    margin: float | None = None,
    direction: Direction = "increase",
) -> float:
    """Probability to declare the hypothesis for one challenger, with `n` outcomes of the champion.

    It is the inverse of `sample_size`, which describes arguments, errors and source.

    >>> round(power(31231, "proportions", baseline=0.05, effect=0.005), 4)
    0.8
    """
    problems = _design(kind, baseline, sd, alpha, sides, ratio, comparisons, correction, scale)
    problems += _goal(kind, baseline, effect, scale, hypothesis, margin, direction) + _n(n)
    if problems:
        raise InputError(problems)
    critical = _critical(alpha, sides or (2 if hypothesis == "superiority" else 1), comparisons, correction, ratio)
    standard_error = math.sqrt(_variance(kind, baseline, sd, effect, ratio, scale) / n)
    if hypothesis == "equivalence":
        return max(_equivalent(1 / standard_error, critical, effect, margin or 0.0), 0.0)
    return float(ndtr(_distance(effect, hypothesis, margin, direction) / standard_error - critical))


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
    direction: Direction = "increase",
) -> float:
    """Smallest absolute effect that is declared with probability `power`, with `n` outcomes of the champion.

    Negative for a decrease. For proportions the variance of the challenger depends on the effect, and the effect is the root
    of a quadratic. It is the inverse of `sample_size`, which describes other arguments and the source. Raises `InputError`
    also where `n` is too small to detect any proportion between 0 and 1.

    >>> round(minimum_detectable_effect(15.698, "means", sd=1), 3)
    1.0
    >>> round(minimum_detectable_effect(31231, "proportions", baseline=0.05), 6)
    0.005
    """
    problems = _design(kind, baseline, sd, alpha, sides, ratio, comparisons) + _n(n) + _power(power, alpha)
    if direction not in ("increase", "decrease"):
        problems.append(Problem(f"must be increase or decrease, got {direction}", path="direction"))
    if sides is None:
        problems.append(Problem("must be 1 or 2, got None", path="sides"))
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


def _critical(alpha: float, sides: int, comparisons: int, correction: Correction = "bonferroni", ratio: float = 1.0) -> float:
    if correction == "dunnett":
        from sim.stats.dunnett import dunnett_critical

        return dunnett_critical([ratio / (1 + ratio)] * comparisons, alpha, sides=sides)
    return -float(ndtri(alpha / (sides * comparisons)))


def _distance(effect: float, hypothesis: Hypothesis, margin: float | None, direction: Direction) -> float:
    """The distance from the effect to the null value that must be rejected."""
    if hypothesis == "superiority":
        return abs(effect)
    return (margin or 0.0) + (effect if direction == "increase" else -effect)


def _equivalent(precision: float, critical: float, effect: float, margin: float) -> float:
    above, below = ((margin + side * effect) * precision - critical for side in (1, -1))
    return float(ndtr(above) + ndtr(below) - 1)


def _equivalence_precision(critical: float, power: float, effect: float, margin: float) -> float:
    from scipy.optimize import brentq

    nearer = margin - abs(effect)
    # The nearer bound has between half and all of the misses.
    least, most = ((critical + float(ndtri(share))) / nearer for share in (power, (1 + power) / 2))

    def excess(precision: float) -> float:
        return _equivalent(precision, critical, effect, margin) - power

    return float(brentq(excess, least * (1 - 1e-9), most * (1 + 1e-9), xtol=1e-12 * most))


def _variance(
    kind: Kind, baseline: float | None, sd: float | None, effect: float, ratio: float, scale: Scale = "absolute"
) -> float:
    """The variance of the estimated effect times n."""
    relative = scale == "relative"
    change = effect * abs(baseline or 0.0) if relative else effect
    if kind == "means":
        assert sd is not None
        champion = challenger = sd * sd
    else:
        assert baseline is not None
        champion, reached = baseline * (1 - baseline), baseline + change
        challenger = reached * (1 - reached)
    if relative:
        assert baseline is not None
        champion *= (1 + change / baseline) ** 2
        return (champion + challenger / ratio) / baseline / baseline
    return champion + challenger / ratio


def _design(
    kind: Kind,
    baseline: float | None,
    sd: float | None,
    alpha: float,
    sides: int | None,
    ratio: float,
    comparisons: int,
    correction: Correction = "bonferroni",
    scale: Scale = "absolute",
) -> list[Problem]:
    rules: dict[str, tuple[object, bool, str]] = {
        "kind": (kind, kind in ("proportions", "means"), "must be proportions or means"),
        "alpha": (alpha, 0 < alpha < 1, "must lie strictly between 0 and 1"),
        "sides": (sides, sides in (None, 1, 2), "must be 1 or 2"),
        "ratio": (ratio, 0 < ratio < math.inf, "must be positive and finite"),
        "comparisons": (comparisons, is_whole(comparisons) and comparisons >= 1, "must be a whole number of at least 1"),
        "correction": (correction, correction in ("bonferroni", "dunnett"), "must be bonferroni or dunnett"),
        "scale": (scale, scale in ("absolute", "relative"), "must be absolute or relative"),
    }
    if kind == "means":
        rules["sd"] = (sd, sd is not None and 0 < sd < math.inf, "must be positive and finite for means")
        if scale == "relative":
            proper = baseline is not None and math.isfinite(baseline) and baseline != 0
            rules["baseline"] = (baseline, proper, "must be finite and not 0 on the relative scale")
    elif kind == "proportions":
        proper = baseline is not None and 0 < baseline < 1
        rules["baseline"] = (baseline, proper, "must lie strictly between 0 and 1 for proportions")
    return [Problem(f"{rule}, got {value}", path=name) for name, (value, holds, rule) in rules.items() if not holds]


def _goal(
    kind: Kind,
    baseline: float | None,
    effect: float,
    scale: Scale,
    hypothesis: Hypothesis,
    margin: float | None,
    direction: Direction,
) -> list[Problem]:
    superiority = hypothesis == "superiority"
    if not math.isfinite(effect) or (superiority and effect == 0):
        return [Problem(f"must be finite{' and not 0' if superiority else ''}, got {effect}", path="effect")]
    problems = []
    if hypothesis not in get_args(Hypothesis):
        problems.append(Problem(f"must be one of {', '.join(get_args(Hypothesis))}, got {hypothesis}", path="hypothesis"))
    elif superiority and margin is not None:
        problems.append(Problem(f"must be given for non_inferiority and equivalence only, got {margin}", path="margin"))
    elif not superiority and not (margin is not None and 0 < margin < math.inf):
        problems.append(Problem(f"must be positive and finite for {hypothesis}, got {margin}", path="margin"))
    if direction not in get_args(Direction):
        problems.append(Problem(f"must be increase or decrease, got {direction}", path="direction"))
    if not problems and not superiority:
        bad = abs(effect) if hypothesis == "equivalence" else -effect if direction == "increase" else effect
        if bad >= (margin or 0.0):
            rule = f"must be nearer to 0 than the margin ({margin}), or better, for {hypothesis}"
            problems.append(Problem(f"{rule}, got {effect}", path="effect"))
    if kind == "proportions" and baseline is not None:
        reached = baseline + (effect * baseline if scale == "relative" else effect)
        if not 0 < reached < 1:
            rule = "must leave the challenger's proportion strictly between 0 and 1"
            problems.append(Problem(f"{rule}, got {effect} on a baseline of {baseline}", path="effect"))
    return problems


def _power(power: float, alpha: float) -> list[Problem]:
    if 0 < alpha < 1 and not alpha < power < 1:
        return [Problem(f"must lie strictly between alpha ({alpha}) and 1, got {power}", path="power")]
    return []


def _n(n: float) -> list[Problem]:
    return [] if 0 < n < math.inf else [Problem(f"must be positive and finite, got {n}", path="n")]
