"""The run folder: what a run leaves behind, written whole or not at all."""

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
from sim.run.blocks import Task
from sim.run.trial import Play
from sim.version import sources

if TYPE_CHECKING:
    import pandas as pd

CHECKPOINTS = ".checkpoint"


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """A temporary file beside `file`, which takes its place at the end; nothing half-written is ever seen."""
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # Else a name may outlast the text when the power fails.
        with temporary.open("ab") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o644)
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(file: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with replacing(file) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(file: Path, value: Any) -> None:
    """Write a JSON file; NaN and infinity are refused."""
    write_text(file, json.dumps(value, indent=1, allow_nan=False) + "\n")


def write_parquet(file: Path, frame: pd.DataFrame) -> None:
    """Write a Parquet file."""
    with replacing(file) as temporary:
        frame.to_parquet(temporary, index=False)


def writable(file: Path, option: str) -> None:
    """Make the folder of a file that will be written. Raises `InputError` if it cannot be, before any work is done."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        new = not file.exists()
        file.open("a").close()
        if new:
            file.unlink()
    except OSError as error:
        raise InputError([Problem(f"must be a file that can be written, got {file}: {error.strerror}", path=option)]) from None


class Checkpoints:
    """Finished tasks of a run that is not finished. A run of the same digest, by the same sources, takes up where they end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / CHECKPOINTS

    def save(self, task: Task, play: Play) -> None:
        """Keep what came of a task."""
        self._folder.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, Any] = {f"column.{name}": values for name, values in play.columns.items()}
        arrays |= {name: getattr(play, name) for name in _TRAJECTORY} | {"sources": np.array(sources(*_PLAYED_BY))}
        with replacing(self._file(task)) as temporary, temporary.open("wb") as out:
            np.savez(out, allow_pickle=False, **arrays)

    def load(self, task: Task) -> Play | None:
        """What came of a task, if it was kept, by this program, and can be read."""
        try:
            with np.load(self._file(task), allow_pickle=False) as kept:
                if str(kept["sources"]) != sources(*_PLAYED_BY):
                    return None
                columns = {name.removeprefix("column."): kept[name] for name in kept if name.startswith("column.")}
                return Play(columns=columns, **{name: kept[name] for name in _TRAJECTORY})
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None

    def clear(self) -> None:
        """Forget all of them."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _file(self, task: Task) -> Path:
        return self._folder / f"{task.name}.npz"


# A table has trials of one program: what decides their bits.
_PLAYED_BY = ("engine", "policy", "registry", "run", "stats", "world")
_TRAJECTORY = ("ticks", "regret", "live", "mirror", "decided", "verdict")
