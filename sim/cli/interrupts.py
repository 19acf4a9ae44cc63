"""Ctrl-C, SIGTERM and SIGHUP: an interrupt ends a command the same way wherever it falls."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType
from typing import Any

# SIGHUP is what a closed terminal sends; Windows has none.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))
_AS_THEY_COME = (signal.default_int_handler, signal.SIG_DFL)


class Interrupts:
    """Raises `KeyboardInterrupt` at the first signal, as Python does, and remembers it in `heard`.

    The exception may be lost: pydantic turns any exception of a serialiser into a `PydanticSerializationError`, and Python
    only prints exceptions of callbacks of the garbage collector or of C code. Check `heard` in such cases. A signal that the
    caller handles or ignores is left alone.
    """

    def __init__(self) -> None:
        self.heard = False
        self._before: dict[signal.Signals, Any] = {}
        self._print_unraisable = sys.unraisablehook

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            self._before = {which: signal.getsignal(which) for which in _SIGNALS if signal.getsignal(which) in _AS_THEY_COME}
            for which in self._before:
                signal.signal(which, self._interrupt)
            if self._before:
                self._print_unraisable, sys.unraisablehook = sys.unraisablehook, self._unraisable
        return self

    def __exit__(self, *raised: object) -> None:
        for which, handler in self._before.items():
            signal.signal(which, handler)
        if self._before:
            sys.unraisablehook = self._print_unraisable

    def check(self) -> None:
        """Raise `KeyboardInterrupt` if its exception was lost. Call before long work."""
        if self.heard:
            raise KeyboardInterrupt

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self.heard = True
        raise KeyboardInterrupt

    def _unraisable(self, what: sys.UnraisableHookArgs) -> None:
        if not issubclass(what.exc_type, KeyboardInterrupt):
            self._print_unraisable(what)
