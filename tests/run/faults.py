"""File operations that fail: the n-th one, all from the n-th on that need space, or the process dies there."""

from __future__ import annotations

import builtins
import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHANGES = ("mkdir", "rename", "replace", "unlink", "remove", "rmdir", "chmod", "fsync", "link")
NEED_SPACE = ("mkdir", "fsync", "create", "write", "link")


class Crash(BaseException):
    """The process is gone: nothing of it runs any more."""


class Faults:
    """Counts operations on files below a folder. `at` is the one that fails (from 0); without it, none does.

    `mode` is "once", where that one fails; "full", where all from there on fail that need space; or "crash", where the process
    dies, so that nothing of it does anything any more.
    """

    def __init__(self, at: int | None = None, mode: str = "once") -> None:
        self.at, self.mode = at, mode
        self.count = 0
        self.seen: list[str] = []

    def step(self, what: str) -> None:
        """One operation is about to happen."""
        number, self.count = self.count, self.count + 1
        self.seen.append(what)
        if self.at is None or number < self.at:
            return
        if self.mode == "crash":
            raise Crash
        if self.mode == "full" and what in NEED_SPACE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self.mode == "once" and number == self.at:
            raise OSError(errno.EIO, os.strerror(errno.EIO))


class Written(io.FileIO):
    """A file whose writes are counted."""

    faults: Faults

    def write(self, content: Any) -> int:
        self.faults.step("write")
        return super().write(content)


@contextmanager
def failing(faults: Faults, below: Path) -> Iterator[Faults]:
    """Within, operations on files below a folder count, and fail as told."""

    def counts(path: Any) -> bool:
        return not isinstance(path, str | os.PathLike) or Path(os.path.abspath(path)).is_relative_to(below)

    def wrapped(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def operation(path: Any, *rest: Any, **named: Any) -> Any:
            if counts(path):
                faults.step(name)
            return original(path, *rest, **named)

        return operation

    def os_open(path: Any, flags: int, *rest: Any, **named: Any) -> int:
        if counts(path):
            faults.step("create" if flags & os.O_CREAT else "open")
        return original_os_open(path, flags, *rest, **named)

    def open_file(file: Any, mode: str = "r", buffering: int = -1, *rest: Any, **named: Any) -> Any:
        if not isinstance(file, str | os.PathLike) or not counts(file):
            return original_open(file, mode, buffering, *rest, **named)
        writes = set(mode) & set("wax+")
        faults.step("create" if writes else "open")
        if not writes:
            return original_open(file, mode, buffering, *rest, **named)
        raw = Written(file, mode.replace("b", "").replace("t", ""))
        raw.faults = faults
        buffered = io.BufferedWriter(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, *rest, **named)

    original_os_open, original_open = os.open, io.open
    with pytest.MonkeyPatch.context() as patch:
        for name in CHANGES:
            patch.setattr(os, name, wrapped(name, getattr(os, name)))
        patch.setattr(os, "open", os_open)
        patch.setattr(io, "open", open_file)
        patch.setattr(builtins, "open", open_file)
        yield faults
