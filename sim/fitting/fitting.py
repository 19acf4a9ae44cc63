"""From a log to what was found of it: traffic, versions, feedback, users, segments."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sim.arrays import Bools, Floats
from sim.errors import InputError, Problem
from sim.fitting.contexts import fit_covariate, fit_daily, fit_segments
from sim.fitting.delay import Delay, fit_delay
from sim.fitting.found import Found, Number, length, rounded
from sim.fitting.log import RequestLog
from sim.fitting.outcomes import fit_errors, fit_latency, fit_outcome
from sim.fitting.traffic import DAY_S, fit_traffic, since_midnight
from sim.fitting.users import fit_similarity, fit_users
from sim.spelling import did_you_mean, there_are
from sim.units import shown

_LEAST_ROWS = 100
_TOLD_FROM_0 = 3.0
"""Standard errors from 0 of a mean that effects are relative to."""
_TODAY = ("champion", "control", "baseline", "stable", "production", "current", "old")
"""Names of the arm that is today's production, where nobody says which one it is."""


_UNUSED = {"propensity": "sim replay has a use for it"}


@dataclass(frozen=True)
class Version:
    """What was found of an arm. `effect`: how much more it earns of the primary metric than the champion, relatively."""

    arm: str
    requests: int
    outcomes: Mapping[str, Found]
    latency: Found | None
    error_rate: Found | None
    effect: Found | None


@dataclass(frozen=True)
class LogFit:
    """What was found of a log. `versions`: the champion first. `primary` is the metric that decides."""

    primary: str
    versions: tuple[Version, ...]
    traffic: tuple[Found, ...]
    users: tuple[Found, ...]
    segments: Found | None
    daily: Found
    delay: Found | None
    counts_as_failure: bool
    covariate: Found | None
    remarks: tuple[str, ...]

    def all(self) -> list[tuple[str, Found]]:
        """Everything, with what it is about."""
        rows = [("traffic", each) for each in self.traffic]
        for version in self.versions:
            parts = [*version.outcomes.values(), version.latency, version.error_rate, version.effect]
            rows += [(version.arm, each) for each in parts if each is not None]
        rows += [(self.primary, each) for each in (self.daily, self.delay, self.covariate) if each is not None]
        rows += [("users", each) for each in self.users]
        return rows + ([("users", self.segments)] if self.segments is not None else [])


def fit_log(
    log: RequestLog, *, champion: str | None = None, primary: str | None = None, alone: bool = False
) -> LogFit:  # fmt: skip
    """Fit a log. `champion`: the arm that is today's production, by default the one whose name says so, or
    else that of most requests; `primary` an outcome. `alone`: other arms are left out.

    Raises `InputError` where the log has no such arm or outcome, or nothing can be tested by it.
    """
    answered = np.ones(log.kept, np.bool_) if log.error is None else ~log.error
    name, first = _checked(log, champion, primary)
    traffic = fit_traffic(log.counts, log.span_us / 1e6, log.start)
    others = [] if alone else np.argsort(-np.bincount(log.arm, minlength=len(log.arms))).tolist()
    order = [first, *(each for each in others if each != first)]
    delay: Delay | None = None
    if log.known_us is not None:
        delay = fit_delay(log.outcomes[name][answered], log.known_us[answered], (log.end_us - log.time_us)[answered])
    versions: list[Version] = []
    for place in order:
        rows = log.arm == place
        versions.append(_version(log, rows, rows & answered, log.arms[place], name, delay, versions[0] if versions else None))
    of_champion = (log.arm == first) & np.isfinite(log.outcomes[name])
    values = log.outcomes[name][of_champion]
    offset = since_midnight(log.start)
    if delay is not None and delay.counts_as_failure:
        # The youngest requests have had no time yet, whatever their hour.
        old = log.time_us[of_champion] < log.end_us - 4e6 * delay.found.numbers["mean_s"].estimate
        daily = Found("daily cycle of the outcome", None, "not told: outcomes become known too late")
        if old.sum() > _LEAST_ROWS:
            daily = fit_daily(values[old], log.time_us[of_champion][old], offset, log.span_us / 1e6)
    else:
        daily = fit_daily(values, log.time_us[of_champion], offset, log.span_us / 1e6)
    users: list[Found] = []
    most = 1.0
    if log.user is not None:
        users = fit_users(log.user, log.arm)
        similarity = fit_similarity(log.user[of_champion], values)
        users.append(similarity)
        if users[0].written is not None and len(users) > 1:
            most = math.sqrt(max(similarity.numbers["similarity"].estimate, 0.0)) if similarity.written is not None else 0.0
    segments = None
    if log.segment is not None:
        segments = fit_segments(log.segment, log.segments, log.outcomes, log.user, log.arm == first)
    covariate = None
    if log.covariate is not None:
        within = None if log.segment is None else log.segment[of_champion]
        covariate = fit_covariate(log.covariate[of_champion], values, within, most)
    return LogFit(
        name, tuple(versions), tuple(traffic), tuple(users), segments, daily,
        None if delay is None else delay.found, delay is not None and delay.counts_as_failure, covariate,
        tuple(_remarks(log)),
    )  # fmt: skip


