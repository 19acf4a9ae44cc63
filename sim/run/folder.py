"""The run folder: what a run leaves behind, written whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sim.run.blocks import Task
from sim.run.trial import Play

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


class Checkpoints:
    """Finished tasks of a run that is not finished. A run of the same digest takes up where they end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / CHECKPOINTS

    def save(self, task: Task, play: Play) -> None:
        """Keep what came of a task."""
        self._folder.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, Any] = {f"column.{name}": values for name, values in play.columns.items()}
        arrays |= {name: getattr(play, name) for name in _WAYS}
        with replacing(self._file(task)) as temporary, temporary.open("wb") as out:
            np.savez(out, allow_pickle=False, **arrays)

    def load(self, task: Task) -> Play | None:
        """What came of a task, if it was kept and can be read."""
        try:
            with np.load(self._file(task), allow_pickle=False) as kept:
                columns = {name.removeprefix("column."): kept[name] for name in kept if name.startswith("column.")}
                return Play(columns=columns, **{name: kept[name] for name in _WAYS})
        except (OSError, ValueError, KeyError, EOFError):
            return None

    def clear(self) -> None:
        """Forget all of them."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _file(self, task: Task) -> Path:
        return self._folder / f"{task.name}.npz"


_WAYS = ("ticks", "regret", "live", "mirror", "decided", "verdict")
