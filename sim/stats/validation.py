"""Checks of arguments that the functions of this package share."""

from __future__ import annotations

import math
from numbers import Integral
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sim.errors import InputError, Problem


def require(holds: bool, name: str, rule: str, value: object) -> None:
    """Raise `InputError` with the name, the value and the rule, unless the rule holds.

    >>> require(False, "alpha", "must lie strictly between 0 and 1", 1.5)
    Traceback (most recent call last):
    sim.errors.InputError: alpha: must lie strictly between 0 and 1, got 1.5
    """
    if not holds:
        raise InputError([Problem(f"{rule}, got {value}", path=name)])


def require_share(name: str, value: float) -> None:
    """Require a share or probability strictly between 0 and 1.

    >>> require_share("confidence", 0.95)
    """
    require(0 < value < 1, name, "must lie strictly between 0 and 1", value)


def require_positive(name: str, value: float) -> None:
    """Require a finite number above 0.

    >>> require_positive("horizon", 3.5)
    """
    require(0 < value < math.inf, name, "must be positive and finite", value)


def is_whole(value: object) -> TypeGuard[int]:
    """Whether a value is a whole number of Python or NumPy; a boolean is not.

    >>> is_whole(3), is_whole(np.int64(3)), is_whole(3.0), is_whole(True)
    (True, True, False, False)
    """
    return isinstance(value, Integral) and not isinstance(value, bool)


def sample(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """The values as floats, (n,), one finite number per replication.

    >>> sample("values", [1, True])
    array([1., 1.])
    """
    array: NDArray[Any] = np.asarray(values, dtype=np.float64)
    require(array.ndim == 1, name, "must have one axis", f"shape {array.shape}")
    finite = np.isfinite(array)
    if not finite.all():
        at = int(np.argmin(finite))
        require(False, name, "must be finite", f"{array[at]} at index {at}")
    return array


def broadcast(**named: ArrayLike) -> tuple[NDArray[np.float64], ...]:
    """The named arrays as floats, broadcast to one shape.

    >>> broadcast(n=[1, 2], total=5)
    (array([1., 2.]), array([5., 5.]))
    >>> broadcast(n=[1, 2], total=[3, 4, 5])
    Traceback (most recent call last):
    sim.errors.InputError: total: must broadcast with (2,), the shape of n, got shape (3,)
    """
    arrays = {name: np.asarray(values, dtype=np.float64) for name, values in named.items()}
    try:
        return tuple(np.broadcast_arrays(*arrays.values()))
    except ValueError:
        before: dict[str, tuple[int, ...]] = {}
        for name, array in arrays.items():
            for other, shape in before.items():
                fits = all(one == two or 1 in (one, two) for one, two in zip(shape[::-1], array.shape[::-1], strict=False))
                require(fits, name, f"must broadcast with {shape}, the shape of {other}", f"shape {array.shape}")
            before[name] = array.shape
        raise
