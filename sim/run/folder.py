"""The files of a run folder, which change all together or not at all (docs/decisions/0023)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sim.errors import InputError, Problem
from sim.files import placing, sync
from sim.run.lock import writing

TEXT, SENSITIVITY = "scenario.yaml", "sensitivity.parquet"
"""The text of the scenario; the trials of the other worlds, where a run has some."""
TABLES = ("trials.parquet", "timeline.parquet")
"""The tables of every result."""
KEPT = (TEXT, *TABLES, SENSITIVITY)
"""What a run writes once, and nothing changes after: run.json has a digest of each that is there."""
FILES = (*KEPT, "run.json", "stories.json", "summary.json", "measures.csv", "policies.png", "report.html", "report.md")
"""The files of a result."""

STAGED, COMPLETE = ".writing", ".written"
"""New files while they are written, and once they are complete: from then on they count, wherever they are."""


@contextmanager
def holding(folder: Path, *, new: bool = False) -> Iterator[None]:
    """Lock a run folder, as `sim.run.lock.writing`, and bring a replacement to its end that another process began.

    Raises `InputError` if another process or thread has the folder, and `FileError` if the replacement cannot be ended.
    """
    with writing(folder, new=new):
        settle(folder)
        yield


@contextmanager
def replacement(folder: Path) -> Iterator[Path]:
    """A new folder to write files into, which at the end replace those of the same names in a run folder, all together.

    The moment of the change is one renaming, once all is on the disk. Until then an error, an interrupt or a crash leaves the
    folder as it was. After it, whoever next holds the folder moves what is not in place yet. An empty file takes away the one
    of its name. The caller holds the folder.
    """
    staged = folder / STAGED
    with placing(staged):
        staged.mkdir()
    try:
        yield staged
        sync(staged)
        with placing(folder / COMPLETE):
            staged.rename(folder / COMPLETE)
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        raise
    sync(folder)
    settle(folder)


def usable(folder: Path, own: str = "run.json", what: str = "run") -> None:
    """Raise `InputError` for a folder that a run cannot be put into: one with files of something else.

    A run replaces files by their names, so that what is not its own must not stand beside them. Its file `own` tells a folder
    of `what` is put there.
    """
    try:
        # Hidden files are those of a run that has not finished anything yet.
        others = [each.name for each in sorted(folder.iterdir()) if not each.name.startswith(".")]
    except NotADirectoryError:
        raise InputError([Problem("is a file, not a folder", file=f"--out {folder}")]) from None
    except OSError:
        if folder.is_symlink() and not folder.exists():
            raise InputError([Problem("is a link that leads nowhere", file=f"--out {folder}")]) from None
        # It is not there yet; a folder that cannot be read says so when it is written to.
        return
    if others and own not in others:
        message = f"holds other files, such as {others[0]}, and no {what}; name a folder that is new, empty or a {what}'s own"
        raise InputError([Problem(message, file=f"--out {folder}")])


def settle(folder: Path) -> None:
    """Move complete new files into their places, and remove incomplete ones. The caller holds the folder.

    Whatever stops it, the next call goes on. Raises `FileError` for a file that cannot be moved.
    """
    complete = folder / COMPLETE
    if unsettled(folder):
        for name in FILES:
            file, target = complete / name, folder / name
            if not file.is_file():
                continue
            with placing(target):
                if file.stat().st_size:
                    file.replace(target)
                else:
                    target.unlink(missing_ok=True)
                    file.unlink()
        sync(folder)
    shutil.rmtree(complete, ignore_errors=True)
    shutil.rmtree(folder / STAGED, ignore_errors=True)


def unsettled(folder: Path) -> bool:
    """Whether a folder holds complete new files that are not in their places yet."""
    complete = folder / COMPLETE
    return complete.is_dir() and not complete.is_symlink()
