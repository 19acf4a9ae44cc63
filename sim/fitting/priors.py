"""A prior of effects from past experiments, by empirical Bayes: which law of the true effect, with which parameters, and which
others fit about as well.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sim.arrays import Floats, Ints
from sim.policy.telling import listed
from sim.stats.random_effects import (
    FAMILIES,
    LEAST_DF,
    MOST_DF,
    Family,
    Maximum,
    bounds,
    held_within,
    information,
    is_simpler,
    maximise,
    no_spread,
    usual_starts,
)
from sim.stats.validation import require, sample
from sim.units import format_effect, format_share

LEAST_EXPERIMENTS = 5
CONFIDENCE = 0.9
# How far twice the log likelihood falls to the ends of an interval: the 90% quantile of chi-squared with one degree of freedom.
_FALL = 2.705543454095404
# A family whose AIC is further above the least has essentially no support (Burnham & Anderson, Model Selection and Multimodel
# Inference, 2nd ed., section 2.6). One standard error alone says little where one experiment makes most of a difference.
_NO_SUPPORT = 10.0
_NOISE = 1e-6
# Tails are cut at so many times the largest estimate: of what is further out, no experiment knows anything.
_CUT, _WIDEST = 5.0, 0.95
_BY_NAME: Mapping[str, Family] = {family.name: family for family in FAMILIES}
_IN_WORDS = {"normal": "a normal law", "student_t": "a Student's t", "spike_slab": "a spike at 0 with a normal slab"}


@dataclass(frozen=True)
class Parameter:
    """A fitted number, its standard error by the observed information, and its 90% profile-likelihood interval.

    `error` is NaN where the value is at the edge of what it can be. Where the data do not bound the spread or `df` from above,
    `high` is infinite.
    """

    value: float
    error: float
    low: float
    high: float


@dataclass(frozen=True)
class Fit:
    """A family of laws, fitted. `held_out` is the mean log likelihood of experiments that were left out of the fit.

    `behind` is by how much that is below the best family's, with `behind_error`, the standard error of this paired difference.
    `narrow` and `wide` are the parameters at the ends of the interval of the spread; None where an end is the best fit itself.
    `plausible`: it foretells experiments about as well as the best does, within one standard error; its AIC is at most 10 above
    the least; and it is not just another way to write a normal law.
    """

    family: str
    parameters: Mapping[str, Parameter]
    log_likelihood: float
    held_out: float
    held_out_error: float
    behind: float
    behind_error: float
    narrow: Mapping[str, float] | None
    wide: Mapping[str, float] | None
    plausible: bool

    @property
    def values(self) -> dict[str, float]:
        """The fitted parameters by name."""
        return {name: parameter.value for name, parameter in self.parameters.items()}


@dataclass(frozen=True)
class Prior:
    """A prior of relative effects, on so many estimates of so many experiments. `fits` are all families that were tried.

    `within` is where the tails of a Student's t are cut: they would else have effects that cannot be, of -100% and less.
    """

    chosen: str
    fits: tuple[Fit, ...]
    experiments: int
    estimates: int
    folds: int
    within: float

    @property
    def fit(self) -> Fit:
        """That of the chosen family."""
        return next(fit for fit in self.fits if fit.family == self.chosen)

    def effect(self) -> dict[str, Any]:
        """The prior as a scenario file writes a `relative_effect`, with three digits."""
        return _written(self.chosen, self.fit.values, self.within)

    def plausible(self) -> dict[str, dict[str, Any]]:
        """All priors that fit about as well, by name, each as a scenario file writes it. The chosen one is the first.

        They are the families within one standard error of the best at foretelling experiments, each at its best fit and at both
        ends of the 90% interval of its spread.
        """
        found: dict[str, dict[str, Any]] = {}
        for fit in sorted(self.fits, key=lambda fit: fit.family != self.chosen):
            if fit.plausible:
                ends = {"": fit.values, "narrow ": fit.narrow, "wide ": fit.wide}
                said = {
                    end + fit.family: _written(fit.family, values, self.within)
                    for end, values in ends.items()
                    if values is not None
                }
                found |= {name: effect for name, effect in said.items() if effect not in found.values()}
        return found

    def lines(self) -> list[str]:
        """What was found, in sentences."""
        return list(_told(self))


def fit_prior(estimates: ArrayLike, errors: ArrayLike, folds: int = 10, groups: Sequence[Hashable] | None = None) -> Prior:
    """The prior that foretells experiments best, of relative estimates (n,) with standard errors (n,).

    Each family is fitted by its marginal likelihood: an estimate is its effect and noise of its standard error. Families
    are compared by the log likelihood of experiments that were left out, in `folds` folds. Of the families within one standard
    error of the best (Hastie, Tibshirani & Friedman, The Elements of Statistical Learning, 2nd ed., section 7.10), the one with
    the fewest parameters is taken, and of those the best. `groups` (n,) name the experiment of each estimate: estimates of one
    are left out together, as they share a control. Raises `InputError` for fewer than five experiments, an error that is not
    above 0, and effects that differ by more than 100%.

    >>> prior = fit_prior([-0.03, -0.01, 0.0, 0.01, 0.03], [0.01] * 5)
    >>> prior.effect()
    {'normal': {'mean': '0%', 'sd': '1.73%'}}
    """
    values, noise = sample("estimates", estimates), sample("errors", errors)
    require(len(values) == len(noise), "errors", f"must be as many as the {len(values)} estimates", len(noise))
    require(bool((noise > 0).all()), "errors", "must be above 0", noise.min() if noise.size else 0)
    group = _numbered(range(len(values)) if groups is None else groups)
    require(len(group) == len(values), "groups", f"must be as many as the {len(values)} estimates", len(group))
    experiments = int(group.max()) + 1 if group.size else 0
    require(experiments >= LEAST_EXPERIMENTS, "estimates", f"must be of {LEAST_EXPERIMENTS} experiments or more", experiments)
    require(folds >= 2, "folds", "must be 2 or more", folds)
    folds = min(folds, experiments)
    best = [maximise(family, values, noise) for family in FAMILIES]
    for family, maximum in zip(FAMILIES, best, strict=True):
        spread = float(family.values(maximum.coordinates)[1])
        rule = "must be relative changes, 0.02 for +2%, that differ by no more than 100%"
        require(spread <= 1, "estimates", rule, f"a spread of {spread:.0%}")
    # (F, n): the log likelihood of each estimate by a fit to the other folds.
    held = np.array(
        [_held_out(family, values, noise, group, folds, whole) for family, whole in zip(FAMILIES, best, strict=True)]
    )
    own = [not is_simpler(family, values, noise, whole.coordinates) for family, whole in zip(FAMILIES, best, strict=True)]
    top = int(np.where(own, held.mean(axis=1), -np.inf).argmax())
    aic = [2 * len(family.parameters) - 2 * whole.log_likelihood for family, whole in zip(FAMILIES, best, strict=True)]
    fits = []
    for index, family in enumerate(FAMILIES):
        behind, behind_error = _mean(held[top] - held[index], group)
        supported = aic[index] <= aic[top] + _NO_SUPPORT
        plausible = own[index] and behind <= behind_error + _NOISE and supported
        scores = (*_mean(held[index], group), behind, behind_error)
        fits.append(_fit(family, values, noise, best[index], scores, plausible or index == top))
    chosen = min((fit for fit in fits if fit.plausible), key=lambda fit: (len(fit.parameters), fit.behind))
    return Prior(chosen.family, tuple(fits), experiments, len(values), folds, min(_CUT * float(np.abs(values).max()), _WIDEST))


def _numbered(groups: Sequence[Hashable]) -> Ints:
    """The groups, numbered in the order in which they appear, (n,)."""
    places: dict[Hashable, int] = {}
    return np.array([places.setdefault(group, len(places)) for group in groups], np.int64)


def _held_out(family: Family, estimates: Floats, errors: Floats, group: Ints, folds: int, whole: Maximum) -> Floats:
    """The log likelihood of each estimate by a fit to those of other folds, (n,)."""
    logs = np.empty(len(estimates))
    fold = group % folds
    for number in range(folds):
        out = fold == number
        # From the whole fit it is a short way, unless an experiment that is left out has pulled it away.
        starts = [whole.coordinates, usual_starts(family, estimates[~out], errors[~out])[0]]
        fitted = maximise(family, estimates[~out], errors[~out], starts=starts)
        logs[out] = family.terms(estimates[out], errors[out], fitted.coordinates)[0]
    return logs


def _mean(values: Floats, group: Ints) -> tuple[float, float]:
    """The mean of values (n,), and its standard error with the sums of groups independent of each other."""
    mean = float(values.mean())
    sums = np.bincount(group, weights=values - mean)
    size = len(sums)
    return mean, float(np.sqrt((sums**2).sum() * size / (size - 1))) / len(values)


def _fit(
    family: Family,
    estimates: Floats,
    errors: Floats,
    best: Maximum,
    scores: tuple[float, float, float, float],
    plausible: bool,
) -> Fit:
    """A family's parameters with their errors and intervals."""
    limits = bounds(family, estimates, errors)
    at = best.coordinates
    values = _natural(family, estimates, errors, at)
    error = np.full(len(at), np.nan)
    inside = held_within(at, limits)
    if not no_spread(family, estimates, errors, at):
        known = information(family, estimates, errors, at)[np.ix_(inside, inside)]
        if known.size and np.linalg.eigvalsh(known)[0] > 0:
            error[inside] = np.sqrt(np.diag(np.linalg.inv(known)))
    parameters, ends = {}, {}
    for index, name in enumerate(family.parameters):
        step = error[index] if np.isfinite(error[index]) else (0.5 if index else float(np.median(errors)))
        found = [_end(family, estimates, errors, best, index, sign * step) for sign in (-1, 1)]
        low, high = (float(_natural(family, estimates, errors, end)[index]) for end, _ in found)
        if not found[1][1] and name in ("sd", "scale", "df"):
            high = math.inf
        slope = float(family.slopes(family.values(at))[index])
        parameters[name] = Parameter(float(values[index]), float(error[index]) * slope, low, high)
        ends[index] = found
    said: list[dict[str, float] | None] = []
    for end, bounded in ends[1]:
        if not bounded and end[1] > at[1]:
            # The data do not bound the spread: as wide as the largest effect that any experiment has shown.
            widest = math.log(max(float(np.abs(estimates - at[0]).max()), float(errors.max())))
            end = maximise(family, estimates, errors, {1: max(min(widest, limits[1][1]), float(at[1]))}, [at]).coordinates
        values_there = _natural(family, estimates, errors, end)
        values_there[1] = min(values_there[1], 1.0)
        same = abs(end[1] - at[1]) < 1e-6
        said.append(None if same else dict(zip(family.parameters, values_there.tolist(), strict=True)))
    held_out, held_out_error, behind, behind_error = scores
    return Fit(
        family.name,
        parameters,
        best.log_likelihood,
        held_out,
        held_out_error,
        behind,
        behind_error,
        narrow=said[0],
        wide=said[1],
        plausible=plausible,
    )


