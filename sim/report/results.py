"""The results of a run for programs and notebooks: tables, the comparison, the memo, and charts on Matplotlib axes."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.compare.result import Comparison, PointComparison
from sim.compare.saved import read_saved
from sim.compare.wording import duration
from sim.errors import InputError, Problem, plain
from sim.files import reading
from sim.report.fragment import fragment
from sim.report.listed import measures
from sim.report.plots import Plots
from sim.report.source import Source
from sim.report.terminal import table
from sim.run.folder import SENSITIVITY, TABLES, TEXT
from sim.run.record import Record
from sim.run.timeline import timeline_of
from sim.scenario.labels import JOINT
from sim.spelling import did_you_mean, there_are
from sim.tables import read_table
from sim.units import shown

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False, eq=False)
class Results:
    """The results of a scenario that was played, in memory or into a run folder, at all its points or at one.

    `comparison` has every measure of every policy with its interval, and what follows. `trials` has a row for each policy and
    replication, as `trials.parquet` of a run folder; `timeline` one for each policy and sampled tick, as `timeline.parquet`.
    docs/results.md has their columns and units. `scenario` is the resolved scenario of all points, in YAML. `folder` is the run
    folder, None of what was played in memory. `where` has the values of the swept keys at the point that `at` chose.
    `sensitivity` has the trials of the other worlds that were played, as `sensitivity.parquet`; None where there are none.

    In a notebook, results show the memo and the table; `print` shows what `sim show` prints.
    """

    comparison: Comparison
    trials: pd.DataFrame
    timeline: pd.DataFrame
    scenario: str
    folder: Path | None = None
    where: Mapping[str, str] | None = None
    sensitivity: pd.DataFrame | None = None

    @property
    def run(self) -> Record:
        """What was played, and how, as `run.json`."""
        return self.comparison.run

    @property
    def memo(self) -> str:
        """What follows, in a few plain sentences, the answer first."""
        return self.comparison.verdict

    @property
    def points(self) -> tuple[PointComparison, ...]:
        """The comparison at each point of the sweep, in the order of the file; one without a sweep."""
        return self.comparison.points

    @cached_property
    def plot(self) -> Plots:
        """The charts: `incidence`, `frontier`, `regret`, `exposure`, `value`, and along a sweep `along(measure)`."""
        timeline = {} if self.comparison.paths else timeline_of(self.timeline, self.run)
        return Plots(Source(self.comparison, self.scenario, timeline))

    def at(self, index: int | None = None, /, **values: Any) -> Results:
        """The results of one point of a sweep, by its number from 0, or by the values of the swept keys.

        A key is written as in the file or by its last part, and its value as in the file or as a number in its unit (seconds,
        requests a second, shares of 1). Paths with a point in them are given as `at(**{"traffic.rate": "1/s"})`. Raises
        `InputError` where no point, or more than one, is meant.
        """
        number = self._numbered(index, values)
        point, played = self.comparison.points[number], self.run.points[number]
        where = dict(zip(self.comparison.paths, point.values, strict=True))
        single = replace(point, values=(), numbers=())
        thresholds = tuple(
            replace(judged, point="") for judged in self.comparison.thresholds if judged.point == point.label
        )  # fmt: skip
        comparison = replace(self.comparison, run=played.run, points=(single,), memo=point.memo, thresholds=thresholds)
        trials, timeline = (_of_point(frame, number) for frame in (self.trials, self.timeline))
        return replace(self, comparison=comparison, trials=trials, timeline=timeline, where={**(self.where or {}), **where})

    def to_pandas(self) -> pd.DataFrame:
        """Every measure, tidy: a row for each point, policy and measure.

        The columns are `policy`, `kind`, `measure`, `unit`, `estimate` with `lower` and `upper` of its 95% interval and the `n`
        trials that it is of; and `difference`, `difference_lower`, `difference_upper`: the policy less the baseline, paired by
        replication. NaN is where there is no such number. A run with a sweep has `point`, its number, and a column
        `sweep.<key>` for each swept key in front, as `trials` has: numbers in the key's unit where all values are numbers, else
        texts. Units are share (of 1), s, requests, users, count, ratio, the primary metric, or the currency.
        """
        return measures(self.comparison)

    def __repr__(self) -> str:
        run = self.run
        policies = ", ".join(policy.name for policy in run.policies)
        label = f" at {JOINT.join(f'{path}={value}' for path, value in self.where.items())}" if self.where else ""
        swept = f" at each of {len(self.points)} points of {JOINT.join(run.paths)}" if run.paths else ""
        lasting = " or ".join(dict.fromkeys(duration(point.run.horizon_s) for point in run.points))
        played = "" if run.status == "finished" else ", interrupted"
        text = f"<Results of {run.name}{label}: {policies}; {run.replications:,} replications of {lasting}{swept}{played}>"
        return plain(text)

    def __str__(self) -> str:
        text = io.StringIO()
        table(self.comparison, display="plain", file=text)
        return text.getvalue().rstrip("\n")

    def _repr_html_(self) -> str:
        """The memo and the table, for notebooks: self-contained, and every text escaped."""
        return fragment(self.comparison, self.where or {})

    def _numbered(self, index: int | None, values: Mapping[str, Any]) -> int:
        points = self.comparison.points
        if (index is None) == (not values):
            rule = "must be given a point's number from 0, or values of the swept keys, such as " + self._such_as()
            raise InputError([Problem(rule, "at")])
        if index is not None:
            if not isinstance(index, int) or isinstance(index, bool) or not -len(points) <= index < len(points):
                raise InputError([Problem(f"must be a whole number from 0 to {len(points) - 1}; got {shown(index)}", "at")])
            return index % len(points)
        paths = self.comparison.paths
        chosen = [self._path(key) for key in values]
        found = [
            number
            for number, point in enumerate(points)
            if all(
                _is(value, point.values[paths.index(path)], point.numbers[paths.index(path)])
                for path, value in zip(chosen, values.values(), strict=True)
            )
        ]
        if len(found) != 1:
            asked = ", ".join(f"{path}={shown(value)}" for path, value in zip(chosen, values.values(), strict=True))
            texts = [", ".join(dict.fromkeys(point.values[place] for point in points)) for place in range(len(paths))]
            known = "; ".join(f"{path}: {text}" for path, text in zip(paths, texts, strict=True))
            what = f"{len(found)} points have" if found else "no point has"
            raise InputError([Problem(f"{what} {asked}; the values are {known}", "at")])
        return found[0]

    def _path(self, key: str) -> str:
        paths = self.comparison.paths
        if not paths:
            raise InputError([Problem("nothing is swept in these results", f"at {key}")])
        near = [path for path in paths if path == key] or [path for path in paths if path.rpartition(".")[2] == key]
        if len(near) != 1:
            hint = f"it may be {' or '.join(near)}" if near else did_you_mean(key, paths) or there_are(paths)
            raise InputError([Problem(f"no one swept key {key!r}; {hint}", "at")])
        return near[0]

    def _such_as(self) -> str:
        paths = self.comparison.paths
        values = dict(zip(paths, self.comparison.points[0].values, strict=True))
        return f"at(**{values})" if paths else "at(0)"


def load_results(folder: Path) -> Results:
    """The results in a run folder, as they were saved; nothing is played, computed or changed.

    Raises `InputError`, which says what to do, for a folder that is no run's, is truncated or was changed, or was compared by
    another version of the program.
    """
    comparison = read_saved(folder)
    with reading(folder / TEXT):
        scenario = (folder / TEXT).read_text(encoding="utf-8")
    trials, timeline = (read_table(folder / name).to_pandas() for name in TABLES)
    other = folder / SENSITIVITY
    sensitivity = read_table(other).to_pandas() if other.is_file() else None
    return Results(comparison, trials, timeline, scenario, folder, sensitivity=sensitivity)


def _of_point(frame: pd.DataFrame, number: int) -> pd.DataFrame:
    """The rows of a point, without the columns that name it: as of a run of its own."""
    if "point" not in frame:
        return frame
    labels = ["point", *(name for name in frame.columns if name.startswith("sweep."))]
    return frame[frame["point"] == number].drop(columns=labels).reset_index(drop=True)


def _is(value: Any, text: str, number: float | None) -> bool:
    """Whether a value is that of a point: its text, or its number."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value == number or str(value) == text
    return str(value) == text
