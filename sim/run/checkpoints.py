"""Finished tasks of an unfinished run, kept in its folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from sim.files import placing, read_arrays, write_arrays
from sim.run.blocks import Task
from sim.run.trial import Play
from sim.version import sources

FOLDER = ".checkpoint"
# All trials of a table come from the same sources. These packages decide the bits of a trial.
_PLAYED_BY = ("engine", "policy", "registry", "run", "stats", "world")
_TRAJECTORY = ("ticks", "regret", "live", "mirror", "decided", "verdict")


def played_by() -> str:
    """A digest of the sources that decide the bits of a trial."""
    return sources(*_PLAYED_BY)


class Checkpoints:
    """Finished tasks of an unfinished run. A run with the same digest and the same program sources continues from them.

    Each file says what it holds, so that none is taken for that of another task or run, whatever its name.
    """

    def __init__(self, folder: Path, digest: str) -> None:
        self.folder = folder / FOLDER
        self._digest = digest

    def save(self, task: Task, play: Play) -> None:
        """Save the result of a task."""
        with placing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, Any] = {f"column.{name}": values for name, values in play.columns.items()}
        arrays |= {name: getattr(play, name) for name in _TRAJECTORY}
        write_arrays(self._file(task), holds=np.array(self._holds(task)), **arrays)

    def finished(self, tasks: Iterable[Task]) -> frozenset[Task]:
        """The tasks whose results are here and can be read."""
        there = {file.name for file in self.folder.glob("*.npz")}
        found = (task for task in tasks if there and self._file(task).name in there)
        return frozenset(task for task in found if self.load(task) is not None)

    def load(self, task: Task) -> Play | None:
        """The result of a task, or None unless this version of the program saved it and it can be read."""
        kept = read_arrays(self._file(task))
        if kept is None or "holds" not in kept or kept["holds"].tolist() != self._holds(task):
            return None
        columns = {name.removeprefix("column."): values for name, values in kept.items() if name.startswith("column.")}
        return Play(columns=columns, **{name: kept[name] for name in _TRAJECTORY})

    def clear(self) -> None:
        """Delete all checkpoints."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _file(self, task: Task) -> Path:
        return self.folder / f"{task.name}.npz"

    def _holds(self, task: Task) -> list[str]:
        return [self._digest, played_by(), task.policy, *map(str, (task.point, task.first, task.end))]
