"""How a command ends: its exit code, and the one message that says why."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from contextlib import suppress
from tempfile import NamedTemporaryFile

from sim.cli.output import broken_output
from sim.errors import EXIT_FAULT, EXIT_INTERRUPTED, EXIT_MACHINE, EXIT_OK, InputError, PartError, SimError, listed, plain
from sim.version import VERSION

# What writing to an open file may end with. Errors of files that are opened have the file's name.
_OF_WRITING = (errno.ENOSPC, errno.EIO, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))


def interrupted() -> int:
    """Say that the command was interrupted; the exit code."""
    _say("sim: interrupted")
    return EXIT_INTERRUPTED


def failed(error: BaseException) -> int:
    """Say why a command failed, in one message; the exit code.

    A `SimError` says so itself. A broken output, a file that cannot be used and too little memory are the machine's. Anything
    else is a fault of this program: one line, with the file that has the traceback.
    """
    if isinstance(error, SimError):
        return _refused(error)
    if isinstance(error, OSError):
        broken = broken_output()
        if isinstance(error, BrokenPipeError) and (broken is None or isinstance(broken, BrokenPipeError)):
            # The reader of our output has gone, as `head` does.
            return EXIT_OK
        if broken is not None or (not error.filename and error.errno in _OF_WRITING):
            reason = (broken or error).strerror
            _say(f"sim: the output cannot be written: {reason}; what was said to be saved is saved")
            return EXIT_MACHINE
        where = f"{error.filename!r}: " if error.filename else ""
        _say(f"sim: {where}{error.strerror or error}; run the command again once that is mended")
        return EXIT_MACHINE
    if isinstance(error, MemoryError):
        what = f" ({error})" if str(error) else ""
        _say(f"sim: memory ran out{what}; play less at once: fewer --workers, a shorter horizon, fewer arms or users")
        return EXIT_MACHINE
    _say(f"sim: a fault of sim {VERSION}, not of your input: {_summary(error)}; {_kept(error)}")
    return EXIT_FAULT


def _refused(error: SimError) -> int:
    if not isinstance(error, InputError | PartError):
        _say(f"sim: {plain(str(error))}")
        return error.exit_code
    if isinstance(error, PartError) and error.trace:
        _say(error.trace.rstrip("\n"))
    more = error.more if isinstance(error, InputError) else 0
    for line in listed(error.problems, more):
        _say(plain(line))
    count = len(error.problems) + more
    left = f"what was finished before is in {error.kept}" if error.kept else "nothing was changed"
    what = "a part failed" if isinstance(error, PartError) else f"{count:,} problem{'s' if count > 1 else ''} in the input"
    _say(f"sim: {what}; {left}")
    return error.exit_code


def _summary(error: BaseException) -> str:
    """The kind of an exception and the first line of its message, short."""
    message = " ".join(str(error).split())
    return type(error).__name__ + (f": {message if len(message) <= 200 else message[:197] + '...'}" if message else "")


def _kept(error: BaseException) -> str:
    """Where the traceback is kept: in a file; on the error stream if no file can be made."""
    trace = "".join(traceback.format_exception(error))
    try:
        with NamedTemporaryFile("w", prefix="sim-fault-", suffix=".txt", delete=False, encoding="utf-8") as file:
            file.write(f"sim {VERSION}, Python {sys.version}, {sys.platform}\n{trace}")
    except OSError:
        return f"no file can be made for its traceback:\n{trace}"
    return f"please report it with {file.name}"


def _say(text: str) -> None:
    # A terminal that was closed cannot be told anything.
    with suppress(OSError, ValueError):
        print(text, file=sys.stderr or open(os.devnull, "w"))  # noqa: SIM115
