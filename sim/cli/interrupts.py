"""Ctrl-C and SIGTERM: an interrupt ends a command the same way wherever it falls."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_AS_THEY_COME = (signal.default_int_handler, signal.SIG_DFL)


class Interrupts:
    """Raises `KeyboardInterrupt` at the first signal, as Python does, and remembers it in `heard`.

    What is raised may not arrive: pydantic makes a `PydanticSerializationError` of whatever a serialiser raises, and Python
    only prints what a callback of the garbage collector or of C code raises. Whoever sees `heard` knows better. A signal that
    the caller handles, or has the program ignore, is left alone.
    """

    def __init__(self) -> None:
        self.heard = False
        self._before: dict[signal.Signals, Any] = {}
        self._print_unraisable = sys.unraisablehook

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            self._before = {each: signal.getsignal(each) for each in _SIGNALS if signal.getsignal(each) in _AS_THEY_COME}
            for each in self._before:
                signal.signal(each, self._interrupt)
            if self._before:
                self._print_unraisable, sys.unraisablehook = sys.unraisablehook, self._unraisable
        return self

    def __exit__(self, *raised: object) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)
        if self._before:
            sys.unraisablehook = self._print_unraisable

    def check(self) -> None:
        """Raise `KeyboardInterrupt` if one was heard that did not arrive: before work that takes long."""
        if self.heard:
            raise KeyboardInterrupt

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self.heard = True
        raise KeyboardInterrupt

    def _unraisable(self, what: sys.UnraisableHookArgs) -> None:
        if not issubclass(what.exc_type, KeyboardInterrupt):
            self._print_unraisable(what)
