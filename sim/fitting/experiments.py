"""Past experiments: the effect that each has estimated, relative to its control, and the standard error of that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sim.arrays import Bools, Floats
from sim.errors import InputError, Problem, shortened
from sim.files import unreadable
from sim.fitting.experiment_cells import names, numbers, times
from sim.fitting.experiment_columns import ExperimentColumns, Form, find_columns, is_experiments
from sim.spelling import there_are
from sim.tables import read_rows
from sim.units import shown

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["LEAST_EXPERIMENTS", "Experiments", "is_experiments", "read_experiments", "relative_effects"]

LEAST_EXPERIMENTS = 5
CONTROLS = ("control", "ctrl", "c", "baseline", "base", "champion", "a", "0")
"""Names of arms that are taken for the control, whatever their case."""
LARGEST_CORRECTION = 0.01
"""Cumulative counts may fall by this share: logs are cleaned of robots and of users who ask for it. More is an error."""
_CONFIDENCE = 0.95

_KEY = ["experiment", "arm", "metric"]


@dataclass(frozen=True)
class Experiments:
    """Estimates of past experiments, n of them: one for each experiment, treatment and metric. All arrays are (n,).

    `estimates` are relative to the control's mean, 0.02 for +2%, with standard errors `errors`. `differences` and
    `difference_errors` are in the metric's own unit; NaN where the table has relative effects only. `notes` say what was left
    out, and why.
    """

    estimates: Floats
    errors: Floats
    differences: Floats
    difference_errors: Floats
    experiments: tuple[str, ...]
    arms: tuple[str, ...]
    metrics: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """Experiment, arm and metric of each estimate, as far as they are known."""
        parts = zip(self.experiments, self.arms, self.metrics, strict=True)
        return tuple(" / ".join(part for part in each if part) for each in parts)

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The metrics, in the order in which they appear."""
        return tuple(dict.fromkeys(self.metrics))

    def of(self, metric: str) -> Experiments:
        """The estimates of one metric. A prior is fitted to one: several metrics of an experiment are not independent."""
        kept = np.array([name == metric for name in self.metrics], np.bool_)

        def texts(values: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(value for value, keep in zip(values, kept, strict=True) if keep)

        return Experiments(
            self.estimates[kept],
            self.errors[kept],
            self.differences[kept],
            self.difference_errors[kept],
            texts(self.experiments),
            texts(self.arms),
            texts(self.metrics),
            self.notes,
        )


def relative_effects(
    mean: Floats, variance: Floats, count: Floats, control: tuple[Floats, Floats, Floats]
) -> tuple[Floats, Floats]:
    """Relative effects (n,) of treatments with mean, variance and count (n,) against those of the control, and standard errors.

    By the delta method for the ratio of two independent means (Deng, Knoblich & Lu, Applying the delta method in metric
    analytics, KDD 2018, section 2.2).

    >>> one = np.ones(1)
    >>> effect, error = relative_effects(1.1 * one, 4.0 * one, 400 * one, (one, 4.0 * one, 400 * one))
    >>> round(float(effect[0]), 6), round(float(error[0]), 6)  # 0.1 * sqrt(1 + 1.1²)
    (0.1, 0.148661)
    """
    mean_c, variance_c, count_c = control
    ratio = mean / mean_c
    return ratio - 1, np.sqrt(variance / count + ratio**2 * variance_c / count_c) / mean_c


def read_experiments(path: Path, columns: Mapping[str, str], control: str | None = None) -> Experiments:
    """The estimates of a CSV or Parquet table of past experiments, of results or of counts, means and variances.

    `columns` maps roles (`experiment`, `estimate`, `count_c`, …) to the names of the file where these differ. Of a cumulative
    table the last look of each experiment, arm and metric counts. `control` names the arm that is the control, where each arm
    has a row of its own. Raises `InputError` with everything that is wrong, by column and row (from 1, without the header).
    """
    if (why := unreadable(path)) is not None:
        raise InputError([Problem(why, file=str(path))])
    table = read_rows(path)
    found = find_columns(table.column_names, columns, str(path))
    if table.num_rows == 0:
        raise InputError([Problem("has no rows", file=str(path))])
    return _Reader(table, found, path, control).read()


class _Reader:
    """Reads one table. Problems are gathered, and raised together once nothing more can be said."""

    def __init__(self, table: pa.Table, columns: ExperimentColumns, path: Path, control: str | None) -> None:
        self.table, self.columns, self.file, self.control = table, columns, str(path), control
        self.problems: list[Problem] = []
        self.notes: list[str] = []
        # (N,) the rows with something wrong, and those with a cell that could not be read, of which no more is said.
        self.odd = self.unread = np.zeros(table.num_rows, np.bool_)

    def read(self) -> Experiments:
        import pandas as pd

        frame = pd.DataFrame({"row": np.arange(self.table.num_rows)})
        for role, name in self.columns.names.items():
            read = names if role in _KEY else times if role == "time" else numbers
            frame[role] = read(self.table.column(name), partial(self._wrong, role))
        for role in _KEY:
            if role not in frame:
                # A table without names of experiments has one a row.
                frame[role] = (frame["row"] + 1).astype(str) if role == "experiment" else ""
        self.unread = self.odd.copy()
        if self.columns.form is Form.RESULT:
            self._check_results(frame)
        else:
            for of in ("", "_c", "_t"):
                self._check_counts(frame, of)
        if not self.unread.any():
            self._check_rows(frame)
        self._stop()
        experiments = self._results(frame) if self.columns.form is Form.RESULT else self._means(frame)
        if (number := len(set(experiments.experiments))) < LEAST_EXPERIMENTS:
            left = f"; {'; '.join(self.notes)}" if self.notes else ""
            rule = f"a prior needs {LEAST_EXPERIMENTS} experiments or more"
            raise InputError([Problem(f"{rule}, got {number} that can be used{left}", file=self.file)])
        return experiments

    def _stop(self) -> None:
        if self.problems:
            raise InputError(self.problems)

    def _wrong(self, role: str, rows: Any, message: str) -> None:
        """A problem at the first of the rows, which says how many more there are."""
        rows = np.asarray(rows)
        self.odd[rows] = True
        more = f", and so in {len(rows) - 1:,} more row{'s' if len(rows) > 2 else ''}" if len(rows) > 1 else ""
        self.problems.append(Problem(f"row {rows[0] + 1}: {message}{more}", self.columns.names[role], self.file))

    def _check(self, frame: pd.DataFrame, role: str, bad: Any, rule: str) -> None:
        if (rows := np.flatnonzero(np.asarray(bad, np.bool_) & ~self.unread)).size:
            self._wrong(role, rows, f"{rule}, got {frame[role].iloc[int(rows[0])]:.12g}")

    def _check_results(self, frame: pd.DataFrame) -> None:
        given = frame["estimate"].notna()
        self._check(frame, "estimate", frame["estimate"] <= -1, "must be a relative change above -100%, 0.02 for +2%")
        if "error" in frame:
            self._check(frame, "error", frame["error"] <= 0, "must be a standard error above 0")
            self._check(frame, "error", given & frame["error"].isna(), "must not be empty where there is an estimate")
            return
        for role in ("low", "high"):
            self._check(frame, role, given & frame[role].isna(), "must not be empty where there is an estimate")
        self._check(frame, "high", frame["high"] <= frame["low"], "must be above the interval's other end")
        outside = (frame["estimate"] < frame["low"]) | (frame["estimate"] > frame["high"])
        self._check(frame, "estimate", outside, "must lie within its interval")
        if "confidence" in frame:
            bad = given & ~((frame["confidence"] > 0) & (frame["confidence"] < 1))
            self._check(frame, "confidence", bad, "must lie between 0 and 1, 0.95 for 95%")

    def _check_counts(self, frame: pd.DataFrame, of: str) -> None:
        """Counts, means and variances of one arm of the row."""
        count, variance, conversions = f"count{of}", f"variance{of}", f"conversions{of}"
        if count not in frame:
            return
        self._check(frame, count, (frame[count] < 0) | (frame[count] % 1 > 0), "must be a whole number, 0 or more")
        if variance in frame:
            self._check(frame, variance, frame[variance] < 0, "must be a variance, 0 or more")
        if conversions in frame:
            bad = (frame[conversions] < 0) | (frame[conversions] % 1 > 0)
            self._check(frame, conversions, bad, "must be a whole number, 0 or more")
            self._check(
                frame, conversions, frame[conversions] > frame[count], f"must be at most the {self.columns.names[count]}"
            )
        if "time" in frame and not self.unread.any():
            self._check_growth(frame, count)

    def _check_growth(self, frame: pd.DataFrame, count: str) -> None:
        """Cumulative counts grow; a small fall is a correction, and is noted."""
        ordered = frame.sort_values([*_KEY, "time"], kind="stable").dropna(subset=[count])
        before = ordered.groupby(_KEY, sort=False)[count].shift()
        fallen = ordered[count] < before
        far = ordered[fallen & (ordered[count] < (1 - LARGEST_CORRECTION) * before)].sort_values("row")
        name = self.columns.names[count]
        if len(far):
            got = f"{far[count].iloc[0]:,.0f} after {before[far.index[0]]:,.0f}"
            self._wrong(count, far["row"], f"must not fall in time, as counts are cumulative; got {got}")
        elif (small := int(fallen.sum())) > 0:
            rows = f"{small} row{'s' if small > 1 else ''}"
            self.notes.append(f"{name} falls in {rows} by less than {LARGEST_CORRECTION:.0%}, which is taken for a correction")

    def _check_rows(self, frame: pd.DataFrame) -> None:
        """No experiment, arm, metric and time has two rows."""
        key = [*_KEY, "time"] if "time" in frame else _KEY
        if len(again := frame[frame.duplicated(key)]):
            first = again.iloc[0]
            row = int(frame["row"][(frame[key] == first[key]).all(axis=1)].iloc[0])
            hint = "" if "time" in frame else "; of a table that is cumulative, say which column is the time"
            name = next((role for role in ("arm", "metric", "experiment") if role in self.columns.names), None)
            where = self.columns.names[name] if name else ""
            more = f", and so are {len(again) - 1:,} more rows" if len(again) > 1 else ""
            self.problems.append(Problem(f"row {first['row'] + 1}: repeats row {row + 1}{hint}{more}", where, self.file))

    def _results(self, frame: pd.DataFrame) -> Experiments:
        """Of a table of results: estimates and errors as they stand."""
        from scipy.special import ndtri

        if "error" not in frame:
            if "confidence" not in frame:
                self.notes.append(f"intervals are taken for {_CONFIDENCE:.0%}: no column says the confidence")
            level = frame.get("confidence", _CONFIDENCE)
            frame["error"] = (frame["high"] - frame["low"]) / (2 * ndtri((1 + level) / 2))
            lean = (frame["high"] + frame["low"]) / 2 - frame["estimate"]
            if skew := int((lean.abs() > 0.1 * (frame["high"] - frame["low"])).sum()):
                self.notes.append(f"{skew} intervals are not symmetric about their estimate: half their width is taken")
        last = self._last(frame)
        last = self._left_out(last, last["estimate"].isna(), "has no estimate")
        gap = np.full(len(last), np.nan)
        return self._made(last, last["estimate"].to_numpy(), last["error"].to_numpy(), gap, gap)

    def _means(self, frame: pd.DataFrame) -> Experiments:
        """Of a table of counts, means and variances: the delta method at the last look."""
        both = self._side_by_side(frame) if self.columns.form is Form.EACH else frame
        if self.problems:
            raise InputError(self.problems)
        last = self._last(both).copy()
        if "conversions_c" in last:
            for of in ("_c", "_t"):
                share = last[f"conversions{of}"] / last[f"count{of}"]
                last[f"mean{of}"], last[f"variance{of}"] = share, share * (1 - share)
        last = self._left_out(last, (last["count_c"] < 2) | (last["count_t"] < 2), "has fewer than two outcomes in an arm")
        needed = [f"{what}{of}" for what in ("count", "mean", "variance") for of in ("_c", "_t")]
        last = self._left_out(last, last[needed].isna().any(axis=1), "has an empty count, mean or variance at the last look")
        last = self._left_out(
            last, last["mean_c"] <= 0, "has a control whose mean is not above 0, to which nothing is relative"
        )
        alike = (last["variance_c"] == 0) | (last["variance_t"] == 0)
        last = self._left_out(last, alike, "has an arm whose outcomes are all the same, which tells no error")
        mean, variance, count = (last[f"{what}_t"].to_numpy(float) for what in ("mean", "variance", "count"))
        mean_c, variance_c, count_c = (last[f"{what}_c"].to_numpy(float) for what in ("mean", "variance", "count"))
        with np.errstate(over="ignore", invalid="ignore"):
            estimates, errors = relative_effects(mean, variance, count, (mean_c, variance_c, count_c))
            difference_errors = np.sqrt(variance / count + variance_c / count_c)
        if (bad := np.flatnonzero(~np.isfinite(estimates * errors * difference_errors))).size:
            name = " / ".join(part for part in last[_KEY].iloc[int(bad[0])] if part)
            raise InputError([Problem(f"{shown(name)} has means or variances that are too large to compare", file=self.file)])
        return self._made(last, estimates, errors, mean - mean_c, difference_errors)

    def _side_by_side(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Each treatment's rows beside those of its control at the same time."""
        is_control = self._controls(frame)
        on = ["experiment", "metric", *(["time"] if "time" in frame else [])]
        values = [role for role in ("count", "mean", "variance", "conversions") if role in frame]
        control = frame[is_control][[*on, *values]].rename(columns={role: f"{role}_c" for role in values})
        treatment = frame[~is_control].rename(columns={role: f"{role}_t" for role in values})
        both = treatment.merge(control, on=on, how="inner")
        alone = len(treatment.groupby(_KEY)) - len(both.groupby(_KEY))
        if alone:
            self.notes.append(f"left out: {alone} of {len(treatment.groupby(_KEY))}, which are never seen with their control")
        return both.sort_values("row")

    def _controls(self, frame: pd.DataFrame) -> Bools:
        """Which rows (N,) are of a control. Every experiment needs one, and another arm."""
        arm = frame["arm"]
        if self.control is not None:
            is_control = (arm == self.control).to_numpy(bool)
        else:
            lower = arm.str.casefold()
            # Of two arms that could be the control, the one whose name says more.
            rank = lower.map({name: place for place, name in enumerate(CONTROLS)})
            is_control = (rank.notna() & (rank == rank.groupby(frame["experiment"]).transform("min"))).to_numpy(bool)
        with_one = set(frame["experiment"][is_control])
        arms = {str(name): list(each) for name, each in frame.groupby("experiment", sort=False)["arm"].unique().items()}
        single = [name for name, each in arms.items() if len(each) == 1]
        without = [name for name, each in arms.items() if len(each) > 1 and name not in with_one]
        for which, what in ((single, "has one arm only"), (without, "has no control")):
            if which:
                more = f", and so {len(which) - 1:,} more" if len(which) > 1 else ""
                known = "say which arm it is" if self.control is None else f"none is {shown(self.control)}"
                end = f": {there_are(arms[which[0]])}{f'; {known}' if which is without else ''}"
                where = self.columns.names["arm"]
                self.problems.append(Problem(f"experiment {shown(which[0])} {what}{end}{more}", where, self.file))
        return is_control

    def _last(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The last look of each experiment, arm and metric, in the order in which they first appear."""
        if "time" not in frame:
            return frame
        order = frame.groupby(_KEY, sort=False).ngroup()
        ordered = frame.assign(order=order).sort_values(["order", "time"], kind="stable")
        return ordered.groupby("order", sort=False).tail(1)

    def _left_out(self, frame: pd.DataFrame, out: Any, why: str) -> pd.DataFrame:
        """The rows that are kept, with a note on the others."""
        if number := int(out.sum()):
            first = frame[out].iloc[0]
            name = " / ".join(shortened(str(first[role]), 40) for role in _KEY if first[role])
            each = f"{name}, which {why}" if number == 1 else f"{number} of {len(frame)}, each of which {why}: {name} first"
            self.notes.append(f"left out: {each}")
        kept: pd.DataFrame = frame[~out]
        return kept

    def _made(self, frame: pd.DataFrame, estimates: Floats, errors: Floats, differences: Floats, their: Floats) -> Experiments:
        experiments, arms, metrics = (tuple(map(str, frame[role])) for role in _KEY)
        return Experiments(estimates, errors, differences, their, experiments, arms, metrics, tuple(self.notes))
