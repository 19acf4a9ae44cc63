"""One writer of a run folder at a time."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sim.errors import InputError, Problem

FILE = ".lock"


@contextmanager
def writing(folder: Path, *, new: bool = False) -> Iterator[None]:
    """Keep every other process, and thread, from writing to a run folder; the system ends that with the process.

    A `new` folder gets the file that is locked. One that has none, takes none, or whose file system has no locks, is left open
    to all. Raises `InputError` where another holds the folder, at once.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, writing(Path(folder), new=True), writing(Path(folder)):
    ...     pass
    Traceback (most recent call last):
    sim.errors.InputError: ...: another run is writing to this folder: let it end, or stop it
    """
    try:
        # Left where it is: another process may wait to open it, and would then hold a file that nobody else sees.
        handle = os.open(folder / FILE, os.O_RDWR | (os.O_CREAT if new else 0), 0o644)
    except OSError:
        yield
        return
    try:
        if not _locked(handle):
            raise InputError([Problem("another run is writing to this folder: let it end, or stop it", file=str(folder))])
        yield
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    """Whether nobody else has the lock; then it is ours until the file is closed."""
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # Some network file systems have none.
        return True
    return True
