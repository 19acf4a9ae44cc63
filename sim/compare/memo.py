"""The comparison in a few plain sentences, for people who were not there. Every number in it is in the tables."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from sim.compare.decision import Decision, decide
from sim.compare.elsewhere import Elsewhere, counted, unplayed
from sim.compare.frontier import differs, leaders
from sim.compare.measure import Measure
from sim.compare.measures import MEASURES
from sim.compare.offline import offline_alone
from sim.compare.sensitivity import Sensitivity
from sim.compare.trials import Trials
from sim.compare.wording import duration, listed, quantity, share, with_interval
from sim.run.record import Record
from sim.stats.intervals import Estimate

# A sentence names at most so many policies; the table has all.
MOST_NAMED = 3
# And so many other worlds.
MOST_PLACES = 6

_BASELINE = {"switch": "shipping at once", "hold": "keeping the champion"}
_SUPERLATIVE = {"net_value": "highest net value", "regret": "lowest regret"}


def memo(
    run: Record, trials: Mapping[str, Trials], decision: Decision, along: Sequence[Sensitivity] = (),
    places: Sequence[Elsewhere] = (),
) -> tuple[str, ...]:  # fmt: skip
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
        return (
            f"{opening}Take none: {none} fit to be recommended.",
            *_passed_over(run, decision), *_played_again(decision.chosen, places), *_how(run),
        )  # fmt: skip
    chosen = trials[decision.chosen]
    return (
        opening + _answer(decision, trials) + _yet(run.goal, chosen, baselines, decision),
        *_gives(run, chosen, trials, decision),
        *_worst(run, chosen),
        _errs(run, chosen),
        _takes(run, chosen, trials, decision),
        *offline_alone(chosen, trials),
        *_passed_over(run, decision),
        *_programme(run, trials, decision),
        *_flips(run, decision, along),
        *_played_again(decision.chosen, places),
        *_how(run),
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


def balance(run: Record, net: Estimate) -> str:
    """What a net value comes to: "gives +3 EUR", or "loses 3 EUR"; errors, of which fewer are better, are saved or added."""
    if {net.estimate, net.lower, net.upper} <= {0, None}:
        return "gives nothing and loses nothing"
    fewer = run.primary.sign < 0 and unit_of(run) == run.primary.name
    if net.estimate is not None and net.estimate < 0:
        return f"{'adds' if fewer else 'loses'} {amount(run, _turned(net))}"
    return f"{'saves' if fewer else 'gives'} {amount(run, net, signed=True)}"


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
    # The one taken stands first, as a long list names only some.
    tied = listed([chosen, *(name for name in decision.tied if name != chosen)])
    tie = f"{n:,} replications cannot tell which of {tied} has the {best} {fit}"
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
    """What to do instead where a baseline, or the best of them, is shown to do better than what is taken; else empty."""
    aim = MEASURES[decision.aim]
    good = 1 if aim.better == "higher" else -1
    # What a release is for, which is not seen in the primary metric, is no part of its net value.
    rivals = [each for each in baselines if not (goal == "not_worse" and each.kind == "hold")]
    better = [each for each in rivals if differs(aim.difference(each, chosen)) == good]
    best = leaders(aim, better)
    named = listed([f"{_BASELINE[each.kind]} ({each.policy})" for each in better if each.policy in best]) if best else ""
    return f" {named[0].upper()}{named[1:]} {'does' if len(best) == 1 else 'do'} better than any policy here." if best else ""


def _gives(run: Record, chosen: Trials, trials: Mapping[str, Trials], decision: Decision) -> Iterator[str]:
    """What it gives against keeping the champion, and against the others."""
    aim = MEASURES[decision.aim]
    found = aim.estimate(chosen)
    compared = list(_against(run, aim, chosen, trials, decision))
    if decision.aim == "regret":
        yield f"Its regret is {amount(run, found)}{''.join(f', {text}' for text in compared)}."
        return
    over = duration(run.value.lifetime_s if run.value else run.horizon_s)
    part = _part(run, found)
    yield f"Over {over} it {balance(run, found)} against keeping the champion{part}."
    if compared:
        yield f"That is {'; '.join(compared)}."


def _part(run: Record, found: Estimate) -> str:
    """What a net value is as a share of all that the champion would earn; empty where prices are stated."""
    if run.value is None or run.value.stated or run.primary.mean is None or found.estimate is None:
        return ""
    earned = abs(run.primary.mean) * run.requests_expected * run.value.lifetime_s / run.horizon_s
    return (
        f", which is {share(abs(found.estimate) / earned)} of all {run.primary.name}" if earned > 0 and found.estimate else ""
    )


def _against(
    run: Record, aim: Measure, chosen: Trials, trials: Mapping[str, Trials], decision: Decision
) -> Iterator[str]:  # fmt: skip
    """How it compares with the next best, with shipping at once, and by regret with keeping the champion.

    What the decision cannot tell from it, at a confidence for all comparisons together, is not told from it here.
    """
    loses = aim.name == "net_value" and (aim.estimate(chosen).estimate or 0.0) < 0
    shown = {1: "better than", -1: "worse than"} if loses else {1: "more than", -1: "less than"}
    named = [(decision.runner_up, f"the runner-up {decision.runner_up}")] if decision.runner_up else []
    for other in trials.values():
        if other.is_baseline and not (other.kind == "hold" and aim.name == "net_value"):
            named.append((other.policy, f"{_BASELINE[other.kind]} ({other.policy})"))
    for name, text in named:
        difference = aim.difference(chosen, trials[name])
        side = None if name in decision.tied else differs(difference)
        if side is None or difference is None:
            yield f"not shown to differ from {text}"
        else:
            size = difference if (difference.estimate or 0.0) >= 0 else _turned(difference)
            yield f"{amount(run, size)} {shown[side]} {text}"


def _turned(estimate: Estimate) -> Estimate:
    """An estimate with its sign turned: what is lost, of what is given."""
    value, upper, lower = (None if each is None else -each for each in (estimate.estimate, estimate.lower, estimate.upper))
    return Estimate(value, lower, upper, estimate.n)


def _worst(run: Record, chosen: Trials) -> Iterator[str]:
    worst = MEASURES["net_value_worst"].estimate(chosen)
    if worst.estimate is not None:
        yield f"In the worst 5% of trials it {balance(run, worst)}."


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
    others = [name for name in decision.pool if name != chosen.policy]
    clauses = [f"{name} takes {_half(trials[name])}" for name in others[:MOST_NAMED]]
    if more := sorted(_half_s(trials[name]) for name in others[MOST_NAMED:]):
        between = " to ".join(dict.fromkeys(duration(time) for time in (more[0], more[-1])))
        clauses.append(f"{len(more)} more take{'s' if len(more) == 1 else ''} {between}")
    rest = f"; to decide half, {listed(clauses, len(clauses))}" if others else ""
    return f"Half of its trials are decided by {_half(chosen)}, {end}{rest}."


def _passed_over(run: Record, decision: Decision) -> Iterator[str]:
    if not decision.passed_over:
        return
    clauses = [f"{name}, which {reason}" for name, reason in decision.passed_over.items()]
    named = clauses[:MOST_NAMED]
    more = [f"and {len(clauses) - MOST_NAMED} more"] if len(clauses) > MOST_NAMED else []
    yield f"Not recommended within {duration(run.horizon_s)}: {'; '.join([*named, *more])}."


def _how(run: Record) -> Iterator[str]:
    """How many replications were enough; which numbers were found before the run, and what they hold."""
    if run.enough is not None and run.enough.targets:
        yield run.enough.told()
    if run.calibrated:
        named = [each.told() for each in run.calibrated[:MOST_NAMED]]
        more = [f"{len(run.calibrated) - MOST_NAMED} more"] if len(run.calibrated) > MOST_NAMED else []
        yield f"Found before the run: {'; '.join([*named, *more])}."


def _flips(run: Record, decision: Decision, along: Sequence[Sensitivity]) -> Iterator[str]:
    """At which lifetime and prices the choice changes; one sentence of all that half and twice the value leave as it is."""
    stays = [each for each in along if not each.changes(decision.chosen)]
    for each in along:
        if each.changes(decision.chosen):
            found = [f"{_chosen(other.chosen)} at {amount_of(run, each.key, other.value)}" for other in each.varied
                     if other.chosen != decision.chosen]  # fmt: skip
            now = f"{LABELS[each.key]} of {amount_of(run, each.key, each.now)}"
            yield f"The choice depends on the {now}: {listed(found)}{_turns(each, run, decision.chosen)}."
    turning = sorted((each for each in stays if each.below or each.above), key=_distance)
    if stays:
        of = listed([f"the {LABELS[each.key]} of {amount_of(run, each.key, each.now)}" for each in stays])
        text = "half or twice" if all(len(each.varied) > 1 for each in stays) else "twice"
        yield f"The choice stays at {text} {of}{''.join(_turns(each, run, decision.chosen) for each in turning[:1])}."


def _programme(run: Record, trials: Mapping[str, Trials], decision: Decision) -> Iterator[str]:
    """Whether a programme of releases would take another policy, and what a year of it gives."""
    if run.programme is None or decision.aim != "net_value":
        return
    a_year, releases = MEASURES["value_per_year"], MEASURES["releases_per_year"]
    found = decide(run, trials, a_year)
    chosen, other = decision.chosen, found.chosen
    if chosen is None or other is None:
        return
    slots = "one rollout" if run.programme.at_once == 1 else f"{run.programme.at_once} rollouts"
    start = f"In a programme of {quantity(run.programme.candidates_per_year)} candidates a year, with {slots} at a time,"

    def yearly(name: str) -> str:
        found = releases.estimate(trials[name])
        # What candidates limit has no error.
        done = quantity(found.estimate or 0.0) if found.lower == found.upper else with_interval(found, releases.unit)
        return f"{balance(run, a_year.estimate(trials[name]))} a year, from {done} releases"

    if other == chosen:
        yield f"{start} the choice is the same: {chosen} {yearly(chosen)}."
    elif differs(a_year.difference(trials[other], trials[chosen])) == 1:
        yield f"{start} take {other} instead: it {yearly(other)}; {chosen} {yearly(chosen)}."
    else:
        yield (
            f"{start} {trials[chosen].n:,} replications cannot tell {chosen} from {other}: "
            f"{chosen} {yearly(chosen)}; {other} {yearly(other)}."
        )


def _played_again(chosen: str | None, places: Sequence[Elsewhere]) -> Iterator[str]:
    """In which other worlds the choice is another, and in which replications cannot tell; of all others that it stays."""
    played = [each for each in places if each.then != "unplayed"]
    if not played:
        return
    clauses = [
        f"{_chosen(each.chosen)} {_in(each)}, where {chosen} {each.why}" if each.why else f"{_chosen(each.chosen)} {_in(each)}"
        for each in counted(played, "flips")
    ]
    left = counted(played, "open")
    if len(left) == len(played) > 1:
        yield f"Played again with one thing otherwise, in {len(left)} worlds, {left[0].n:,} replications cannot tell in any."
        return
    if left:
        clauses.append(f"{left[0].n:,} replications cannot tell {listed([_in(each) for each in left], MOST_PLACES)}")
    if stays := counted(played, "stays"):
        places_told = [_in(each) for each in stays] if clauses else [f"{_in(each)} ({each.told})" for each in stays]
        clauses.append(f"the choice stays {listed(places_told, MOST_PLACES)}")
    yield f"Played again with one thing otherwise: {'; '.join(clauses)}."


def _in(each: Elsewhere) -> str:
    """A world at the end of a clause: what is otherwise, and of a key of the scenario its value."""
    return f"with {each.what}" if " " in each.what else f"with {each.what} {each.told}"


LABELS = {
    "lifetime": "lifetime", "per_error": "cost of a failed request", "per_slow": "cost of a slow request",
    "per_lost": "cost of a lost request", "per_duplicate": "cost of a duplicated write", "per_day": "cost of a day of rollout",
    "per_ship": "cost of shipping", "per_rollback": "cost of a rollback", "delay": "cost of a day of waiting",
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


def _turns(each: Sensitivity, run: Record, chosen: str | None) -> str:
    """The break-even values of a key, as the end of a sentence."""
    what, most = f"a {LABELS[each.key]} of", "gives most on average"
    turns = [(side, turn) for side, turn in (("below", each.below), ("above", each.above)) if turn]
    found = [f"{side} {what} {amount_of(run, each.key, turn.value)} {turn.policy} {most}" for side, turn in turns]
    leads = f", where now {each.leads} does" if each.leads != chosen else ""
    return f"; {listed(found)}{leads}" if found else ""


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
    if len(trials) < len(run.policies):
        return f"Interrupted, with {len(trials)} of {len(run.policies)} policies run. "
    return f"Interrupted, with {len(unplayed(run))} of {len(run.variants)} other worlds not played. "


def _half(trials: Trials) -> str:
    return duration(_half_s(trials))


def _half_s(trials: Trials) -> float:
    """When half of the trials of a policy that is fit have decided."""
    time = trials.incidence.quantile(0.5)
    assert time is not None
    return time
