"""Worker processes that stay from one play to the next, so that they are started, and load what they need, once."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from contextvars import ContextVar

from sim.errors import SimError
from sim.run.blocks import Task
from sim.run.machine import METHOD, later
from sim.run.on_executor import OnExecutor
from sim.run.shipped import Answer
from sim.run.workers import DIED, begin, end, start_helpers


class OnProcesses(OnExecutor):
    """Plays tasks on `workers` processes of this program's own, until it is ended."""

    def __init__(self, workers: int) -> None:
        start_helpers()
        self._pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context(METHOD), initializer=begin)
        super().__init__(self._pool, workers)

    def send(self, bundle: Sequence[Task], again: bool) -> Future[Answer]:
        try:
            # A worker that gets half of what it needs to start would end with a traceback.
            with later("SIGINT", "SIGTERM", "SIGHUP"):
                return super().send(bundle, again)
        except SimError as error:
            raise SimError(DIED) from error

    def _answer(self, future: Future[Answer]) -> Answer:
        try:
            return future.result()
        except BrokenProcessPool as error:
            raise SimError(DIED) from error

    def end(self) -> None:
        """End the processes now, even if they are working."""
        end(self._pool)


class Stay:
    """The processes that stay; none until a play is worth them."""

    def __init__(self) -> None:
        self._crew: OnProcesses | None = None

    def crew(self, workers: int) -> OnProcesses:
        """So many processes at least: those that are there, or others in their place."""
        if self._crew is None or self._crew.workers < workers:
            self.end()
            self._crew = OnProcesses(workers)
        return self._crew

    def end(self) -> None:
        """End the processes, if there are any."""
        if self._crew is not None:
            self._crew.end()
        self._crew = None


_stay: ContextVar[Stay | None] = ContextVar("stay", default=None)


def kept() -> Stay | None:
    """The processes of this thread that stay; None where every play has its own."""
    return _stay.get()


@contextmanager
def staying() -> Iterator[None]:
    """Let worker processes stay until this is over."""
    stay = Stay()
    token = _stay.set(stay)
    try:
        yield
    finally:
        _stay.reset(token)
        stay.end()
