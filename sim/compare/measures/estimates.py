"""What the evidence declares and estimates, and how often that is true."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.compare.measure import Column, Measure, known, mean, proportion, recorded
from sim.compare.trials import Trials
from sim.stats.intervals import Estimate, mean_interval, paired_difference


def _estimated(estimate: str) -> Column:
    """Whether a trial has both an estimate and a true effect; with a champion mean of 0 there is no relative effect."""
    return lambda trials: np.isfinite(trials[estimate]) & np.isfinite(trials["effect_true"])


def _winner(estimate: str) -> Column:
    return lambda trials: np.asarray((trials["verdict"] == "ship") & _estimated(estimate)(trials))


def _significant(trials: Trials) -> NDArray[Any]:
    """Whether the evidence declared a difference and the true effect is not 0, so that sign and size can be wrong."""
    declared = ~np.isnan(trials["time_to_significance_s"]) & _estimated("effect_estimate")(trials)
    return np.asarray(declared & (trials["effect_true"] != 0))


def _falsely_declared(trials: Trials) -> NDArray[Any]:
    """Whether the evidence declared a difference of an arm that truly has none, or one of the other sign."""
    declared = ~np.isnan(trials["time_to_significance_s"])
    return np.asarray(declared & ((trials["effect_true"] == 0) | _opposite(trials)))


def _declared_of_known(trials: Trials) -> NDArray[Any]:
    """Whether it is known if what was declared is true; nothing is to be known where nothing was declared."""
    return np.asarray(np.isnan(trials["time_to_significance_s"]) | _estimated("effect_estimate")(trials))


def _bias(column: str) -> Column:
    return lambda trials: np.asarray(trials[column] - trials["effect_true"])


def _opposite(trials: Trials) -> NDArray[Any]:
    return np.asarray(np.sign(trials["effect_estimate"]) == -np.sign(trials["effect_true"]))


def _covered(name: str) -> Column:
    """Whether the usual 95% interval of an estimator holds the true effect."""

    def covered(trials: Trials) -> NDArray[Any]:
        half = 1.959963984540054 * trials[f"{name}_se"]
        return np.asarray(np.abs(trials[f"{name}_estimate"] - trials["effect_true"]) <= half)

    return covered


def _covered_unbiased(trials: Trials) -> NDArray[Any]:
    return np.asarray((trials["effect_lower"] <= trials["effect_true"]) & (trials["effect_true"] <= trials["effect_upper"]))


def _exaggeration(trials: Trials) -> Estimate:
    """Mean absolute estimate over mean absolute effect, with the interval of a ratio of means (Fieller's, to first order)."""
    rows = _significant(trials)
    estimated, true = np.abs(trials["effect_estimate"][rows]), np.abs(trials["effect_true"][rows])
    if not rows.any():
        return Estimate(None, None, None, 0)
    ratio, size = estimated.mean() / true.mean(), true.mean()
    residuals = mean_interval((estimated - ratio * true) / size)
    low, high = residuals.lower, residuals.upper
    return Estimate(float(ratio), None if low is None else ratio + low, None if high is None else ratio + high, residuals.n)


_ESTIMATORS = (
    ("naive", "naive", "the difference of the arms' means over all their outcomes, whenever they arrived"),
    ("contrast", "within ticks", "the difference within ticks, S / I, which a common drift does not touch"),
    ("aipw", "AIPW", "the adaptively weighted, augmented inverse-propensity estimate, from the recorded shares of traffic"),
)


def _of_estimator(name: str, label: str, about: str) -> tuple[Measure, Measure]:
    """Bias and coverage of an estimator, over the trials that have a verdict and an estimate."""
    column = f"{name}_estimate"
    return (
        mean(
            f"bias_{name}", f"bias, {label}", "share", f"Mean at the verdict, less the true relative effect, of {about}.",
            _bias(column), _estimated(column), better="none", paired=False,
        ),
        proportion(
            f"coverage_{name}", f"coverage, {label}", "higher",
            f"Share of trials in which the usual 95% interval holds the true effect, of {about}.",
            _covered(name), _estimated(column), paired=False,
        ),
    )  # fmt: skip


ESTIMATES = (
    proportion(
        "aa_declared", "declares in A/A", "lower",
        "Share of A/A tests, where the challengers equal the champion, in which the evidence declares a difference.",
        recorded("aa_declared"), known("aa_declared"), paired=False,
    ),
    proportion(
        "false_declaration", "declares falsely", "lower",
        "Share of trials in which the evidence declares a difference of an arm that has none, or one of the other sign, in the "
        "world that is played. Arms that are alike may have other delays here, which they have not in A/A tests.",
        _falsely_declared, _declared_of_known, paired=False,
    ),
    proportion(
        "aa_ship", "ships in A/A", "lower",
        "Share of A/A tests, where the challengers equal the champion, that end in shipping one of them.",
        recorded("aa_shipped"), known("aa_declared"), paired=False,
    ),
    mean(
        "planned_information", "of the planned information", "share",
        "Mean share of the information that the test was planned for which had arrived, among trials that gave up before.",
        recorded("planned_information"), known("planned_information"), better="none", paired=False,
    ),
    mean(
        "winner_bias", "bias of winners", "share",
        "Mean of the relative effect that was seen of the shipped challenger at the verdict, less its true one.",
        _bias("effect_estimate"), _winner("effect_estimate"), better="none", paired=False,
    ),
    mean(
        "winner_bias_unbiased", "bias of winners, adjusted", "share",
        "The same of the median-unbiased estimate, where the rule of evidence has one. It is right as often as not over all "
        "trials; among those that ship it still exceeds the truth, but by less.",
        _bias("effect_unbiased"), _winner("effect_unbiased"), better="none", paired=False,
    ),
    Measure(
        "exaggeration", "exaggeration", "value", "none",
        "Type M: mean size of the effect that was seen over that of the true one, among trials in which the evidence declared "
        "a difference where there is one.",
        _exaggeration, None, paired_difference,
    ),
    proportion(
        "wrong_sign", "wrong sign", "lower",
        "Type S: share of trials in which the effect that was seen has the wrong sign, among those in which the evidence "
        "declared a difference where there is one.",
        _opposite, _significant, paired=False,
    ),
    proportion(
        "effect_coverage", "coverage", "higher",
        "Share of trials in which the usual 95% interval of the effect holds the true one, among those with an estimate: a "
        "trial without a verdict has none.",
        _covered("effect"), _estimated("effect_estimate"), paired=False,
    ),
    proportion(
        "effect_coverage_unbiased", "coverage, adjusted", "higher",
        "Share of trials in which the 95% interval of the median-unbiased estimate holds the true effect.",
        _covered_unbiased, _estimated("effect_unbiased"), paired=False,
    ),
    *(measure for each in _ESTIMATORS for measure in _of_estimator(*each)),
)  # fmt: skip
