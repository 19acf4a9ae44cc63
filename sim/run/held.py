"""What a run folder holds: a whole result, a damaged one, or none."""

from __future__ import annotations

import hashlib
from pathlib import Path

from sim.errors import InputError, Problem
from sim.files import reading
from sim.run.folder import KEPT
from sim.run.record import Record, read_run


def digest_of(file: Path) -> str:
    """The sha256, in hexadecimal, of a file. Raises `InputError` if it cannot be read."""
    with reading(file), file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def check_intact(file: Path, run: Record) -> None:
    """Raise `InputError` where a file is not as the run wrote it. A record without its digest, of old, says nothing."""
    if file.name in run.files and digest_of(file) != run.files[file.name]:
        message = "is corrupt: it is not as the run wrote it (its sha256 is not that in run.json)"
        raise InputError([Problem(message, file=str(file))])


def check_all_intact(folder: Path, run: Record) -> None:
    """Raise `InputError` with every file of a run folder that is not as the run wrote it."""
    problems: list[Problem] = []
    for name in KEPT:
        try:
            check_intact(folder / name, run)
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)


def held(folder: Path) -> Record | None:
    """The record of the run whose result a folder holds; None where it holds none.

    Raises `InputError` for a result that is damaged: no record that can be read, or a file that is not as it was written.

    >>> held(Path("nowhere")) is None
    True
    """
    if not (folder / "run.json").is_file():
        return None
    run = read_run(folder)
    check_all_intact(folder, run)
    return run
