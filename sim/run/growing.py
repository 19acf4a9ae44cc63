"""Tables that grow on disk while a run is played, so that they need not fit into memory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from sim.files import placing

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

GROUP_ROWS = 100_000
"""A row group is written as soon as there are so many rows: it is what a reader has in memory at once."""


class Growing:
    """A Parquet file that grows by tables, and is kept at its end only.

    What is written depends on the tables and their order alone. A table may lack columns, have others, or have only gaps where
    others have texts: the file then has the columns of all. Of few rows it is the same file as of one table of all.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._waiting: list[pd.DataFrame] = []
        self._rows = 0
        self._out: IO[bytes] | None = None
        self._writer: pq.ParquetWriter | None = None
        self._schema: pa.Schema | None = None

    def add(self, frame: pd.DataFrame) -> None:
        """Append a table. Raises `FileError` where it cannot be written."""
        self._waiting.append(frame)
        self._rows += len(frame)
        if self._rows >= GROUP_ROWS:
            self._flush()

    def keep(self, target: Path) -> bool:
        """Move the file, whole and on the disk, to its place; false where it has no table. Raises `FileError`."""
        if self._waiting:
            self._flush()
        if self._out is None:
            return False
        with placing(target):
            self._close()
            with self._file.open("rb+") as written:
                os.fsync(written.fileno())
            self._file.replace(target)
        return True

    def drop(self) -> None:
        """Take the file away, if it is still where it grew."""
        # Whatever is wrong with it, it is not needed.
        with suppress(Exception):
            self._close()
        with suppress(OSError):
            self._file.unlink(missing_ok=True)
        self._waiting, self._rows = [], 0
        self._out = self._schema = None

    def _flush(self) -> None:
        import pandas as pd
        import pyarrow as pa

        table = pa.Table.from_pandas(pd.concat(self._waiting, ignore_index=True), preserve_index=False)
        self._waiting, self._rows = [], 0
        with placing(self._file):
            if self._schema is None:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                self._open(self._file, table.schema)
            elif not table.schema.equals(self._schema):
                both = pa.unify_schemas([self._schema, table.schema], promote_options="permissive")
                if not both.equals(self._schema):
                    self._widen(both)
            if self._writer is not None and self._schema is not None:
                self._writer.write_table(_as(table, self._schema))

    def _open(self, file: Path, schema: pa.Schema) -> None:
        import pyarrow.parquet as pq

        # pyarrow opens only names that are UTF-8; Python opens any.
        self._out, self._schema = file.open("wb"), schema
        self._writer = pq.ParquetWriter(self._out, schema)

    def _widen(self, schema: pa.Schema) -> None:
        """Write anew what there is, with more columns."""
        import pyarrow.parquet as pq

        self._close()
        before = self._file.with_name(f"{self._file.name}.before")
        self._file.replace(before)
        self._open(self._file, schema)
        with before.open("rb") as opened, pq.ParquetFile(opened) as content:
            for group in range(content.num_row_groups):
                if self._writer is not None:
                    self._writer.write_table(_as(content.read_row_group(group), schema))
        before.unlink()

    def _close(self) -> None:
        writer, out, self._writer = self._writer, self._out, None
        try:
            if writer is not None:
                writer.close()
        finally:
            if out is not None:
                out.close()


def _as(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """A table with the columns of a schema, with gaps where it has none."""
    import pyarrow as pa

    if table.schema.equals(schema):
        return table
    there: Mapping[str, pa.ChunkedArray] = dict(zip(table.column_names, table.columns, strict=True))
    columns = [
        there[field.name].cast(field.type) if field.name in there else pa.nulls(table.num_rows, field.type) for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)
