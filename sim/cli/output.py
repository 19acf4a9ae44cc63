"""Output streams that cannot be written, or are not there: what ends a command, and what does not."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from sim.errors import plain


class _Aside(io.TextIOBase):
    """An error stream that ends nothing: what cannot be told there is worth less than what is played.

    A reader that has gone still ends the command, as of standard output.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        with self._kept():
            self.stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._kept():
            self.stream.flush()

    def isatty(self) -> bool:
        return self.stream.isatty()

    def fileno(self) -> int:
        return self.stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.stream.encoding

    @contextmanager
    def _kept(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError:
            self.stream = _nowhere()


@contextmanager
def streams() -> Iterator[None]:
    """Streams that the command was started without lead nowhere, and a full error stream ends nothing."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # Else the next file that is opened gets this number, and what a library says goes into it.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    if sys.stdout is None:
        _to_nowhere("stdout")
    before = sys.stderr
    aside = sys.stderr = _Aside(before or _nowhere())
    try:
        yield
    finally:
        # One that is broken stays replaced: Python would complain of it as it ends.
        if sys.stderr is aside and aside.stream is before:
            sys.stderr = before


@contextmanager
def shown_of(kept: Path | None) -> Iterator[None]:
    """Print about results that are in a file or folder. A standard output that cannot be written is told, and ends nothing.

    Where they are kept nowhere, it ends the command. The exit code still tells of the results: `sim run FILE | head -1` says
    that a threshold is breached.
    """
    try:
        yield
        sys.stdout.flush()
    except (OSError, ValueError) as error:
        if kept is None:
            raise
        if isinstance(error, ValueError) and not sys.stdout.closed:
            raise
        if isinstance(error, ValueError):
            _to_nowhere("stdout")
        broken = broken_output() or error
        if not isinstance(broken, BrokenPipeError):
            why = (broken.strerror if isinstance(broken, OSError) else None) or broken
            print(f"sim: standard output cannot be written: {why}; the results are in {plain(str(kept))}", file=sys.stderr)


def broken_output() -> OSError | None:
    """Why an output stream cannot be written, or None. A broken one is replaced: Python would complain of it as it ends."""
    found = None
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        try:
            if stream is not None:
                stream.flush()
        except ValueError:
            continue
        except OSError as error:
            found = found or error
            _to_nowhere(name)
    return found


def _to_nowhere(name: str) -> None:
    setattr(sys, name, _nowhere())


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")  # it stays open until the process ends
