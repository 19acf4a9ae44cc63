"""Read and check a run folder, before any server is contacted."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim.compare.result import Comparison
from sim.compare.summary import FILE, read_summary
from sim.errors import InputError, Problem
from sim.run.folder import FILES, KEPT
from sim.run.held import check_intact, digest_of
from sim.run.record import Record, read_run

ARTIFACTS = FILES
"""The files that are logged. Their names are fixed: no content of a file is used as a path."""

_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "finished": ("scenario.yaml", "summary.json", "trials.parquet", "timeline.parquet"),
    "interrupted": ("scenario.yaml",),
}


@dataclass(frozen=True)
class RunFolder:
    """A run folder. `scenario` is its file as plain data; `comparison` is None where an interrupted run has none.

    `files` are the artifacts that exist. `fingerprint` changes whenever an artifact does.
    """

    path: Path
    record: Record
    scenario: Mapping[str, Any]
    comparison: Comparison | None
    files: tuple[Path, ...]
    fingerprint: str

    def file(self, name: str) -> Path | None:
        """The file of that name, if the folder has it."""
        return next((file for file in self.files if file.name == name), None)


def read_folder(path: Path) -> RunFolder:
    """The run folder at `path`. Raises `InputError` naming each file that is missing or cannot be read.

    >>> read_folder(Path("nowhere"))
    Traceback (most recent call last):
    sim.errors.InputError: nowhere: no such folder
    """
    from sim.scenario.loading import read_yaml

    record = read_run(path)
    missing = [name for name in _REQUIRED[record.status] if not (path / name).is_file()]
    if missing:
        rule = f"is missing, though run.json says that the run is {record.status}"
        raise InputError([Problem(rule, file=str(path / name)) for name in missing])
    for name in KEPT:
        if (path / name).is_file():
            check_intact(path / name, record)
    scenario = read_yaml(path / "scenario.yaml").data
    if not isinstance(scenario, Mapping):
        raise InputError([Problem("is corrupt: it must be a mapping of keys to values", file=str(path / "scenario.yaml"))])
    comparison = read_summary(path, record) if (path / FILE).is_file() else None
    files = tuple(path / name for name in ARTIFACTS if (path / name).is_file())
    return RunFolder(path, record, scenario, comparison, files, _fingerprint(files))


def _fingerprint(files: tuple[Path, ...]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + bytes.fromhex(digest_of(file)))
    return digest.hexdigest()
