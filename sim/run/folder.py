"""The files of a run folder. Each file is written completely or not at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sim.errors import InputError, Problem
from sim.files import unreadable
from sim.run.blocks import Task
from sim.run.trial import Play
from sim.version import sources

if TYPE_CHECKING:
    import pandas as pd

CHECKPOINTS = ".checkpoint"


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """A temporary file beside `file`, which replaces it at the end. So `file` is never seen half-written."""
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # Without this, a power failure may leave the new name with an empty file.
        with temporary.open("ab") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o644)
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(file: Path, text: str) -> None:
    """Write a text file, completely or not at all."""
    with replacing(file) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(file: Path, value: Any) -> None:
    """Write a JSON file. Raises `ValueError` for NaN and infinity."""
    write_text(file, json.dumps(value, indent=1, allow_nan=False) + "\n")


def write_parquet(file: Path, frame: pd.DataFrame) -> None:
    """Write a Parquet file."""
    with replacing(file) as temporary:
        frame.to_parquet(temporary, index=False)


def writable(file: Path, option: str) -> None:
    """Create the folder of an output file. Raises `InputError` if the file cannot be written, before any work is done."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        new = not file.exists()
        if not new and (reason := unreadable(file)):
            # A pipe would wait for a reader, and a device would be replaced by a file.
            raise OSError(0, reason)
        file.open("a").close()
        if new:
            file.unlink()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError([Problem(f"must be a file that can be written, got {file}: {reason}", path=option)]) from None


class Checkpoints:
    """Finished tasks of an unfinished run. A run with the same digest and the same program sources continues from them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / CHECKPOINTS

    def save(self, task: Task, play: Play) -> None:
        """Save the result of a task."""
        self._folder.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, Any] = {f"column.{name}": values for name, values in play.columns.items()}
        arrays |= {name: getattr(play, name) for name in _TRAJECTORY} | {"sources": np.array(sources(*_PLAYED_BY))}
        with replacing(self._file(task)) as temporary, temporary.open("wb") as out:
            np.savez(out, allow_pickle=False, **arrays)

    def load(self, task: Task) -> Play | None:
        """The result of a task, or None unless this version of the program saved it and it can be read."""
        try:
            with np.load(self._file(task), allow_pickle=False) as kept:
                if str(kept["sources"]) != sources(*_PLAYED_BY):
                    return None
                columns = {name.removeprefix("column."): kept[name] for name in kept if name.startswith("column.")}
                return Play(columns=columns, **{name: kept[name] for name in _TRAJECTORY})
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None

    def clear(self) -> None:
        """Delete all checkpoints."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _file(self, task: Task) -> Path:
        return self._folder / f"{task.name}.npz"


# All trials of a table come from the same sources. These packages decide the bits of a trial.
_PLAYED_BY = ("engine", "policy", "registry", "run", "stats", "world")
_TRAJECTORY = ("ticks", "regret", "live", "mirror", "decided", "verdict")
