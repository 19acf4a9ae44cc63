"""How rollouts end, and how often wrongly."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.compare.measure import ended, mean, proportion, recorded
from sim.compare.trials import Trials


def _wrongly_shipped(trials: Trials) -> NDArray[Any]:
    return np.asarray((trials["verdict"] == "ship") & ~trials["shipped_better"])


def _not_better(trials: Trials) -> NDArray[Any]:
    return np.asarray(~trials["shipped_better"])


def _not_shipped(trials: Trials) -> NDArray[Any]:
    return np.asarray(trials["verdict"] != "ship")


def _bad_release(trials: Trials) -> NDArray[Any]:
    """Whether a trial ships what is worse, by a relative effect: with a champion mean of 0 there is none."""
    return np.asarray(trials["shipped_worse"] & np.isfinite(trials["shipped_effect"]))


VERDICTS = (
    proportion("ship", "ships", "none", "Share of trials that end in shipping a challenger.", ended("ship")),
    proportion(
        "keep", "keeps", "none",
        "Share of trials that end in keeping the champion: a rollback, or no winner.", ended("keep"),
    ),
    proportion(
        "inconclusive", "inconclusive", "lower",
        "Share of trials in which the policy gave up: it has ended, and decided nothing. The champion serves on.",
        ended("inconclusive"),
    ),
    proportion(
        "undecided", "undecided", "lower",
        "Share of trials in which the policy is still running at the horizon.", ended("undecided"),
    ),
    proportion(
        "correct", "correct", "higher",
        "Share of all trials that end in a right verdict: shipping a better challenger that is the best, or short of it by "
        "less than the smallest effect that matters, or keeping the champion where no challenger is better by that much. "
        "Judged by what the arms are worth from the verdict on. Trials without a verdict are not right, nor inconclusive ones.",
        recorded("correct"),
    ),
    proportion(
        "wrong_ship", "wrong ship", "lower",
        "Share of trials that ship a challenger that is truly no better than the champion, among trials in which some "
        "challenger is not, over the whole horizon. With `goal: not_worse`: that is worse by more than the margin.",
        _wrongly_shipped, recorded("any_not_better"),
    ),
    proportion(
        "no_better_if_shipped", "no better, if shipped", "lower",
        "Share of trials in which the shipped challenger is truly no better than the champion from then on, among trials that "
        "ship. It depends on how often the scenario has a challenger that is better. With `goal: not_worse`: that is worse by "
        "more than the margin.",
        _not_better, ended("ship"), paired=False,
    ),
    proportion(
        "missed_win", "missed win", "lower",
        "Share of trials that ship nothing by the horizon, among trials in which some challenger is better by at least the "
        "smallest effect that matters, over the whole horizon. It does not matter whether they keep the champion, give up, or "
        "are still running. With `goal: not_worse`: in which some challenger is right to ship.",
        _not_shipped, recorded("worth_shipping"),
    ),
    proportion(
        "false_rollback", "false rollback", "lower",
        "Share of trials that keep the champion, among trials in which some challenger is better by however little; with "
        "`goal: not_worse`, not worse by more than the margin.",
        ended("keep"), recorded("any_better"),
    ),
    proportion(
        "missed_regression", "missed regression", "lower",
        "Share of trials that ship a challenger that is truly worse than the champion or breaks a limit, among trials "
        "in which there is one.",
        recorded("shipped_worse"), recorded("any_worse"),
    ),
    mean(
        "bad_ship_effect", "effect of what is shipped and worse", "share",
        "Mean true relative effect on the primary metric of the shipped challenger from then on, less than 0 where it is "
        "worse, among trials that ship one that is truly worse than the champion or breaks a limit: how bad the bad ones "
        "are that get through.",
        recorded("shipped_effect"), _bad_release, better="none", paired=False,
    ),
)  # fmt: skip
