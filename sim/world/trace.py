"""Recorded traffic: a CSV or Parquet file of timestamps, or of counts per interval, as a curve of cumulated requests."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sim.arrays import Floats, Ints
from sim.errors import InputError, Problem
from sim.files import reading, unreadable
from sim.scenario.traffic import MOST_REQUESTS, TraceSpec
from sim.tables import check_names
from sim.units import format_duration, shown
from sim.world.clock import NS, to_ns

if TYPE_CHECKING:
    import pandas as pd


LONGEST_NS = 2**58
_OFFSET = r":[0-9.]+ *(?:[zZ]|[+-][0-9:]+) *$"


@dataclass(frozen=True, eq=False)
class Trace:
    """How many requests had been recorded by when: a line through offset_ns, level (P,), from (0, 0) to (length, total).

    Equal offsets are a jump: requests at the same time. Of timestamps, request j = 0, 1, … was at times_ns[j] (N,), where the
    level is `lead` + j: 1 where there is time before the first request, else 0. times_ns is None for counts.
    """

    offset_ns: Ints
    level: Floats
    times_ns: Ints | None
    lead: int

    @property
    def length_ns(self) -> int:
        """How long the record is, and so the period where it repeats.

        Of timestamps that start at 0, up to the last plus the mean distance; of others, up to the last.
        """
        return int(self.offset_ns[-1])

    @property
    def total(self) -> float:
        """How many requests were recorded."""
        return float(self.level[-1])

    @property
    def digest(self) -> str:
        """sha256, in hexadecimal, of what was recorded."""
        digest = hashlib.sha256(b"counts" if self.times_ns is None else b"times")
        digest.update(self.offset_ns.astype("<i8").tobytes())
        digest.update(self.level.astype("<f8").tobytes())
        return digest.hexdigest()

    def before(self, time_ns: Ints, repeat: bool) -> Floats:
        """The level reached just before each of some times (any shape).

        >>> of_counts(np.array([60.0, 0.0]), 10 * NS).before(np.array([0, 5, 10, 15, 20]) * NS, False).tolist()
        [0.0, 30.0, 60.0, 60.0, 60.0]
        """
        rounds, within = self._rounds(time_ns, repeat)
        right = np.minimum(np.searchsorted(self.offset_ns, within), self.offset_ns.size - 1)
        left = np.maximum(right - 1, 0)
        width = np.maximum(self.offset_ns[right] - self.offset_ns[left], 1)
        part = np.minimum((within - self.offset_ns[left]) / width, 1.0)
        level = self.level[left] + part * (self.level[right] - self.level[left])
        return np.asarray(rounds * self.total + np.where(within > 0, level, 0.0), np.float64)

    def recorded_before(self, time_ns: Ints, repeat: bool) -> Ints:
        """How many recorded requests, of timestamps, were before each of some times (any shape)."""
        assert self.times_ns is not None
        rounds, within = self._rounds(time_ns, repeat)
        return rounds * self.times_ns.size + np.searchsorted(self.times_ns, within)

    def _rounds(self, time_ns: Ints, repeat: bool) -> tuple[Ints, Ints]:
        """How often the trace has been gone through before a time, and where in it the time is; beyond it if it is over."""
        if not repeat:
            return np.zeros_like(time_ns), time_ns
        rounds = np.maximum(time_ns - 1, 0) // self.length_ns
        return rounds, time_ns - rounds * self.length_ns

    def knots(self, start_ns: int, end_ns: int, repeat: bool) -> tuple[Ints, Floats]:
        """The points of the line with start <= time < end: times and levels, both (Q,)."""
        last = (end_ns - 1) // self.length_ns if repeat else 0
        # A jump at the end of one round is at the start of the next.
        first = max(start_ns - 1, 0) // self.length_ns if repeat else 0
        if first == last:
            low, high = np.searchsorted(self.offset_ns, [start_ns - first * self.length_ns, end_ns - first * self.length_ns])
            return self.offset_ns[low:high] + first * self.length_ns, self.level[low:high] + first * self.total
        rounds = np.arange(first, last + 1)[:, None]
        times, levels = (rounds * self.length_ns + self.offset_ns).ravel(), (rounds * self.total + self.level).ravel()
        inside = (times >= start_ns) & (times < end_ns)
        return times[inside], levels[inside]


def read_trace(spec: TraceSpec, base: Path | None = None) -> Trace:
    """Read recorded traffic; a relative file is looked up in `base` (the current folder).

    Raises `InputError` for a file that cannot be read or has no rows, a column that is not there, and the first row whose time
    or count is missing, unreadable, negative or out of order.
    """
    file = (base or Path.cwd()) / Path(spec.file).expanduser()
    if spec.time is not None:
        column = _column(file, spec.time, "time")
        return of_times(_times_ns(column), column.where)
    assert spec.count is not None
    assert spec.interval is not None
    column = _column(file, spec.count, "count")
    counts = column.numbers("a number of requests")
    if not 0 < counts.sum() < MOST_REQUESTS:
        raise column.wrong(f"needs some requests, and fewer than 10^12, got {counts.sum():g} in {counts.size} rows")
    interval_ns = to_ns(spec.interval)
    if interval_ns < 1:
        raise _wrong("interval", f"must be at least 1ns, got {format_duration(spec.interval)}")
    if not interval_ns * counts.size < LONGEST_NS:
        found = f"{counts.size} rows of {format_duration(spec.interval)}"
        raise _wrong("interval", f"a trace must be shorter than 9 years, got {found}")
    return of_counts(counts, interval_ns)


def of_times(times_ns: Ints, where: str = "trace") -> Trace:
    """A trace of requests at times (N,) that start at 0 or later and do not decrease.

    >>> of_times(np.array([0, 5, 5, 9])).length_ns, of_times(np.array([4, 5, 5, 9])).length_ns
    (12, 9)
    """
    count = times_ns.size
    if times_ns[-1] == times_ns[0]:
        raise _wrong("time", f"{where}: needs requests at two or more times, got {count} at a single one")
    lead = int(times_ns[0] > 0)
    level = np.arange(count + 1, dtype=np.float64)
    if lead:
        return Trace(np.concatenate([[0], times_ns]), level, times_ns, lead)
    last = int(times_ns[-1])
    return Trace(np.append(times_ns, last + max(1, round(last / (count - 1)))), level, times_ns, lead)


def of_counts(counts: Floats, interval_ns: int) -> Trace:
    """A trace of counts (N,) in intervals that follow one another from 0."""
    offset = np.arange(counts.size + 1, dtype=np.int64) * interval_ns
    return Trace(offset, np.concatenate([[0.0], np.cumsum(counts)]), None, 0)


@dataclass(frozen=True)
class _Column:
    """A column of a file, the key of the scenario that names it, and what its first row is called."""

    values: pd.Series
    where: str
    key: str
    word: str
    first: int

    def wrong(self, message: str) -> InputError:
        return _wrong(self.key, f"{self.where}: {message}")

    def refuse(self, bad: NDArray[np.bool_], rule: Callable[[int], str]) -> None:
        """Raise for the first of the bad rows (N,); `rule` says what is wrong with it."""
        rows = np.flatnonzero(bad)
        if rows.size:
            more = f", and {rows.size - 1} more like it" if rows.size > 1 else ""
            raise self.wrong(f"{self.word} {rows[0] + self.first} {rule(int(rows[0]))}{more}")

    def refuse_unreadable(self, bad: NDArray[np.bool_], what: str) -> None:
        self.refuse(
            bad, lambda row: "has no value" if self.shown(row) is None else f"has {self.shown(row)}, which is not {what}"
        )

    def shown(self, row: int) -> str | None:
        """The value in a row, or None where there is none."""
        value = self.values.iloc[row]
        if value is None or value != value:
            return None
        return shown(value) if isinstance(value, str) else str(value)[:60]

    def numbers(self, what: str) -> Floats:
        """(N,) finite numbers of at least 0."""
        import pandas as pd

        try:
            # A date is not a count, though pandas would make a number of it.
            dates = pd.api.types.is_datetime64_any_dtype(self.values) or pd.api.types.is_bool_dtype(self.values)
            numbers = None if dates else pd.to_numeric(self.values, errors="coerce").to_numpy(np.float64, na_value=np.nan)
        except (ValueError, TypeError):
            numbers = None
        if numbers is None:
            raise self.wrong(f"must hold {what}; it holds {self.values.dtype}")
        self.refuse_unreadable(~np.isfinite(numbers), what)
        self.refuse(numbers < 0, lambda row: f"has {numbers[row]:g}, which must not be negative")
        return np.asarray(numbers, np.float64)


def _column(file: Path, name: str, key: str) -> _Column:
    """One column of the file; nothing else of it is kept."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet as pq

    kind = file.suffix.lower()
    if kind not in (".csv", ".parquet"):
        raise _wrong("file", f"must end in .csv or .parquet; got {file.name!r}")
    if reason := unreadable(file):
        raise _wrong("file", f"{reason}: {file}")
    if file.stat().st_size == 0:
        raise _wrong("file", f"{file.name} is empty")
    # An empty line may be a missing count: it must not shift those below.
    strict = pa.csv.ParseOptions(ignore_empty_lines=False)

    def at(message: str) -> Problem:
        return Problem(f"{file.name} {message}", path="traffic.trace.file")

    with reading(at), file.open("rb") as opened, file.open("rb") as head:
        if kind == ".csv":
            with pa.csv.open_csv(head, parse_options=strict) as reader:
                names = reader.schema.names
        else:
            names = pq.read_schema(head).names
        check_names(names, at)
        if name not in names:
            there = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
            raise _wrong(key, f"{file.name} has no column {name!r}; it has {there or 'none'}")
        if kind == ".csv":
            text = pa.csv.ConvertOptions(include_columns=[name], column_types={name: pa.string()}, strings_can_be_null=True)
            table = pa.csv.read_csv(opened, parse_options=strict, convert_options=text)
        else:
            table = pq.read_table(opened, columns=[name])
        values = table.column(0).to_pandas()
    if values.empty:
        raise _wrong("file", f"{file.name} has no rows")
    return _Column(values, f"{file.name}, column {name!r}", key, *(("line", 2) if kind == ".csv" else ("row", 1)))


