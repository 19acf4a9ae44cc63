"""Worker processes: they start with what they need, leave interrupts to their parent, and never outlive it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, cast

from sim.run.machine import METHOD, later, same_path

DIED = (
    "a worker process died: out of memory, or started from a script without `if __name__ == '__main__':` "
    "around its work; run again to go on from the checkpoints, with fewer workers (1 needs no other process)"
)
# What every worker needs: loaded once, by the process that workers are forked from, and not by each of them.
_LOADED_ONCE = ("sim.run.execute", "sim.jit")


def start_helpers() -> None:
    """Start the helper processes of `multiprocessing`, unless they run; they load what workers need meanwhile.

    A signal that is blocked here stays blocked in them, and comes to this process afterwards: so a terminal, which sends
    Ctrl-C and its own end to all, leaves them be also while they load. Each worker is forked from a process that has neither
    threads nor open stores.
    """
    if METHOD != "forkserver":
        return
    from multiprocessing import forkserver, resource_tracker

    with same_path() as same:
        # A program may have asked for modules of its own.
        if same and getattr(forkserver._forkserver, "_preload_modules", None) == ["__main__"]:
            forkserver.set_forkserver_preload(["__main__", *_LOADED_ONCE])
        with later("SIGHUP"):
            # Unblocks SIGINT as it ends.
            resource_tracker.ensure_running()
        with later("SIGINT", "SIGHUP"):
            forkserver.ensure_running()


def may_start_early() -> bool:
    """Whether helpers may be started before it is known that workers are worth it.

    They load what was started: the command `sim`, or somebody's script, which may lack its `if __name__ == "__main__":` and
    would be run once more.
    """
    started = sys.modules.get("__main__")
    name = getattr(getattr(started, "__spec__", None), "name", None) or Path(getattr(started, "__file__", None) or "").stem
    return name in ("sim", "sim.__main__")


def begin() -> None:
    """What a worker does first: end when its parent does, and not on Ctrl-C or when the terminal closes.

    The parent handles interrupts, and ends the workers. A terminal sends them to all of its processes.
    """
    _follow_parent()
    for each in ("SIGINT", "SIGHUP"):
        if hasattr(signal, each):
            signal.signal(getattr(signal, each), signal.SIG_IGN)


def end(pool: ProcessPoolExecutor) -> None:
    """End the workers of a pool now, even if they are working."""
    # Read both first: `shutdown` removes them from the pool.
    workers, results = list((pool._processes or {}).values()), cast(Any, pool._result_queue)
    pool.shutdown(wait=False, cancel_futures=True)
    for worker in workers:
        worker.terminate()
    # A terminated worker may leave half a result in the pipe. Its reader would wait for ever for the rest; closing our end of
    # the pipe gives the reader an end of file.
    results._writer.close()


def _follow_parent() -> None:
    """End this process as soon as its parent ends, however the parent ended.

    The parent holds one end of a pipe (on Windows, its own handle), which the operating system closes. A worker would otherwise
    wait for ever: it holds both ends of the queue that it gets its tasks from.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        # Nothing is left to tidy up, and the main thread may be deep in a kernel.
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
