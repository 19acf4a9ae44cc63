"""What a measure is, and how one is made: as a share, a mean or a time of trials."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sim.arrays import Floats
from sim.compare.trials import Trials
from sim.stats.intervals import (
    Estimate,
    mean_interval,
    of_share,
    paired_difference,
    paired_proportion_difference,
    proportion_interval,
)
from sim.stats.survival import restricted_mean

Unit = Literal["share", "s", "requests", "users", "count", "value"]
Better = Literal["lower", "higher", "none"]
Column = Callable[[Trials], NDArray[Any]]


@dataclass(frozen=True)
class Measure:
    """One measure of a policy.

    `estimate` takes the trials of one policy. `values` gives one number per trial (n,), in `unit`, NaN where the
    trial does not meet the measure's condition. It is None where a measure has no paired difference: it is not a mean of
    trials (a quantile), or its condition is not a fact of the world but of what the policy did, so that the trials that meet
    it under both policies are not those of either. `pair` is the interval of the mean of paired differences.
    """

    name: str
    label: str
    unit: Unit
    better: Better
    about: str
    estimate: Callable[[Trials], Estimate]
    values: Callable[[Trials], Floats] | None
    pair: Callable[[Floats, Floats, float], Estimate]

    def difference(self, first: Trials, second: Trials, confidence: float = 0.95) -> Estimate | None:
        """The first policy less the second over their common replications that meet the condition in both.

        None where there is no paired difference.
        """
        if self.values is None:
            return None
        a, b = self.values(first), self.values(second)
        if not np.array_equal(first["replication"], second["replication"]):
            places = np.intersect1d(first["replication"], second["replication"], assume_unique=True, return_indices=True)
            a, b = a[places[1]], b[places[2]]
        both = ~(np.isnan(a) | np.isnan(b))
        return self.pair(a[both], b[both], confidence)


def every(trials: Trials) -> NDArray[Any]:
    """(n,) true: the condition that all trials meet."""
    return np.ones(trials.n, np.bool_)


def recorded(name: str) -> Column:
    """What stands in a column of the trials."""
    return lambda trials: trials[name]


def known(name: str) -> Column:
    """Whether a column has a value: a policy without the part that it is of has none, nor a run of an earlier version."""
    return lambda trials: ~np.isnan(trials[name].astype(np.float64))


def ended(verdict: str) -> Column:
    """Whether a trial ended with this verdict."""
    return lambda trials: np.asarray(trials["verdict"] == verdict)


def _among(values: Column, condition: Column) -> Callable[[Trials], Floats]:
    """(n,) values, NaN where a trial does not meet the condition."""
    return lambda trials: np.where(condition(trials), values(trials).astype(np.float64), np.nan)


def _met(values: Floats) -> Floats:
    return values[~np.isnan(values)]


def proportion(
    name: str, label: str, better: Better, about: str, event: Column, condition: Column = every, *, paired: bool = True
) -> Measure:
    """The share of trials with an event, among those that meet a condition."""
    values = _among(event, condition)

    def estimate(trials: Trials) -> Estimate:
        observed = _met(values(trials))
        return proportion_interval(float(observed.sum()), observed.size)

    return Measure(name, label, "share", better, about, estimate, values if paired else None, paired_proportion_difference)


def mean(
    name: str,
    label: str,
    unit: Unit,
    about: str,
    column: Column,
    condition: Column = every,
    better: Better = "lower",
    *,
    paired: bool = True,
    part: bool = False,
) -> Measure:
    """The mean of a column over the trials that meet a condition; `part` says that it, and its interval, lie from 0 to 1."""
    values = _among(column, condition)

    def estimate(trials: Trials) -> Estimate:
        found = mean_interval(_met(values(trials)))
        return of_share(found) if part else found

    return Measure(name, label, unit, better, about, estimate, values if paired else None, paired_difference)


def time(name: str, label: str, about: str, time_s: Column, condition: Column = every) -> Measure:
    """The mean time of an event, of which a trial without it counts as the whole horizon."""

    def limited(trials: Trials) -> Floats:
        # NaN means "not by the horizon"; fmin then returns the horizon.
        return np.asarray(np.fmin(time_s(trials), trials.horizon_s))

    values = _among(limited, condition)
    return Measure(
        name, label, "s", "lower", about,
        lambda trials: restricted_mean(_met(values(trials)), trials.horizon_s), values, paired_difference,
    )  # fmt: skip


def decided_by(percent: int) -> Measure:
    """The time by which so many of all trials have decided."""
    return Measure(
        f"time_to_decision_p{percent}", f"{percent}% decided by", "s", "lower",
        f"Time by which {percent}% of all trials have shipped or kept; none where that is not reached by the horizon. An "
        "inconclusive trial has not.",
        lambda trials: trials.incidence.quantile_interval(percent / 100), None, paired_difference,
    )  # fmt: skip
