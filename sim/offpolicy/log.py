"""Logged bandit data: which arm was shown when, with what probability, and what it earned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sim.arrays import Floats, Ints
from sim.errors import InputError, Problem
from sim.files import unreadable
from sim.spelling import did_you_mean, there_are
from sim.tables import moments, parsed, read_rows
from sim.units import shown

if TYPE_CHECKING:
    import pyarrow as pa

MOST_CELLS = 1_000
MOST_CLASSES = 50
# As amounts of a scenario: their squares, over all rows, are numbers.
_LARGEST = 1e12
# A log that claims to be even is refused where chance would be so uneven once in a thousand million logs.
_UNEVEN = 1e-9


@dataclass(frozen=True)
class Columns:
    """The names of a log's columns. `propensity` None: each arm had the same chance in every row.

    `context` are put into classes; `features` are what a model of rewards has a coefficient for; `classes` are those that
    policies choose by.
    """

    time: str = "time"
    arm: str = "arm"
    reward: str = "reward"
    propensity: str | None = "propensity"
    context: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

    def named(self) -> list[str]:
        """All names of one use only, in order."""
        return [self.time, self.arm, self.reward, *([self.propensity] if self.propensity else []), *self.known()]

    def known(self) -> list[str]:
        """What was known before the choice; a policy may choose by what a model uses too."""
        return [*self.context, *self.features, *(name for name in self.classes if name not in self.context + self.features)]


@dataclass(frozen=True)
class Classes:
    """A column in classes: codes (N,) are places in `labels`, -1 where there is no value."""

    codes: Ints
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Log:
    """Logged bandit data, rows in the order of time. All arrays are (N,).

    arm the place in `arms`; reward in its own unit; propensity the probability with which that arm was chosen; seconds since
    the first row; cell the number of the row's combination of context values, below `cells`. features (N, F): numbers as they
    are, and a column of 0 and 1 for each class of the others but one. `classes` are the columns that policies choose by.
    """

    arms: tuple[str, ...]
    seconds: Floats
    arm: Ints
    reward: Floats
    propensity: Floats
    cell: Ints
    cells: int
    features: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    classes: Mapping[str, Classes] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """N."""
        return len(self.arm)

    @property
    def binary(self) -> bool:
        """Whether every reward is 0 or 1."""
        return bool(np.isin(self.reward, (0.0, 1.0)).all())


def read_log(file: Path, columns: Columns, arms: Sequence[str]) -> Log:
    """The log of a CSV or Parquet file, of the `arms` of the policies. Raises `InputError` with what is wrong in each column.

    Rows are counted from 1, without the header.
    """
    if (why := unreadable(file)) is not None:
        raise InputError([Problem(why, file=str(file))])
    names = columns.named()
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError([Problem(f"is named as two columns: {shown(twice[0])}", file=str(file))])
    table = read_rows(file)
    missing = [_missing(name, table.column_names, file) for name in names if name not in table.column_names]
    if missing:
        raise InputError(missing)
    if table.num_rows == 0:
        raise InputError([Problem("has no rows", file=str(file))])
    problems: list[Problem] = []

    def wrong(column: str, row: int, message: str) -> None:
        problems.append(Problem(f"row {row + 1}: {message}", column, str(file)))

    seconds = _seconds(table, columns.time, wrong)
    reward = _numbers(table, columns.reward, wrong, "a finite number")
    if reward is not None and (bad := np.flatnonzero(np.abs(reward) > _LARGEST)).size:
        wrong(columns.reward, int(bad[0]), f"must lie within ±{_LARGEST:g}, got {reward[bad[0]]:g}{_more(bad)}")
    arm = _arms(table, columns.arm, arms, wrong)
    if columns.propensity is None:
        propensity: Floats | None = np.full(table.num_rows, 1 / len(arms))
    else:
        propensity = _numbers(table, columns.propensity, wrong, "a probability, above 0 and at most 1")
        if propensity is not None and (bad := np.flatnonzero((propensity <= 0) | (propensity > 1))).size:
            found = f"must be a probability, above 0 and at most 1, got {propensity[bad[0]]:g}{_more(bad)}"
            wrong(columns.propensity, int(bad[0]), found)
    if arm is not None and not problems:
        problems += _used(arm, arms, columns, file)
    cell, cells = _cells(table, columns.context, file, problems)
    parts = [_feature(table, name, wrong) for name in columns.features]
    classes = {name: _classes(table, name) for name in columns.classes}
    if problems:
        raise InputError(problems)
    assert seconds is not None
    assert reward is not None
    assert arm is not None
    assert propensity is not None
    features = np.column_stack([np.zeros((table.num_rows, 0)), *(part for part in parts if part is not None)])
    return Log(tuple(arms), seconds, arm, reward, propensity, cell, cells, features, classes)


def _missing(name: str, known: Sequence[str], file: Path) -> Problem:
    return Problem(f"has no column {shown(name)}; {did_you_mean(name, known) or there_are(known)}", file=str(file))


def _more(bad: NDArray[Any]) -> str:
    return f", and so in {len(bad) - 1:,} more rows" if len(bad) > 1 else ""


def _numbers(table: pa.Table, name: str, wrong: Any, rule: str) -> Floats | None:
    """A column of finite numbers, (N,)."""
    numbers = parsed(table.column(name))
    bad = np.flatnonzero(~np.isfinite(numbers))
    if bad.size:
        got = shown(table.column(name)[int(bad[0])].as_py())
        wrong(name, int(bad[0]), f"must be {rule}, got {got}{_more(bad)}")
        return None
    return numbers


def _seconds(table: pa.Table, name: str, wrong: Any) -> Floats | None:
    """Seconds since the first row, (N,), of numbers of seconds or of time stamps, all with a zone or all without."""
    import pyarrow as pa

    values = table.column(name)
    told = pa.types.is_integer(values.type) or pa.types.is_floating(values.type)
    stamps = None if told else moments(values.combine_chunks())[0]
    if stamps is not None:
        seconds: Floats = (stamps - stamps[0]) * 1e-6
    else:
        seconds = parsed(values)
        bad = np.flatnonzero(~np.isfinite(seconds))
        if bad.size:
            rule = "must be seconds, or a time stamp as 2026-01-31 12:00:00, with a zone in every row or in none"
            wrong(name, int(bad[0]), f"{rule}; got {shown(values[int(bad[0])].as_py())}{_more(bad)}")
            return None
        seconds = seconds - seconds[0]
    back = np.flatnonzero(np.diff(seconds) < 0) + 1
    if back.size:
        row = int(back[0])
        got = f"{shown(values[row].as_py())} after {shown(values[row - 1].as_py())}"
        wrong(name, row, f"must not be earlier than the row before: sort the file by it; got {got}{_more(back)}")
        return None
    return seconds


def _arms(table: pa.Table, name: str, arms: Sequence[str], wrong: Any) -> Ints | None:
    """The place of each row's arm in `arms`, (N,)."""
    import pyarrow as pa
    from pyarrow import compute

    texts = compute.cast(table.column(name), pa.string())
    place = compute.index_in(texts, pa.array(list(arms)))
    if place.null_count:
        bad = np.flatnonzero(np.asarray(place.is_null().to_numpy()))
        word = texts[int(bad[0])].as_py()
        hint = did_you_mean(word, arms) or there_are(arms)
        wrong(name, int(bad[0]), f"no arm {shown(word)} in the policies; {hint}{_more(bad)}")
        return None
    return np.asarray(place.to_numpy(), np.int64)


