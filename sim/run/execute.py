"""Playing all tasks: on one process, on several, or on a crew of workers from elsewhere."""

from __future__ import annotations

import multiprocessing
import pickle
import time
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing

from sim.errors import SimError
from sim.policy.catalogue import hold, parts_in
from sim.policy.parts_file import PartsFile, file_of
from sim.run.blocks import Player, Task, Work
from sim.run.crew import current
from sim.run.machine import METHOD, later
from sim.run.trial import Play
from sim.run.workers import begin, end, start_helpers

Played = tuple[Task, Play, float]
"""A task, its result, and the seconds that it took."""


def execute(works: Sequence[Work], tasks: Sequence[Task], workers: int) -> Generator[Played, None, None]:
    """Each task with its result and its seconds, in the order in which they finish. Closing the generator stops the workers.

    Where a crew plays (`sim.run.crew.playing_on`), it plays these too, whatever the number of `workers`.
    """
    if (crew := current()) is not None:
        with closing(crew.play(works, tasks)) as played:
            yield from played
        return
    if workers == 1:
        player = Player(works)
        for task in tasks:
            yield task, *_timed(player, task)
        return
    # Each worker is a fresh interpreter: forking a process with a database connection or a thread is not safe.
    context = multiprocessing.get_context(METHOD)
    start_helpers()
    # A worker must load the classes of parts before it unpickles objects of these classes.
    files = tuple(dict.fromkeys(file for work in works for part in parts_in(work.forms) if (file := file_of(part))))
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(files, pickle.dumps(works)))
    try:
        waiting: dict[Future[tuple[Play, float]], Task] = {}
        for task in tasks:
            # A worker that gets half of what it needs to start would end with a traceback.
            with later("SIGINT", "SIGTERM", "SIGHUP"):
                waiting[pool.submit(_play, task)] = task
            if len(waiting) >= 2 * workers:
                yield from _finished(waiting)
        while waiting:
            yield from _finished(waiting)
    except BrokenProcessPool as error:
        raise SimError(
            "a worker process died: out of memory, or started from a script without `if __name__ == '__main__':` "
            "around its work; run again to go on from the checkpoints, with fewer workers (1 needs no other process)"
        ) from error
    finally:
        end(pool)


def _finished(waiting: dict[Future[tuple[Play, float]], Task]) -> Iterator[Played]:
    done, _ = wait(waiting, return_when=FIRST_COMPLETED)
    for future in done:
        yield waiting.pop(future), *future.result()


_player: Player | None = None


def _start(files: Sequence[PartsFile], works: bytes) -> None:
    global _player
    begin()
    for file in files:
        file.load()
    unpickled = pickle.loads(works)
    for work in unpickled:
        for part in parts_in(work.forms):
            hold(part)
    _player = Player(unpickled)


def _play(task: Task) -> tuple[Play, float]:
    assert _player is not None
    return _timed(_player, task)


def _timed(player: Player, task: Task) -> tuple[Play, float]:
    started = time.monotonic()
    return player.play(task), time.monotonic() - started
