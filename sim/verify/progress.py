"""Progress of the figures: one line that is overwritten on a terminal, one line per field elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType

from sim.verify.figure import Figure


class Line:
    """Progress on the error stream."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._over = sys.stderr.isatty()
        self._field = ""

    def __enter__(self) -> Line:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._over and not self._quiet:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def watch(self, done: int, total: int, figure: Figure) -> None:
        """Show the next figure."""
        if self._quiet:
            return
        if self._over:
            print(f"\r\x1b[K{done / total:4.0%}  {figure.name}", end="", file=sys.stderr, flush=True)
        elif figure.field != self._field:
            self._field = figure.field
            print(f"{done / total:4.0%}  {figure.field}", file=sys.stderr)
