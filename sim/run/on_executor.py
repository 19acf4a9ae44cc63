"""Tasks on an executor that the user hands over, of any kind that keeps the interface of `concurrent.futures`."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from typing import Any

from sim.errors import InputError, Problem, SimError
from sim.run.blocks import Task
from sim.run.crew import GO_ON, ClusterError, Crew
from sim.run.machine import processors
from sim.run.shipped import Answer, Other, Parcel, answer, differences, program
from sim.units import shown

_SHUT = "is shut down, or its workers died; make a new one"


class OnExecutor(Crew):
    """Plays tasks on an executor, which stays the user's: it is not shut down.

    The interface has no way to send something to every worker. The first bundles therefore bring the parcel with them, and a
    process that gets a later one without having it says so, and is sent it. `workers` is how many tasks it plays at once; None
    as it says itself, else as this machine has processors.
    """

    def __init__(self, executor: Executor, workers: int | None = None) -> None:
        self.name = type(executor).__name__
        self._executor = executor
        told = getattr(executor, "_max_workers", None)
        self._workers = workers or (told if isinstance(told, int) and told > 0 else processors())
        self._parcel: Parcel | None = None
        self._bring = 0

    @property
    def workers(self) -> int:
        return self._workers

    def check(self) -> None:
        """Raise `InputError` unless the executor plays what it is given, with the program of this process."""
        try:
            theirs = self._executor.submit(program).result()
        except (RuntimeError, CancelledError) as error:
            raise InputError([Problem(f"{_SHUT}; it said: {error}", "executor")]) from error
        except (ImportError, AttributeError, pickle.PicklingError) as error:
            message = f"cannot load rollout-sim in a worker: {error}; install it there"
            raise InputError([Problem(message, "executor")]) from error
        if differs := differences(theirs, program()):
            message = f"a worker has another program: {differs}; install the same there as here"
            raise InputError([Problem(message, "executor")])

    def ship(self, parcel: Parcel) -> None:
        self._parcel, self._bring = parcel, self._workers

    def send(self, bundle: Sequence[Task], again: bool) -> Future[Answer]:
        parcel = self._parcel
        assert parcel is not None
        bring = again or self._bring > 0
        self._bring -= 1
        try:
            return self._executor.submit(answer, program(), parcel.digest, parcel.content if bring else None, bundle)
        except RuntimeError as error:
            raise ClusterError(f"the executor {self.name} {_SHUT}; it said: {error}; {GO_ON}") from error

    def answers(self, waiting: dict[Any, tuple[Task, ...]]) -> list[tuple[Any, Answer | None]]:
        done, _ = wait(waiting, return_when=FIRST_COMPLETED)
        return [(future, self._answer(future)) for future in done]

    def _answer(self, future: Future[Answer]) -> Answer:
        try:
            return future.result()
        except SimError:
            raise
        except (BrokenExecutor, CancelledError) as error:
            why = str(error) or "its tasks were cancelled"
            raise ClusterError(f"the executor {self.name} {_SHUT}; it said: {why}; {GO_ON}") from error

    def refuse(self, other: Other) -> None:
        # An executor takes no wishes about which of its workers plays what.
        raise ClusterError(f"{other.worker} has another program: {other.differs}; install the same there as here; {GO_ON}")

    def drop(self, handles: Sequence[Any]) -> None:
        for future in handles:
            future.cancel()
        self._parcel = None


def crew_of(executor: Any, workers: int | None) -> OnExecutor:
    """The crew of an executor, which plays `workers` tasks at once. Raises `InputError` if it cannot be used."""
    if not isinstance(executor, Executor):
        message = f"must be an executor, as in concurrent.futures, or None; got {shown(executor)}"
        raise InputError([Problem(message, "executor")])
    crew = OnExecutor(executor, workers)
    crew.check()
    return crew
