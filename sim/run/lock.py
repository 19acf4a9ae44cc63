"""A lock, so that a run folder has one writer at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sim import locking
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
    handle = _open(folder, new)
    if handle is None:
        yield
        return
    try:
        yield
    finally:
        os.close(handle)


def _open(folder: Path, new: bool) -> int | None:
    """The lock file, open and locked; None where there is none and none can be made."""
    while True:
        try:
            if new:
                folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(folder / FILE, os.O_RDWR | (os.O_CREAT if new else 0), 0o644)
        except OSError:
            return None
        if not locking.take(handle):
            os.close(handle)
            raise InputError([Problem("another run is writing to this folder: let it end, or stop it", file=str(folder))])
        if _still_there(handle, folder / FILE):
            return handle
        # Its folder was taken away between opening and locking, as `withdraw` does: others would not find this lock.
        os.close(handle)


def _still_there(handle: int, file: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), file.stat())
    except OSError:
        return False


def withdraw(folder: Path) -> bool:
    """Take a folder away that holds nothing but its lock, which this process has. Returns whether it is gone."""
    with suppress(OSError):
        entries = list(folder.iterdir())
        if all(entry.name == FILE or (entry.is_dir() and not any(entry.iterdir())) for entry in entries):
            for entry in entries:
                if entry.is_dir():
                    entry.rmdir()
                else:
                    entry.unlink()
            folder.rmdir()
            return True
    return False
