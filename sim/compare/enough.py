"""Whether there are as many replications as a scenario asks for: how wide intervals are, and whether the best is told."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from sim.compare.decision import decide
from sim.compare.frontier import leaders
from sim.compare.measures import MEASURES
from sim.compare.rules import named
from sim.compare.trials import Trials, trials_of
from sim.errors import InputError, Problem, format_path
from sim.run.found import EnoughRecord, TargetRecord
from sim.run.record import Record, RunPoint
from sim.scenario.enough import BEST, Enough
from sim.stats.intervals import Estimate
from sim.units import format_share

if TYPE_CHECKING:
    import pandas as pd


def problems(enough: Enough | None, most: int, policies: Collection[str]) -> list[Problem]:
    """What is wrong with what a scenario asks of its replications, of which there are at most `most`.

    >>> print(*problems(Enough(target={"wrong_shp": 0.01, "best": 0.4}), 100, ["ab"]), sep="\\n")
    replications.max: must be more than the first round, 200 unless min says so, got 100
    replications.target.wrong_shp: no measure 'wrong_shp'; did you mean wrong_ship?
    replications.target.best: must be a confidence of at least 50%, got 40%
    """
    if enough is None:
        return []
    wrong = []
    if enough.min >= most and "min" not in enough.model_fields_set:
        rule = f"must be more than the first round, {enough.min:,} unless min says so, got {most:,}"
        wrong.append(Problem(rule, path="replications.max"))
    elif enough.min >= most:
        wrong.append(Problem(f"must be less than the most, got {enough.min:,} and {most:,}", path="replications.min"))
    for key, value in enough.target.items():
        path = format_path(("replications", "target", key))
        if key == BEST:
            if value < 0.5:
                wrong.append(Problem(f"must be a confidence of at least 50%, got {format_share(value)}", path=path))
            continue
        try:
            named(key, policies, path)
        except InputError as error:
            wrong += error.problems
    return wrong


def targets(run: Record, trials: pd.DataFrame, enough: Enough) -> tuple[TargetRecord, ...]:
    """How near each target is, for the policy and the point that is farthest from it. `trials` are as in `trials.parquet`."""
    by_point = trials_of(trials, run)
    so_far = run.enough or EnoughRecord(replications=run.replications, least=run.replications, most=run.replications)
    return tuple(
        _best(run.points, by_point, asked, so_far) if key == BEST else _target(run.points, by_point, key, asked)
        for key, asked in enough.target.items()
    )


def _target(
    points: Sequence[RunPoint], by_point: Sequence[Mapping[str, Trials]], key: str, asked: float
) -> TargetRecord:  # fmt: skip
    policy, measure = named(key)
    widths = list(_widths(points, by_point, policy, measure))
    if not widths:
        return TargetRecord(target=key, asked=asked, points=points_of(measure), met=True)
    width, of, at = max(widths, key=lambda each: each[0])
    reached = width if width < float("inf") else None
    return TargetRecord(
        target=key, asked=asked, reached=reached, points=points_of(measure), policy=of, point=at, met=width <= asked
    )


def _widths(
    points: Sequence[RunPoint], by_point: Sequence[Mapping[str, Trials]], policy: str | None, measure: str
) -> Iterator[tuple[float, str, str]]:
    """How wide half of an interval is, with its policy and point; nothing of those of which no trial is a case."""
    for point, trials in zip(points, by_point, strict=True):
        for own in trials.values():
            if own.policy == policy or (policy is None and not own.is_baseline):
                estimate = MEASURES[measure].estimate(own)
                if estimate.n:
                    yield half_width(estimate, share=points_of(measure)), own.policy, point.label


def points_of(measure: str) -> bool:
    """Whether half of an interval of a measure is told in percentage points."""
    return MEASURES[measure].unit == "share"


def half_width(estimate: Estimate, *, share: bool) -> float:
    """Half of an interval: as it is of a share, else as a part of the estimate; infinite where it is not known.

    >>> half_width(Estimate(0.5, 0.25, 0.75, 900), share=True), half_width(Estimate(200.0, 190.0, 210.0, 900), share=False)
    (0.25, 0.05)
    """
    if estimate.estimate is None or estimate.lower is None or estimate.upper is None:
        return float("inf")
    half = (estimate.upper - estimate.lower) / 2
    if share or half == 0:
        return half
    return half / abs(estimate.estimate) if estimate.estimate else float("inf")


def _best(
    points: Sequence[RunPoint], by_point: Sequence[Mapping[str, Trials]], asked: float, so_far: EnoughRecord
) -> TargetRecord:  # fmt: skip
    """Whether the best is told from the others everywhere; `policy` are those that are tied at the first point where not.

    The confidence holds for as many looks together as there may be.
    """
    looks = so_far.looks
    for point, trials in zip(points, by_point, strict=True):
        decision = decide(point.run, trials)
        pool = [trials[name] for name in decision.pool]
        tied = leaders(MEASURES[decision.aim], pool, so_far.each_look(asked)) if len(pool) > 1 else ()
        if len(tied) > 1:
            return TargetRecord(target=BEST, asked=asked, policy=" and ".join(tied), point=point.label, met=False, looks=looks)
    return TargetRecord(target=BEST, asked=asked, met=True, looks=looks)
