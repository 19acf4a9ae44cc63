"""A sweep: the policies compared at each of its points, and how they change from point to point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.compare.comparison import compared
from sim.compare.measures import MEASURES
from sim.compare.result import Comparison, Judgement, as_json, write_summary
from sim.compare.trials import BASELINES, read_points
from sim.compare.wording import listed, share
from sim.errors import InputError, Problem
from sim.run.record import Record, read_run
from sim.scenario.sweep import JOINT

if TYPE_CHECKING:
    import pandas as pd

# More than these are left to the figures.
MOST_NAMED = 4


@dataclass(frozen=True)
class PointComparison:
    """The comparison at one point: its values as in the file, and as numbers where they are some."""

    values: tuple[str, ...]
    numbers: tuple[float | None, ...]
    comparison: Comparison

    @property
    def label(self) -> str:
        """The values in one text."""
        return JOINT.join(self.values)


@dataclass(frozen=True)
class SweepComparison:
    """The points of a sweep, compared. `run` is the run's `run.json`; `paths` are the keys that were swept."""

    run: Record
    baseline: str | None
    paths: tuple[str, ...]
    points: tuple[PointComparison, ...]
    verdict: str

    @property
    def thresholds(self) -> tuple[Judgement, ...]:
        """Those of all points, each naming its point. One that a point has no data for is left out if another point has."""
        rows = [replace(row, point=point.label) for point in self.points for row in point.comparison.thresholds]
        judged = {(row.policy, row.measure, row.rule) for row in rows if row.estimate.n}
        return tuple(row for row in rows if row.estimate.n or (row.policy, row.measure, row.rule) not in judged)

    @property
    def breached(self) -> bool:
        """Whether any threshold is, at any point."""
        return any(judgement.breached for judgement in self.thresholds)

    def to_dicts(self) -> list[dict[str, Any]]:
        """As of `Comparison.to_dicts`: one row a point, policy and measure, with the point's number and values in front."""
        return [
            {"point": at, **{f"sweep.{path}": value for path, value in zip(self.paths, point.values, strict=True)}, **row}
            for at, point in enumerate(self.points)
            for row in point.comparison.to_dicts()
        ]

    def to_pandas(self) -> pd.DataFrame:
        """The rows of `to_dicts` as a frame, with NaN where there is no number."""
        import pandas as pd

        frame = pd.DataFrame(self.to_dicts())
        texts = ("policy", "kind", "measure", "n", "point", *(f"sweep.{path}" for path in self.paths))
        return frame.astype({name: "float64" for name in frame.columns if name not in texts})

    def to_json(self) -> str:
        """The text of `summary.json`: no NaN, no infinity."""
        return as_json(
            {
                "run": self.run.to_dict(),
                "baseline": self.baseline,
                "measures": {name: measure.to_dict() for name, measure in MEASURES.items()},
                "paths": self.paths,
                "points": [
                    {"values": point.values, "numbers": point.numbers, **point.comparison.to_dict()} for point in self.points
                ],
                "verdict": self.verdict,
                "thresholds": [judgement.to_dict() for judgement in self.thresholds],
            }
        )

    def write(self, folder: Path) -> Path:
        """Write `summary.json` into a run folder, whole or not at all. Returns its path."""
        return write_summary(folder, self.to_json())


def compare_sweep(folder: Path, baseline: str | None = None) -> SweepComparison:
    """`compare` at every point of the run folder of a sweep. Raises `InputError` as that does.

    Points without any trials, of an interrupted run, are compared as having none.
    """
    run = read_run(folder)
    if run.sweep is None:
        raise InputError([Problem("holds no sweep", file=str(folder / "run.json"))])
    trials = read_points(folder, run.runs)
    found = []
    for point, own, those in zip(run.sweep.points, run.runs, trials, strict=True):
        # Of an interrupted run, a point may lack the baseline that others have.
        pairs_with = baseline if baseline in those or not any(baseline in each for each in trials) else None
        found.append(PointComparison(point.values, point.numbers, compared(own, those, pairs_with)))
    paths = run.sweep.paths
    return SweepComparison(run, baseline or run.baseline, paths, tuple(found), verdict(run, paths, found))


def verdict(run: Record, paths: Sequence[str], points: Sequence[PointComparison]) -> str:
    """In two sentences what changes from point to point: how often each policy ships, also wrongly, and which regrets least."""
    kinds = {each.name: each.kind for each in run.policies}
    candidates = [name for name, kind in kinds.items() if kind not in BASELINES]
    told = []
    for policy in candidates[:MOST_NAMED]:
        ships, wrong = _along(points, policy, "ship"), _along(points, policy, "wrong_ship")
        if not ships:
            continue
        ends = (ships[0], ships[-1]) if len(paths) == 1 else (min(ships, key=_value), max(ships, key=_value))
        (at_first, first), (at_last, last) = ends
        worst = max(wrong, key=_value, default=None)
        said_wrong = f", wrongly at most {share(worst[1])} at {worst[0]}" if worst else ""
        told.append(f"{policy} {share(first)} at {at_first} and {share(last)} at {at_last}{said_wrong}")
    opening = "" if run.status == "finished" else "Interrupted: not every policy was run at every point. "
    over = f"Over {len(points)} {f'values of {paths[0]}' if len(paths) == 1 else 'points'}"
    if not told:
        return f"{opening}{over} there is nothing to choose from."
    ships_of = f"{over}, the share of trials that ship a challenger: {'; '.join(told)}"
    return f"{opening}{'. '.join([ships_of, *_least_regret(points, candidates)])}."


def _value(labelled: tuple[str, float]) -> float:
    return labelled[1]


def _along(points: Sequence[PointComparison], policy: str, measure: str) -> list[tuple[str, float]]:
    """The points' labels, and a policy's estimates where there are any."""
    found = [
        (point.label, each.measures[measure].estimate)
        for point in points
        for each in point.comparison.policies
        if each.policy == policy
    ]
    return [(label, value) for label, value in found if value is not None]


def _least_regret(points: Sequence[PointComparison], candidates: Sequence[str]) -> list[str]:
    """Which policies have the lowest regret where, as far as the replications tell."""
    if len(candidates) < 2:
        return []
    where: dict[str, list[str]] = {}
    told = 0
    for point in points:
        best = point.comparison.best["regret"]
        if len(best) == 1:
            told += 1
            where.setdefault(best[0], []).append(point.label)
    if not where:
        return ["The replications cannot tell at any point which policy has the lowest regret"]
    if told == len(points) and len(where) == 1:
        return [f"The lowest regret: {next(iter(where))} at every point"]
    clauses = "; ".join(f"{policy} at {listed(labels, MOST_NAMED)}" for policy, labels in where.items())
    return [
        f"The lowest regret: {clauses}{'' if told == len(points) else '; at the other points the replications cannot tell'}"
    ]
