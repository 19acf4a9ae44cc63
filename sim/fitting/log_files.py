"""Log files, a batch of rows at a time: names of columns, and rows of those that are wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sim.errors import InputError, Problem
from sim.files import reading
from sim.tables import check_width

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH = 1 << 19
_NULLS = ["", "NA", "NaN", "nan", "null", "NULL", "None"]

Batches = Callable[[list[str]], Iterator["pa.RecordBatch"]]


@contextmanager
def opened(file: Path) -> Iterator[tuple[list[str], Batches]]:
    """The names of a file's columns, and a function that gives some of them a batch of rows at a time."""
    kind = file.suffix.lower()
    if kind == ".parquet":
        import pyarrow.parquet as pq

        with reading(file), file.open("rb") as handle, pq.ParquetFile(handle) as content:
            names = list(content.schema_arrow.names)
            check_width(names, lambda message: Problem(message, file=str(file)))
            yield names, lambda wanted: _reordered(content.iter_batches(_BATCH, columns=wanted), wanted)
    elif kind == ".csv":
        import pyarrow as pa
        from pyarrow import csv

        # Closed before the program ends: it reads on in a thread of its own.
        with reading(file), file.open("rb") as handle, csv.open_csv(handle) as reader:
            names = reader.schema.names
        check_width(names, lambda message: Problem(message, file=str(file)))
        with reading(file), file.open("rb") as handle:

            def batches(wanted: list[str]) -> Iterator[pa.RecordBatch]:
                options = csv.ConvertOptions(
                    column_types=dict.fromkeys(wanted, pa.string()), include_columns=wanted, strings_can_be_null=True,
                    null_values=_NULLS,
                )  # fmt: skip
                with csv.open_csv(handle, csv.ReadOptions(block_size=1 << 24), convert_options=options) as rows:
                    yield from rows

            yield names, batches
    else:
        raise InputError([Problem("must be a .csv or a .parquet file", file=str(file))])


def _reordered(batches: Iterator[pa.RecordBatch], wanted: list[str]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield batch.select(wanted)