def _times_ns(column: _Column) -> Ints:
    """(N,) nanoseconds since the start of the run; of datetimes, since the first."""
    import pandas as pd

    values, first = column.values, column.values.iloc[0]
    text = isinstance(first, str) and pd.notna(pd.to_numeric(first, errors="coerce"))
    if pd.api.types.is_numeric_dtype(values) or text:
        seconds = column.numbers("a number of seconds since the start of the run")
        column.refuse(~(seconds < LONGEST_NS / NS), lambda row: f"has {seconds[row]:g} seconds, which must be below 9 years")
        times = np.rint(seconds * NS).astype(np.int64)
    else:
        try:
            moments = pd.to_datetime(values, format="ISO8601", utc=True, errors="coerce")
        except (ValueError, TypeError, OverflowError):
            moments = pd.Series(pd.NaT, index=values.index)
        column.refuse_unreadable(moments.isna().to_numpy(), "an ISO datetime of the years 1678 to 2261, or seconds")
        if isinstance(first, str):
            # pandas 2.3 reads a time without an offset as if it had that of the row before.
            offset = values.str.contains(_OFFSET).to_numpy(bool)
            has = "no offset from UTC" if offset[0] else "an offset from UTC"
            column.refuse(offset != offset[0], lambda row: f"has {column.shown(row)}, with {has}, unlike {column.shown(0)}")
        try:
            times = np.asarray(moments.dt.as_unit("ns").astype(np.int64).to_numpy(), np.int64)
        except ValueError:
            raise column.wrong("datetimes must lie in the years 1678 to 2261") from None
        if not -LONGEST_NS < int(times[-1]) - int(times[0]) < LONGEST_NS:
            raise column.wrong(f"a trace must be shorter than 9 years; it goes from {first} to {values.iloc[-1]}")
        times = times - times[0]
    back = np.diff(times, prepend=times[0]) < 0
    column.refuse(back, lambda row: f"has {column.shown(row)}, after {column.shown(row - 1)}: times must not decrease")
    return times


def _wrong(key: str, message: str) -> InputError:
    return InputError([Problem(message, path=f"traffic.trace.{key}")])
