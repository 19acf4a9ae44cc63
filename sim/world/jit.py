"""Compiled by Numba where it is there, plain Python where it is not: one source for both, with the same bits.

Nothing imports this module but what plays event by event: Numba takes a third of a second to load.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

F = TypeVar("F", bound=Callable[..., Any])

missing: str | None = None
"""Why nothing is compiled, or None where it is."""

try:
    import numba
except Exception as error:  # An unsupported platform fails in more ways than ImportError.
    missing = f"{type(error).__name__}: {error}"

# 64-bit words that wrap around: typed ones where compiled, Python's integers, masked, where not.
word: Any = int if missing else np.uint64
integer: Any = int if missing else np.int64


def compiled(function: F) -> F:
    """Compile a function and keep the machine code on disk, so that the next start costs no compilation."""
    if missing:
        return function
    try:
        made: Any = numba.njit(cache=True, error_model="numpy")(function)
    except RuntimeError:
        # No folder can be written: compile for this process only.
        made = numba.njit(error_model="numpy")(function)
    else:
        # Numba compiles a function anew when its own file has changed, but not when one has that it takes functions or
        # constants from.
        index = made._cache._cache_file
        index._source_stamp = (index._source_stamp, _sources())
    return cast(F, made)


@cache
def _sources() -> str:
    """A digest of the two layers that hold compiled functions, and the constants which these have taken in."""
    root = Path(__file__).parents[1]
    files = [file for layer in ("engine", "world") for file in sorted((root / layer).glob("*.py"))]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
