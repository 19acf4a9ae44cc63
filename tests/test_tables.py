"""Tables of Parquet as arrays: every type that a column may have, its gaps, and parts of a table."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sim import tables
from sim.errors import InputError
from sim.tables import Column, Kind, Schema, columns, read_rows


def in_chunks(kind: pa.DataType, *chunks: list[object]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(chunk, kind) for chunk in chunks], kind)


TABLE = pa.table(
    {
        "number": in_chunks(pa.float64(), [1.5, None], [2.0]),
        "short": in_chunks(pa.float16(), [1.5, None], [2.0]),
        "whole": in_chunks(pa.int32(), [1, 2], [3]),
        "flag": in_chunks(pa.bool_(), [True, False], [True]),
        "text": in_chunks(pa.string(), ["a", None], ["bcd"]),
        "coded": in_chunks(pa.string(), ["a", "b"], ["a"]).dictionary_encode(),
        "nothing": pa.nulls(3),
        "no_text": pa.nulls(3),
    }
)
SCHEMA: Schema = {
    "number": Column(Kind.NUMBER, gaps=True),
    "short": Column(Kind.NUMBER, gaps=True),
    "whole": Column(Kind.WHOLE),
    "flag": Column(Kind.FLAG),
    "text": Column(Kind.TEXT, gaps=True, choices=("a", "bcd")),
    "coded": Column(Kind.TEXT, choices=("a", "b")),
    "nothing": Column(Kind.NUMBER, gaps=True),
    "no_text": Column(Kind.TEXT, gaps=True, choices=("a",)),
}
VALUES = {
    "number": [1.5, np.nan, 2.0],
    "short": [1.5, np.nan, 2.0],
    "whole": [1, 2, 3],
    "flag": [True, False, True],
    "text": ["a", "", "bcd"],
    "coded": ["a", "b", "a"],
    "nothing": [np.nan] * 3,
    "no_text": [""] * 3,
}


@pytest.mark.parametrize(("first", "last"), [(0, 3), (1, 2), (1, 3), (2, 3), (1, 1)])
def test_a_column_has_its_values_and_its_gaps_wherever_the_table_is_cut(first: int, last: int) -> None:
    arrays = columns(TABLE.slice(first, last - first), SCHEMA, "a.parquet")
    for name, values in VALUES.items():
        np.testing.assert_array_equal(arrays[name], np.array(values)[first:last], name)
        assert arrays[name].flags.writeable
    assert [arrays[name].dtype.kind for name in VALUES] == list("ffibUUfU")


def test_a_gap_where_none_may_be_is_told() -> None:
    with pytest.raises(InputError, match=r"a.parquet: text must not be empty in any row"):
        columns(TABLE, {"text": Column(Kind.TEXT, choices=("a", "bcd"))}, "a.parquet")


def test_reading_a_table_loads_no_pandas(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    pq.write_table(TABLE, tmp_path / "a.parquet")
    program = (
        "import sys\nfrom pathlib import Path\nfrom sim.tables import Column, Kind, columns, read_table\n"
        f"table = read_table(Path({str(tmp_path / 'a.parquet')!r}))\n"
        "schema = {'number': Column(Kind.NUMBER, gaps=True), 'text': Column(Kind.TEXT, gaps=True, choices=('a', 'bcd')),"
        " 'flag': Column(Kind.FLAG), 'whole': Column(Kind.WHOLE)}\n"
        "print(len(columns(table, schema, 'a.parquet')), 'pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == "4 False\n", done.stderr


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_that_is_too_wide_is_refused(kind: str, tmp_path: Path) -> None:
    names = [f"c{place}" for place in range(tables.MOST_COLUMNS + 1)]
    file = tmp_path / f"wide.{kind}"
    if kind == "csv":
        file.write_text(",".join(names) + "\n" + ",".join(["1"] * len(names)) + "\n")
    else:
        pq.write_table(pa.table({name: [1] for name in names}), file)
    with pytest.raises(InputError, match=r"has 5,001 columns, more than 5,000: keep those that are needed"):
        read_rows(file)


def test_a_small_file_of_many_values_is_refused_before_they_are_read(tmp_path: Path) -> None:
    """Rows that are alike take no room in a file, whatever room they take in memory."""
    file = tmp_path / "alike.parquet"
    rows = tables.MOST_CELLS // 1000 + 1
    pq.write_table(pa.table({f"c{place}": pa.nulls(rows) for place in range(1000)}), file)
    assert file.stat().st_size < 1_000_000
    with pytest.raises(InputError, match=r"has 300,001 rows of 1,000 columns, more than 300,000,000 values"):
        read_rows(file)
