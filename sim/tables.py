"""Columns of tables: read from Parquet by a schema, or refused with every problem."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sim.arrays import Ints
from sim.errors import InputError, Problem
from sim.files import Place, reading
from sim.units import shown

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


MOST_CELLS = 300_000_000
"""Of tables that are held in memory as they are read: 2.4 GB of numbers."""
MOST_COLUMNS = 5_000
"""Of tables that are read by the names of a few of their columns. Guesses at wider ones would take too long."""


class Kind(StrEnum):
    """What a column holds, in words."""

    TEXT = "texts"
    WHOLE = "whole numbers"
    NUMBER = "numbers"
    FLAG = "true or false"


@dataclass(frozen=True)
class Column:
    """What a column must hold. `gaps`: rows may have no value, which is read as NaN, or as an empty text.

    `infinite`: infinity is a value. `choices` are the only texts. A column that is `optional` may be missing, which is read as
    NaN in every row.
    """

    kind: Kind
    gaps: bool = False
    infinite: bool = False
    optional: bool = False
    choices: tuple[str, ...] = ()


Schema = Mapping[str, Column]


def read_table(file: Path) -> pa.Table:
    """A Parquet file. Raises `InputError` if it cannot be read, or has a column twice."""
    import pyarrow.parquet as pq

    # pyarrow opens only names that are UTF-8; Python opens any.
    with reading(file), file.open("rb") as opened, pq.ParquetFile(opened) as content:
        table = content.read()
        check_names(table.column_names, lambda message: Problem(message, file=str(file)))
        return table


class Groups:
    """The row groups of a Parquet file, of which one is in memory at a time. Raises `InputError` as `read_table` does."""

    def __init__(self, file: Path) -> None:
        self.file = file
        with self._open() as content:
            self._meta, self._schema = content.metadata, content.schema_arrow
            check_names(self._schema.names, lambda message: Problem(message, file=str(file)))

    def __len__(self) -> int:
        return int(self._meta.num_row_groups)

    @property
    def empty(self) -> pa.Table:
        """The table without its rows."""
        return self._schema.empty_table()

    def bounds(self, name: str) -> list[tuple[Any, Any]] | None:
        """The least and the greatest value of a column in each group; None where the file does not say."""
        place = self._schema.names.index(name)
        found = [self._meta.row_group(group).column(place).statistics for group in range(len(self))]
        if not all(each is not None and each.has_min_max for each in found):
            return None
        return [(each.min, each.max) for each in found]

    def read(self, group: int) -> pa.Table:
        """The rows of a group."""
        with self._open() as content:
            return content.read_row_group(group)

    @contextmanager
    def _open(self) -> Iterator[pq.ParquetFile]:
        import pyarrow.parquet as pq

        # pyarrow opens only names that are UTF-8; Python opens any.
        with reading(self.file), self.file.open("rb") as opened, pq.ParquetFile(opened) as content:
            yield content


def read_rows(file: Path) -> pa.Table:
    """A CSV or Parquet file as a table; of a CSV all columns are texts. Raises `InputError` if it is neither, or too large."""

    def at(message: str) -> Problem:
        return Problem(message, file=str(file))

    if file.suffix.lower() == ".parquet":
        import pyarrow.parquet as pq

        # A small file may hold any number of rows that are alike.
        with reading(file), file.open("rb") as opened, pq.ParquetFile(opened) as content:
            rows, names = content.metadata.num_rows, content.schema_arrow.names
        check_width(names, at)
        if rows * len(names) > MOST_CELLS:
            message = f"has {rows:,} rows of {len(names):,} columns, more than {MOST_CELLS:,} values: keep what is needed"
            raise InputError([at(message)])
        return read_table(file)
    if file.suffix.lower() != ".csv":
        raise InputError([at("must be a .csv or a .parquet file")])
    import pyarrow as pa
    from pyarrow import csv

    # Closed before the program ends: it reads on in a thread of its own.
    with reading(file), file.open("rb") as opened, csv.open_csv(opened) as reader:
        header = reader.schema.names
    check_width(header, at)
    options = csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False)
    with reading(file), file.open("rb") as opened:
        return csv.read_csv(opened, convert_options=options)


def check_width(names: Sequence[str], place: Place) -> None:
    """Raise `InputError` for a table that is too wide, or has a column twice."""
    if len(names) > MOST_COLUMNS:
        raise InputError([place(f"has {len(names):,} columns, more than {MOST_COLUMNS:,}: keep those that are needed")])
    check_names(names, place)


def check_names(names: Iterable[str], place: Place) -> None:
    """Raise `InputError` where a column is there twice.

    >>> check_names(["a", "b", "a"], Problem)
    Traceback (most recent call last):
    sim.errors.InputError: has the column 'a' more than once
    """
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError([place(f"has the column {shown(twice[0])} more than once")])


def columns(table: pa.Table, schema: Schema, file: str) -> dict[str, NDArray[Any]]:
    """The columns of a schema, (rows,) each. Raises `InputError` with every problem of the table.

    >>> import pyarrow as pa
    >>> columns(pa.table({"a": [1, None]}), {"a": Column(Kind.NUMBER, gaps=True)}, "a.parquet")["a"].tolist()
    [1.0, nan]
    >>> columns(pa.table({"a": ["x"]}), {"a": Column(Kind.NUMBER)}, "a.parquet")
    Traceback (most recent call last):
    sim.errors.InputError: a.parquet: a must hold numbers, got string
    """
    missing = [name for name, column in schema.items() if name not in table.column_names and not column.optional]
    if missing:
        raise InputError([Problem(f"lacks the columns {', '.join(missing)}", file=file)])
    arrays: dict[str, NDArray[Any]] = {}
    problems: list[Problem] = []
    for name, column in schema.items():
        if name not in table.column_names:
            arrays[name] = np.full(table.num_rows, np.nan)
            continue
        try:
            arrays[name] = _column(table, name, column, file)
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    return arrays


class _Refused(Exception):
    """A rule that a column breaks."""


def _column(table: pa.Table, name: str, column: Column, file: str) -> NDArray[Any]:
    def at(message: str) -> Problem:
        return Problem(f"{name} {message}", file=file)

    with reading(at):
        try:
            return _values(table.column(name), column)
        except _Refused as refused:
            raise InputError([at(str(refused))]) from None


def _values(values: pa.ChunkedArray, column: Column) -> NDArray[Any]:
    """The values of a column, (rows,)."""
    import pyarrow as pa

    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if not _fits(values.type, column) and not (len(values) == 0 and pa.types.is_null(values.type)):
        raise _Refused(f"must hold {column.kind}, got {values.type}")
    if values.null_count and not column.gaps:
        raise _Refused("must not be empty in any row")
    if column.kind is Kind.TEXT:
        return _texts(values, column.choices)
    if column.kind is Kind.FLAG:
        return _plain(values.cast(pa.uint8())).astype(np.bool_)
    if column.kind is Kind.WHOLE:
        return _plain(values.cast(pa.int64()))
    array = _plain(values.cast(pa.float64(), safe=False))
    array[_gaps(values)] = np.nan
    odd = np.flatnonzero(~(np.isfinite(array) | (column.gaps & np.isnan(array)) | (column.infinite & np.isinf(array))))
    if odd.size:
        raise _Refused(f"must be finite, got {array[odd[0]]} in row {odd[0]}")
    return array


def _fits(kind: pa.DataType, column: Column) -> bool:
    """Whether a type of Arrow can hold what a column must."""
    import pyarrow as pa

    if pa.types.is_null(kind):
        return column.gaps
    match column.kind:
        case Kind.TEXT:
            return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
        case Kind.WHOLE:
            return bool(pa.types.is_integer(kind))
        case Kind.NUMBER:
            return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))
        case Kind.FLAG:
            return bool(pa.types.is_boolean(kind))


def _texts(values: pa.ChunkedArray, choices: tuple[str, ...]) -> NDArray[Any]:
    """Texts, (rows,), that are all among the choices, which bounds the memory that they take."""
    import pyarrow as pa

    strangers = sorted(set(values.unique().to_pylist()) - {None, *choices})
    if strangers:
        raise _Refused(f"must be one of {', '.join(choices)}, got {shown(strangers[0])}")
    coded = values.cast(pa.large_string()).combine_chunks().dictionary_encode()
    places = _plain(coded.indices)
    # A gap has the last place, of no text.
    places[_gaps(values)] = -1
    texts: NDArray[Any] = np.array([*coded.dictionary.to_pylist(), ""])[places]
    return texts


def _gaps(values: pa.ChunkedArray) -> NDArray[np.bool_]:
    """Which values of a column are missing, (rows,)."""
    import pyarrow as pa

    return _plain(values.is_null().cast(pa.uint8())).astype(np.bool_)


def _plain(values: pa.Array | pa.ChunkedArray) -> NDArray[Any]:
    """Numbers, (rows,), with anything in the place of one that is missing.

    Arrow's own `to_numpy` loads pandas, which takes longer than to read the tables of a run.
    """
    import pyarrow as pa

    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    without_gaps = pa.Array.from_buffers(array.type, len(array), [None, array.buffers()[1]], offset=array.offset)
    return np.array(np.from_dlpack(without_gaps))


def parsed(values: pa.Array | pa.ChunkedArray) -> NDArray[np.float64]:
    """Texts, truth values or numbers as numbers, (rows,); NaN for what is none.

    >>> import pyarrow as pa
    >>> parsed(pa.array(["1.5", "x", None])).tolist()
    [1.5, nan, nan]
    """
    import pyarrow as pa
    from pyarrow import compute

    try:
        numbers = compute.cast(values, pa.float64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        import pandas as pd

        texts = pd.Series(values.to_pylist(), dtype=object)
        return np.asarray(pd.to_numeric(texts, errors="coerce"), np.float64)
    return np.asarray(numbers.to_numpy(zero_copy_only=False), np.float64)


def moments(values: pa.Array) -> tuple[Ints | None, bool]:
    """Time stamps as microseconds since 1970, (B,), and whether they name their zone; None where they are none."""
    import pyarrow as pa
    from pyarrow import compute

    if values.null_count:
        return None, False
    if pa.types.is_timestamp(values.type):
        moments = compute.cast(values, pa.timestamp("us", tz=values.type.tz), safe=False)
        return np.asarray(
            compute.cast(moments, pa.int64()).to_numpy(zero_copy_only=False), np.int64
        ), values.type.tz is not None
    # Nanoseconds only where they are written, as pandas does: they reach no further than the years 1677 to 2262.
    for unit, zone in itertools.product(("us", "ns"), (None, "UTC")):
        try:
            read = compute.cast(values, pa.timestamp(unit, tz=zone))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            continue
        moments = compute.cast(compute.cast(read, pa.timestamp("us", tz=zone), safe=False), pa.int64())
        return np.asarray(moments.to_numpy(zero_copy_only=False), np.int64), zone is not None
    return None, False
