"""Which of the two ways to draw plays: passes over arrays with NumPy, or kernels that Numba compiles. Values are the same.

Numba takes a third of a second to load, and the kernels some seconds to compile at their first use on a machine. So they come
in when a process has drawn as much as that pays for.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Literal

Way = Literal["auto", "numpy", "compiled"]

# Draws with NumPy that take about as long as loading Numba, and what a call costs beside its draws.
_PAYS_FROM, _PER_CALL = 3_000_000, 1_000

_way: Way = "auto"
_drawn = 0
_kernels: ModuleType | None = None


def kernels(size: int) -> ModuleType | None:
    """The compiled kernels, or None where NumPy draws these `size` elements."""
    global _drawn
    if _way == "numpy":
        return None
    if _kernels is None and _way == "auto":
        _drawn += size + _PER_CALL
        if _drawn < _PAYS_FROM:
            return None
    return _loaded()


def _loaded() -> ModuleType | None:
    global _kernels, _way
    if _kernels is None:
        from sim.world import jit

        if jit.missing:
            _way = "numpy"
            return None
        _kernels = importlib.import_module("sim.world.kernels")
    return _kernels


@contextmanager
def only(name: Way) -> Iterator[None]:
    """Draw in one way while this lasts, for tests and benchmarks. `compiled` is NumPy's where Numba does not work."""
    global _way
    before, _way = _way, name
    try:
        yield
    finally:
        _way = before
