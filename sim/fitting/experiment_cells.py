"""The cells of a table of past experiments: names, numbers that may be missing, and times."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sim.arrays import Floats, Ints
from sim.units import shown

if TYPE_CHECKING:
    import pyarrow as pa

Wrong = Callable[[Ints, str], None]
"""Takes the rows that break a rule, from 0, and the rule with what the first of them holds."""
_GAPS = ("", "na", "n/a", "nan", "null", "none")


def names(values: pa.ChunkedArray, wrong: Wrong) -> NDArray[Any]:
    """A column as texts, (N,), of which none may be empty. Numbers are names too.

    >>> import pyarrow as pa
    >>> names(pa.chunked_array([[1, 2]]), print).tolist()
    ['1', '2']
    """
    import pyarrow as pa
    from pyarrow import compute

    try:
        cells = compute.cast(_plain(values), pa.string()).to_pylist()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        wrong(np.zeros(1, np.int64), f"must be a name, got {_shown(values, 0)}")
        return np.full(len(values), "?", dtype=object)
    texts = np.array([text.strip() if text else "" for text in cells], dtype=object)
    if (empty := np.flatnonzero(texts == "")).size:
        wrong(empty, "must not be empty")
    return texts


def numbers(values: pa.ChunkedArray, wrong: Wrong) -> Floats:
    """A column of finite numbers, (N,). An empty cell is NaN, and a percentage is its share.

    >>> import pyarrow as pa
    >>> numbers(pa.chunked_array([["2%", "-0.5", ""]]), print).tolist()
    [0.02, -0.5, nan]
    """
    import pyarrow as pa

    plain = _plain(values)
    if pa.types.is_floating(plain.type) or pa.types.is_integer(plain.type) or pa.types.is_decimal(plain.type):
        found = np.array(plain.cast(pa.float64(), safe=False).to_numpy(), np.float64)
    else:
        found = np.array([_number(cell) for cell in plain.to_pylist()], np.float64)
    if (bad := np.flatnonzero(np.isinf(found))).size:
        wrong(bad, f"must be a finite number, got {_shown(values, int(bad[0]))}")
    return found


def times(values: pa.ChunkedArray, wrong: Wrong) -> Floats:
    """A column of numbers, or of time stamps, all with a zone or all without, as numbers (N,) in the same order.

    >>> import pyarrow as pa
    >>> times(pa.chunked_array([["2026-01-02 00:00:00", "2026-01-01 12:00:00"]]), print).argsort().tolist()
    [1, 0]
    """
    import pyarrow as pa
    from pyarrow import compute

    plain = _plain(values)
    if pa.types.is_string(plain.type) or pa.types.is_large_string(plain.type):
        for kind in (pa.float64(), pa.timestamp("us"), pa.timestamp("us", tz="UTC")):
            try:
                plain = compute.cast(plain, kind)
                break
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
                continue
    if pa.types.is_timestamp(plain.type) or pa.types.is_date(plain.type):
        zone = getattr(plain.type, "tz", None)
        plain = compute.cast(compute.cast(plain, pa.timestamp("us", tz=zone), safe=False), pa.int64())
    try:
        found = np.array(compute.cast(plain, pa.float64(), safe=False).to_numpy(), np.float64)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        found = np.array([_number(cell) for cell in plain.to_pylist()], np.float64)
    if (bad := np.flatnonzero(~np.isfinite(found))).size:
        rule = "must be a number, or a time stamp as 2026-01-31 12:00:00, with a zone in every row or in none"
        wrong(bad, f"{rule}; got {_shown(values, int(bad[0]))}")
    return found


def _plain(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column whose values stand in it, and not in a dictionary."""
    import pyarrow as pa

    return values.cast(values.type.value_type) if pa.types.is_dictionary(values.type) else values


def _shown(values: pa.ChunkedArray, row: int) -> str:
    return shown(values[row].as_py())


def _number(cell: object) -> float:
    """A cell as a number: NaN where it is empty, infinite where it is no finite number."""
    text = "" if cell is None else str(cell).strip()
    if text.casefold() in _GAPS:
        return math.nan
    try:
        value = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return math.inf
    return value if math.isfinite(value) and "_" not in text else math.inf
