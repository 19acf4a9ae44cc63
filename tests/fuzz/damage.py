"""Damage to files, the same for the same seed: any bytes, values of JSON, columns of tables, lines of CSV."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from tests.fuzz.mutation import values_changed

Rng = np.random.Generator

ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**63, -(2**70), 1e308, 1e-320, 0.5, "", "x", "nan", "\ud800", "\x1b[31mred\x07", "a" * 5000,
    [], {}, [[]], [None], {"": None}, [1, "a", None], float("nan"), float("inf"), "9999-12-31T23:59:59+00:00", "0001-01-01",
)  # fmt: skip
"""Values that a key of a JSON file may be given."""


def damaged(name: str, content: bytes, rng: Rng) -> bytes:
    """The content of a file, damaged in one way; which one depends on what kind of file it is, by its name."""
    by_kind: dict[str, Callable[[bytes, Rng], bytes]] = {"json": _json, "parquet": _table, "csv": _lines, "yaml": _yaml}
    edit = by_kind.get(name.rpartition(".")[2])
    return edit(content, rng) if edit and rng.random() < 0.6 else _bytes(content, rng)


def _bytes(content: bytes, rng: Rng) -> bytes:
    """Some bytes changed, cut off, put in, doubled or emptied."""
    found = bytearray(content)
    at = int(rng.integers(0, len(found) + 1))
    size = int(rng.integers(1, 64))
    match int(rng.integers(0, 7)):
        case 0:
            for _ in range(int(rng.integers(1, 9))):
                place = int(rng.integers(0, max(len(found), 1)))
                found[place : place + 1] = bytes([int(rng.integers(0, 256))])
        case 1:
            del found[at:]
        case 2:
            found[at:at] = rng.bytes(size)
        case 3:
            found[at : at + size] = bytes(len(found[at : at + size]))
        case 4:
            found[at:at] = found[at : at + size]
        case 5:
            del found[at : at + size]
        case _:
            # The end of a Parquet file says where everything is.
            place = max(len(found) - int(rng.integers(1, 2000)), 0)
            found[place : place + 1] = bytes([int(rng.integers(0, 256))])
    return bytes(found)


def _json(content: bytes, rng: Rng) -> bytes:
    """A value anywhere in a JSON file replaced by an odd one, taken away, or doubled."""
    found = json.loads(content)
    within = found
    while True:
        keys = list(within) if isinstance(within, dict) else range(len(within))
        key = keys[int(rng.integers(0, len(keys)))]
        inner = within[key]
        if not isinstance(inner, dict | list) or not inner or rng.random() < 0.25:
            break
        within = inner
    match int(rng.integers(0, 4)):
        case 0:
            del within[key]
        case 1 if isinstance(within, list):
            within.append(within[key])
        case _:
            within[key] = ODD[int(rng.integers(0, len(ODD)))]
    return json.dumps(found).encode()


def _yaml(content: bytes, rng: Rng) -> bytes:
    """YAML, of one document or several, with a few values changed."""
    documents = list(yaml.safe_load_all(content))
    place = int(rng.integers(0, len(documents)))
    if isinstance(documents[place], dict):
        documents[place] = values_changed(Random(int(rng.integers(0, 2**32))), documents[place], documents)
    return yaml.safe_dump_all(documents).encode("utf-8", "surrogatepass")


def _table(content: bytes, rng: Rng) -> bytes:
    """A Parquet file with a column of another type, missing, doubled or with gaps, with other rows or other metadata."""
    table = pq.read_table(io.BytesIO(content))
    place = int(rng.integers(0, table.num_columns))
    name, column = table.column_names[place], table.column(place)
    match int(rng.integers(0, 9)):
        case 0:
            table = table.drop_columns([name])
        case 1:
            table = table.append_column(name, column)
        case 2 | 3 | 4:
            table = table.set_column(place, name, _other(column, rng))
        case 5:
            table = table.rename_columns([f"{name}?" if each == name else each for each in table.column_names])
        case 6:
            keep = np.sort(rng.choice(table.num_rows, int(rng.integers(0, min(table.num_rows, 3) + 1)), replace=False))
            table = table.take(pa.array(keep, pa.int64()))
        case 7:
            table = pa.concat_tables([table, table.slice(0, 1)])
        case _:
            junk = (b"", b"{}", b"[]", b"null", b"\xff\xfe", b'{"columns": 3}', b'{"index_columns": ["x"], "columns": [{}]}')
            table = table.replace_schema_metadata({b"pandas": junk[int(rng.integers(0, len(junk)))]})
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()


def _other(column: pa.ChunkedArray, rng: Rng) -> pa.Array:
    """A column of as many rows, of another type or with other values."""
    rows = len(column)
    numbers = rng.normal(size=rows)
    texts = ["ab", "champion", "ship", "\x1b[2J", "", "é" * 300]
    made: tuple[Callable[[], pa.Array], ...] = (
        lambda: pa.nulls(rows),
        lambda: pa.array([texts[int(each)] for each in rng.integers(0, len(texts), rows)]),
        lambda: pa.array([b"\xff\xfe\x00"] * rows, pa.binary()),
        # Bytes that are no UTF-8 in a column that says that it is text.
        lambda: pa.array([b"\xff\xfe\x00"] * rows, pa.binary()).view(pa.string()),
        lambda: pa.array(rng.integers(-5, 5, rows)),
        lambda: pa.array([2**63 - 1] * rows, pa.int64()),
        lambda: pa.array([2**64 - 1] * rows, pa.uint64()),
        lambda: pa.array(numbers),
        lambda: pa.array(np.full(rows, [np.nan, np.inf, -np.inf, 1e308][int(rng.integers(0, 4))])),
        lambda: pa.array([float(each) if each > 0 else None for each in numbers]),
        lambda: pa.array(numbers > 0),
        lambda: pa.array([bool(each > 0) if each > -1 else None for each in numbers]),
        lambda: pa.array([[1.0]] * rows, pa.list_(pa.float64())),
        lambda: pa.array([{"a": 1}] * rows),
        lambda: pa.array([0] * rows, pa.timestamp("ns", "UTC")),
        lambda: pa.array([1] * rows, pa.date32()),
        lambda: pa.array([1] * rows).cast(pa.decimal128(38, 2)),
        lambda: pa.array(["ab", None] * (rows // 2) + ["ab"] * (rows % 2)).dictionary_encode(),
        lambda: pa.array([3] * rows, pa.duration("s")),
        lambda: pa.array(numbers.astype(np.float16)),
    )
    return made[int(rng.integers(0, len(made)))]()


def _lines(content: bytes, rng: Rng) -> bytes:
    """A CSV file with a line or a cell changed."""
    rows = [line.split(b",") for line in content.split(b"\n")]
    row = int(rng.integers(0, len(rows)))
    cells = (b"", b"x", b'"', b"1e400", b"nan", b"-1", b"2020-01-01", b"\xff\xfe", b"\x00", b"1,2", b"9" * 400, b"\x1b[31m",
             b"2026-01-01 00:00:00+02:00", b"9999-12-31 23:59:59", b"0001-01-01", b"1e300", b"true", b"x" * 100_000,
             b"\xef\xbb\xbf", b" ", "\u202e\x9b".encode())  # fmt: skip
    match int(rng.integers(0, 5)):
        case 0:
            rows.insert(row, [cells[int(rng.integers(0, len(cells)))]])
        case 1:
            del rows[row]
        case 2:
            # The head: a column that is missing, or there twice.
            head = rows[0]
            head[int(rng.integers(0, len(head)))] = head[int(rng.integers(0, len(head)))]
        case _:
            rows[row][int(rng.integers(0, len(rows[row])))] = cells[int(rng.integers(0, len(cells)))]
    return b"\n".join(b",".join(row) for row in rows)
