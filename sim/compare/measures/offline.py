"""What offline scores alone would have decided, beside what happened online."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.compare.measure import Column, known, mean, proportion, recorded
from sim.compare.trials import Trials


def _offline(column: str, value: float = 1.0) -> Column:
    """Whether a column of an offline stage has a value."""
    return lambda trials: np.asarray(trials[column] == value)


def _among_scored(condition: str) -> Column:
    return lambda trials: np.asarray(known("offline_ships")(trials) & trials[condition])


def _offline_known(trials: Trials) -> NDArray[Any]:
    """Whether both the offline estimate and the true effect of its arm are numbers."""
    return np.asarray(np.isfinite(trials["offline_estimate"]) & np.isfinite(trials["offline_true"]))


OFFLINE = (
    proportion(
        "offline_ship", "ships by offline alone", "none",
        "Of a policy with an offline stage: share of trials in which that stage passes a challenger, so that offline scores "
        "alone would ship one.",
        _offline("offline_ships"), known("offline_ships"), paired=False,
    ),
    proportion(
        "offline_wrong_ship", "wrong ship by offline alone", "lower",
        "Share of trials in which offline scores alone would ship a challenger that is truly no better, before the first "
        "request, among trials in which some challenger is not, over the whole horizon.",
        _offline("offline_wrong"), _among_scored("any_not_better"), paired=False,
    ),
    proportion(
        "offline_missed_win", "missed win by offline alone", "lower",
        "Share of trials in which offline scores alone would ship nothing, among trials in which some challenger is better by "
        "at least the smallest effect that matters, over the whole horizon.",
        _offline("offline_ships", 0.0), _among_scored("worth_shipping"), paired=False,
    ),
    mean(
        "offline_gain", "gain offline", "share",
        "Mean relative gain over the champion, on the offline metric, of the challenger that scores best.",
        recorded("offline_estimate"), _offline_known, better="none", paired=False,
    ),
    mean(
        "offline_gain_true", "its gain online", "share",
        "Mean true relative effect of the same challenger on the same metric, on live traffic over the whole horizon.",
        recorded("offline_true"), _offline_known, better="none", paired=False,
    ),
    mean(
        "offline_bias", "offline too good by, if shipped", "share",
        "Mean of what the challenger that scores best gains offline, less what it truly gains on live traffic, among trials in "
        "which offline scores alone would ship it: the gap between offline and online, and the luck of the one that was picked "
        "(the winner's curse).",
        lambda trials: np.asarray(trials["offline_estimate"] - trials["offline_true"]),
        lambda trials: np.asarray(_offline_known(trials) & (trials["offline_ships"] == 1)), better="none", paired=False,
    ),
)  # fmt: skip