def _natural(family: Family, estimates: Floats, errors: Floats, at: Floats) -> Floats:
    """The parameters (P,) at coordinates (P,), with a spread of 0 where nothing can tell it from that."""
    values = family.values(at)
    if no_spread(family, estimates, errors, at):
        values[1] = 0.0
    return values


def _end(family: Family, estimates: Floats, errors: Floats, best: Maximum, index: int, step: float) -> tuple[Floats, bool]:
    """The coordinates (P,) at an end of a profile-likelihood interval, and whether the likelihood has fallen enough there.

    Away from the best fit in growing steps, then back to where twice the log likelihood has fallen by the quantile.
    """
    from scipy.optimize import brentq

    limit = bounds(family, estimates, errors)[index][int(step > 0)]
    at = best.coordinates

    def fitted(value: float) -> Maximum:
        return maximise(family, estimates, errors, {index: value}, [near[-1], at])

    def above(value: float) -> float:
        return 2 * (best.log_likelihood - fitted(value).log_likelihood) - _FALL

    near, last = [at], float(at[index])
    while (step > 0) == (limit > last) and last != limit:
        value = min(last + step, limit) if step > 0 else max(last + step, limit)
        found = fitted(value)
        if 2 * (best.log_likelihood - found.log_likelihood) > _FALL:
            low, high = sorted((last, value))
            return fitted(float(brentq(above, low, high, xtol=1e-3 * abs(step), rtol=1e-9))).coordinates, True
        near.append(found.coordinates)
        last, step = value, 1.5 * step
    return near[-1], False


