"""Drawing the picture, and some charts of the page, in a process of its own: of many trials either takes seconds."""

from __future__ import annotations

import json
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sim.report import html, picture
from sim.report.many import MOST_POINTS
from sim.report.source import read
from sim.run.machine import processors
from sim.run.record import Record

# Of fewer trials, the page is made before another process has loaded its libraries.
LEAST_TRIALS = 50_000
LONGEST_S = 60.0
"""How long is waited for what another process draws."""
_BEGIN = b"begin\n"


def pays(run: Record) -> bool:
    """Whether it saves time to start another process."""
    points = len(run.points)
    return run.replications * len(run.policies) * points >= LEAST_TRIALS and may_draw(points)


def may_draw(points: int) -> bool:
    """Whether another process may draw a run of so many points.

    Of a sweep it draws only the picture, and for many points it would take as much memory as this one to do so.
    """
    return points <= MOST_POINTS and processors() > 1


class Draws(ABC):
    """Whoever draws for this process while it does something else."""

    @abstractmethod
    def begin(self) -> None:
        """Draw: all that the charts are made of is written."""

    @abstractmethod
    def wait(self) -> tuple[Sequence[str], bytes] | None:
        """What `drawings` makes; None if that went wrong or took too long."""

    def sections(self) -> tuple[str, ...] | None:
        """What `html.drawn` makes, waited for; None if that went wrong."""
        return tuple(self._drawings[0]) if self._drawings else None

    def picture(self) -> bytes | None:
        """What `picture.picture` makes, waited for; None if that went wrong."""
        return self._drawings[1] if self._drawings else None

    @cached_property
    def _drawings(self) -> tuple[Sequence[str], bytes] | None:
        return self.wait()


@dataclass(frozen=True)
class Beside(Draws):
    """A process that draws for this one. Its process is None where it could not be started."""

    process: subprocess.Popen[bytes] | None

    def begin(self) -> None:
        if self.process is not None and self.process.stdin is not None:
            # A process that is gone has drawn nothing, which shows when it is asked for that.
            with suppress(OSError):
                self.process.stdin.write(_BEGIN)

    def wait(self) -> tuple[Sequence[str], bytes] | None:
        if self.process is None:
            return None
        try:
            answer, _ = self.process.communicate(timeout=LONGEST_S)
        except (OSError, subprocess.TimeoutExpired):
            return None
        if self.process.returncode != 0:
            return None
        sections, _, drawn = answer.partition(b"\n")
        return json.loads(sections), drawn


@contextmanager
def beside(folder: Path, into: Path) -> Iterator[Beside]:
    """A process that loads what it needs at once, draws when it is told to begin, and ends with the block, whatever ends that.

    It reads the run in `folder`, and its `summary.json` in `into`.
    """
    # With -P no file of the current folder can stand in for a library.
    command = [sys.executable, "-P", "-m", "sim.report.beside", str(folder), str(into)]
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(
            command, bufsize=0, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, start_new_session=True
        )  # fmt: skip
    except OSError:
        process = None
    try:
        yield Beside(process)
    finally:
        if process is not None:
            process.kill()
            # Closes the pipes, and waits.
            process.__exit__(None, None, None)


def load() -> None:
    """Load what draws."""
    import matplotlib.backends.backend_agg
    import matplotlib.backends.backend_svg
    import matplotlib.figure  # noqa: F401


def drawings(folder: Path, into: Path) -> tuple[list[str], bytes]:
    """What `html.drawn` and `picture.picture` make of the run in `folder`, and of its `summary.json` in `into`."""
    source = read(folder, into)
    return html.drawn(source), picture.picture(source)


def _draw(folder: Path, into: Path) -> None:
    """Load what draws, and draw what is asked for once there is a line to read. Without one, nobody wants it any more."""
    load()
    if sys.stdin.buffer.readline() != _BEGIN:
        raise SystemExit(1)
    sections, drawn = drawings(folder, into)
    out = sys.stdout.buffer
    out.write(json.dumps(sections).encode() + b"\n")
    out.write(drawn)
    out.flush()


if __name__ == "__main__":
    _draw(*map(Path, sys.argv[1:]))
