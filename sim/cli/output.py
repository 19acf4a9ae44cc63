"""Showing results that are saved already: what becomes of the output changes nothing but what is seen."""

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
        _to_nowhere()
    try:
        yield
        sys.stdout.flush()
    except (OSError, ValueError) as error:
        if isinstance(error, ValueError) and not sys.stdout.closed:
            raise
        # Else Python writes what is left once more when it ends, and fails.
        _to_nowhere()
        if not isinstance(error, BrokenPipeError):
            why = (error.strerror if isinstance(error, OSError) else None) or error
            print(f"sim: standard output cannot be written: {why}; the results are in {plain(str(folder))}", file=sys.stderr)


def _to_nowhere() -> None:
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (it is open until the process ends)
