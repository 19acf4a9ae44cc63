"""Which of two ways plays: passes over arrays with NumPy, or kernels that Numba compiles. Values are the same.

Numba takes a third of a second to load, and the kernels some seconds to compile at their first use on a machine. So they come
in when a process has drawn as much as that pays for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

Way = Literal["auto", "numpy", "compiled"]

# Draws with NumPy that take about as long as loading Numba, and what a call costs beside its draws.
_PAYS_FROM, _PER_CALL = 3_000_000, 1_000

_way: Way = "auto"
_drawn = 0


def compiles(size: int) -> bool:
    """Whether compiled kernels work on these `size` elements, rather than NumPy. Where they do, they may be imported."""
    global _drawn
    if _way == "auto":
        _drawn += size + _PER_CALL
        if _drawn >= _PAYS_FROM:
            _settle()
    return compiling()


def compiling() -> bool:
    """Whether compiled kernels work by now, whatever the size."""
    return _way == "compiled" and _works()


def _settle() -> None:
    """From now on there is but one way."""
    global _way
    _way = "compiled" if _works() else "numpy"


def _works() -> bool:
    from sim import jit

    return jit.missing is None


@contextmanager
def only(name: Way) -> Iterator[None]:
    """Work in one way while this lasts, for tests and benchmarks. `compiled` is NumPy's where Numba does not work."""
    global _way
    before, _way = _way, name
    try:
        yield
    finally:
        _way = before