def _checked(log: RequestLog, champion: str | None, primary: str | None) -> tuple[str, int]:
    """The primary outcome, and the place of the champion."""
    problems = []
    name = primary or next(iter(log.outcomes))
    if name not in log.outcomes:
        hint = did_you_mean(name, log.outcomes) or there_are(log.outcomes)
        problems.append(Problem(f"no outcome {shown(name)}; {hint}", "--primary"))
    counts = np.bincount(log.arm, minlength=len(log.arms))
    named = [place for place, arm in enumerate(log.arms) if arm.casefold() in _TODAY]
    first = named[0] if len(named) == 1 else int(counts.argmax())
    if champion is not None and champion in log.arms:
        first = log.arms.index(champion)
    elif champion is not None:
        hint = did_you_mean(champion, log.arms) or there_are(log.arms)
        problems.append(Problem(f"no arm {shown(champion)} in the log; {hint}", "--champion"))
    file = log.files[0]
    for place, arm in enumerate(log.arms):
        if counts[place] < _LEAST_ROWS:
            message = f"has {counts[place]:,} rows of {shown(arm)}: at least {_LEAST_ROWS} are needed to know it"
            problems.append(Problem(message, log.columns.arm or "", file))
        for outcome, values in log.outcomes.items():
            own = values[log.arm == place]
            own = own[np.isfinite(own)]
            if counts[place] >= _LEAST_ROWS and (own.size < 2 or own.min() == own.max()):
                what = "no value" if not own.size else f"{own[0]:g} in every row"
                of = f" of {shown(arm)}" if len(log.arms) > 1 else ""
                problems.append(Problem(f"has {what}{of}: nothing can be tested by it", outcome, file))
    if log.latency_s is not None and not np.isfinite(log.latency_s).any():
        problems.append(Problem("has no value", log.columns.latency or "", file))
    if problems:
        raise InputError(problems)
    return name, first


def _version(
    log: RequestLog, rows: Bools, answered: Bools, arm: str, primary: str, delay: Delay | None, champion: Version | None
) -> Version:  # fmt: skip
    """What is found of an arm, of its requests and of those that it answered (n,)."""
    outcomes: dict[str, Found] = {}
    for name, values in log.outcomes.items():
        own = values[answered]
        there = np.isfinite(own)
        user = None if log.user is None else log.user[answered][there]
        found = fit_outcome(name, own[there], user)
        if name == primary and delay is not None and delay.counts_as_failure and log.known_us is not None:
            age = log.end_us - log.time_us[answered]
            found = _grown(found, own, delay.rate(own, log.known_us[answered], age))
        elif delay is not None and delay.found.written is not None and name != primary:
            found = replace(found, told=f"{found.told}; as far as it is known by now: only {primary} has times of its own")
        outcomes[name] = found
    latency = error_rate = None
    if log.latency_s is not None and np.isfinite(log.latency_s[rows]).any():
        latency = fit_latency(log.latency_s[rows])
    if log.error is not None:
        error_rate = fit_errors(log.error[rows])
    effect = None
    if champion is not None:
        effect = _effect(champion, outcomes[primary].numbers["mean"], primary)
    return Version(arm, int(rows.sum()), outcomes, latency, error_rate, effect)


