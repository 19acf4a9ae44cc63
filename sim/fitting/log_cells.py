"""The cells of a log's columns, a batch (B,) at a time: numbers, times, and hashes of names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sim.arrays import Bools, Floats
from sim.tables import moments, parsed

if TYPE_CHECKING:
    import pyarrow as pa

_ZONE = re.compile(r"(Z|[+-]\d\d:?\d\d)\s*$")


def there(values: pa.Array) -> Bools:
    """Which values are not missing, (B,)."""
    return np.asarray(values.is_valid().to_numpy(zero_copy_only=False), np.bool_)


def numbers(values: pa.Array) -> Floats:
    """Texts, truth values or numbers as numbers, (B,); NaN for what is none."""
    import pyarrow as pa
    from pyarrow import compute

    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        first = next((each.as_py() for each in values if each.is_valid), "")
        if str(first).casefold() in ("true", "false"):
            lower = compute.utf8_lower(values)
            flags = np.where(compute.equal(lower, "true").fill_null(False).to_numpy(zero_copy_only=False), 1.0, np.nan)
            flags[compute.equal(lower, "false").fill_null(False).to_numpy(zero_copy_only=False)] = 0.0
            return np.asarray(flags, np.float64)
    return parsed(values)


def odd_zones(values: pa.Array, bad: Bools) -> Bools:
    """Of texts that are no times together, (B,), those that are none as the first one is."""
    first = str(values[0].as_py())
    zoned = bool(_ZONE.search(first))
    alone = np.array([moments(values.slice(row, 1))[0] is None for row in range(min(len(values), 10_000))])
    if alone.any():
        return np.concatenate([alone, np.zeros(len(values) - len(alone), bool)])
    other = np.array([bool(_ZONE.search(str(value.as_py()))) != zoned for value in values])
    return other if other.any() else bad


def hashes(values: pa.Array) -> NDArray[np.uint64]:
    """A hash of each user's id, (B,)."""
    import pyarrow as pa
    from pandas.util import hash_array

    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    coded = values.dictionary_encode()
    words = np.array([str(word) for word in coded.dictionary.to_pylist()] or [""], dtype=object)
    hashed = np.asarray(hash_array(words, categorize=False), np.uint64)
    of_rows: NDArray[np.uint64] = hashed[np.nan_to_num(coded.indices.to_numpy(zero_copy_only=False)).astype(np.int64)]
    return of_rows


def mixed(number: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A hash of numbers."""
    from pandas.util import hash_array

    return np.asarray(hash_array(number), np.uint64)
