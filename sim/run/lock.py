"""A lock, so that a run folder has one writer at a time."""

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
    """Lock a run folder against every other process and thread; the operating system unlocks it when the process ends.

    With `new`, the lock file is created. A folder without a lock file, where none can be created, or on a file system without
    locks, is not locked. Raises `InputError` at once if another process or thread holds the lock.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, writing(Path(folder), new=True), writing(Path(folder)):
    ...     pass
    Traceback (most recent call last):
    sim.errors.InputError: ...: another run is writing to this folder: let it end, or stop it
    """
    try:
        # The file is never deleted: a process that has just opened it would then lock a file that others cannot find.
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
    """Take the lock until the file is closed. Returns whether nobody else holds it."""
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
        # Some network file systems have no locks.
        return True
    return True
