"""Group sequential designs: bounds, power and expected information of a test with several looks."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from sim.arrays import Floats
from sim.errors import InputError, Problem
from sim.stats.spending import Family, family_problems, spent
from sim.stats.stopping_probability import FARTHEST, Exits, exits, start
from sim.stats.validation import is_whole, require

Kind = Literal["pocock", "obrien_fleming", "wang_tsiatis", "haybittle_peto", "spending"]

# Looks closer than this share of the last look's information add nothing and need a fine grid.
CLOSEST = 1e-4


@dataclass(frozen=True)
class Design:
    """A test of θ = 0 with K looks; make one with `design`.

    At look k, declare an effect if Z ≥ `bounds[k]` (or, with two sides, Z ≤ −`bounds[k]`), where Z is the
    estimate over its standard error. Stop for futility if Z ≤ `futility[k]`, unless `futility` is None.

    `information`, `bounds` and `futility` are (K,). Information is 1 / squared standard error of the estimate,
    here as fractions of the planned maximum. `drift` is the mean of the last look's Z at the effect of the
    design, None without `power`. Effects are *multiples* of the effect of the design.
    """

    kind: Kind
    alpha: float
    sides: int
    power: float | None
    information: Floats
    bounds: Floats
    futility: Floats | None
    drift: float | None

    @property
    def nominal_p(self) -> Floats:
        """The p-value, (K,), below which a look declares an effect; two-sided with two sides."""
        return self.sides * ndtr(-self.bounds)

    @property
    def maximum_information(self) -> float:
        """Information of the last look, over that of the fixed design with the same alpha and power."""
        drift = self._drift()
        assert self.power is not None
        return (drift / _fixed_drift(self.alpha, self.sides, self.power)) ** 2

    def expected_information(self, multiple: float = 1.0) -> float:
        """Mean information at the end, over that of the fixed design with the same alpha and power."""
        fractions = self.information / self.information[-1]
        return float(self.stop_probabilities(multiple) @ fractions) * self.maximum_information

    def power_at(self, multiple: float = 1.0) -> float:
        """Probability to declare an effect in the direction of the design's effect.

        As in `sim.stats.power`, declaring the wrong direction is not a success. At 0 this is the error of
        one bound: alpha with one side, half of it with two.
        """
        return float(self.exits(multiple * self._drift()).upper.sum())

    def stop_probabilities(self, multiple: float = 1.0) -> Floats:
        """Probability to end at each look, (K,), for any reason; they sum to 1."""
        crossings = self.exits(multiple * self._drift())
        ends = crossings.upper + crossings.lower
        ends[-1] = 1 - ends[:-1].sum()
        return ends

    def exits(self, drift: float) -> Exits:
        """Probability to cross the upper and the lower bound first at each look, for a mean `drift` of the last Z.

        It does not need `power`. If a test was planned with one set of fractions and run with another, its true
        power is `actual.exits(planned.drift * math.sqrt(actual.information[-1])).upper.sum()`.

        >>> float(design("pocock", 2).exits(0.0).upper.sum().round(4))
        0.025
        """
        require(math.isfinite(drift), "drift", "must be finite", drift)
        lower = np.full_like(self.bounds, -np.inf)
        if self.sides == 2:
            lower = -self.bounds
        elif self.futility is not None:
            lower = self.futility
        return exits(self.information / self.information[-1], lower, self.bounds, drift)

    def _drift(self) -> float:
        if self.drift is None:
            raise InputError([Problem("must be given to the design for this, got None", path="power")])
        return self.drift


def design(
    kind: Kind,
    looks: int,
    alpha: float = 0.05,
    power: float | None = None,
    sides: int = 2,
    information: ArrayLike | None = None,
    *,
    shape: float | None = None,
    interim: float | None = None,
    spending: Family | None = None,
    rho: float | None = None,
    gamma: float | None = None,
    futility: Family | None = None,
    futility_rho: float | None = None,
    futility_gamma: float | None = None,
    binding: bool = False,
) -> Design:
    """A group sequential design whose probability to declare an effect where there is none is `alpha`.

    | kind | bound at fraction t of the last look | extra arguments | source |
    | --- | --- | --- | --- |
    | `pocock` | c | | Pocock (1977), Biometrika 64 |
    | `obrien_fleming` | c t^(−½) | | O'Brien & Fleming (1979), Biometrics 35 |
    | `wang_tsiatis` | c t^(Δ − ½) | `shape` Δ | Wang & Tsiatis (1987), Biometrics 43 |
    | `haybittle_peto` | `interim`, then c | `interim`, 3 if not given | Haybittle (1971); Peto et al. (1976) |
    | `spending` | spends alpha as it goes | `spending`, and its `rho` or `gamma` | Lan & DeMets (1983) |

    With two `sides` the bounds are symmetric and each has half of alpha. `information`, (K,), are the looks'
    fractions of the planned maximum, equally spaced if not given. If the looks did not happen as planned,
    pass the actual fractions: a `spending` design spends there what its function allows, and all the rest at
    the last look, whether that look is early (under-running) or past 1 (over-running). The bounds
    of earlier looks do not depend on later ones. Bounds that would spend less than about 1e-307 are
    `FARTHEST`, 37.5.

    `futility` names the family that spends the type II error, with its own `futility_rho` or
    `futility_gamma`; it needs one side and `power`. With `binding`, which needs kind `spending`, the bounds
    rely on stopping for futility; else alpha holds even if stops for futility are ignored, and is not fully
    used if they are followed.

    Raises `InputError`, naming every argument that breaks its rule.

    Source: Jennison & Turnbull, Group Sequential Methods (2000), ch. 2, 7, 19; Pampallona, Tsiatis & Kim
    (2001), Drug Information Journal 35, for futility. Errors of probabilities are below 1e-8 if Z is normal.

    >>> design("obrien_fleming", 3).bounds.round(3).tolist()
    [3.471, 2.454, 2.004]
    >>> pocock = design("pocock", 4, power=0.9)
    >>> [round(100 * share, 1) for share in (pocock.maximum_information, pocock.expected_information())]
    [118.3, 69.7]
    >>> design("spending", 3, sides=1, power=0.8, spending="obrien_fleming", futility="pocock").futility.round(3).tolist()
    [0.286, 1.063, 1.695]
    """
    problems = _problems(kind, looks, alpha, power, sides, shape, interim)
    fractions, more = _fractions(looks, information)
    problems += more + _spending_problems(kind, spending, rho, gamma)
    problems += _futility_problems(kind, power, sides, futility, futility_rho, futility_gamma, binding)
    if problems:
        raise InputError(problems)
    times = fractions / fractions[-1]
    alpha_spends = np.full(looks, np.nan)
    if kind == "spending":
        assert spending is not None
        alpha_spends = _increments(spending, fractions, alpha / sides, rho, gamma)
        bounds = _spending_bounds(times, alpha_spends, sides)
    elif kind == "haybittle_peto":
        bounds = _haybittle_peto(times, alpha, sides, 3.0 if interim is None else interim)
    else:
        exponent = {"pocock": 0.5, "obrien_fleming": 0.0}.get(kind, shape)
        assert exponent is not None
        bounds = _wang_tsiatis(times, alpha, sides, exponent)
    lower = drift = None
    if futility is not None:
        assert power is not None
        beta_spends = _increments(futility, fractions, 1 - power, futility_rho, futility_gamma)

        def planned(drift: float) -> tuple[Floats, Floats, float]:
            return _beta_spending(times, beta_spends, drift, bounds, alpha_spends if binding else None)

        drift = _solve_drift(lambda drift: planned(drift)[2], _fixed_drift(alpha, sides, power), power)
        bounds, lower, _ = planned(drift)
    elif power is not None:
        below = -bounds if sides == 2 else np.full(looks, -np.inf)
        fixed = _fixed_drift(alpha, sides, power)
        drift = _solve_drift(lambda drift: float(exits(times, below, bounds, drift).upper.sum()), fixed, power)
    for array in (fractions, bounds, lower):
        if array is not None:
            array.flags.writeable = False
    return Design(kind, alpha, sides, power, fractions, bounds, lower, drift)


def _fixed_drift(alpha: float, sides: int, power: float) -> float:
    return float(ndtri(power) - ndtri(alpha / sides))


def _probit(share: float) -> float:
    """The probit of a share, always finite. Probabilities and powers are nearly linear in bounds and drifts on this scale."""
    return float(ndtri(min(max(share, 1e-300), 1 - 1e-15)))


def _wang_tsiatis(times: Floats, alpha: float, sides: int, exponent: float) -> Floats:
    from scipy.optimize import brentq

    weights = times ** (exponent - 0.5)

    def excess(scale: float) -> float:
        lower = -scale * weights if sides == 2 else np.full_like(weights, -np.inf)
        crossed = exits(times, lower, scale * weights)
        return _probit(float((crossed.upper + crossed.lower).sum())) - _probit(alpha)

    # At the lower end, the last look alone has error alpha. At the upper end, Bonferroni gives at most alpha.
    one, all_looks = -float(ndtri(alpha / sides)), -float(ndtri(alpha / sides / len(times)))
    scale = brentq(excess, one - 1e-6, max(all_looks, all_looks / weights.min()) + 1e-6, xtol=1e-10)
    return float(scale) * weights


def _haybittle_peto(times: Floats, alpha: float, sides: int, interim: float) -> Floats:
    bounds = np.full(len(times), interim)
    survivors, left = start(), alpha / sides
    for look, time in enumerate(times[:-1]):
        left -= survivors.above(interim, time)
        survivors = survivors.step(-interim if sides == 2 else -math.inf, interim, time, times[look + 1])
    require(left > 0, "interim", f"must leave some of alpha ({alpha}) to the last look", interim)
    bounds[-1] = survivors.upper_bound(left, 1.0)
    return bounds


def _increments(family: Family, fractions: Floats, error: float, rho: float | None, gamma: float | None) -> Floats:
    """The error that each look spends, (K,); the last look spends all the rest."""
    cumulative = spent(family, np.append(fractions[:-1], 1.0), error, rho=rho, gamma=gamma)
    return np.diff(cumulative, prepend=0.0)


def _spending_bounds(times: Floats, spends: Floats, sides: int) -> Floats:
    bounds, survivors = np.empty(len(times)), start()
    for look, time in enumerate(times):
        bounds[look] = survivors.upper_bound(spends[look], time)
        if look + 1 < len(times):
            lower = -bounds[look] if sides == 2 else -math.inf
            survivors = survivors.step(lower, bounds[look], time, times[look + 1], reach=FARTHEST)
    return bounds


def _beta_spending(
    times: Floats, beta_spends: Floats, drift: float, bounds: Floats, alpha_spends: Floats | None
) -> tuple[Floats, Floats, float]:
    """Upper bounds, lower bounds and power if `drift` is true. At the last look both bounds are equal.

    With `alpha_spends` the upper bounds are computed again, with stops for futility taken into account.
    """
    upper, lower, power = bounds.copy(), np.empty(len(times)), 0.0
    null, effective = start(), start(drift)
    for look, time in enumerate(times):
        if alpha_spends is not None:
            upper[look] = null.upper_bound(alpha_spends[look], time)
        last = look + 1 == len(times)
        lower[look] = upper[look] if last else min(effective.lower_bound(beta_spends[look], time), upper[look])
        power += effective.above(upper[look], time)
        if not last:
            effective = effective.step(lower[look], upper[look], time, times[look + 1], reach=FARTHEST)
            if alpha_spends is not None:
                null = null.step(lower[look], upper[look], time, times[look + 1], reach=FARTHEST)
    return upper, lower, power


def _solve_drift(power_at: Callable[[float], float], fixed: float, power: float) -> float:
    from scipy.optimize import brentq

    def excess(drift: float) -> float:
        return _probit(power_at(drift)) - _probit(power)

    # No test with this alpha has more power than the fixed test (Neyman & Pearson).
    ceiling = 1.25 * fixed
    while excess(ceiling) <= 0:
        ceiling *= 2
    return float(brentq(excess, fixed * (1 - 1e-6), ceiling, xtol=1e-10))


def _problems(
    kind: object,
    looks: object,
    alpha: float,
    power: float | None,
    sides: object,
    shape: float | None,
    interim: float | None,
) -> list[Problem]:
    tsiatis, peto = kind == "wang_tsiatis", kind == "haybittle_peto"
    rules: dict[str, tuple[object, bool, str]] = {
        "kind": (kind, kind in get_args(Kind), f"must be one of {', '.join(get_args(Kind))}"),
        "looks": (looks, _is_count(looks), "must be a whole number, 1 or more"),
        "alpha": (alpha, 0 < alpha < 1, "must lie strictly between 0 and 1"),
        "sides": (sides, sides in (1, 2), "must be 1 or 2"),
    }
    if power is not None and 0 < alpha < 1:
        rules["power"] = (power, alpha < power < 1, f"must lie strictly between alpha ({alpha}) and 1")
    if tsiatis:
        rules["shape"] = (shape, shape is not None and -10 <= shape <= 10, "must lie between -10 and 10 for wang_tsiatis")
    elif shape is not None:
        rules["shape"] = (shape, False, "must be given for wang_tsiatis only")
    if interim is not None:
        rules["interim"] = (interim, peto and 0 < interim < math.inf, "must be positive and finite, for haybittle_peto only")
    return [Problem(f"{rule}, got {value}", path=name) for name, (value, holds, rule) in rules.items() if not holds]


def _is_count(looks: object) -> bool:
    return is_whole(looks) and looks >= 1


def _fractions(looks: int, information: ArrayLike | None) -> tuple[Floats, list[Problem]]:
    if not _is_count(looks):
        return np.ones(1), []
    if information is None:
        return np.arange(1, looks + 1) / looks, []
    fractions = np.array(information, dtype=np.float64)
    if fractions.shape != (looks,):
        return fractions, [
            Problem(f"must have one fraction per look ({looks}), got shape {fractions.shape}", path="information")
        ]
    rising = bool((np.diff(fractions, prepend=0.0) >= CLOSEST * fractions[-1]).all()) and 0 < fractions[-1] < math.inf
    if not rising:
        rule = "must be finite and rise from above 0 by at least a ten-thousandth of the last"
        return fractions, [Problem(f"{rule}, got {fractions.tolist()}", path="information")]
    if looks > 1 and fractions[-2] >= 1:
        rule = "must stay below 1, the planned maximum, before the last look"
        return fractions, [Problem(f"{rule}, got {fractions.tolist()}", path="information")]
    return fractions, []


def _spending_problems(kind: object, spending: object, rho: float | None, gamma: float | None) -> list[Problem]:
    if kind == "spending":
        problems = family_problems(spending, rho, gamma)
        return [Problem(problem.message, path="spending") if problem.path == "family" else problem for problem in problems]
    given = {"spending": spending, "rho": rho, "gamma": gamma}
    rule = "must be given for kind spending only"
    return [Problem(f"{rule}, got {value}", path=name) for name, value in given.items() if value is not None]


def _futility_problems(
    kind: object,
    power: float | None,
    sides: object,
    futility: object,
    rho: float | None,
    gamma: float | None,
    binding: bool,
) -> list[Problem]:
    if futility is None:
        given = {"futility_rho": rho, "futility_gamma": gamma, "binding": binding or None}
        rule = "must be given with futility only"
        return [Problem(f"{rule}, got {value}", path=name) for name, value in given.items() if value is not None]
    problems = family_problems(futility, rho, gamma, prefix="futility_")
    if sides != 1:
        problems.append(Problem(f"must be 1 with futility, got {sides}", path="sides"))
    if power is None:
        problems.append(Problem("must be given with futility, got None", path="power"))
    if binding and kind != "spending":
        problems.append(Problem(f"must be spending where futility is binding, got {kind}", path="kind"))
    return problems
