"""Outcomes that stand in rows of their own, in a file beside the requests or among them, and are joined by a request's id.

A row is an event: which request it follows, when it happened, what it was, and how much. What is joined is a log with a row a
request, which is read as any other. Ids are hashed as they are read, and not kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sim.arrays import Bools, Floats, Ints
from sim.errors import InputError, Problem
from sim.fitting.event_columns import OPTION, REQUESTS, EventColumns, find_event_columns
from sim.fitting.log_cells import hashes, numbers, there
from sim.fitting.log_files import Batches, opened
from sim.fitting.roles import plain_name
from sim.fitting.wrong import Wrong
from sim.spelling import did_you_mean, there_are
from sim.tables import moments
from sim.units import shown

if TYPE_CHECKING:
    import pyarrow as pa

TIME = "time of the outcome"
"""The column that a joined log has for the time of the outcome that decides."""
_MOST_EVENTS = 20
_MICRO = 1_000_000
_LARGEST = 1e12


@dataclass(frozen=True)
class Options:
    """How outcomes are joined. `one_log`: they stand among the requests; `request`: the name of the event that is one.

    `absent`: a request without an outcome has 0, or nothing is known of it; None where no outcome is 0, so that it can only be
    0. `add`: several outcomes of one kind are added up, the first tells when; else they are refused. `drop_strays`: outcomes of
    requests that are not there are left out. `primary`: the one that decides.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    one_log: bool = False
    request: str | None = None
    absent: str | None = None
    add: bool = False
    drop_strays: bool = False
    primary: str | None = None


