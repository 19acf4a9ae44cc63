"""The answer in one sentence. It claims a difference only where a paired interval leaves out 0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sim.compare.frontier import choices, differs, in_time, keeps_promise, leaders
from sim.compare.measures import MEASURES
from sim.compare.trials import Trials
from sim.compare.wording import duration, listed, share, with_interval
from sim.run.record import Record

# The sentence names at most so many policies; the table has all.
MOST_NAMED = 3


def verdict(run: Record, trials: Mapping[str, Trials]) -> str:
    """One sentence on which policy to take, with its risks.

    Looks, among the policies that ship or keep in at least half of their trials by the horizon, and are not shown to ship
    wrongly more often than their rule promises, for the one of lowest mean regret, which counts both harm and wins forgone.
    Those not shown to regret more are named with it; of them the one that harms fewest requests is taken if that is shown
    (regret does not see a broken limit), else the one that is right most often, else the quickest. Baselines (switch, hold)
    are compared with, never recommended.
    """
    return f"{_interrupted(run, trials)}{_answer(run, trials)}."


def _answer(run: Record, trials: Mapping[str, Trials]) -> str:
    horizon = duration(run.horizon_s)
    pool = choices(trials)
    baselines = [policy for policy in trials.values() if policy.is_baseline]
    if not trials:
        return "no policy has any trials, so there is nothing to compare"
    others = [policy for policy in trials.values() if not policy.is_baseline]
    if not others:
        return f"only baselines were run, which decide on nothing: {_baselines_alone(baselines)}"
    if not any(in_time(each) for each in others):
        return _none_decides(others, horizon)
    if not pool:
        return f"no policy can be recommended: {'; '.join([*_heedless(others), *_late(others, horizon)])}"

    chosen, opening = _chosen(pool, len(others), horizon)
    clauses = [
        f"{opening}: its regret is {_text('regret', chosen)}{_against(chosen, baselines)}",
        f"it has decided half of its trials by {_by(chosen)}, {_wrong_ship(chosen)}, and {_missed_win(chosen)}",
        *_others(chosen, trials, horizon),
    ]
    return "; ".join(clauses)


def _chosen(pool: Sequence[Trials], candidates: int, horizon: str) -> tuple[Trials, str]:
    """The policy that the sentence is about, and the claim about it."""
    within = f"at least half of {'its' if len(pool) == 1 else 'their'} trials within {horizon}"
    if len(pool) == 1:
        only = "recommend" if candidates > 1 else "choose"
        return pool[0], f"{pool[0].policy} is the only policy to {only}, and decides {within}"
    among = f"of the {len(pool)} policies that decide {within}"
    least = leaders(MEASURES["regret"], pool)
    gentlest = leaders(MEASURES["harmed_requests"], [each for each in pool if each.policy in least])
    if 1 == len(gentlest) < len(least):
        chosen = next(each for each in pool if each.policy == gentlest[0])
        tie = f"{chosen.n:,} replications cannot tell which of {listed(least)} has the lowest regret {among}"
        return chosen, f"{tie}, but of these {chosen.policy} harms the fewest requests, {_text('harmed_requests', chosen)}"
    right = leaders(MEASURES["correct"], [each for each in pool if each.policy in (gentlest or least)])
    if 1 == len(right) < len(least):
        chosen = next(each for each in pool if each.policy == right[0])
        tie = f"{chosen.n:,} replications cannot tell which of {listed(least)} has the lowest regret {among}"
        return chosen, f"{tie}, but of these {chosen.policy} is right most often, in {_text('correct', chosen)}"
    quickest = leaders(MEASURES["time_to_decision"], [each for each in pool if each.policy in right])
    chosen = next(each for each in pool if each.policy == quickest[0])
    if len(least) == 1:
        return chosen, f"{chosen.policy} has the lowest regret {among}"
    tie = f"{chosen.n:,} replications cannot tell which of {listed(least)} has the lowest regret {among}"
    if len(quickest) == 1:
        mean = _text("time_to_decision", chosen)
        return chosen, f"{tie}, but of these {chosen.policy} decides soonest on average, in {mean}"
    return chosen, f"{tie}, nor which of {listed(quickest)} decides soonest on average; for {chosen.policy}"


def _against(chosen: Trials, baselines: Sequence[Trials]) -> str:
    """How the regret compares with the regret of the baselines."""
    sides: dict[str, list[str]] = {}
    for baseline in baselines:
        side = differs(MEASURES["regret"].difference(chosen, baseline))
        sides.setdefault({-1: "below", 1: "above", None: "not shown to differ from"}[side], []).append(baseline.policy)
    return "".join(f", {side} that of {listed(names)}" for side, names in sides.items())


def _wrong_ship(chosen: Trials) -> str:
    if MEASURES["wrong_ship"].estimate(chosen).n == 0:
        return "ships nothing wrong, as every challenger is better in every trial"
    return f"ships a challenger that is no better in {_text('wrong_ship', chosen)} of the trials where there is one"


def _missed_win(chosen: Trials) -> str:
    if MEASURES["missed_win"].estimate(chosen).n == 0:
        return "misses no win, as no trial has one that matters"
    return f"ships nothing in {_text('missed_win', chosen)} of those with a win that matters"


def _others(chosen: Trials, trials: Mapping[str, Trials], horizon: str) -> list[str]:
    others = [each for each in trials.values() if not each.is_baseline and each is not chosen]
    times = [f"{each.policy} takes {_by(each)}" for each in others if in_time(each) and keeps_promise(each)]
    return [
        *([f"to decide half, {listed(times, MOST_NAMED)}"] if times else []),
        *(f"not recommended, as {clause}" for clause in _heedless(others)),
        *_late(others, horizon),
    ]


def _heedless(others: Sequence[Trials]) -> list[str]:
    """Which policies are shown to ship wrongly too often to be recommended: clauses, one of a kind."""
    broken = [each for each in others if in_time(each) and not keeps_promise(each)]
    promised = [
        f"{each.policy} in {_text('wrong_ship', each)} ({share(each.promised)} promised)"
        for each in broken
        if each.promised is not None
    ]
    free = [f"{each.policy} in {_text('wrong_ship', each)}" for each in broken if each.promised is None]
    return [
        f"what is no better is shipped more often than {than} by {listed(names, MOST_NAMED)}"
        for than, names in (("promised", promised), ("not", free))
        if names
    ]


def _late(others: Sequence[Trials], horizon: str) -> list[str]:
    late = [each.policy for each in others if not in_time(each)]
    return [f"{listed(late, MOST_NAMED)} {'does' if len(late) == 1 else 'do'} not decide half within {horizon}"] if late else []


def _none_decides(pool: Sequence[Trials], horizon: str) -> str:
    ordered = sorted(pool, key=lambda each: (_open(each), each["verdict"].tolist().count("undecided")))
    shares = [_left_open(each) for each in ordered]
    return f"no policy decides half of its trials within {horizon}: {listed(shares, MOST_NAMED)}"


def _open(trials: Trials) -> float:
    """The share of trials that neither ship nor keep."""
    return float(np.isin(trials["verdict"], ("undecided", "inconclusive")).mean())


def _left_open(trials: Trials) -> str:
    """What a policy does in the trials that it does not decide."""
    gives_up, runs_on = (bool((trials["verdict"] == how).any()) for how in ("inconclusive", "undecided"))
    ends = [f"gives up in {_text('inconclusive', trials)}"] if gives_up else []
    if runs_on or not ends:
        ends.append(f"leaves {_text('undecided', trials)} undecided")
    return f"{trials.policy} {' and '.join(ends)}"


def _baselines_alone(baselines: Sequence[Trials]) -> str:
    regrets = listed([f"{baseline.policy} has a regret of {_text('regret', baseline)}" for baseline in baselines])
    least = leaders(MEASURES["regret"], baselines)
    if len(baselines) == 1:
        return regrets
    n = baselines[0].n
    answer = f"{n:,} replications cannot tell which is lower" if len(least) > 1 else f"that of {least[0]} is the lowest"
    return f"{regrets}; {answer}"


def _interrupted(run: Record, trials: Mapping[str, Trials]) -> str:
    if run.status == "finished":
        return ""
    return f"Interrupted, with {len(trials)} of {len(run.policies)} policies run: "


def _by(trials: Trials) -> str:
    time = trials.incidence.quantile(0.5)
    assert time is not None
    return duration(time)


def _text(measure: str, trials: Trials) -> str:
    return with_interval(MEASURES[measure].estimate(trials), MEASURES[measure].unit)
