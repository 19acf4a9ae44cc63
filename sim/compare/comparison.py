"""Compare the policies of a run at each of its points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sim.compare.along import memo_along
from sim.compare.decision import decide
from sim.compare.elsewhere import elsewhere
from sim.compare.frontier import frontier, leaders
from sim.compare.measures import MEASURES, label_of
from sim.compare.memo import memo
from sim.compare.result import (
    Comparison,
    Curve,
    Incidence,
    Judgement,
    MeasureLabel,
    PointComparison,
    PolicySummary,
)
from sim.compare.sensitivity import sensitivity
from sim.compare.thresholds import judge
from sim.compare.trials import Trials, read_trials, read_varied, trials_of, varied_of
from sim.errors import InputError, Problem
from sim.run.record import Record, RunPoint, read_run
from sim.stats.survival import Curve as Steps
from sim.units import shown
from sim.version import VERSION

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Comparison", "Judgement", "PointComparison", "PolicySummary", "compare", "compare_trials"]

# The most times of a curve: a figure shows no more. A curve has at most one step per tick.
_MOST_TIMES = 121


def compare(folder: Path, baseline: str | None = None) -> Comparison:
    """Every measure of every policy of a run folder, at each point, paired with a baseline (default: the run's own).

    Policies are paired by replication: all meet the same worlds and the same arrivals. In an interrupted run, only
    policies with trials are compared; without trials of the baseline there are no differences.

    Raises `InputError` for a folder that holds no run, and for a baseline that is not a policy of the run with trials.

    Source: paired comparison on common random numbers: Law, Simulation Modeling and Analysis (2015), §10.2 and §11.2.

    >>> compare(Path("nowhere"))
    Traceback (most recent call last):
    sim.errors.InputError: nowhere: no such folder
    """
    run = read_run(folder)
    return _compared(run, read_trials(folder, run), baseline, read_varied(folder, run))


def compare_trials(
    run: Record, trials: pd.DataFrame, baseline: str | None = None, sensitivity: pd.DataFrame | None = None
) -> Comparison:
    """`compare` for trials in memory: tables as in `trials.parquet` and `sensitivity.parquet`, `run` as in run.json."""
    return _compared(run, trials_of(trials, run), baseline, varied_of(sensitivity, run))


def _compared(
    run: Record, trials: Sequence[Mapping[str, Trials]], baseline: str | None, varied: Sequence[Mapping[str, Trials]]
) -> Comparison:
    # The trials of many points are read one point at a time, and only once where that is enough.
    names = [] if baseline is None else list(dict.fromkeys(name for by_policy in trials for name in by_policy))
    if baseline is not None and baseline not in names:
        close = get_close_matches(baseline, names, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        known = ", ".join(names) or "none"
        raise InputError([Problem(f"must be a policy with trials ({known}), got {shown(baseline)}{hint}", path="baseline")])
    reference = baseline or run.baseline
    points = tuple(_at_point(point, by_policy, reference, varied) for point, by_policy in zip(run.points, trials, strict=True))
    return Comparison(
        run=run,
        baseline=reference,
        measures={
            name: MeasureLabel(label_of(name, run.goal), row.unit, row.better, row.about) for name, row in MEASURES.items()
        },
        points=points,
        memo=memo_along(run, points) if run.paths else points[0].memo,
        thresholds=judge(run, points),
        sim_version=VERSION,
    )


def _at_point(
    point: RunPoint, trials: Mapping[str, Trials], reference: str, varied: Sequence[Mapping[str, Trials]]
) -> PointComparison:
    pairs_with = trials.get(reference)
    decision = decide(point.run, trials)
    along = sensitivity(point.run, trials, decision.pool)
    places = elsewhere(point.run, trials, decision, varied)
    pool = [trials[name] for name in decision.pool]
    promised = {policy.name: policy.promised for policy in point.run.policies}
    summaries = tuple(_summary(own, pairs_with, promised[own.policy]) for own in trials.values())
    return PointComparison(
        values=point.values,
        numbers=point.numbers,
        baseline=pairs_with.policy if pairs_with else None,
        policies=summaries,
        frontier=_frontier(summaries, {own.policy for own in trials.values() if not own.is_baseline}),
        best={name: leaders(measure, pool) for name, measure in MEASURES.items()},
        decision=decision,
        sensitivity=along,
        elsewhere=places,
        memo=memo(point.run, trials, decision, along, places),
    )


def _summary(trials: Trials, baseline: Trials | None, promised: float | None) -> PolicySummary:
    paired = baseline is not None and baseline is not trials
    differences: Mapping[str, Any] = (
        {name: measure.difference(trials, baseline) for name, measure in MEASURES.items()} if paired and baseline else {}
    )
    measures = {name: measure.estimate(trials) for name, measure in MEASURES.items()}
    return PolicySummary(trials.policy, trials.kind, measures, differences, _incidence(trials), promised)


def _incidence(trials: Trials) -> Incidence:
    decided, given_up = trials.incidence, trials.given_up
    time = np.union1d(decided.overall.time, given_up.overall.time)
    if time.size > _MOST_TIMES:
        time = time[np.unique(np.linspace(0, time.size - 1, _MOST_TIMES).round().astype(np.int64))]

    def curve(steps: Steps) -> Curve:
        at = steps.at(time)
        return Curve(tuple(at.incidence.tolist()), tuple(at.lower.tolist()), tuple(at.upper.tolist()))

    curves = decided.curves["ship"], decided.curves["keep"], given_up.overall, decided.overall
    return Incidence(tuple(time.tolist()), *map(curve, curves))


def _frontier(summaries: tuple[PolicySummary, ...], candidates: set[str]) -> tuple[str, ...]:
    points = {}
    for summary in summaries:
        time, regret = summary.measures["time_to_decision"].estimate, summary.measures["regret"].estimate
        if summary.policy in candidates and time is not None and regret is not None:
            points[summary.policy] = (time, regret)
    return frontier(points)
