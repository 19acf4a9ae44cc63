"""The types of arrays. Letters of shapes in docstrings: R replications, K arms, T ticks, M metrics, C columns."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def marked(mask: Bools) -> Ints | slice:
    """The places that a mask (r,) marks. A slice where it marks all: then nothing is copied, which is what mostly happens.

    >>> marked(np.array([True, False, True])), marked(np.array([True, True]))
    (array([0, 2]), slice(None, None, None))
    """
    return slice(None) if mask.all() else np.flatnonzero(mask)


def whole(array: NDArray[Any]) -> NDArray[Any]:
    """The same values, next to each other and never read-only: Numba takes other arrays for other types, and compiles anew.

    >>> bool(whole(np.broadcast_to([1, 2], (2, 2))).flags.writeable)
    True
    """
    found = np.ascontiguousarray(array)
    return found if found.flags.writeable else found.copy()
