"""How long rollouts take, in time, requests and users.

A trial without a verdict counts as the horizon: a mean over decided trials only would favour slow policies.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.compare.measure import decided_by, known, mean, recorded, time
from sim.compare.trials import Trials


def _kept_at(trials: Trials) -> NDArray[Any]:
    return np.where(trials["verdict"] == "keep", trials["time_to_decision_s"], np.nan)


def _found_at(trials: Trials) -> NDArray[Any]:
    return np.where(trials["verdict"] == "keep", trials["time_to_finding_s"], np.nan)


def _worse_and_known(trials: Trials) -> NDArray[Any]:
    """Whether some challenger is worse, in a run that says when something was found."""
    return np.asarray(trials["any_worse"] & ((trials["verdict"] != "keep") | ~np.isnan(trials["time_to_finding_s"])))


def _requests_to_decision(trials: Trials) -> NDArray[Any]:
    return np.asarray(np.fmin(trials["requests_to_decision"], trials["requests"]))


TIMES = (
    time(
        "time_to_decision", "time to decision",
        "Mean time from start to shipping or keeping, a trial that does neither counting as the whole horizon: an inconclusive "
        "trial has ended, but decided nothing.",
        recorded("time_to_decision_s"),
    ),
    *(decided_by(percent) for percent in (20, 50, 80)),
    time(
        "time_to_significance", "time to significance",
        "Mean time from start until the evidence rule first declares, a trial in which it does not counting as the whole "
        "horizon.",
        recorded("time_to_significance_s"),
    ),
    time(
        "time_to_keep_if_worse", "time to roll back",
        "Mean time until the champion is kept, among trials in which some challenger is worse or breaks a limit; a trial "
        "that does not keep it counts as the whole horizon.",
        _kept_at, recorded("any_worse"),
    ),
    time(
        "time_to_detect_if_worse", "time to detect",
        "Mean time until that is found after which the champion is kept, among trials in which some challenger is worse or "
        "breaks a limit; a trial that does not keep it counts as the whole horizon. The time to roll back, but for what people "
        "and the rollback itself take.",
        _found_at, _worse_and_known,
    ),
    mean(
        "requests_to_decision", "requests to decision", "requests",
        "Mean number of live requests until shipping or keeping, a trial that does neither counting with all of its requests.",
        _requests_to_decision,
    ),
    mean(
        "users_to_decision", "users to decision", "users",
        "Mean of the number of different users to be expected among the live requests until shipping or keeping, a trial that "
        "does neither counting with all of its users. Without `users`, every request is a user of its own.",
        lambda trials: np.asarray(np.fmin(trials["users_to_decision"], trials["users"])),
        known("users"),
    ),
)  # fmt: skip