def _used(arm: Ints, arms: Sequence[str], columns: Columns, file: Path) -> list[Problem]:
    """What is wrong with how often each arm is there."""
    from scipy.stats import chi2

    counts = np.bincount(arm, minlength=len(arms))
    if (counts > 0).sum() == 1:
        only = arms[int(counts.argmax())]
        return [Problem(f"has one arm only, {shown(only)}: nothing is known of any other", columns.arm, str(file))]
    expected = len(arm) / len(arms)
    unlike = float(((counts - expected) ** 2 / expected).sum())
    if columns.propensity is None and chi2.sf(unlike, len(arms) - 1) < _UNEVEN:
        each = ", ".join(f"{name} {count:,}" for name, count in zip(arms, counts.tolist(), strict=True))
        return [Problem(f"is not split evenly, as --uniform says: {each}", columns.arm, str(file))]
    return []


def _classes(table: pa.Table, name: str) -> Classes:
    """A column in classes, as it is written; without a value, as an empty text, a row is in none."""
    import pyarrow as pa
    from pyarrow import compute

    texts = compute.cast(table.column(name), pa.string()).combine_chunks()
    coded = compute.if_else(compute.equal(texts, ""), pa.scalar(None, pa.string()), texts).dictionary_encode()
    codes = np.asarray(compute.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False), np.int64)
    return Classes(codes, tuple(coded.dictionary.to_pylist()))