def _digits(value: float) -> float:
    return float(f"{value:.3g}") + 0.0


def _written(family: str, values: Mapping[str, float], within: float) -> dict[str, Any]:
    """A law as a scenario file writes it."""
    said: dict[str, Any] = {}
    for name, value in values.items():
        rounded = _digits(value)
        said[name] = rounded if name == "df" else format_effect(rounded) if name == "mean" else format_share(rounded)
    # Where the effects are many digits smaller than their spread, these digits say nothing.
    spread = values[_BY_NAME[family].parameters[1]]
    said["mean"] = format_effect(0.0 if abs(values["mean"]) < 1e-3 * spread else _digits(values["mean"]))
    if family == "student_t":
        said["within"] = format_share(float(f"{max(within, min(3 * values['scale'], _WIDEST)):.2g}"))
    order = ("zero", "mean", "sd") if family == "spike_slab" else tuple(said)
    return {family: {name: said[name] for name in order}}


def _told(prior: Prior) -> Iterator[str]:
    """The sentences on a prior."""
    of = f"{prior.experiments:,} experiments"
    if prior.estimates != prior.experiments:
        of = f"{prior.estimates:,} estimates of {of}"
    yield f"Prior of effects from {of}: {_IN_WORDS[prior.chosen]}."
    for fit in prior.fits:
        yield f"{_sentence(fit.family)}: {_parameters(fit)}."
    yield f"Log likelihood of an estimate that was left out of the fit (mean over {prior.folds} folds, ± standard error):"
    for fit in prior.fits:
        worse = f"; {fit.behind:.3f} ± {fit.behind_error:.3f} below the best" if fit.behind > _NOISE else ""
        yield f"{_sentence(fit.family)}: {fit.held_out:.3f} ± {fit.held_out_error:.3f}{worse}."
    best = min((fit for fit in prior.fits if fit.plausible), key=lambda fit: fit.behind)
    if best.family != prior.chosen:
        yield f"{_sentence(prior.chosen)} is taken: it is simpler than the best, and within one standard error of it."
    spread = next(value for name, value in prior.fit.parameters.items() if name in ("sd", "scale"))
    if spread.value == 0:
        wide = f"; {format_share(_digits(spread.high))} is not ruled out" if math.isfinite(spread.high) else ""
        yield f"The estimates differ by no more than their standard errors, so a spread of 0 fits best{wide}."
    if prior.estimates != prior.experiments:
        yield "Estimates of one experiment share its control. The fit takes them as independent; the folds keep them together."
    if any(fit.family == "student_t" and fit.plausible for fit in prior.fits):
        cut = format_share(float(f"{prior.within:.2g}"))
        yield f"The tails of a Student's t are cut at ±{cut}: at {_CUT:g} times the largest estimate, and at 95%."
    df = prior.fit.parameters.get("df")
    if df is not None and df.value <= LEAST_DF + _NOISE:
        yield f"The tails are as fat as is tried: below {LEAST_DF:g} degrees of freedom there is hardly a mean."
    others = list(prior.plausible())[1:]
    if others:
        yield f"Priors that fit about as well: {listed(others, 'and')}."


def _sentence(family: str) -> str:
    words = _IN_WORDS[family]
    return words[0].upper() + words[1:]


def _parameters(fit: Fit) -> str:
    """Its parameters with standard errors and intervals, in words."""
    names = {"zero": "share of zeros", "df": "degrees of freedom"}
    return ", ".join(f"{names.get(name, name)} {_parameter(name, each)}" for name, each in fit.parameters.items())


def _parameter(name: str, parameter: Parameter) -> str:
    def said(value: float) -> str:
        if name == "df":
            return f"{value:.3g}" if value < MOST_DF - 1e-6 else f"{MOST_DF:g} or more"
        return format_effect(_digits(value)) if name == "mean" else format_share(_digits(value))

    high = said(parameter.high) if math.isfinite(parameter.high) else "any"
    error = f" ± {said(parameter.error).lstrip('+')}" if math.isfinite(parameter.error) else ""
    return f"{said(parameter.value)}{error} ({CONFIDENCE:.0%}: {said(parameter.low)} to {high})"
