"""The comparison in a few plain sentences, for people who were not there. Every number in it is in the tables."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from sim.compare.decision import Decision
from sim.compare.frontier import differs, leaders
from sim.compare.measure import Measure
from sim.compare.measures import MEASURES
from sim.compare.sensitivity import Sensitivity
from sim.compare.trials import Trials
from sim.compare.wording import duration, listed, quantity, share, with_interval
from sim.run.record import Record
from sim.stats.intervals import Estimate

# A sentence names at most so many policies; the table has all.
MOST_NAMED = 3

_BASELINE = {"switch": "shipping at once", "hold": "keeping the champion"}
_SUPERLATIVE = {"net_value": "highest net value", "regret": "lowest regret"}


def memo(run: Record, trials: Mapping[str, Trials], decision: Decision, along: Sequence[Sensitivity] = ()) -> tuple[str, ...]:
    """Sentences on what to do and why, what it gives and risks, how often it errs, how long it takes, and what would change it.

    The first one is the answer. A difference is claimed only where a paired interval leaves out 0.
    """
    opening = _interrupted(run, trials)
    others = [each for each in trials.values() if not each.is_baseline]
    baselines = [each for each in trials.values() if each.is_baseline]
    if not trials:
        return (f"{opening}No policy has any trials, so there is nothing to compare.",)
    if not others:
        return (f"{opening}Only baselines were run, which decide on nothing: {_baselines_alone(baselines)}.",)
    if decision.chosen is None:
        none = "the one policy is not" if len(others) == 1 else f"none of the {len(others)} policies is"
        return (f"{opening}Take none: {none} fit to be recommended.", *_passed_over(run, decision))
    chosen = trials[decision.chosen]
    return (
        opening + _answer(decision, trials) + _yet(run.goal, chosen, baselines, decision),
        *_gives(run, chosen, trials, decision),
        *_worst(run, chosen),
        _errs(run, chosen),
        _takes(run, chosen, trials, decision),
        *_passed_over(run, decision),
        *_flips(run, decision, along),
    )


def amount(run: Record, estimate: Estimate, *, signed: bool = False) -> str:
    """An amount of net value or regret, with its unit."""
    return f"{with_interval(estimate, 'value', signed=signed)} {unit_of(run)}"


def unit_of(run: Record) -> str:
    """What amounts are in: the currency, or where nothing is priced the primary metric."""
    if run.value and run.value.currency:
        return run.value.currency
    priced = run.value is not None and run.value.per not in ({}, {run.primary.name: 1.0})
    return "units of value" if priced else run.primary.name


def _answer(decision: Decision, trials: Mapping[str, Trials]) -> str:
    """What to do, and why."""
    chosen, best = decision.chosen, _SUPERLATIVE[decision.aim]
    fit = f"of the {len(decision.pool)} policies that are fit to be recommended"
    assert chosen is not None
    n = trials[chosen].n
    if decision.because == "only":
        only = "the only policy" if not decision.passed_over else "the only policy that is fit to be recommended"
        return f"Take {chosen}: it is {only}."
    if decision.because == "best":
        return f"Take {chosen}: {fit} it has the {best}."
    tie = f"{n:,} replications cannot tell which of {listed(decision.tied)} has the {best} {fit}"
    if decision.because == "first":
        return f"Take {chosen}, or another: {tie}, and nothing else tells {listed(decision.left)} apart."
    found = with_interval(MEASURES[decision.because].estimate(trials[chosen]), MEASURES[decision.because].unit)
    why = {
        "harmed_requests": f"harms the fewest requests, {found}",
        "slo_violation_rate": f"has the fewest failed and slow requests, {found}",
        "correct": f"is right most often, in {found}",
        "time_to_decision": f"decides soonest on average, in {found}",
    }[decision.because]
    return f"Take {chosen}: {tie}, and of these {chosen} {why}."


def _yet(goal: str, chosen: Trials, baselines: Sequence[Trials], decision: Decision) -> str:
    """What to do instead where a baseline is shown to do better than what is taken; empty where none is."""
    aim = MEASURES[decision.aim]
    good = 1 if aim.better == "higher" else -1
    # What a release is for, which is not seen in the primary metric, is no part of its net value.
    rivals = [each for each in baselines if not (goal == "not_worse" and each.kind == "hold")]
    better = [each for each in rivals if differs(aim.difference(each, chosen)) == good]
    return "".join(f" {_BASELINE[each.kind].capitalize()} ({each.policy}) does better than any policy here." for each in better)


def _gives(run: Record, chosen: Trials, trials: Mapping[str, Trials], decision: Decision) -> Iterator[str]:
    """What it gives against keeping the champion, and against the others."""
    aim = MEASURES[decision.aim]
    found = aim.estimate(chosen)
    compared = list(_against(run, aim, chosen, trials, decision.runner_up))
    if decision.aim == "regret":
        yield f"Its regret is {amount(run, found)}{''.join(f', {text}' for text in compared)}."
        return
    over = duration(run.value.lifetime_s if run.value else run.horizon_s)
    part = _part(run, found)
    yield f"Over {over} it gives {amount(run, found, signed=True)} against keeping the champion{part}."
    if compared:
        yield f"That is {'; '.join(compared)}."


def _part(run: Record, found: Estimate) -> str:
    """What a net value is as a share of all that the champion would earn; empty where prices are stated."""
    if run.value is None or run.value.stated or run.primary.mean is None or found.estimate is None:
        return ""
    earned = abs(run.primary.mean) * run.requests_expected * run.value.lifetime_s / run.horizon_s
    return f", which is {share(abs(found.estimate) / earned)} of all {run.primary.name}" if earned > 0 else ""


def _against(
    run: Record, aim: Measure, chosen: Trials, trials: Mapping[str, Trials], runner_up: str | None
) -> Iterator[str]:  # fmt: skip
    """How it compares with the next best, with shipping at once, and by regret with keeping the champion."""
    shown = {1: "more than", -1: "less than"}
    named = [(runner_up, f"the runner-up {runner_up}")] if runner_up else []
    for other in trials.values():
        if other.is_baseline and not (other.kind == "hold" and aim.name == "net_value"):
            named.append((other.policy, f"{_BASELINE[other.kind]} ({other.policy})"))
    for name, text in named:
        difference = aim.difference(chosen, trials[name])
        side = differs(difference)
        if side is None or difference is None:
            yield f"not shown to differ from {text}"
        else:
            size = Estimate(*(_absolute(difference)), difference.n)
            yield f"{amount(run, size)} {shown[side]} {text}"


def _absolute(difference: Estimate) -> tuple[float | None, float | None, float | None]:
    """A difference whose interval leaves out 0, by its size."""
    value, lower, upper = difference.estimate, difference.lower, difference.upper
    if value is None or value >= 0:
        return value, lower, upper
    return -value, None if upper is None else -upper, None if lower is None else -lower


def _worst(run: Record, chosen: Trials) -> Iterator[str]:
    worst = MEASURES["net_value_worst"].estimate(chosen)
    if worst.estimate is not None:
        yield f"In the worst 5% of trials it gives {amount(run, worst, signed=True)}."


def _errs(run: Record, chosen: Trials) -> str:
    if run.goal == "not_worse":
        return _releases(chosen)
    wrong, missed = (MEASURES[name].estimate(chosen) for name in ("wrong_ship", "missed_win"))
    ships = (
        f"It ships a challenger that is no better in {with_interval(wrong, 'share')} of the trials where there is one"
        if wrong.n
        else "It ships nothing wrong, as every challenger is better in every trial"
    )
    misses = (
        f"ships nothing in {with_interval(missed, 'share')} of those with a win that matters"
        if missed.n
        else "misses no win, as no trial has one that matters"
    )
    return f"{ships}, and {misses}."


def _releases(chosen: Trials) -> str:
    """How often it errs where a challenger only must not be worse: what becomes of healthy releases and of bad ones."""
    back, shipped, caught = (
        MEASURES[name].estimate(chosen) for name in ("false_rollback", "missed_regression", "time_to_keep_if_worse")
    )
    healthy = (
        f"It rolls a healthy release back in {with_interval(back, 'share')} of the trials with one"
        if back.n
        else "No trial has a healthy release"
    )
    bad = (
        f"ships a bad one in {with_interval(shipped, 'share')}, and takes {with_interval(caught, 's')} to roll one back"
        if shipped.n
        else "no trial has a bad one"
    )
    return f"{healthy}, {bad}." if back.n and shipped.n else f"{healthy}, and {bad}."


def _takes(run: Record, chosen: Trials, trials: Mapping[str, Trials], decision: Decision) -> str:
    """How long it takes, and the others that are fit."""
    late = chosen.incidence.quantile(0.95)
    end = f"95% by {duration(late)}" if late is not None else f"95% not within {duration(run.horizon_s)}"
    others = [f"{name} takes {_half(trials[name])}" for name in decision.pool if name != chosen.policy]
    rest = f"; to decide half, {listed(others, MOST_NAMED)}" if others else ""
    return f"Half of its trials are decided by {_half(chosen)}, {end}{rest}."


def _passed_over(run: Record, decision: Decision) -> Iterator[str]:
    if not decision.passed_over:
        return
    clauses = [f"{name}, which {reason}" for name, reason in decision.passed_over.items()]
    named = clauses[:MOST_NAMED]
    more = [f"{len(clauses) - MOST_NAMED} more"] if len(clauses) > MOST_NAMED else []
    yield f"Not recommended within {duration(run.horizon_s)}: {'; '.join([*named, *more])}."


def _flips(run: Record, decision: Decision, along: Sequence[Sensitivity]) -> Iterator[str]:
    """At which lifetime and prices the choice changes; one sentence of all that half and twice the value leave as it is."""
    stays = [each for each in along if not each.changes(decision.chosen)]
    for each in along:
        if each.changes(decision.chosen):
            found = [f"{_chosen(other.chosen)} at {amount_of(run, each.key, other.value)}" for other in each.varied
                     if other.chosen != decision.chosen]  # fmt: skip
            now = f"{LABELS[each.key]} of {amount_of(run, each.key, each.now)}"
            yield f"The choice depends on the {now}: {listed(found)}{_turns(each, run)}."
    turning = sorted((each for each in stays if each.below or each.above), key=_distance)
    if stays:
        of = listed([f"{LABELS[each.key]} of {amount_of(run, each.key, each.now)}" for each in stays])
        text = "half or twice" if all(len(each.varied) > 1 for each in stays) else "twice"
        yield f"The choice stays at {text} the {of}{''.join(_turns(each, run) for each in turning[:1])}."


LABELS = {
    "lifetime": "lifetime", "per_error": "cost of a failed request", "per_slow": "cost of a slow request",
    "per_lost": "cost of a lost request", "per_day": "cost of a day of rollout", "per_ship": "cost of shipping",
    "per_rollback": "cost of a rollback", "delay": "cost of a day of waiting",
}  # fmt: skip
"""What the keys of `value` are called in a sentence."""


def _chosen(policy: str | None) -> str:
    return f"take {policy}" if policy else "take none"


def amount_of(run: Record, key: str, value: float) -> str:
    """A value of a key of `value`: a duration for the lifetime, else a price."""
    return duration(value) if key == "lifetime" else f"{quantity(value)} {unit_of(run)}"


def _distance(each: Sensitivity) -> float:
    """How many times its value the nearest break-even of a key is, or its value that."""
    turns = (turn.value / each.now for turn in (each.below, each.above) if turn)
    return min(max(ratio, 1 / ratio) if ratio else math.inf for ratio in turns)


def _turns(each: Sensitivity, run: Record) -> str:
    """The break-even values of a key, as the end of a sentence."""
    what, most = f"a {LABELS[each.key]} of", "gives most on average"
    turns = [(side, turn) for side, turn in (("below", each.below), ("above", each.above)) if turn]
    found = [f"{side} {what} {amount_of(run, each.key, turn.value)} {turn.policy} {most}" for side, turn in turns]
    return f"; {listed(found)}" if found else ""


def _baselines_alone(baselines: Sequence[Trials]) -> str:
    regrets = listed([
        f"{each.policy} has a regret of {with_interval(MEASURES['regret'].estimate(each), 'value')}" for each in baselines
    ])  # fmt: skip
    if len(baselines) == 1:
        return regrets
    least = leaders(MEASURES["regret"], baselines)
    if len(least) > 1:
        return f"{regrets}; {baselines[0].n:,} replications cannot tell which is lower"
    return f"{regrets}; that of {least[0]} is the lowest"


def _interrupted(run: Record, trials: Mapping[str, Trials]) -> str:
    if run.status == "finished":
        return ""
    return f"Interrupted, with {len(trials)} of {len(run.policies)} policies run. "


def _half(trials: Trials) -> str:
    time = trials.incidence.quantile(0.5)
    assert time is not None
    return duration(time)