def _effect(champion: Version, mean: Number, primary: str) -> Found:
    """How much more an arm earns than the champion, relatively, by the delta method; what the log leaves open is drawn."""
    base = champion.outcomes[primary].numbers["mean"]
    if abs(base.estimate) < _TOLD_FROM_0 * base.error or base.estimate == 0:
        found = f"{base.estimate:.3g} ± {base.error:.2g} on average of {shown(champion.arm)}, which is not told from 0"
        message = f"is {found}: effects of versions are relative to it, so a version cannot be compared; take another outcome"
        raise InputError([Problem(message, primary, "--primary")])
    ratio = mean.estimate / base.estimate
    effect = Number(ratio - 1, math.hypot(mean.error, ratio * base.error) / abs(base.estimate))
    sd = max(rounded(100 * effect.error), 1e-4)
    written = {"normal": {"mean": f"{rounded(100 * effect.estimate):.5g}%", "sd": f"{sd:.5g}%"}}
    told = f"{100 * effect.estimate:+.3g}% ± {100 * effect.error:.2g}% of {primary} beside {champion.arm}"
    return Found("relative effect", written, told, {"effect": effect})


def _grown(found: Found, values: Floats, rate: Number) -> Found:
    """An outcome with the share of requests that will have one, in the place of those that have one by now."""
    by_now, mean = float((values != 0).mean()), found.numbers["mean"]
    kind = next(iter(found.written))
    if kind == "bernoulli":
        # Requests of one user are alike, as much as it shows by now.
        alone = math.sqrt(by_now * (1 - by_now) / len(values))
        rate = Number(rate.estimate, rate.error * max(mean.error / alone, 1.0))
    told = f"{100 * rate.estimate:.4g}% ± {100 * rate.error:.2g}% once all are known; {100 * by_now:.4g}% are by now"
    share = f"{100 * rounded(rate.estimate):.6g}%"
    factor = rate.estimate / by_now
    written: dict[str, Any]
    match kind:
        case "bernoulli":
            written, grown = {kind: share}, rate
        case "zero_inflated":
            written = {kind: {**found.written[kind], "rate": share}}
            told, grown = f"{told}; {found.told}", Number(mean.estimate * factor, mean.error * factor)
        case _:
            written, told, grown = found.written, f"{found.told}; too low: {told}", mean
    return Found(found.what, written, told, {**found.numbers, "rate": rate, "mean": grown}, found.chart)


def _remarks(log: RequestLog) -> Sequence[str]:
    span_s = log.span_us / 1e6
    found = [f"{log.rows:,} rows over {length(span_s) if span_s < DAY_S else f'{span_s / DAY_S:.1f} days'}"]
    if log.kept < log.rows:
        whole = "users with all of their requests" if log.user is not None else "rows"
        found.append(f"{log.kept:,} of {log.rows:,} rows were looked at beyond their times: {whole}, chosen by hash")
    if log.start is None:
        found.append("times are seconds: the log does not tell the hour, and its first row stands for midnight")
    elif log.in_utc:
        found.append("times are UTC")
    if log.error is not None:
        found.append("outcomes are those of requests that did not fail, as those of a version are")
    for name in log.ignored:
        found.append(f"column {shown(name)} is not used: " + _UNUSED.get(name.casefold(), "--columns says what it is"))
    return found
