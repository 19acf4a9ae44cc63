"""The trials of a run: one row per policy and replication, by point and policy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from sim.compare.worth import net_value
from sim.errors import InputError, Problem
from sim.run.folder import SENSITIVITY
from sim.run.held import check_intact
from sim.run.record import ProgrammeRecord, Record, ValueRecord
from sim.stats.survival import CumulativeIncidence, cumulative_incidence
from sim.tables import Column, Groups, Kind, Schema, columns, read_table

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_POINT = "point"

BASELINES = ("switch", "hold")
"""Kinds of policy that decide at once, on nothing: others are compared with them, and they are never recommended."""

DECISIONS = ("ship", "keep")
VERDICTS = (*DECISIONS, "inconclusive", "undecided")
FINITE = (
    "regret", "regret_fixed", "harmed_requests", "harm", "peak_exposure", "errors", "slo_violations", "lost_requests",
    "retries", "mirrored_requests", "cost_s", "requests",
)  # fmt: skip
TIMES = ("time_to_decision_s", "time_to_end_s", "time_to_significance_s", "requests_to_decision")
ESTIMATORS = ("naive", "contrast", "aipw")
"""The estimators of the effect at the verdict beside the rule's own: `NAME_estimate` and `NAME_se` are their columns."""
ESTIMATES = (
    "effect_estimate", "effect_se", "effect_unbiased", "effect_lower", "effect_upper", "effect_true",
    *(f"{name}_{what}" for name in ESTIMATORS for what in ("estimate", "se")),
)  # fmt: skip
"""Columns with NaN if a trial has no value."""
GAINS = ("gain", "failed_more", "slow_more", "gain_per_day", "failed_more_per_day", "slow_more_per_day", "best_value")
OFFLINE = ("offline_estimate", "offline_true", "offline_ships", "offline_wrong")
"""What an offline stage made of its scores, beside what is true; NaN of policies without one."""
LATER = (
    *ESTIMATES, *GAINS, *OFFLINE, "shipped_effect", "users_to_decision", "users", "aa_declared", "aa_shipped",
    "planned_information", "time_to_finding_s", "paused_s", "reported_failure", "alarms", "muted", "tries",
    "duplicated_writes", "budget_burned",
)  # fmt: skip
"""Columns that run folders of earlier versions lack."""
FLAGS = ("correct", "shipped_better", "shipped_worse", "any_better", "any_not_better", "any_worse", "worth_shipping")


@dataclass(frozen=True)
class Trials:
    """The n trials of one policy, by ascending replication. Columns (n,) are those of `trials.parquet`; times in seconds.

    >>> trials = Trials("ab", "ab", 10.0, {"replication": np.arange(2), "verdict": np.array(["ship", "keep"])})
    >>> trials.n, trials.is_baseline, trials["verdict"] == "ship"
    (2, False, array([ True, False]))
    """

    policy: str
    kind: str
    horizon_s: float
    columns: Mapping[str, NDArray[Any]]

    promised: float | None = None
    """The share of wrong declarations that the policy's rule of evidence allows itself; None where it promises nothing."""
    programme: ProgrammeRecord | None = None
    """The programme of which a trial is one release; None where the run has none."""

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.columns[name]

    @property
    def n(self) -> int:
        """How many trials."""
        return len(self.columns["replication"])

    @property
    def is_baseline(self) -> bool:
        """Whether the policy decides at once, on nothing."""
        return self.kind in BASELINES

    def first(self, n: int) -> Trials:
        """The trials of the first n replications."""
        rows = self["replication"] < n
        return replace(self, columns={name: values[rows] for name, values in self.columns.items()})

    @cached_property
    def incidence(self) -> CumulativeIncidence:
        """Share of trials decided by each time, by verdict: ship or keep."""
        return cumulative_incidence(self["time_to_decision_s"], self["verdict"], self.horizon_s, expected=DECISIONS)

    @cached_property
    def given_up(self) -> CumulativeIncidence:
        """Share of trials that have ended inconclusive by each time."""
        gave_up = self["verdict"] == "inconclusive"
        return cumulative_incidence(np.where(gave_up, self["time_to_end_s"], np.nan), self["verdict"], self.horizon_s)