def _of_numbers(values: pa.ChunkedArray) -> bool:
    """Whether all values are numbers; a CSV file has texts alone."""
    import pyarrow as pa
    from pyarrow import compute

    if pa.types.is_boolean(values.type) or pa.types.is_dictionary(values.type):
        return False
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        return True
    some = compute.drop_null(compute.if_else(compute.equal(values, ""), pa.scalar(None, values.type), values))
    return len(some) > 0 and bool(np.isfinite(parsed(some)).all())


def _feature(table: pa.Table, name: str, wrong: Any) -> Floats | None:
    """(N, F) the features of a column: its numbers, or for each class but the commonest whether a row is in it."""
    values = table.column(name)
    if _of_numbers(values):
        numbers = _numbers(table, name, wrong, "a number, as a feature has one in every row")
        if numbers is not None and (bad := np.flatnonzero(np.abs(numbers) > _LARGEST)).size:
            wrong(name, int(bad[0]), f"must lie within ±{_LARGEST:g}, got {numbers[bad[0]]:g}{_more(bad)}")
        return None if numbers is None else numbers[:, None]
    classes = _classes(table, name)
    if len(classes.labels) > MOST_CLASSES:
        found = f"a feature that is not a number must have at most {MOST_CLASSES} classes, got {len(classes.labels):,}"
        wrong(name, 0, f"{found}, such as {shown(classes.labels[0])}")
        return None
    counts = np.bincount(classes.codes + 1, minlength=len(classes.labels) + 1)
    kept = [code for code in range(len(counts)) if counts[code] and code != int(counts.argmax())]
    return np.column_stack([np.zeros((table.num_rows, 0)), *((classes.codes + 1 == code).astype(np.float64) for code in kept)])


def _cells(table: pa.Table, names: Sequence[str], file: Path, problems: list[Problem]) -> tuple[Ints, int]:
    """The number of each row's combination of context values, (N,), and how many there are."""
    import pyarrow as pa

    cell, cells = np.zeros(table.num_rows, np.int64), 1
    for name in names:
        values = table.column(name)
        if pa.types.is_dictionary(values.type):
            values = values.cast(values.type.value_type)
        coded = values.combine_chunks().dictionary_encode(null_encoding="encode")
        codes = np.asarray(coded.indices.to_numpy(zero_copy_only=False), np.int64)
        known, cell = np.unique(cell * len(coded.dictionary) + codes, return_inverse=True)
        cells = len(known)
        if cells > MOST_CELLS:
            rule = f"context must have at most {MOST_CELLS:,} combinations of values"
            problems.append(Problem(f"{rule}, got {cells:,}: put numbers into classes first", name, str(file)))
            break
    return cell.astype(np.int64), cells
