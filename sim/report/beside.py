"""Drawing the picture in a process of its own, while the page is made: of many trials both take seconds."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sim.files import replacing
from sim.report import picture
from sim.report.source import read
from sim.run.machine import processors
from sim.run.record import Record

# Of fewer trials, the page is made before another process has loaded its libraries.
LEAST_TRIALS = 50_000
_LONGEST_S = 60.0


def pays(run: Record) -> bool:
    """Whether another process saves time."""
    return run.replications * len(run.policies) * len(run.points) >= LEAST_TRIALS and processors() > 1


@contextmanager
def drawn(folder: Path, into: Path) -> Iterator[None]:
    """Draw `policies.png` while the block runs, to the same bytes as `picture.write`, which draws it if that goes wrong.

    The process ends with the block, whatever ends it.
    """
    with replacing(into / picture.NAME) as file:
        # With -P no file of the current folder can stand in for a library.
        command = [sys.executable, "-P", "-m", "sim.report.beside", str(folder), str(into), str(file)]
        nothing = subprocess.DEVNULL
        try:
            process = subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)
        except OSError:
            process = None
        try:
            yield
            if process is None or _code(process) != 0:
                file.write_bytes(picture.picture(read(folder, into)))
        finally:
            if process is not None:
                process.kill()
                process.wait()


def _code(process: subprocess.Popen[bytes]) -> int:
    """The exit code, after which the process writes nothing any more."""
    try:
        return process.wait(_LONGEST_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


if __name__ == "__main__":
    run_folder, told, file = map(Path, sys.argv[1:])
    file.write_bytes(picture.picture(read(run_folder, told)))
