"""SQLite stores: a fresh one is made aside and moved into place whole; what is there is looked at before MLflow opens it."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import sqlite3
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from sim import locking
from sim.errors import TrackingError
from sim.registry import trust
from sim.registry.addresses import shown
from sim.registry.answers import reaching
from sim.registry.contents import Contents, look

_LOCK = "lock"
_BEGUN_S = 3600.0


def prepare(uri: str, file: Path) -> bool:
    """Make the SQLite store unless there is one, and see that MLflow can open it. Returns whether it was made here.

    Whatever happens meanwhile, there is afterwards either no store or a whole one. Several processes may do this at once: the
    first one's store stands. Raises `TrackingError` where it cannot be made, or where the file is no finished store.
    """
    with reaching(uri):
        if not file.parent.is_dir():
            raise TrackingError(f"the MLflow store {shown(uri)} cannot be made: there is no folder {file.parent}")
        if file.exists() and not file.is_file():
            raise TrackingError(f"the MLflow store {shown(uri)} cannot be used: {file} is there, and is no file")
        _sweep(file)
        made = not file.exists() and _make(file)
        if not made:
            _check(uri, file)
    return made


def _check(uri: str, file: Path) -> None:
    contents = _contents(file)
    where = f"the MLflow store {shown(uri)} cannot be used:"
    if contents.whole:
        return
    if contents.foreign:
        some = ", ".join(sorted(contents.tables)[:3])
        raise TrackingError(f"{where} {file} is a database of another program, with tables such as {some}: name another file")
    if contents.holds:
        advice = "back it up, then run `mlflow db upgrade` on it"
        raise TrackingError(f"{where} it lacks tables, as one of an earlier version of MLflow does: {advice}")
    raise TrackingError(
        f"{where} {file} was begun and never finished, by a command that was interrupted or is still at it. "
        f"It holds no run and no model: delete it, and the next command makes a new one"
    )


def _contents(file: Path) -> Contents:
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    engine = create_engine("sqlite://", creator=lambda: _connect(file), poolclass=NullPool)
    return look(engine)


def _connect(file: Path, mode: str = "rw") -> sqlite3.Connection:
    # Not read-only: what a killed process left in a journal must be rolled back.
    return sqlite3.connect(f"{file.as_uri()}?mode={mode}", uri=True, timeout=20)


def _make(file: Path) -> bool:
    """Make the store in a folder beside its place, and move it there. Returns False if another process was first."""
    aside = file.with_name(f".{file.name}.{secrets.token_hex(8)}.new")
    handle = None
    try:
        aside.mkdir(mode=0o700)
        handle = os.open(aside / _LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        locking.take(handle)
        new = aside / file.name
        _fill(new, file.parent / "mlartifacts")
        identity = _mark(new)
        # The mark outside comes first: a store without one would not be trusted, a mark without a store harms nobody.
        trust.note(file, identity)
        if _moved(new, file):
            return True
        trust.forget(file, identity)
        return False
    finally:
        try:
            _remove(aside, handle)
        finally:
            # Once more, for an interrupt that falls into the first.
            _remove(aside, None)


def _fill(new: Path, artifacts: Path) -> None:
    """Have MLflow make its tables and the experiment that every store has."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from sqlalchemy import Engine, event

    def unsynced(connection: object, record: object) -> None:
        # Nobody needs it until it is whole, and then it is flushed once: MLflow's migrations would do so hundreds of times.
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA synchronous=OFF")

    # MLflow only looks for a file that it cannot open for 100 s; this says at once why.
    with contextlib.closing(_connect(new, "rwc")) as connection:
        connection.execute("PRAGMA user_version")
    event.listen(Engine, "connect", unsynced)
    try:
        store = SqlAlchemyStore(f"sqlite:///{new.as_posix()}", artifacts.as_uri())  # type: ignore[no-untyped-call]
        store.engine.dispose()
    finally:
        event.remove(Engine, "connect", unsynced)


def _mark(new: Path) -> trust.Identity:
    """Put the store's own mark into it, and flush it to the disk."""
    name = secrets.token_hex(16)
    with contextlib.closing(_connect(new)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        trust.write_name(connection, name)
        # No other file may belong to it when it is moved.
        connection.execute("PRAGMA journal_mode=DELETE")
    handle = os.open(new, os.O_RDWR)
    try:
        os.fsync(handle)
        return trust.Identity(name, os.fstat(handle).st_ino)
    finally:
        os.close(handle)


def _moved(new: Path, file: Path) -> bool:
    """Give the file its name, unless something has it already."""
    try:
        os.link(new, file)
    except FileExistsError:
        return False
    except OSError:
        # A file system without hard links. Except on Windows, a rename would take the place of what is there.
        if file.exists():
            return False
        os.rename(new, file)
    with contextlib.suppress(OSError, AttributeError):
        folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    return True


def _sweep(file: Path) -> None:
    """Take away what killed commands of this user have left beside a store's place."""
    for aside in _asides(file):
        handle = None
        with contextlib.suppress(OSError):
            handle = os.open(aside / _LOCK, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
        if handle is None:
            # Its maker may just have begun.
            with contextlib.suppress(OSError):
                if time.time() - aside.stat().st_mtime > _BEGUN_S:
                    _remove(aside, None)
        elif locking.take(handle):
            _remove(aside, handle)
        else:
            os.close(handle)


def _asides(file: Path) -> Iterator[Path]:
    """The folders that were made for this store, and are surely ours."""
    pattern = re.compile(re.escape(f".{file.name}.") + r"[0-9a-f]{16}\.new")
    with contextlib.suppress(OSError):
        for name in os.listdir(file.parent):
            if pattern.fullmatch(name) and _is_ours(file.with_name(name)):
                yield file.with_name(name)


def _is_ours(aside: Path) -> bool:
    about = aside.lstat()
    return stat.S_ISDIR(about.st_mode) and (sys.platform == "win32" or about.st_uid == os.geteuid())


def _remove(aside: Path, handle: int | None) -> None:
    """Take a folder made aside away, its lock last, so that nobody else takes it for dead meanwhile."""
    with contextlib.suppress(OSError):
        for entry in aside.iterdir():
            if entry.name != _LOCK:
                entry.unlink()
    if handle is not None:
        os.close(handle)
    with contextlib.suppress(OSError):
        (aside / _LOCK).unlink(missing_ok=True)
        aside.rmdir()
