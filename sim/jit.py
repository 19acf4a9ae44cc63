"""Compiled by Numba where it is there, plain Python where it is not: one source for both, with the same bits.

Nothing imports this module but what plays event by event, and what draws very much: Numba takes a third of a second to load.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import suppress
from threading import RLock
from typing import Any, TypeVar, cast

import numpy as np

from sim.version import sources

F = TypeVar("F", bound=Callable[..., Any])

missing: str | None = None
"""Why nothing is compiled, or None where it is."""

try:
    import numba
except Exception as error:  # An unsupported platform fails in more ways than ImportError.
    missing = f"{type(error).__name__}: {error}"


# No function is handed to C code or to other functions, so none needs an entry for those.
_HOW: Any = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}


def compiled(function: F) -> F:
    """Compile a function and keep the machine code on disk, so that the next start costs no compilation.

    Other threads run meanwhile, such as the one that ends a worker whose parent has ended.
    """
    if missing:
        return function
    try:
        made: Any = numba.njit(cache=True, **_HOW)(function)
        # Numba compiles a function anew when its own file has changed, but not when one has that it takes functions or
        # constants from: those stand in these places.
        index = made._cache._cache_file
        index._source_stamp = (
            index._source_stamp,
            sources("engine", "world", "policy/columns.py", "policy/kernels.py", "stats/within_ticks.py"),
        )
    except (RuntimeError, AttributeError):
        # No folder can be written, or this Numba keeps code in another way: compile for this process only.
        made = numba.njit(**_HOW)(function)
    return cast(F, made)


def _rest_while_compiling() -> None:
    """Let the collector of garbage rest while something compiles: it takes a seventh of that time, and finds little."""
    from numba.core import event

    class Rest(event.Listener):
        def __init__(self) -> None:
            self._lock, self._depth, self._rested = RLock(), 0, False

        def on_start(self, event: Any) -> None:
            with self._lock:
                if self._depth == 0:
                    self._rested = gc.isenabled()
                    gc.disable()
                self._depth += 1

        def on_end(self, event: Any) -> None:
            with self._lock:
                self._depth -= 1
                if self._depth == 0 and self._rested:
                    gc.enable()

    register: Any = event.register
    register("numba:compile", Rest())


if missing is None:
    # A Numba that tells of its work in another way compiles all the same, a little slower.
    with suppress(ImportError, AttributeError):
        _rest_while_compiling()


def _probe(number: int) -> int:
    return number + 1


if missing is None:
    try:
        if (tried := compiled(_probe)) is _probe:
            missing = "NUMBA_DISABLE_JIT is set"
        tried(1)
    except Exception as error:  # A broken compiler fails in its own ways, and when it is used first.
        missing = f"{type(error).__name__}: {error}"

# 64-bit words that wrap around: typed ones where compiled, Python's integers, masked, where not.
word: Any = int if missing else np.uint64
integer: Any = int if missing else np.int64
