"""What a rollout asks of people: waiting, alarms, another try."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.compare.measure import known, mean, proportion, recorded
from sim.compare.trials import Trials
from sim.policy.hours import WEEK_S


def _reported(trials: Trials) -> NDArray[Any]:
    return np.asarray(trials["reported_failure"] == 1)


def _quiet(trials: Trials) -> NDArray[Any]:
    return np.asarray(known("reported_failure")(trials) & ~trials["any_worse"])


def _watched(trials: Trials) -> NDArray[Any]:
    """Whether alarms were counted, over some time."""
    return np.asarray(known("alarms")(trials) & (trials["time_to_end_s"] != 0))


def _alarms_per_week(trials: Trials) -> NDArray[Any]:
    """Alarms in a week of rollouts: a ratio of means, linear in each trial (the delta method); NaN where it is not known."""
    found, rows = np.full(trials.n, np.nan), _watched(trials)
    if rows.any():
        weeks = np.fmin(trials["time_to_end_s"][rows], trials.horizon_s) / WEEK_S
        alarms = trials["alarms"][rows]
        each = float(alarms.mean() / weeks.mean())
        found[rows] = each + (alarms - each * weeks) / weeks.mean()
    return found


PEOPLE = (
    mean(
        "paused", "paused", "s",
        "Mean time for which a ramp stood still, because a look was not good or somebody had to approve, or an outcome waited "
        "until somebody or something acted on it.",
        recorded("paused_s"), known("paused_s"),
    ),
    proportion(
        "reported_failure", "reported failure", "none",
        "Share of trials in which a check that only reports finds a failure, by which it would have stopped some challenger, "
        "of policies that have such a check.",
        _reported, known("reported_failure"), paired=False,
    ),
    proportion(
        "false_report", "false report", "none",
        "The same among trials in which no challenger is worse than the champion or breaks a limit: how often the check would "
        "have rolled back for nothing.",
        _reported, _quiet, paired=False,
    ),
    mean(
        "alarms", "alarms", "count",
        "Mean number of alarms of a trial: looks of a check that fail for some challenger, each counted once, and findings of "
        "checks without looks. A check that only reports rings too.",
        recorded("alarms"), known("alarms"),
    ),
    mean(
        "alarms_per_week", "alarms a week", "count",
        "Alarms in a week of rollouts: the mean number of a trial over the mean time that its rollout takes, one that has not "
        "ended counting as the whole horizon.",
        _alarms_per_week, _watched,
    ),
    proportion(
        "muted", "muted", "lower",
        "Share of trials in which people did not heed an outcome at first, because too many alarms had rung before it.",
        lambda trials: np.asarray(trials["muted"] > 0), known("muted"),
    ),
    proportion(
        "retried", "tried again", "none",
        "Share of trials in which a rollout that was rolled back began again, once or more. Verdicts, times, harm and exposure "
        "count all tries.",
        lambda trials: np.asarray(trials["tries"] > 1), known("tries"),
    ),
)  # fmt: skip
