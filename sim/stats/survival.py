"""Time to a decision under right-censoring: cumulative incidence by competing causes, restricted means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sim.arrays import Floats
from sim.stats.intervals import Estimate, student_interval
from sim.stats.validation import require, require_positive, require_share

# The rounding error of incidences, which are sums of n rounded terms: half of 1,000 trials must count as 50%.
ROUNDING = 1e-12


@dataclass(frozen=True)
class Curve:
    """A right-continuous step function of time with pointwise bounds; all fields (G,), `time` ascending."""

    time: Floats
    incidence: Floats
    lower: Floats
    upper: Floats

    def at(self, grid: Floats) -> Curve:
        """The curve at the times `grid` (G,). Raises `InputError` for a time before the start of the curve."""
        inside = grid >= self.time[0]
        if not inside.all():
            require(False, "grid", f"must not begin before the curve ({self.time[0]:g})", grid[~inside][0])
        step = np.searchsorted(self.time, grid, side="right") - 1
        return Curve(grid, self.incidence[step], self.lower[step], self.upper[step])


@dataclass(frozen=True)
class CumulativeIncidence:
    """Share of trials that ended by each time, by cause and for any cause (`overall`).

    `curves` and `overall` are sampled on the requested grid. `steps` has every step of each curve; its key None is
    for any cause.
    """

    n: int
    horizon: float
    curves: Mapping[str, Curve]
    overall: Curve
    steps: Mapping[str | None, Curve]

    def quantile(self, q: float, cause: str | None = None) -> float | None:
        """First time at which at least a share `q` of all trials has ended by `cause` (None: by any).

        None if this share is not reached by the horizon. Raises `InputError` for an unknown cause.

        >>> incidence = cumulative_incidence([1, 2, 3, np.nan], ["ship", "keep", "ship", ""], horizon=5)
        >>> incidence.quantile(0.5), incidence.quantile(0.5, "ship"), incidence.quantile(0.5, "keep")
        (2.0, 3.0, None)
        """
        curve = self._steps(q, cause)
        return _first(curve.time, curve.incidence, q)

    def quantile_interval(self, q: float, cause: str | None = None) -> Estimate:
        """`quantile` with the interval of times at which the pointwise bounds contain `q`.

        A bound is None if it is beyond the horizon.

        Source: Brookmeyer & Crowley, Biometrics 38 (1982).

        >>> cumulative_incidence([1, 2, 3, 4, np.nan], ["ship"] * 5, horizon=5).quantile_interval(0.5)
        Estimate(estimate=3.0, lower=1.0, upper=None, n=5)
        """
        curve = self._steps(q, cause)
        earliest, latest = (_first(curve.time, bound, q) for bound in (curve.upper, curve.lower))
        return Estimate(_first(curve.time, curve.incidence, q), earliest, latest, self.n)

    def _steps(self, q: float, cause: str | None) -> Curve:
        require_share("q", q)
        known = ", ".join(str(name) for name in self.curves)
        require(cause in self.steps, "cause", f"must be one of {known}, or None for any", cause)
        return self.steps[cause]


def cumulative_incidence(
    times: ArrayLike,
    causes: Sequence[object] | NDArray[np.generic],
    horizon: float,
    grid: ArrayLike | None = None,
    *,
    censored: str = "undecided",
    expected: Sequence[str] = (),
    confidence: float = 0.95,
) -> CumulativeIncidence:
    """Aalen–Johansen estimate of the cumulative incidence of competing causes until `horizon`.

    `times` (n,) are in any unit, which the result keeps. NaN, or a time beyond the horizon, means censored at the
    horizon. `causes` (n,) are the labels of what ended each trial. A finite time with the label `censored` is
    censored at that time, after any event at the same time. `grid` (G,) are the times of the curves (default: 0,
    every event, the horizon). `expected` names causes that get a curve even without events.

    The interval is Wilson's at the effective sample size F(1 − F)/V, where V is the delta-method variance. Without
    censoring before t, V is F(1 − F)/n, so the interval is `sim.stats.intervals.proportion_interval`, even at 0 and 1.

    Raises `InputError` for no trials, unequal lengths, a negative time, or a grid that is not ascending in
    [0, horizon].

    Source: Aalen & Johansen, Scandinavian Journal of Statistics 5 (1978); variance: Marubini & Valsecchi,
    Analysing Survival Data (1995), ch. 10; effective sample size: Dorey & Korn, Statistics in Medicine 6
    (1987).

    >>> times, causes = [1, 2, 3, np.nan], ["ship", "keep", "ship", ""]
    >>> incidence = cumulative_incidence(times, causes, horizon=5, grid=[0, 2, 5])
    >>> incidence.curves["ship"].incidence, incidence.overall.incidence
    (array([0.  , 0.25, 0.5 ]), array([0.  , 0.5 , 0.75]))
    """
    require_positive("horizon", horizon)
    require_share("confidence", confidence)
    observed = _times(times)
    labels = np.asarray(causes).astype(str)
    n = observed.size
    require(labels.shape == (n,), "causes", f"must be as long as times ({n})", f"shape {labels.shape}")
    require(n > 0, "times", "must not be empty", n)
    event = (observed <= horizon) & (labels != censored)
    end = np.where(observed <= horizon, observed, horizon)

    time = np.unique(end[event])
    at_risk = _at_risk(end, time)
    censored_before = np.searchsorted(np.sort(end[~event]), time, side="left")
    effective = (n - censored_before).astype(np.float64)
    names = sorted({*labels[event].tolist(), *expected})
    counts = {name: _counts(end[event & (labels == name)], time) for name in names}
    ended = _counts(end[event], time)
    before = np.concatenate([[1.0], np.cumprod(1 - ended / at_risk)[:-1]]) if time.size else np.ones(0)

    # Import SciPy only where it is used: it takes a third of a second, and reading a scenario does not need it.
    from scipy.special import ndtri

    z = float(ndtri((1 + confidence) / 2))
    steps: dict[str | None, Curve] = {}
    for name, count in [*counts.items(), (None, ended)]:
        incidence = np.cumsum(before * count / at_risk)
        variance = _variance(incidence, before, count, ended, at_risk)
        steps[name] = _curve(time, incidence, variance, effective, n, z)
    sampled = np.unique(np.concatenate([[0.0], time, [horizon]])) if grid is None else _grid(grid, horizon)
    curves = {name: steps[name].at(sampled) for name in names}
    return CumulativeIncidence(n, horizon, curves, steps[None].at(sampled), steps)


def restricted_mean(
    times: ArrayLike, horizon: float, *, observed: ArrayLike | None = None, confidence: float = 0.95
) -> Estimate:
    """Restricted mean E[min(T, horizon)], the area under the Kaplan–Meier curve, in the unit of `times` (n,).

    NaN, or a time beyond the horizon, means not ended by the horizon. `observed` (n,) is False if a trial was
    censored at its time (default: no trial). The interval is Student's, with Greenwood's variance times
    n/(n − 1), and limited to [0, horizon]. Without censoring before the horizon, it is the interval of the mean
    of min(T, horizon).

    Raises `InputError` for a negative time or unequal lengths.

    Source: Klein & Moeschberger, Survival Analysis (2003), §4.5; Royston & Parmar, Statistics in
    Medicine 30 (2011).

    >>> restricted_mean([1, 2, 3, np.nan], horizon=6)
    Estimate(estimate=3.0, lower=0.0, upper=6.0, n=4)
    """
    require_positive("horizon", horizon)
    require_share("confidence", confidence)
    ends = _times(times)
    n = ends.size
    happened = np.ones(n, dtype=np.bool_) if observed is None else np.asarray(observed, dtype=np.bool_)
    require(happened.shape == (n,), "observed", f"must be as long as times ({n})", f"shape {happened.shape}")
    if n == 0:
        return Estimate(None, None, None, 0)
    event = (ends <= horizon) & happened
    end = np.where(ends <= horizon, ends, horizon)

    time = np.unique(end[event])
    at_risk = _at_risk(end, time)
    ended = _counts(end[event], time)
    survival = np.cumprod(1 - ended / at_risk)
    area_after = np.cumsum((survival * np.diff(np.append(time, horizon)))[::-1])[::-1]
    mean = float((time[0] if time.size else horizon) + (area_after[0] if time.size else 0.0))
    if n == 1:
        return Estimate(mean, None, None, 1)
    variance = float((area_after**2 * ended / (at_risk * np.maximum(at_risk - ended, 1))).sum())
    interval = student_interval(mean, float(np.sqrt(variance * n / (n - 1))), n, confidence)
    assert interval.lower is not None
    assert interval.upper is not None
    return Estimate(mean, max(interval.lower, 0.0), min(interval.upper, float(horizon)), n)


def _times(times: ArrayLike) -> Floats:
    array = np.asarray(times, dtype=np.float64)
    require(array.ndim == 1, "times", "must have one axis", f"shape {array.shape}")
    wrong = array[array < 0]
    if wrong.size:
        require(False, "times", "must not be negative", wrong[0])
    return array


def _grid(grid: ArrayLike, horizon: float) -> Floats:
    array = np.asarray(grid, dtype=np.float64)
    proper = array.ndim == 1 and bool(np.all((array >= 0) & (array <= horizon)) and np.all(np.diff(array) >= 0))
    require(proper, "grid", f"must be ascending in [0, {horizon}]", grid)
    return array


def _at_risk(end: Floats, time: Floats) -> Floats:
    return (end.size - np.searchsorted(np.sort(end), time, side="left")).astype(np.float64)


def _counts(ends: Floats, time: Floats) -> Floats:
    return np.bincount(np.searchsorted(time, ends), minlength=time.size).astype(np.float64)


def _variance(incidence: Floats, before: Floats, count: Floats, ended: Floats, at_risk: Floats) -> Floats:
    """Marubini & Valsecchi's sum over event times, with the square (F(t) − F(tⱼ))² multiplied out."""
    # If all trials at risk end, no event follows, and F(t) − F(tⱼ) is 0.
    hazard = np.where(at_risk > ended, ended / (at_risk * np.maximum(at_risk - ended, 1)), 0.0)
    own = before**2 * (at_risk - count) * count / at_risk**3
    shared = before * count / at_risk**2
    first, second, third = (np.cumsum(hazard * incidence**power) for power in (0, 1, 2))
    square = incidence**2 * first - 2 * incidence * second + third
    variance = square + np.cumsum(own) - 2 * (incidence * np.cumsum(shared) - np.cumsum(incidence * shared))
    return np.asarray(np.maximum(variance, 0.0))


