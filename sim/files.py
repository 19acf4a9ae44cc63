"""Which paths can be read as a file."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def unreadable(path: Path) -> str | None:
    """Why a path cannot be read, or None. Pipes and devices are refused before they are opened: they may have no end.

    >>> unreadable(Path(".")), unreadable(Path("no-such-file")), unreadable(Path(os.devnull))
    ('is a directory, not a file', 'no such file', 'is a pipe or a device, not a file')
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return "no such file"
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)
    if stat.S_ISDIR(mode):
        return "is a directory, not a file"
    if not stat.S_ISREG(mode):
        return "is a pipe or a device, not a file"
    return None if os.access(path, os.R_OK) else "cannot be read: permission denied"