class Outcomes:
    """The outcomes of all files, by request.

    kinds: their names, the one that decides first. Arrays are (M,), of the requests that have some, by the hash of their id.
    """

    def __init__(self, files: Sequence[Path], options: Options) -> None:
        self._options, self._wrong = options, Wrong()
        self._events: dict[str, int] = {}
        self._zoned: bool | None = None
        self._of_seconds: bool | None = None
        self._files = [str(file) for file in files]
        self._parts: dict[str, list[NDArray[Any]]] = {"id": [], "kind": [], "time": [], "value": [], "file": [], "row": []}
        self._request_ids: list[NDArray[np.uint64]] = []
        self._request_rows: list[tuple[str, Ints]] = []
        self._timed = True
        self._columns: EventColumns | None = None
        self._alone = "outcome"
        self._request = self._found_request(files) if options.one_log else ""
        for number, file in enumerate(files):
            self._read(file, number)
        if problems := self._wrong.problems():
            raise InputError(problems)
        self._settle()

    def _read(self, file: Path, number: int) -> None:
        with opened(file) as (names, batches):
            columns = find_event_columns(names, self._options.columns, str(file), one_log=self._options.one_log)
            if self._columns is not None and columns != self._columns:
                raise InputError([Problem(f"has other columns than {self._files[0]}", file=str(file))])
            self._columns = columns
            self._timed = columns.time is not None
            if columns.event is None:
                self._alone = columns.value or "outcome"
            before = 0
            for batch in batches(columns.all()):
                self._add(str(file), number, columns, batch, before)
                before += batch.num_rows
            if not before:
                raise InputError([Problem("has no rows", file=str(file))])

    def _add(self, file: str, number: int, columns: EventColumns, batch: pa.RecordBatch, before: int) -> None:
        import pyarrow as pa

        rows = np.arange(batch.num_rows)
        kind = np.zeros(batch.num_rows, np.int64)
        if columns.event is not None:
            names = batch.column(columns.event)
            nameless = np.flatnonzero(~there(names))
            self._wrong.note(file, columns.event, "must not be empty", nameless, lambda _: None, before)
            kind = self._kinds(file, columns.event, names)
            if self._options.one_log:
                rows = np.flatnonzero(kind != self._events[self._request])
        batch = batch.take(pa.array(rows))

        def note(column: str, rule: str, bad: Bools) -> None:
            values = batch.column(column)
            self._wrong.note(file, column, rule, np.flatnonzero(bad), lambda row: values[row].as_py(), before, rows)

        if not rows.size:
            return
        note(columns.id, "must name a request", ~there(batch.column(columns.id)))
        value = np.ones(rows.size)
        if columns.value is not None:
            value, told = numbers(batch.column(columns.value)), there(batch.column(columns.value))
            note(columns.value, f"must be a number within ±{_LARGEST:g}", told & ~(np.abs(value) <= _LARGEST))
            # Where only some events have an amount, the others have happened once.
            value = np.where(told, value, 1.0)
        time = np.zeros(rows.size, np.int64)
        if columns.time is not None:
            time = self._times(batch.column(columns.time), columns.time, note)
        parts: dict[str, NDArray[Any]] = {
            "id": hashes(batch.column(columns.id)), "kind": kind[rows], "time": time, "value": value,
            "file": np.full(rows.size, number), "row": before + rows + 1,
        }  # fmt: skip
        for name, part in parts.items():
            self._parts[name].append(part)

    def _kinds(self, file: str, column: str, values: pa.Array) -> Ints:
        """The place of each row's event among those that were seen."""
        import pyarrow as pa

        if pa.types.is_dictionary(values.type):
            values = values.cast(values.type.value_type)
        coded = values.cast(pa.string()).dictionary_encode()
        for word in coded.dictionary.to_pylist():
            self._events.setdefault(word, len(self._events))
        if len(self._events) > _MOST_EVENTS:
            message = f"has more than {_MOST_EVENTS} kinds of events, such as {shown(coded.dictionary.to_pylist()[-1])}"
            raise InputError([Problem(f"{message}: is another column meant? Say {OPTION} event=COLUMN", column, file)])
        places = np.array([self._events[word] for word in coded.dictionary.to_pylist()] or [0], np.int64)
        of_rows: Ints = places[np.nan_to_num(coded.indices.to_numpy(zero_copy_only=False)).astype(np.int64)]
        return of_rows

    def _found_request(self, files: Sequence[Path]) -> str:
        """The event that is a request, of all that the files have."""
        column = ""
        for file in files:
            with opened(file) as (names, batches):
                column = find_event_columns(names, self._options.columns, str(file), one_log=True).event or ""
                for batch in batches([column]):
                    self._kinds(str(file), column, batch.column(column))
        asked = self._options.request
        if asked is not None:
            if asked not in self._events:
                hint = did_you_mean(asked, self._events) or there_are(list(self._events))
                raise InputError([Problem(f"no event {shown(asked)}; {hint}", "--request-event")])
            return asked
        alike = [name for name in self._events if plain_name(name) in REQUESTS]
        if len(alike) != 1:
            what = f"{there_are(alike or list(self._events))}: which event is a request? Say --request-event NAME"
            raise InputError([Problem(what, column, self._files[0])])
        return alike[0]

    def _times(self, values: pa.Array, name: str, note: Any) -> Ints:
        """Microseconds, (B,)."""
        import pyarrow as pa

        numeric = pa.types.is_integer(values.type) or pa.types.is_floating(values.type)
        time, zoned = (None, False) if numeric else moments(values)
        of_seconds = time is None
        if time is None:
            seconds = numbers(values)
            bad = ~(np.abs(seconds) <= 1e11)
            if bad.any():
                note(name, "must be seconds, or a time stamp as 2026-01-31 12:00:00, with a zone in every row or in none", bad)
                return np.zeros(len(values), np.int64)
            time = np.rint(seconds * _MICRO).astype(np.int64)
        if self._of_seconds is None:
            self._of_seconds, self._zoned = of_seconds, zoned
        elif (self._of_seconds, self._zoned) != (of_seconds, zoned):
            note(name, "must be written as in the rows before: seconds or time stamps, with a zone in every row or in none",
                 np.arange(len(values)) == 0)  # fmt: skip
        return time

    def _settle(self) -> None:
        """Sort outcomes by request, and add up or refuse several of one kind."""
        parts = {name: np.concatenate(of) if of else np.zeros(0, np.int64) for name, of in self._parts.items()}
        self._parts.clear()
        seen = np.unique(parts["kind"])
        names = list(self._events) or [self._alone]
        kinds = [names[place] for place in seen]
        if not kinds:
            raise InputError([Problem("has no outcomes", file=self._files[0])])
        self._order = self._deciding(kinds)
        place_of = {names.index(name): place for place, name in enumerate(self._order)}
        kind = np.array([place_of.get(place, 0) for place in range(len(names))], np.int64)[parts["kind"].astype(np.int64)]
        order = np.lexsort((parts["time"], kind, parts["id"]))
        ids, kind = parts["id"][order], kind[order]
        time, value, file, row = (parts[name][order] for name in ("time", "value", "file", "row"))
        again = np.flatnonzero((ids[1:] == ids[:-1]) & (kind[1:] == kind[:-1])) + 1
        if again.size and not self._options.add:
            first = again[np.lexsort((row[again], file[again]))[0]]
            more = f", and so in {again.size - 1:,} more rows" if again.size > 1 else ""
            message = f"row {row[first]}: is one more {shown(self._order[kind[first]])} of the same request{more}"
            add = "--repeats add adds them up; else leave out what was written twice"
            raise InputError([Problem(f"{message}: {add}", file=self._files[int(file[first])])])
        self._absent_is(np.asarray(value, np.float64))
        self._ids, start = np.unique(ids, return_index=True)
        of = np.repeat(np.arange(self._ids.size), np.diff(np.append(start, ids.size)))
        absent = np.nan if self._options.absent == "unknown" else 0.0
        self._values: Floats = np.full((len(self._order), self._ids.size), absent)
        total = np.zeros_like(self._values)
        np.add.at(total, (kind, of), value)
        self._values[kind, of] = total[kind, of]
        self._time = np.full(self._ids.size, -1, np.int64)
        self._has_time = np.zeros(self._ids.size, np.bool_)
        # Sorted by time, so that from the last to the first the first one stays.
        deciding = np.flatnonzero(kind == 0)[::-1]
        self._time[of[deciding]], self._has_time[of[deciding]] = time[deciding], self._timed
        self._where = file[start], row[start]
        self._deciding_where: tuple[Ints, Ints] = (file[start].copy(), row[start].copy())
        self._deciding_where[0][of[deciding]], self._deciding_where[1][of[deciding]] = file[deciding], row[deciding]
        self._met = np.zeros(self._ids.size, np.bool_)

    def _deciding(self, kinds: Sequence[str]) -> list[str]:
        """The kinds of outcomes, the one that decides first."""
        first = self._options.primary
        if first is None:
            if len(kinds) > 1:
                message = f"has several kinds of outcomes: which one decides? Say --primary NAME; {there_are(list(kinds))}"
                raise InputError([Problem(message, self._columns.event or "" if self._columns else "", self._files[0])])
            return list(kinds)
        if first not in kinds:
            hint = did_you_mean(first, kinds) or there_are(list(kinds))
            raise InputError([Problem(f"no outcome {shown(first)}; {hint}", "--primary")])
        return [first, *(kind for kind in kinds if kind != first)]

    def _absent_is(self, value: Floats) -> None:
        if self._options.absent is None and (value == 0).any():
            message = (
                "has outcomes of 0: is a request without an outcome one of 0, or not known yet? Say --absent zero or --absent "
                "unknown"
            )
            raise InputError([Problem(message, file=self._files[0])])

    def names(self, own: Sequence[str], given: Sequence[tuple[str, str]], file: str) -> tuple[list[str], list[tuple[str, str]]]:
        """The columns of a file of requests once outcomes are joined, and the roles that these have."""
        assert self._columns is not None
        columns = self._columns
        if columns.id not in own:
            hint = did_you_mean(columns.id, own) or there_are(list(own))
            raise InputError(
                [Problem(f"no column {shown(columns.id)}, the id by which outcomes are joined; {hint}", file=file)]
            )
        twice = [name for name in self._order if name in own and name not in columns.all()]
        said = [name for role, name in given if role in ("outcome", "outcome_time") and name]
        problems = [
            Problem(f"has a column {shown(name)}, and so do the outcomes: which is meant?", file=file) for name in twice
        ]
        problems += [
            Problem(f"is said of {shown(name)}, but outcomes stand in rows of their own", "--columns") for name in said
        ]
        if problems:
            raise InputError(problems)
        # In one log, what is of outcomes is none of the requests' own.
        mine = {columns.id} | ({columns.event, columns.value} if self._options.one_log else set())
        names = [name for name in own if name not in mine and name not in self._order]
        pairs = [(role, name) for role, name in given if role not in ("outcome", "outcome_time")]
        pairs += [("outcome", name) for name in self._order]
        pairs += [("outcome_time", TIME if self._timed else "")]
        return [*names, *self._order, *([TIME] if self._timed else [])], pairs

    def joined(
        self, batches: Batches, wanted: list[str], time: str, file: str
    ) -> Iterator[tuple[pa.RecordBatch, Ints | None, int]]:  # fmt: skip
        """Batches with the outcomes of their requests; the rows' places in the file's own batch, and how many that has."""
        import pyarrow as pa

        assert self._columns is not None
        columns = self._columns
        own = [name for name in wanted if name not in self._order and name != TIME]
        read = list(dict.fromkeys([*own, columns.id, *([columns.event] if self._options.one_log and columns.event else [])]))
        before = 0
        for batch in batches(read):
            count, places = batch.num_rows, None
            if self._options.one_log and columns.event:
                kind = self._kinds(file, columns.event, batch.column(columns.event))
                places = np.flatnonzero(kind == self._events[self._request])
                batch = batch.take(pa.array(places))
            ids = batch.column(columns.id)
            rows = np.arange(batch.num_rows) if places is None else places
            nobody = np.flatnonzero(~there(ids))
            self._wrong.note(file, columns.id, "must name a request", nobody, lambda _: None, before, places)
            hashed = hashes(ids)
            self._request_ids.append(hashed)
            self._request_rows.append((file, before + rows + 1))
            place = np.minimum(np.searchsorted(self._ids, hashed), max(self._ids.size - 1, 0))
            met = self._ids[place] == hashed
            self._met[place[met]] = True
            absent = np.nan if self._options.absent == "unknown" else 0.0
            arrays = [batch.column(name) for name in own]
            arrays += [
                pa.array(np.where(met, self._values[number, place], absent), from_pandas=True)
                for number in range(len(self._order))
            ]
            if self._timed:
                told = met & self._has_time[place]
                told &= ~self._earlier(batch.column(time), place, told, columns.time or "")
                arrays.append(self._written(np.where(told, self._time[place], 0), told))
            joined = pa.RecordBatch.from_arrays(arrays, [*own, *self._order, *([TIME] if self._timed else [])])
            yield joined.select(wanted), places, count
            before += count

    def _written(self, time: Ints, told: Bools) -> pa.Array:
        """Times as the requests' own are written: time stamps or seconds, empty where there is none."""
        import pyarrow as pa

        if self._of_seconds:
            return pa.array(time / _MICRO, mask=~told)
        return pa.array(time, pa.int64(), mask=~told).cast(pa.timestamp("us", tz="UTC" if self._zoned else None))

    def _earlier(self, values: pa.Array, place: Ints, told: Bools, column: str) -> Bools:
        """(B,) which outcomes are before their request, which is noted at their own rows."""
        import pyarrow as pa

        numeric = pa.types.is_integer(values.type) or pa.types.is_floating(values.type)
        time, zoned = (None, False) if numeric else moments(values)
        if time is None and self._of_seconds:
            time, zoned = np.rint(np.nan_to_num(numbers(values)) * _MICRO).astype(np.int64), bool(self._zoned)
        if time is None or zoned != self._zoned:
            # The reader tells of times that are not written as those of the requests.
            return np.zeros_like(told)
        before = told & (self._time[place] < time)
        early = np.flatnonzero(before)
        if early.size:
            file, row = (each[place[early]] for each in self._deciding_where)
            first = int(np.lexsort((row, file))[0])
            got = f"{(time[early[first]] - self._time[place[early[first]]]) / _MICRO:.10g} s before it"
            name = self._files[int(file[first])]
            at = self._wrong.first.get((name, column, "must not be before its request"))
            self._wrong.first[name, column, "must not be before its request"] = (
                (int(row[first]), got, early.size) if at is None else (at[0], at[1], at[2] + early.size)
            )
        return before

    def left_over(self) -> list[Problem]:
        """What is wrong once all requests were read: requests of the same id, outcomes of no request or before it."""
        problems = self._wrong.problems()
        ids = np.concatenate(self._request_ids)
        order = np.argsort(ids, kind="stable")
        again = order[1:][ids[order[1:]] == ids[order[:-1]]]
        if again.size:
            at = int(again.min())
            for file, rows in self._request_rows:
                if at < rows.size:
                    more = f", and so in {again.size - 1:,} more rows" if again.size > 1 else ""
                    name = self._columns.id if self._columns else ""
                    problems.append(Problem(f"row {rows[at]}: has the id of an earlier request{more}", name, file))
                    break
                at -= rows.size
        strays = np.flatnonzero(~self._met)
        if strays.size and not self._options.drop_strays:
            of, row = (each[strays] for each in self._where)
            first = int(np.lexsort((row, of))[0])
            more = f", and so of {strays.size - 1:,} more requests" if strays.size > 1 else ""
            message = f"row {row[first]}: is an outcome of a request that is in no file{more}: --drop-strays leaves them out"
            problems.append(Problem(message, self._columns.id if self._columns else "", self._files[int(of[first])]))
        return problems

    def remarks(self) -> Iterator[str]:
        """What is to be known of a log with joined outcomes."""
        columns = self._columns
        if columns is not None:
            parts = {"the event": columns.event, "its time": columns.time, "its amount": columns.value}
            told = ", ".join(f"{shown(name)} is {what}" for what, name in parts.items() if name is not None)
            yield f"outcomes are joined by {shown(columns.id)}" + (f"; {told}" if told else "")
        strays = int((~self._met).sum())
        if strays:
            yield f"outcomes of {strays:,} requests that are in no file were left out"
