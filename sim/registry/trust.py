"""Whose models may run code here: those of a store that was named, or that this user's own `sim` made."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import sqlite3
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sim.errors import InputError, Problem

if TYPE_CHECKING:
    from mlflow import MlflowClient

_TABLE = "rollout_sim"
_DOUBT = "_sim_doubt"
_ANOTHER = "set XDG_STATE_HOME to a folder of yours"
ADVICE = "if you trust it, name it: --registry-uri sqlite:///mlflow.db"


@dataclass(frozen=True)
class Identity:
    """Which store a file is: the name that it was given when it was made, and its number in the file system.

    The name alone would be copied with a file; the number alone is used again for other files.
    """

    name: str
    inode: int


def check(client: MlflowClient, path: str, what: str) -> None:
    """Raise `InputError` at `path` unless the client's models may run; `what` says what would run their code."""
    if problem := problem_of(client, path, what):
        raise InputError([problem])


def problem_of(client: MlflowClient, path: str, what: str) -> Problem | None:
    """The problem, if the client's models may not run. A client that `store.client` did not make was named by a program."""
    doubt: str = getattr(client, _DOUBT, "")
    return Problem(f"{what}, which runs code, and {doubt}; {ADVICE}", path=path) if doubt else None


def doubted(client: MlflowClient, doubt: str) -> None:
    """Keep with a client why nobody vouches for the models of its registry; empty where somebody does."""
    setattr(client, _DOUBT, doubt)


def doubt_of(file: Path) -> str:
    """Why nobody vouches for a default store; empty if this user's own `sim` made it."""
    unnamed = f"nobody named the store {file}: it is used only because it is in this folder"
    try:
        folder = _stores(make=False)
        if folder is None:
            if reason := _unkept():
                return f"{unnamed}, and that you made it could not be noted, as {reason}"
        elif (identity := _identity(file)) is not None and _is_own(folder / _entry(file, identity), stat.S_ISREG):
            return ""
    except OSError as error:
        return f"{unnamed}, and whether you made it cannot be seen, as {error}"
    return f"{unnamed}, and your own `sim` did not make it"


def note(file: Path, identity: Identity) -> None:
    """Keep in the user's own folder that this user made the store. Where that cannot be, it will have to be named."""
    with contextlib.suppress(OSError):
        folder = _stores(make=True)
        if folder is None:
            return
        flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        handle = os.open(folder / _entry(file, identity), flags, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as written:
            json.dump({"store": str(file), "name": identity.name}, written)


def forget(file: Path, identity: Identity) -> None:
    """Take the note of a store back."""
    with contextlib.suppress(OSError):
        folder = _stores(make=False)
        if folder is not None:
            (folder / _entry(file, identity)).unlink(missing_ok=True)


def write_name(connection: sqlite3.Connection, name: str) -> None:
    """Write a store's name into it."""
    with connection:
        connection.execute(f"CREATE TABLE {_TABLE} (name TEXT NOT NULL)")
        connection.execute(f"INSERT INTO {_TABLE} VALUES (?)", (name,))


def _identity(file: Path) -> Identity | None:
    try:
        with contextlib.closing(sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True, timeout=20)) as connection:
            (name,) = connection.execute(f"SELECT name FROM {_TABLE}").fetchone() or ("",)
    except sqlite3.Error:
        return None
    if not isinstance(name, str) or not re.fullmatch(r"[0-9a-f]{32}", name):
        return None
    return Identity(name, file.stat().st_ino)


def _entry(file: Path, identity: Identity) -> str:
    """The name of the note: what it says is that it is there, so that processes cannot overwrite each other's."""
    text = json.dumps([str(file), identity.name, identity.inode])
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:40] + ".json"


def state_folder() -> Path:
    """Where this program keeps notes for the user: XDG_STATE_HOME or ~/.local/state, as the XDG specification says.

    On Windows in LOCALAPPDATA, on macOS in ~/Library/Application Support. Raises `OSError` where the user has no home.
    """
    named = os.environ.get("XDG_STATE_HOME", "").strip()
    if named and Path(named).is_absolute():
        return Path(named) / "rollout-sim"
    try:
        home = Path.home()
    except RuntimeError as error:
        raise OSError(f"this user has no home folder ({error}); {_ANOTHER}") from None
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "rollout-sim"
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "rollout-sim"
    return home / ".local" / "state" / "rollout-sim"


def _stores(*, make: bool) -> Path | None:
    """The folder of the notes; None where there is none yet. Raises `OSError` if it is not this user's alone."""
    folder = state_folder()
    for place in (folder, folder / "stores"):
        if make:
            place.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                place.mkdir(mode=0o700)
        if not os.path.lexists(place):
            return None
        if not _is_own(place, stat.S_ISDIR):
            raise PermissionError(f"{place} must be a folder that only you can write to; {_ANOTHER}")
    return folder / "stores"


def _unkept() -> str:
    """Why no notes can be kept; empty if they can."""
    folder = state_folder()
    above = next(place for place in folder.parents if place.exists())
    return "" if above.is_dir() and os.access(above, os.W_OK) else f"{above} cannot be written to; {_ANOTHER}"


def _is_own(path: Path, is_kind: Callable[[int], bool]) -> bool:
    """Whether there is such a path, itself and no link, of this user, and nobody else may write to it."""
    try:
        about = path.lstat()
    except FileNotFoundError:
        return False
    if sys.platform == "win32":
        return is_kind(about.st_mode)
    return is_kind(about.st_mode) and about.st_uid == os.geteuid() and not about.st_mode & 0o022
