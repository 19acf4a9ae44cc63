"""Files: written whole or not at all, read or refused. An error of the operating system names the file and what to do."""

from __future__ import annotations

import errno
import json
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.errors import FileError, InputError, Problem, SimError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

_ADVICE = {
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "free some of your quota there",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EMFILE: "raise the limit on open files (ulimit -n), or give fewer --workers",
    errno.ENFILE: "close other programs: this machine has no more open files",
    errno.EROFS: "choose a place that can be written",
    errno.EACCES: "let it be written to, and close what has it open",
    errno.EPERM: "let it be written to, and close what has it open",
    errno.ENAMETOOLONG: "choose a shorter name",
}


@contextmanager
def placing(file: Path) -> Iterator[None]:
    """Raise every `OSError` as a `FileError` that names this file, and says what to do.

    >>> with placing(Path("a.json")):
    ...     raise OSError(errno.ENOSPC, "No space left on device")
    Traceback (most recent call last):
    sim.errors.FileError: a.json: cannot be written: No space left on device; free some space there, then run the command again
    """
    try:
        yield
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, "mend that")
        raise FileError(
            f"{file}: cannot be written: {error.strerror or error}; {advice}, then run the command again"
        ) from error


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """A temporary file beside `file`, which replaces it at the end. So `file` is never seen half-written.

    Of a link, what it leads to is replaced. Raises `FileError` if anything cannot be written; `file` is then as it was.
    """
    with placing(file):
        target = Path(os.path.realpath(file))
        handle, name = tempfile.mkstemp(prefix=".sim-", dir=target.parent)
        temporary = Path(name)
        try:
            os.close(handle)
            yield temporary
            # Without this, a power failure may leave the new name with an empty file.
            with temporary.open("ab") as written:
                os.fsync(written.fileno())
            temporary.chmod(0o644)
            temporary.replace(target)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


OF_THE_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""Errors of the machine; others are of the place that was asked for."""


def written_aside(file: Path, text: str) -> Path:
    """A temporary file beside `file` with a text, whole and on the disk. Raises `OSError`; then there is none."""
    handle, name = tempfile.mkstemp(prefix=".sim-", dir=file.parent)
    temporary = Path(name)
    try:
        os.close(handle)
        with temporary.open("w", encoding="utf-8") as opened:
            opened.write(text)
            opened.flush()
            os.fsync(opened.fileno())
        temporary.chmod(0o644)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    return temporary


def put_new(temporary: Path, file: Path) -> None:
    """Give a file its name, which must be new: what was made since a check is not overwritten. Raises `OSError`."""
    try:
        os.link(temporary, file)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno in OF_THE_MACHINE:
            raise
        # Some file systems have no links.
        file.open("x").close()
        try:
            temporary.replace(file)
        except BaseException:
            with suppress(OSError):
                file.unlink()
            raise


def write_text(file: Path, text: str) -> None:
    """Write a text file, completely or not at all."""
    with replacing(file) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(file: Path, content: bytes) -> None:
    """Write a file of bytes, completely or not at all."""
    with replacing(file) as temporary:
        temporary.write_bytes(content)


def write_json(file: Path, value: Any) -> None:
    """Write a JSON file. Raises `ValueError` for NaN and infinity."""
    write_text(file, json.dumps(value, indent=1, allow_nan=False) + "\n")


def write_parquet(file: Path, frame: pd.DataFrame) -> None:
    """Write a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame, preserve_index=False)
    # pyarrow opens only names that are UTF-8; Python opens any.
    with replacing(file) as temporary, temporary.open("wb") as out:
        pq.write_table(table, out)


def write_arrays(file: Path, **arrays: Any) -> None:
    """Write arrays as an .npz file, which `read_arrays` reads again."""
    import numpy as np

    with replacing(file) as temporary, temporary.open("wb") as out:
        np.savez(out, allow_pickle=False, **arrays)


def read_arrays(file: Path) -> dict[str, NDArray[Any]] | None:
    """The arrays of an .npz file; None unless all can be read and their checksums are right."""
    import numpy as np

    try:
        with np.load(file, allow_pickle=False) as kept:
            return {name: kept[name] for name in kept.files}
    except Exception:
        # Over damaged bytes, zipfile, zlib and NumPy raise errors of many types.
        return None


def sync(folder: Path) -> None:
    """Have the names in a folder survive a power failure; does nothing where a folder cannot be opened, as on Windows."""
    if os.name == "nt":
        return
    with placing(folder):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                raise
        finally:
            os.close(handle)


def writable(file: Path, option: str) -> None:
    """Create the folder of an output file. Raises `InputError` if the file cannot be written, before any work is done.

    Nothing is left behind. Of a link, what it leads to is looked at.
    """
    try:
        target = Path(os.path.realpath(file))
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_symlink():
            raise OSError(0, "is a link that leads to itself")
        if target.exists() and (reason := unreadable(target)):
            # A pipe would wait for a reader, and a device would be replaced by a file.
            raise OSError(0, reason)
        with tempfile.NamedTemporaryFile(prefix=".sim-", dir=target.parent):
            pass
        if target.exists():
            target.open("ab").close()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError([Problem(f"must be a file that can be written, got {file}: {reason}", path=option)]) from None


Place = Callable[[str], Problem]
"""Makes a problem of a message, at the place of what is read."""


@contextmanager
def reading(place: Path | Place) -> Iterator[None]:
    """Raise whatever goes wrong while a file is read and parsed as an `InputError` at its place: its path, or a function.

    Enclose only what parses: over damaged bytes, parsers raise errors of any type.

    >>> with reading(Path("a.json")):
    ...     json.loads("{")
    Traceback (most recent call last):
    sim.errors.InputError: a.json: is corrupt: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)
    """
    at: Place = (lambda message: Problem(message, file=str(place))) if isinstance(place, Path) else place
    try:
        yield
    except SimError:
        raise
    except MemoryError as error:
        raise InputError([at("is corrupt, or too large: it asks for more memory than there is")]) from error
    except OSError as error:
        # pyarrow raises OSErrors without a number for damaged bytes.
        why = f"cannot be read: {error.strerror}" if error.errno and error.strerror else f"is corrupt: {_reason(error)}"
        raise InputError([at(why)]) from error
    except Exception as error:
        raise InputError([at(f"is corrupt: {_reason(error)}")]) from error


def _reason(error: Exception) -> str:
    """The first line of an error, short."""
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    return first if len(first) <= 200 else f"{first[:199]}…"


def unreadable(path: Path) -> str | None:
    """Why a path cannot be read, or None. Pipes and devices are refused before they are opened: they may have no end.

    >>> unreadable(Path(".")), unreadable(Path("no-such-file")), unreadable(Path(os.devnull))
    ('is a directory, not a file', 'no such file', 'is a pipe or a device, not a file')
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return "no such file"
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)
    if stat.S_ISDIR(mode):
        return "is a directory, not a file"
    if not stat.S_ISREG(mode):
        return "is a pipe or a device, not a file"
    return None if os.access(path, os.R_OK) else "cannot be read: permission denied"
