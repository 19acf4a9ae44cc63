"""Output streams that cannot be written: who finds one, and what is shown of results that are saved already."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sim.errors import plain


@contextmanager
def shown_of(folder: Path) -> Iterator[None]:
    """Print about the results in a folder. A closed or full standard output is told on the error stream, and ends nothing.

    The exit code still tells of the results: `sim run FILE | head -1` says that a threshold is breached.
    """
    if sys.stdout is None:
        # The command was started without a standard output.
        _to_nowhere("stdout")
    try:
        yield
        sys.stdout.flush()
    except (OSError, ValueError) as error:
        if isinstance(error, ValueError) and not sys.stdout.closed:
            raise
        if isinstance(error, ValueError):
            _to_nowhere("stdout")
        broken = broken_output() or error
        if not isinstance(broken, BrokenPipeError):
            why = (broken.strerror if isinstance(broken, OSError) else None) or broken
            print(f"sim: standard output cannot be written: {why}; the results are in {plain(str(folder))}", file=sys.stderr)


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
    setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 (it stays open until the process ends)
