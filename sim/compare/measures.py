"""What is measured of a policy: a table of measures, each an estimator over its trials.

Measures of risk cover the whole horizon, including the time after a verdict. Measures of time count a trial without
a verdict as the horizon: a mean over decided trials only would favour slow policies.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sim.compare.measure import Column, Measure, decided_by, ended, mean, proportion, recorded, time
from sim.compare.trials import Trials
from sim.policy.hours import DAY_S, WEEK_S
from sim.stats.intervals import Estimate, mean_interval, paired_difference
from sim.stats.renewal import programme_yield
from sim.stats.risk import cvar

_YEAR_S = 365 * DAY_S


def _wrongly_shipped(trials: Trials) -> NDArray[Any]:
    return np.asarray((trials["verdict"] == "ship") & ~trials["shipped_better"])


def _not_better(trials: Trials) -> NDArray[Any]:
    return np.asarray(~trials["shipped_better"])


def _not_shipped(trials: Trials) -> NDArray[Any]:
    return np.asarray(trials["verdict"] != "ship")


def _kept_at(trials: Trials) -> NDArray[Any]:
    return np.where(trials["verdict"] == "keep", trials["time_to_decision_s"], np.nan)


def _found_at(trials: Trials) -> NDArray[Any]:
    return np.where(trials["verdict"] == "keep", trials["time_to_finding_s"], np.nan)


def _worse_and_known(trials: Trials) -> NDArray[Any]:
    """Whether some challenger is worse, in a run that says when something was found."""
    return np.asarray(trials["any_worse"] & ((trials["verdict"] != "keep") | ~np.isnan(trials["time_to_finding_s"])))


def _reports(trials: Trials) -> NDArray[Any]:
    """Whether the policy has a check that only reports, and the run says what it found."""
    return np.asarray(~np.isnan(trials["reported_failure"]))


def _reported(trials: Trials) -> NDArray[Any]:
    return np.asarray(trials["reported_failure"] == 1)


def _quiet(trials: Trials) -> NDArray[Any]:
    return np.asarray(_reports(trials) & ~trials["any_worse"])


def _requests_to_decision(trials: Trials) -> NDArray[Any]:
    return np.asarray(np.fmin(trials["requests_to_decision"], trials["requests"]))


def _served(trials: Trials) -> NDArray[Any]:
    return np.asarray(trials["requests"] > 0)


def _per_request(name: str, times: float = 1.0) -> Column:
    return lambda trials: np.asarray(times * trials[name] / np.maximum(trials["requests"], 1))


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


def _bad_release(trials: Trials) -> NDArray[Any]:
    """Whether a trial ships what is worse, by a relative effect: with a champion mean of 0 there is none."""
    return np.asarray(trials["shipped_worse"] & np.isfinite(trials["shipped_effect"]))


def _valued(trials: Trials) -> NDArray[Any]:
    """Whether the net value of a trial is known."""
    return np.asarray(~np.isnan(trials["net_value"]))


def _in_programme(trials: Trials) -> NDArray[Any]:
    """Whether a trial is a release of a programme, and its net value is known."""
    return _valued(trials) if trials.programme is not None else np.zeros(trials.n, np.bool_)


def _yielded(what: Literal["rewards", "releases"]) -> Column:
    """What a year of the programme yields, linear in each trial; NaN of trials of no programme."""

    def yielded(trials: Trials) -> NDArray[Any]:
        found, known = np.full(trials.n, np.nan), _in_programme(trials)
        if trials.programme is not None and known.any():
            occupied = np.fmin(trials["time_to_end_s"][known], trials.horizon_s) / _YEAR_S
            programme = trials.programme
            of = programme_yield(trials["net_value"][known], occupied, programme.candidates_per_year, programme.at_once)
            found[known] = getattr(of, what)
        return found

    return yielded


def _duplicates_known(trials: Trials) -> NDArray[Any]:
    """Whether it is known how often writes were duplicated: in earlier versions nothing wrote."""
    return ~np.isnan(trials["duplicated_writes"].astype(np.float64))


def _budgeted(trials: Trials) -> NDArray[Any]:
    """Whether there is an error budget to burn."""
    return ~np.isnan(trials["budget_burned"].astype(np.float64))


def _alarms_known(trials: Trials) -> NDArray[Any]:
    """Whether it is known how many alarms rang in a trial: earlier versions did not count them."""
    return ~np.isnan(trials["alarms"].astype(np.float64))


def _alarms_per_week(trials: Trials) -> NDArray[Any]:
    """Alarms in a week of rollouts: a ratio of means, linear in each trial (the delta method); NaN where it is not known."""
    found, known = np.full(trials.n, np.nan), _alarms_known(trials) & (trials["time_to_end_s"] != 0)
    if known.any():
        weeks = np.fmin(trials["time_to_end_s"][known], trials.horizon_s) / WEEK_S
        alarms = trials["alarms"][known]
        each = float(alarms.mean() / weeks.mean())
        found[known] = each + (alarms - each * weeks) / weeks.mean()
    return found


def _negative(estimate: Estimate) -> Estimate:
    """The estimate of minus what was estimated."""
    value, lower, upper = (None if each is None else 0.0 - each for each in (estimate.estimate, estimate.upper, estimate.lower))
    return Estimate(value, lower, upper, estimate.n)


def _scored_offline(trials: Trials) -> NDArray[Any]:
    """Whether the policy has an offline stage."""
    return np.asarray(~np.isnan(trials["offline_ships"]))


def _offline(column: str, value: float = 1.0) -> Column:
    """Whether a column of an offline stage has a value."""
    return lambda trials: np.asarray(trials[column] == value)


def _among_scored(condition: str) -> Column:
    return lambda trials: np.asarray(_scored_offline(trials) & trials[condition])


def _offline_known(trials: Trials) -> NDArray[Any]:
    """Whether both the offline estimate and the true effect of its arm are numbers."""
    return np.asarray(np.isfinite(trials["offline_estimate"]) & np.isfinite(trials["offline_true"]))


def _tried_alike(trials: Trials) -> NDArray[Any]:
    """Whether the policy was also tried where all arms are alike."""
    return ~np.isnan(trials["aa_declared"].astype(np.float64))


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


_TABLE = (
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
        "paused", "paused", "s",
        "Mean time for which a ramp stood still, because a look was not good or somebody had to approve, or an outcome waited "
        "until somebody or something acted on it.",
        recorded("paused_s"), lambda trials: ~np.isnan(trials["paused_s"]),
    ),
    proportion(
        "reported_failure", "reported failure", "none",
        "Share of trials in which a check that only reports finds a failure, by which it would have stopped some challenger, "
        "of policies that have such a check.",
        _reported, _reports, paired=False,
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
        recorded("alarms"), _alarms_known,
    ),
    mean(
        "alarms_per_week", "alarms a week", "count",
        "Alarms in a week of rollouts: the mean number of a trial over the mean time that its rollout takes, one that has not "
        "ended counting as the whole horizon.",
        _alarms_per_week, lambda trials: np.asarray(_alarms_known(trials) & (trials["time_to_end_s"] != 0)),
    ),
    proportion(
        "muted", "muted", "lower",
        "Share of trials in which people did not heed an outcome at first, because too many alarms had rung before it.",
        lambda trials: np.asarray(trials["muted"] > 0), lambda trials: ~np.isnan(trials["muted"].astype(np.float64)),
    ),
    proportion(
        "retried", "tried again", "none",
        "Share of trials in which a rollout that was rolled back began again, once or more. Verdicts, times, harm and exposure "
        "count all tries.",
        lambda trials: np.asarray(trials["tries"] > 1), lambda trials: ~np.isnan(trials["tries"].astype(np.float64)),
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
        lambda trials: ~np.isnan(trials["users"]),
    ),
    mean(
        "net_value", "net value", "value",
        "Mean of what a trial gave more than keeping the champion for ever, to the end of the verdict's lifetime: what live "
        "requests earned more at the prices of `value`, less what failed, slow and lost requests cost, and what the rollout "
        "cost. After the horizon goes on what the verdict left serving, in usual weeks. Where requests compete it needs a "
        "policy of kind hold.",
        recorded("net_value"), _valued, better="higher",
    ),
    Measure(
        "net_value_worst", "net value in the worst 5%", "value", "higher",
        "Mean net value of the worst 5% of trials.",
        lambda trials: _negative(cvar(-trials["net_value"][_valued(trials)], 0.95)), None, paired_difference,
    ),
    mean(
        "value_lost", "value lost", "value",
        "Mean of what the best acceptable arm would have given if it had been shipped at once, or the champion kept, less the "
        "net value.",
        lambda trials: np.asarray(trials["best_value"] - trials["net_value"]), _valued,
    ),
    Measure(
        "value_lost_cvar95", "value lost in the worst 5%", "value", "lower",
        "Mean value lost in the worst 5% of trials (conditional value at risk).",
        lambda trials: cvar((trials["best_value"] - trials["net_value"])[_valued(trials)], 0.95), None, paired_difference,
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
    mean(
        "regret", "regret", "value",
        "What users forgo by the horizon: the expected primary metric of the arm that is best and acceptable in the tick less "
        "the serving arm's, summed over live requests, before and after the verdict, plus the worth of lost requests.",
        recorded("regret"),
    ),
    mean(
        "regret_fixed", "regret against one arm", "value",
        "The same against the one arm that is best over the whole horizon. Below 0 where a policy did better than any one arm.",
        recorded("regret_fixed"),
    ),
    mean(
        "regret_per_1000", "regret per 1,000 requests", "value",
        "Mean over trials of the regret per 1,000 live requests.", _per_request("regret", 1000.0), _served,
    ),
    Measure(
        "regret_cvar95", "regret in the worst 5%", "value", "lower",
        "Mean regret of the worst 5% of trials (conditional value at risk).",
        lambda trials: cvar(trials["regret"], 0.95), None, paired_difference,
    ),
    mean(
        "harmed_requests", "harmed requests", "requests",
        "Mean number of live requests served by an arm that is truly worse than the champion or breaks a limit in that tick.",
        recorded("harmed_requests"),
    ),
    mean(
        "harm", "harm", "value",
        "What the users of worse arms lost: the champion's expected primary metric less the serving arm's where that is less "
        "in the tick, summed over live requests. A broken limit and a lost request are not in it.",
        recorded("harm"),
    ),
    mean(
        "peak_exposure", "peak exposure", "share",
        "Mean of the largest share of live traffic that challengers had before the verdict; all of it if shipped at once.",
        recorded("peak_exposure"), part=True,
    ),
    mean("errors", "errors", "count", "Mean number of live requests that ended in an error.", recorded("errors")),
    mean(
        "budget_burned", "error budget burned", "share",
        "Mean share of the error budget of its period that requests burned which failed from the start to the end of the "
        "rollout, or to the horizon, whoever served them. It may be above 100%.",
        recorded("budget_burned"), _budgeted,
    ),
    mean(
        "slo_violation_rate", "SLO violations", "share",
        "Mean share of live requests that failed or were slower than the latency objective.",
        _per_request("slo_violations"), _served, part=True,
    ),
    mean(
        "lost_requests", "lost requests", "requests",
        "Mean number of live requests that ended in a timeout or a rejection, after whatever attempts there were.",
        recorded("lost_requests"),
    ),
    mean(
        "mirrored_requests", "mirrored requests", "requests",
        "Mean number of requests that were copied to a challenger without showing its answer.", recorded("mirrored_requests"),
    ),
    mean(
        "duplicated_writes", "duplicated writes", "count",
        "Mean number of copies of requests that write: side effects, such as orders, that happened a second time. Of runs that "
        "say it.",
        recorded("duplicated_writes"), _duplicates_known,
    ),
    mean(
        "cost_s", "compute", "s", "Mean service time of all calls, live and mirrored.", recorded("cost_s"),
    ),
    proportion(
        "aa_declared", "declares in A/A", "lower",
        "Share of A/A tests, where the challengers equal the champion, in which the evidence declares a difference.",
        recorded("aa_declared"), _tried_alike, paired=False,
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
        recorded("aa_shipped"), _tried_alike, paired=False,
    ),
    mean(
        "planned_information", "of the planned information", "share",
        "Mean share of the information that the test was planned for which had arrived, among trials that gave up before.",
        recorded("planned_information"), lambda trials: ~np.isnan(trials["planned_information"]), better="none", paired=False,
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
    proportion(
        "offline_ship", "ships by offline alone", "none",
        "Of a policy with an offline stage: share of trials in which that stage passes a challenger, so that offline scores "
        "alone would ship one.",
        _offline("offline_ships"), _scored_offline, paired=False,
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

MEASURES = {measure.name: measure for measure in _TABLE}
"""The measures by name, in the order of reports."""

_OF_RELEASES = {
    "wrong_ship": "bad release shipped",
    "no_better_if_shipped": "bad, if shipped",
    "missed_win": "healthy, not shipped",
    "false_rollback": "healthy, rolled back",
    "bad_ship_effect": "how bad, if bad is shipped",
    "time_to_keep_if_worse": "time to roll a bad one back",
    "time_to_detect_if_worse": "time to detect a bad one",
}


def label_of(measure: str, goal: str) -> str:
    """What a measure is called where the goal is `better` or `not_worse`.

    >>> label_of("missed_win", "better"), label_of("missed_win", "not_worse"), label_of("regret", "not_worse")
    ('missed win', 'healthy, not shipped', 'regret')
    """
    own = MEASURES[measure].label
    return _OF_RELEASES.get(measure, own) if goal == "not_worse" else own
