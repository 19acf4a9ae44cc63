"""How a command may end, whatever it is given: well, or with a message and nothing written, soon and in little memory."""

from __future__ import annotations

import contextlib
import io
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sim.cli import main

# Processor time, so that a busy machine fails nobody.
MOST_S, MOST_BYTES = 5.0, 1_000_000_000
CONTROL = {chr(code) for code in (*range(32), 127, *range(128, 160))} - {"\n", "\t", "\r"}
"""Characters that a terminal obeys; a bar of progress returns to the start of its line."""


def bounded(work: Callable[[], Any]) -> Any:
    """What `work` returns; fails where it takes too much time or memory."""
    unit = 1024 if sys.platform.startswith("linux") else 1
    started, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = work()
    assert time.process_time() - started < MOST_S
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit < MOST_BYTES
    return found


def ends(command: list[str], folder: Path) -> None:
    """Run a command, which must succeed, or refuse its input with a message and write nothing."""
    before = contents(folder)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = bounded(lambda: main(command))
    said = err.getvalue()
    assert code in (0, 2), (code, said)
    assert "Traceback" not in said, said
    assert not CONTROL.intersection(said + out.getvalue()), "a control character reached the terminal"
    if code == 2:
        assert contents(folder) == before, "refused, and yet something was written"
        assert "problem" in said, said


def contents(folder: Path) -> dict[str, bytes]:
    """Every file in a folder, by its path."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}