def schema(run: Record) -> Schema:
    """The columns of the trials of a run, those of its points aside: columns that earlier versions lack may be missing."""
    arms = tuple(dict.fromkeys(arm for point in run.points for arm in point.run.arms))
    return {
        "policy": Column(Kind.TEXT, choices=tuple(policy.name for policy in run.policies)),
        "replication": Column(Kind.WHOLE),
        "verdict": Column(Kind.TEXT, choices=VERDICTS),
        "shipped_arm": Column(Kind.TEXT, gaps=True, optional=True, choices=arms),
        "offline_arm": Column(Kind.TEXT, gaps=True, optional=True, choices=arms),
        **dict.fromkeys(FLAGS, Column(Kind.FLAG)),
        **dict.fromkeys(TIMES, Column(Kind.NUMBER, gaps=True)),
        **dict.fromkeys(FINITE, Column(Kind.NUMBER)),
        **dict.fromkeys(LATER, Column(Kind.NUMBER, gaps=True, infinite=True, optional=True)),
    }


class _ByPoint(Sequence[dict[str, Trials]]):
    """The trials of the points of a sweep, read from a file of many row groups as they are asked for."""

    def __init__(self, groups: Groups, bounds: Sequence[tuple[int, int]], run: Record) -> None:
        self._groups, self._bounds, self._run = groups, bounds, run
        # Points follow each other, and most of the next one is in the group of the last one.
        self._arrays = lru_cache(maxsize=2)(self._read)

    def __len__(self) -> int:
        return len(self._run.points)

    @overload
    def __getitem__(self, number: int) -> dict[str, Trials]: ...

    @overload
    def __getitem__(self, number: slice) -> list[dict[str, Trials]]: ...

    def __getitem__(self, number: int | slice) -> dict[str, Trials] | list[dict[str, Trials]]:
        if isinstance(number, slice):
            return [self[each] for each in range(len(self))[number]]
        place, parts = range(len(self))[number], []
        for group, (least, greatest) in enumerate(self._bounds):
            if least <= place <= greatest:
                arrays = self._arrays(group)
                here = _rows_of(arrays[_POINT], place)
                parts.append({name: array[here] for name, array in arrays.items() if name != _POINT})
        if not parts:
            return {}
        every = parts[0] if len(parts) == 1 else {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        rows = np.arange(every["policy"].size)
        return _by_policy(every, self._run.points[place].run, rows, str(self._groups.file))

    def _read(self, group: int) -> dict[str, NDArray[Any]]:
        return columns(self._groups.read(group), _with_number(self._run, _POINT), str(self._groups.file))


def _rows_of(points: NDArray[Any], place: int) -> slice | NDArray[np.bool_]:
    """The rows of a point: a slice where they stand together, as a run writes them, which copies nothing of the others."""
    first, end = np.searchsorted(points, place), np.searchsorted(points, place, side="right")
    here = points == place
    together = bool(here[first:end].all()) and int(here.sum()) == end - first
    return slice(int(first), int(end)) if together else here


def read_trials(folder: Path, run: Record) -> Sequence[dict[str, Trials]]:
    """At each point of a run, the trials of every policy that has some, in the order of `run.policies`.

    A long table of a sweep is read point by point, as they are asked for, and so are its problems found. Raises
    `InputError` for a file that cannot be read, lacks a column, or holds what no trial can.
    """
    file = folder / "trials.parquet"
    check_intact(file, run)
    groups = Groups(file) if run.paths else None
    if groups is None or len(groups) < 2 or _POINT not in groups.empty.column_names:
        return _by_point(read_table(file), run, str(file))
    columns(groups.empty, _with_number(run, _POINT), str(file))
    bounds = groups.bounds(_POINT)
    if bounds is None:
        return _by_point(read_table(file), run, str(file))
    _check_numbers(_POINT, [each for both in bounds for each in both], len(run.points), str(file))
    return _ByPoint(groups, bounds, run)


def read_varied(folder: Path, run: Record) -> list[dict[str, Trials]]:
    """In each of the other worlds of a run, the trials of every policy that has some there, as `read_trials`."""
    file = folder / SENSITIVITY
    if SENSITIVITY not in run.files:
        return [{} for _ in run.variants]
    check_intact(file, run)
    return _by_number(read_table(file), run, run.variants, "variant", str(file))


def varied_of(frame: pd.DataFrame | None, run: Record) -> list[dict[str, Trials]]:
    """`read_varied` for a table in memory; None where there is none."""
    import pyarrow as pa

    if frame is None:
        return [{} for _ in run.variants]
    return _by_number(pa.Table.from_pandas(frame, preserve_index=False), run, run.variants, "variant", "sensitivity")


def trials_of(frame: pd.DataFrame, run: Record) -> list[dict[str, Trials]]:
    """`read_trials` for a table in memory."""
    import pyarrow as pa

    return _by_point(pa.Table.from_pandas(frame, preserve_index=False), run, "trials")


def _by_point(table: pa.Table, run: Record, file: str) -> list[dict[str, Trials]]:
    # A run without a sweep has one point and no column for it.
    return _by_number(table, run, [point.run for point in run.points], _POINT if run.paths else None, file)


def _with_number(run: Record, name: str) -> Schema:
    return {**schema(run), name: Column(Kind.WHOLE)}


def _check_numbers(name: str, numbers: Iterable[float], count: int, file: str) -> None:
    strangers = sorted(set(numbers) - set(range(count)))
    if strangers:
        raise InputError([Problem(f"{name} must be one of 0 to {count - 1}, got {strangers[0]:g}", file=file)])


def _by_number(
    table: pa.Table, run: Record, worlds: Sequence[Record], name: str | None, file: str
) -> list[dict[str, Trials]]:  # fmt: skip
    """The trials of each world, by policy; the column `name` has the number of the world, and is None where there is one."""
    arrays = columns(table, _with_number(run, name) if name else schema(run), file)
    at = arrays.pop(name) if name else np.zeros(arrays["policy"].size)
    _check_numbers(name or "", at.tolist(), len(worlds), file)
    return [_by_policy(arrays, world, np.flatnonzero(at == number), file) for number, world in enumerate(worlds)]


def _by_policy(every: Mapping[str, NDArray[Any]], run: Record, rows: NDArray[np.int64], file: str) -> dict[str, Trials]:
    """The trials in some rows of all, by policy."""
    arrays = {name: array[rows] for name, array in every.items()}
    problems = _problems(arrays)
    if problems:
        raise InputError([Problem(problem, file=file) for problem in problems])
    by_policy = {}
    for policy in run.policies:
        rows = np.flatnonzero(arrays["policy"] == policy.name)
        if rows.size:
            # Sort by replication, so that float sums do not depend on the order of rows.
            rows = rows[np.argsort(arrays["replication"][rows], kind="stable")]
            own = {name: array[rows] for name, array in arrays.items()}
            by_policy[policy.name] = Trials(policy.name, policy.kind, run.horizon_s, own, policy.promised, run.programme)
    return with_net_value(by_policy, run.value, run.horizon_s)


def with_net_value(by_policy: Mapping[str, Trials], value: ValueRecord | None, horizon_s: float) -> dict[str, Trials]:
    """The trials of one point with a column `net_value` by these prices: NaN where that is not known."""
    alone = next((trials.columns for trials in by_policy.values() if trials.kind == "hold"), None)

    def worth(trials: Trials) -> NDArray[Any]:
        return np.full(trials.n, np.nan) if value is None else net_value(value, horizon_s, trials.columns, alone)

    return {name: replace(trials, columns={**trials.columns, "net_value": worth(trials)}) for name, trials in by_policy.items()}


def _problems(arrays: Mapping[str, NDArray[Any]]) -> list[str]:
    problems = []
    for name in TIMES:
        odd = np.flatnonzero(arrays[name] < 0)
        if odd.size:
            problems.append(f"{name} must not be negative, got {arrays[name][odd[0]]:g} in row {odd[0]}")
    order = np.lexsort((arrays["replication"], arrays["policy"]))
    policy, replication = arrays["policy"][order], arrays["replication"][order]
    twice = np.flatnonzero((policy[1:] == policy[:-1]) & (replication[1:] == replication[:-1]))
    if twice.size:
        problems.append(f"policy {policy[twice[0]]} has two rows for replication {replication[twice[0]]}")
    return problems
