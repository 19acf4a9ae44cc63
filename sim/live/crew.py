"""Threads that do not outlive the block that they were started in."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

_PATIENCE_S = 35.0
"""Longer than a call may take: what they wait for ends before that."""


class Crew:
    """Starts threads, and waits for all of them when the block ends; `over` tells them to stop.

    >>> found = []
    >>> with Crew() as crew:
    ...     crew.start(found.append, 1)
    >>> found
    [1]
    """

    def __init__(self) -> None:
        self.over = threading.Event()
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.over.set()
        end = time.monotonic() + _PATIENCE_S
        while threads := self._running():
            for thread in threads:
                thread.join(max(0.0, end - time.monotonic()))
            if time.monotonic() >= end:
                return

    def start(self, work: Callable[..., object], *given: Any) -> None:
        """Do something in a thread of its own. Nothing is started any more once the block is over."""

        def run() -> None:
            try:
                work(*given)
            finally:
                with self._lock:
                    self._threads.discard(threading.current_thread())

        thread = threading.Thread(target=run, daemon=True)
        with self._lock:
            if self.over.is_set():
                return
            self._threads.add(thread)
        thread.start()

    def _running(self) -> list[threading.Thread]:
        with self._lock:
            return [thread for thread in self._threads if thread.ident is not None]