def _curve(time: Floats, incidence: Floats, variance: Floats, effective: Floats, n: int, z: float) -> Curve:
    """The steps from time 0, where the incidence is 0, with Wilson's bounds at the effective sample size."""
    spread = incidence * (1 - incidence)
    # At an incidence of 0 or 1, rounding errors may leave small values of both.
    proper = (variance > ROUNDING**2) & (spread > ROUNDING)
    size = np.where(proper, spread / np.where(proper, variance, 1.0), effective)
    start = 0 if time.size and time[0] == 0 else 1
    share = np.clip(np.concatenate([np.zeros(start), incidence]), 0.0, 1.0)
    size = np.concatenate([np.full(start, float(n)), size])
    centre = (share + z * z / (2 * size)) / (1 + z * z / size)
    half = z / (1 + z * z / size) * np.sqrt(share * (1 - share) / size + z * z / (4 * size**2))
    lower = np.where(share < ROUNDING, 0.0, np.maximum(centre - half, 0.0))
    upper = np.where(share > 1 - ROUNDING, 1.0, np.minimum(centre + half, 1.0))
    return Curve(np.concatenate([np.zeros(start), time]), share, lower, upper)


def _first(time: Floats, level: Floats, q: float) -> float | None:
    reached = level >= q - ROUNDING
    return float(time[np.argmax(reached)]) if reached.any() else None
