"""Compare the policies of a run folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from sim.compare.frontier import choices, frontier, leaders
from sim.compare.measures import MEASURES
from sim.compare.result import Comparison, Judgement, PolicySummary
from sim.compare.thresholds import judge
from sim.compare.trials import Trials, read_trials
from sim.compare.verdict import verdict
from sim.errors import InputError, Problem
from sim.run.record import Record, read_run
from sim.units import shown

__all__ = ["Comparison", "Judgement", "PolicySummary", "compare", "compared"]


def compare(folder: Path, baseline: str | None = None) -> Comparison:
    """Every measure of every policy of a run folder, paired with a baseline (default: the run's own).

    Policies are paired by replication: all of them meet the same worlds and the same arrivals. Of an interrupted run
    it compares the policies that have trials; where the run's own baseline has none, there are no differences.

    Raises `InputError` for a folder that holds no run, and for a baseline that is not a policy of the run with trials.

    Source: paired comparison on common random numbers: Law, Simulation Modeling and Analysis (2015), §10.2 and §11.2.

    >>> compare(Path("nowhere"))
    Traceback (most recent call last):
    sim.errors.InputError: nowhere: no such folder
    """
    run = read_run(folder)
    return compared(run, read_trials(folder, run), baseline)


def compared(run: Record, trials: Mapping[str, Trials], baseline: str | None = None) -> Comparison:
    """`compare`, of trials that have been read. `run` is what run.json says of them."""
    if baseline is not None and baseline not in trials:
        close = get_close_matches(baseline, trials, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        known = ", ".join(trials) or "none"
        raise InputError([Problem(f"must be a policy with trials ({known}), got {shown(baseline)}{hint}", path="baseline")])
    pairs_with = baseline or (run.baseline if run.baseline in trials else None)
    pool = choices(trials)
    summaries = tuple(_summary(each, trials.get(pairs_with or "")) for each in trials.values())
    comparison = Comparison(
        run=run,
        baseline=pairs_with,
        policies=summaries,
        frontier=_frontier(summaries, {each.policy for each in trials.values() if not each.is_baseline}),
        best={name: leaders(measure, pool) for name, measure in MEASURES.items()},
        verdict=verdict(run, trials),
    )
    return replace(comparison, thresholds=judge(comparison, run.thresholds))


def _summary(trials: Trials, baseline: Trials | None) -> PolicySummary:
    paired = baseline is not None and baseline is not trials
    differences: Mapping[str, Any] = (
        {name: measure.difference(trials, baseline) for name, measure in MEASURES.items()} if paired and baseline else {}
    )
    measures = {name: measure.estimate(trials) for name, measure in MEASURES.items()}
    return PolicySummary(trials.policy, trials.kind, measures, differences, trials.incidence)


def _frontier(summaries: tuple[PolicySummary, ...], candidates: set[str]) -> tuple[str, ...]:
    points = {}
    for each in summaries:
        time, regret = each.measures["time_to_decision"].estimate, each.measures["regret"].estimate
        if each.policy in candidates and time is not None and regret is not None:
            points[each.policy] = (time, regret)
    return frontier(points)
