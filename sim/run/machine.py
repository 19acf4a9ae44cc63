"""What this machine has for a run: processors, free memory, and whether it can start other processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
"""How workers are started."""


def processors() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_bytes() -> int | None:
    """Bytes of memory that can still be used, within the limit of this process's container; None where no system says so."""
    found = [each for each in (_of_linux(), _of_container()) if each is not None]
    return min(found) if found else _of_system()


@contextmanager
def later(*signals: str) -> Iterator[None]:
    """Let signals wait until this is over. Where a worker inherits what is blocked, as without a fork server, none waits."""
    if METHOD != "forkserver":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [getattr(signal, each) for each in signals])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def same_path() -> Iterator[bool]:
    """Have a Python that is started meanwhile look for modules where this one does, and nowhere else; whether that can be.

    By itself it looks in the current folder first, where a file may have the name of a library.
    """
    path = [each or os.getcwd() for each in sys.path]
    if any(os.pathsep in each for each in path):
        yield False
        return
    wanted = {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(path)}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield True
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@cache
def no_second_process() -> str:
    """Why no worker process can be started, such as no `/dev/shm`; empty if one can."""
    try:
        # This starts a helper process, which a closed terminal must leave be.
        with later("SIGHUP"), same_path():
            multiprocessing.get_context("spawn").Lock()
    except (OSError, ImportError) as error:
        return getattr(error, "strerror", None) or str(error)
    return ""


def _of_linux(file: Path = Path("/proc/meminfo")) -> int | None:
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return None
    kilobytes = [int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    return 1024 * kilobytes[0] if kilobytes else None


def _of_container(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """What is left below the limit of a control group, as Docker and Kubernetes set it (versions 1 and 2)."""
    for folder, limit, usage, inactive in (
        (root, "memory.max", "memory.current", "inactive_file"),
        (root / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            most = int((folder / limit).read_text())
            used = int((folder / usage).read_text())
            stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        except (OSError, ValueError):
            # No such version, or "max": no limit.
            continue
        # Pages of files that were not used lately are given up as soon as memory is short.
        return max(most - used + int(stat.get(inactive, 0)), 0)
    return None


def _of_system() -> int | None:
    """All memory of a machine that does not say how much of it is free."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None
