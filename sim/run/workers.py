"""Worker processes: they leave interrupts to their parent, and never outlive it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from typing import Any, cast

from sim.run.machine import METHOD, later

DIED = (
    "a worker process died: out of memory, or started from a script without `if __name__ == '__main__':` "
    "around its work; run again to go on from the checkpoints, with fewer workers (1 needs no other process)"
)


def begin() -> None:
    """What a worker does first: end when its parent does, and not on Ctrl-C or when the terminal closes.

    The parent handles interrupts, and ends the workers. A terminal sends them to all of its processes.
    """
    _follow_parent()
    for each in ("SIGINT", "SIGHUP"):
        if hasattr(signal, each):
            signal.signal(getattr(signal, each), signal.SIG_IGN)


def start_helpers() -> None:
    """Start the helper processes of `multiprocessing` so that a closed terminal, which sends SIGHUP to all, leaves them be.

    A signal that is blocked here stays blocked in them, and comes to this process afterwards.
    """
    if METHOD != "forkserver":
        return
    from multiprocessing import forkserver, resource_tracker

    with later("SIGHUP"):
        resource_tracker.ensure_running()
        forkserver.ensure_running()


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
