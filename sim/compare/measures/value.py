"""What a rollout is worth, and a programme of them."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sim.compare.measure import Column, Measure, known, mean, recorded
from sim.compare.trials import Trials
from sim.policy.hours import DAY_S
from sim.stats.intervals import Estimate, paired_difference
from sim.stats.renewal import programme_yield
from sim.stats.risk import cvar

_YEAR_S = 365 * DAY_S


def _in_programme(trials: Trials) -> NDArray[Any]:
    """Whether a trial is a release of a programme, and its net value is known."""
    return known("net_value")(trials) if trials.programme is not None else np.zeros(trials.n, np.bool_)


def _yielded(what: Literal["rewards", "releases"]) -> Column:
    """What a year of the programme yields, linear in each trial; NaN of trials of no programme."""

    def yielded(trials: Trials) -> NDArray[Any]:
        found, rows = np.full(trials.n, np.nan), _in_programme(trials)
        if trials.programme is not None and rows.any():
            occupied = np.fmin(trials["time_to_end_s"][rows], trials.horizon_s) / _YEAR_S
            programme = trials.programme
            of = programme_yield(trials["net_value"][rows], occupied, programme.candidates_per_year, programme.at_once)
            found[rows] = getattr(of, what)
        return found

    return yielded


def _lost(trials: Trials) -> NDArray[Any]:
    return np.asarray(trials["best_value"] - trials["net_value"])


def _negative(estimate: Estimate) -> Estimate:
    """The estimate of minus what was estimated."""
    value, lower, upper = (None if each is None else 0.0 - each for each in (estimate.estimate, estimate.upper, estimate.lower))
    return Estimate(value, lower, upper, estimate.n)


VALUE = (
    mean(
        "net_value", "net value", "value",
        "Mean of what a trial gave more than keeping the champion for ever, to the end of the verdict's lifetime: what live "
        "requests earned more at the prices of `value`, less what failed, slow and lost requests cost, and what the rollout "
        "cost. After the horizon goes on what the verdict left serving, in usual weeks. Where requests compete it needs a "
        "policy of kind hold.",
        recorded("net_value"), known("net_value"), better="higher",
    ),
    Measure(
        "net_value_worst", "net value in the worst 5%", "value", "higher",
        "Mean net value of the worst 5% of trials.",
        lambda trials: _negative(cvar(-trials["net_value"][known("net_value")(trials)], 0.95)), None, paired_difference,
    ),
    mean(
        "value_lost", "value lost", "value",
        "Mean of what the best acceptable arm would have given if it had been shipped at once, or the champion kept, less the "
        "net value.",
        _lost, known("net_value"),
    ),
    Measure(
        "value_lost_cvar95", "value lost in the worst 5%", "value", "lower",
        "Mean value lost in the worst 5% of trials (conditional value at risk).",
        lambda trials: cvar(_lost(trials)[known("net_value")(trials)], 0.95), None, paired_difference,
    ),
    mean(
        "value_per_year", "value a year", "value",
        "What a year of the `programme` gives: the net value of a release times the releases of a year. By the renewal theorem "
        "these are the slots over the mean time that a release holds one (to the end of its rollout, or to the horizon), and "
        "never more than candidates come up.",
        _yielded("rewards"), _in_programme, better="higher",
    ),
    mean(
        "releases_per_year", "releases a year", "count",
        "Releases of a year of the `programme`, whether they end in shipping or not: the slots over the mean time that one "
        "holds a slot, and never more than candidates come up.",
        _yielded("releases"), _in_programme, better="higher",
    ),
)  # fmt: skip
