"""Reading request logs, a batch of rows at a time: a row is a request."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sim.arrays import Bools, Floats, Ints
from sim.errors import InputError, Problem, shortened, visible
from sim.files import unreadable
from sim.fitting.columns import LogColumns, find_columns
from sim.fitting.counts import Counts
from sim.fitting.events import Outcomes
from sim.fitting.log_cells import hashes, mixed, numbers, odd_zones, there
from sim.fitting.log_files import opened
from sim.fitting.wrong import Wrong
from sim.tables import moments
from sim.units import shown

if TYPE_CHECKING:
    import pyarrow as pa

MOST_ROWS = 20_000_000
"""Rows that are kept in memory. Of a larger log a part is kept, chosen by hash: whole users, or rows where there are none."""
MOST_CLASSES = 32
_LARGEST = 1e12
# Of a column in another unit than seconds.
_LONGEST_YEARS = 100
_MICRO = 1_000_000
_LONGEST_US = _LONGEST_YEARS * 366 * 86_400 * _MICRO
# Time stamps of other centuries are of a broken clock, or of another unit. Python's own end in the year 9999.
_FIRST_US, _LAST_US = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * _MICRO for year in (1900, 2200))
_LATENCY = {"_us": 1e-6, "_ms": 1e-3, "_s": 1.0, "_seconds": 1.0, "_millis": 1e-3}


@dataclass(frozen=True)
class RequestLog:
    """A log of requests in the order of time. Arrays are (N,), of the rows that are kept.

    `rows` are all rows, and `counts` counts all of them by time. `start` is the first row's time on the clock, None where times
    are seconds. span_us: microseconds from the first row to the last one; end_us: to the last thing that is known, a row or an
    outcome. time_us: microseconds since the first row. arm, segment: the place in `arms`, `segments`. user: a number of each
    user of its own, from 0. outcomes: by name, NaN where it is not known or the request failed. known_us: microseconds from the
    request to its outcome, -1 where there is none. latency_s: seconds.
    """

    files: tuple[str, ...]
    columns: LogColumns
    ignored: tuple[str, ...]
    rows: int
    counts: Counts
    start: datetime | None
    in_utc: bool
    span_us: int
    end_us: int
    arms: tuple[str, ...]
    segments: tuple[str, ...]
    time_us: Ints
    arm: Ints
    outcomes: Mapping[str, Floats]
    user: Ints | None = None
    known_us: Ints | None = None
    latency_s: Floats | None = None
    error: Bools | None = None
    segment: Ints | None = None
    covariate: Floats | None = None

    @property
    def kept(self) -> int:
        """N."""
        return len(self.time_us)


def read_log(
    files: Sequence[Path], given: Sequence[tuple[str, str]] = (), latency_unit_s: float | None = None,
    told: Callable[[str], None] | None = None, outcomes: Outcomes | None = None,
) -> RequestLog:  # fmt: skip
    """The log of CSV and Parquet files, one after the other. `given` are roles of columns and their names.

    `latency_unit_s`: seconds of a unit of the latency; if left out the column's name tells it, as in latency_ms. `told` is
    called with lines about the progress. Raises `InputError` with the first row that is wrong of each column, and how many
    more there are. Rows are counted from 1 in each file, without the header. No user's id is kept. `outcomes` stand in rows of
    their own, and are joined to the requests.
    """
    reader = _Reader(latency_unit_s, told or (lambda line: None), outcomes)
    for file in files:
        reader.read(file, given)
    if outcomes is not None and (problems := outcomes.left_over()):
        raise InputError(problems)
    return reader.log()


def column_names(file: Path) -> list[str]:
    """The names of the columns of a CSV or Parquet file. Raises `InputError` where it is neither, or cannot be read."""
    if (why := unreadable(file)) is not None:
        raise InputError([Problem(why, file=str(file))])
    with opened(file) as (names, _):
        return names


class _Reader:
    """What is kept of the rows so far."""

    def __init__(self, latency_unit_s: float | None, told: Callable[[str], None], outcomes: Outcomes | None) -> None:
        self.latency_unit_s, self.told, self.outcomes = latency_unit_s, told, outcomes
        self.columns: LogColumns | None = None
        self.files: list[str] = []
        self.ignored: dict[str, None] = {}
        self.wrong = Wrong()
        self.counts = Counts()
        self.rows, self.kept = 0, 0
        self.first: int | None = None
        self.last: int | None = None
        self.zoned: bool | None = None
        self.of_seconds: bool | None = None
        self.classes: dict[str, dict[str, int]] = {"arm": {}, "segment": {}}
        self.parts: dict[str, list[NDArray[Any]]] = {}
        self.most = np.uint64(2**64 - 1)

    def read(self, file: Path, given: Sequence[tuple[str, str]]) -> None:
        """Add a file."""
        name = str(file)
        with opened(file) as (own, batches):
            names, given = (own, given) if self.outcomes is None else self.outcomes.names(own, given, name)
            columns = find_columns(names, given, name)
            if self.columns is not None and columns != self.columns:
                raise InputError([Problem(f"has other columns than {self.files[0]}", file=name)])
            self.columns = columns
            self._unit(columns)
            self.ignored |= dict.fromkeys(each for each in names if each not in columns.roles())
            self.files.append(name)
            before = 0
            wanted = list(columns.roles())
            parts: Iterator[tuple[Any, Ints | None, int]]
            if self.outcomes is None:
                parts = ((batch, None, batch.num_rows) for batch in batches(wanted))
            else:
                parts = self.outcomes.joined(batches, wanted, columns.time, name)
            for batch, places, count in parts:
                if batch.num_rows:
                    self._add(name, columns, batch, before, places)
                before += count
                if self.rows // 2_000_000 != (self.rows - batch.num_rows) // 2_000_000:
                    self.told(f"{self.rows:,} rows read")
            if not before:
                raise InputError([Problem("has no rows", file=name)])
        if problems := self.wrong.problems():
            raise InputError(problems)

    def _unit(self, columns: LogColumns) -> None:
        """Seconds of a unit of the latency."""
        if columns.latency is None or self.latency_unit_s is not None:
            return
        name = columns.latency.casefold()
        known = [unit for end, unit in _LATENCY.items() if name.endswith(end)]
        if not known:
            message = f"in which unit is {shown(columns.latency)}? Say --latency-unit ms, s or us, or end its name so"
            raise InputError([Problem(message, "--latency-unit")])
        self.latency_unit_s = known[0]

    def _add(self, file: str, columns: LogColumns, batch: pa.RecordBatch, before: int, places: Ints | None) -> None:
        def note(column: str, rule: str, bad: NDArray[np.bool_]) -> None:
            values = batch.column(column)
            self.wrong.note(file, column, rule, np.flatnonzero(bad), lambda row: values[row].as_py(), before, places)

        count = batch.num_rows
        self.rows += count
        time = self._times(batch.column(columns.time), columns.time, note)
        if time is None:
            return
        earlier = np.diff(time, prepend=time[0] if self.last is None else self.last) < 0
        note(columns.time, "must not be earlier than the row before: sort the file by it", earlier)
        if self.first is None:
            self.first = int(time[0])
        self.last = int(time[-1])
        new: dict[str, NDArray[Any]] = {"time": time - self.first}
        far = new["time"] > _LONGEST_US
        rule = f"must lie within {_LONGEST_YEARS} years of the first row, in seconds or as a time stamp"
        note(columns.time, rule, far)
        if not (earlier | far).any():
            self.counts.add(new["time"])
        for role in ("arm", "segment"):
            name = getattr(columns, role)
            if name is not None:
                new[role] = self._places(role, batch.column(name), name, note)
        for name in columns.outcomes:
            values = numbers(batch.column(name))
            text = ~np.isfinite(values) & there(batch.column(name))
            note(name, "must be a number, or true or false", text)
            note(name, f"must lie within ±{_LARGEST:g}", np.abs(values) > _LARGEST)
            new[f"outcome {name}"] = values
        if columns.outcome_time is not None:
            new["known"] = self._delays(batch.column(columns.outcome_time), columns.outcome_time, time, note)
        if columns.latency is not None:
            latency = numbers(batch.column(columns.latency)) * (self.latency_unit_s or 1.0)
            empty = np.isnan(latency) & ~there(batch.column(columns.latency))
            note(columns.latency, "must be a length of time of at least 0", ~(np.isfinite(latency) & (latency >= 0)) & ~empty)
            new["latency"] = latency
        if columns.error is not None:
            failed = numbers(batch.column(columns.error))
            note(columns.error, "must be 0 or 1, or true or false", ~np.isin(failed, (0.0, 1.0)))
            new["error"] = failed == 1
        elif columns.status is not None:
            status = numbers(batch.column(columns.status))
            note(columns.status, "must be a status code from 100 to 599", ~((status >= 100) & (status < 600)))
            new["error"] = status >= 500
        if "error" in new:
            for name in columns.outcomes:
                # A version's outcomes are those of the requests that it answers: failures come on top, in a scenario.
                new[f"outcome {name}"] = np.where(new["error"], np.nan, new[f"outcome {name}"])
        if columns.covariate is not None:
            covariate = numbers(batch.column(columns.covariate))
            note(columns.covariate, "must be a finite number", ~np.isfinite(covariate))
            new["covariate"] = covariate
        if columns.user is not None:
            values = batch.column(columns.user)
            note(columns.user, "must name a user", ~there(values))
            new["user"] = hashes(values)
        self._keep(new)

    def _times(self, values: pa.Array, name: str, note: Callable[..., None]) -> Ints | None:
        """Microseconds (B,), None where they cannot be read."""
        import pyarrow as pa

        numeric = pa.types.is_integer(values.type) or pa.types.is_floating(values.type)
        time, zoned = (None, False) if numeric else moments(values)
        of_seconds = time is None
        if time is None:
            seconds = numbers(values)
            bad = ~np.isfinite(seconds) | (np.abs(seconds) > 1e11)
            if bad.any():
                rule = "must be seconds, or a time stamp as 2026-01-31 12:00:00"
                if self.rows and not numeric:
                    rule += ", with a zone in every row or in none"
                note(name, rule, bad if numeric else odd_zones(values, bad))
                return None
            time = np.rint(seconds * _MICRO).astype(np.int64)
        far = np.zeros(len(time), bool) if of_seconds else (time < _FIRST_US) | (time >= _LAST_US)
        note(name, "must lie from the year 1900 to 2199", far)
        if far.any():
            return None
        if self.of_seconds is None:
            self.of_seconds, self.zoned = of_seconds, zoned
        elif (self.of_seconds, self.zoned) != (of_seconds, zoned):
            note(name, "must be written as in the rows before: seconds or time stamps, with a zone in every row or in none",
                 np.arange(len(values)) == 0)  # fmt: skip
            return None
        return time

    def _delays(self, values: pa.Array, name: str, time: Ints, note: Callable[..., None]) -> Ints:
        """Microseconds from the request to its outcome, -1 where there is none yet, (B,)."""
        import pyarrow as pa

        told = there(values)
        delay = np.full(len(values), -1, np.int64)
        if not told.any():
            return delay
        shown_ones = values.filter(pa.array(told))
        # A column of numbers that has gaps is read as one of fractions.
        numeric = pa.types.is_integer(values.type) or pa.types.is_floating(values.type)
        micro, zoned = (None, False) if numeric else moments(shown_ones)
        if micro is None:
            seconds = np.full(len(values), np.nan)
            seconds[told] = numbers(shown_ones)
            bad = told & ~np.isfinite(seconds)
            note(name, "must be a time as those of the requests", bad)
            if bad.any() or not self.of_seconds:
                note(name, "must be a time as those of the requests", told & ~bad)
                return delay
            micro = np.rint(seconds[told] * _MICRO).astype(np.int64)
        elif self.of_seconds or zoned != self.zoned:
            note(name, "must be a time as those of the requests", told)
            return delay
        delay[told] = micro - time[told]
        note(name, "must not be before its request", told & (delay < 0))
        note(name, f"must lie within {_LONGEST_YEARS} years of its request", delay > _LONGEST_US)
        return delay

    def _places(self, role: str, values: pa.Array, name: str, note: Callable[..., None]) -> Ints:
        """The place of each row's word among those that were seen, (B,)."""
        import pyarrow as pa

        if pa.types.is_dictionary(values.type):
            values = values.cast(values.type.value_type)
        note(name, "must not be empty", ~there(values))
        coded = values.cast(pa.string()).dictionary_encode()
        words = self.classes[role]
        of = np.array([words.setdefault(str(word), len(words)) for word in coded.dictionary.to_pylist()] or [0], np.int64)
        if len(words) > MOST_CLASSES and role == "arm":
            message = f"has more than {MOST_CLASSES} different values, which is too many for the arms of a rollout"
            raise InputError([Problem(message, name, self.files[-1])])
        places: Ints = of[np.nan_to_num(coded.indices.to_numpy(zero_copy_only=False)).astype(np.int64)]
        return places

    def _keep(self, new: dict[str, NDArray[Any]]) -> None:
        key = new.get("user")
        if key is None:
            # Rows are chosen by their number.
            key = mixed(np.arange(self.rows - len(new["time"]), self.rows, dtype=np.uint64))
        new["key"] = key
        chosen = key <= self.most
        whole = bool(chosen.all())
        for name, values in new.items():
            self.parts.setdefault(name, []).append(values if whole else values[chosen])
        self.kept += int(chosen.sum())
        while self.kept > MOST_ROWS:
            self.most //= np.uint64(2)
            for name, kept in self.parts.items():
                if name != "key":
                    values = _joined(kept)
                    self.parts[name] = [values[_joined(self.parts["key"]) <= self.most]]
            key = _joined(self.parts["key"])
            self.parts["key"] = [key[key <= self.most]]
            self.kept = len(self.parts["key"][0])

    def log(self) -> RequestLog:
        assert self.columns is not None
        assert self.first is not None
        assert self.last is not None
        columns, span = self.columns, self.last - self.first
        if not span:
            raise InputError(
                [Problem("is the same in every row: nothing is known of the traffic", columns.time, self.files[0])]
            )
        self.parts.pop("key")
        arrays: dict[str, NDArray[Any]] = {}
        for name in list(self.parts):
            # One at a time, so that hardly anything is held twice.
            arrays[name] = _joined(self.parts.pop(name))
        if "user" in arrays:
            arrays["user"] = np.unique(arrays["user"], return_inverse=True)[1].astype(np.int64)
        start = None
        if not self.of_seconds:
            start = datetime.fromtimestamp(0, UTC).replace(tzinfo=None) + timedelta(microseconds=self.first)
        arms = tuple(map(_in_line, self.classes["arm"])) or ("champion",)
        end = span
        if "known" in arrays:
            # The log was written once the last of its outcomes was known, or later.
            end = max(end, int((arrays["time"] + arrays["known"])[arrays["known"] >= 0].max(initial=0)))
        return RequestLog(
            tuple(self.files), columns, tuple(self.ignored), self.rows, self.counts, start, bool(self.zoned), span, end, arms,
            tuple(map(_in_line, self.classes["segment"])), arrays["time"], arrays.get("arm", np.zeros(self.kept, np.int64)),
            {name: arrays[f"outcome {name}"] for name in columns.outcomes}, arrays.get("user"), arrays.get("known"),
            arrays.get("latency"), arrays.get("error"), arrays.get("segment"), arrays.get("covariate"),
        )  # fmt: skip


def _in_line(name: str) -> str:
    """A name from a file in one line, without control characters, and not too long."""
    return shortened(visible(" ".join(name.split())), 64)


def _joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
