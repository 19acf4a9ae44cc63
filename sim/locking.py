"""A lock on an open file, which the operating system gives back when its process ends."""

from __future__ import annotations

import sys


def take(handle: int) -> bool:
    """Lock an open file until it is closed. Returns whether nobody else has locked it; never waits.

    `handle` is a file descriptor that can be written to. True where the file system has no locks, as some on a network.

    >>> import os, tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     first, second = (os.open(file.name, os.O_RDWR) for _ in range(2))
    ...     print(take(first), take(second))
    ...     os.close(first), os.close(second)
    True False
    (None, None)
    """
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
