"""Workers that are not this process's own: what all kinds of them have in common (docs/decisions/0042)."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from sim.errors import EXIT_CLUSTER, SimError
from sim.run.blocks import Task, Work
from sim.run.shipped import Answer, Missing, Other, Parcel, Unloaded
from sim.run.trial import Play

SHORT_S = 0.2
"""Tasks are sent in bundles of at least about so many seconds: each costs about 5 ms to send and fetch."""
# The one process that sends and fetches serves all workers, so that more of them need longer bundles.
_EACH_WORKER_S = 0.01
_LARGEST = 32
# Bundles that are sent or being played for each worker: one that is played, and one that waits, so that none is idle.
_EACH = 2

GO_ON = "what was finished before is kept, and the same command goes on, with or without the cluster"
"""What to do after a cluster failed."""


class ClusterError(SimError):
    """The cluster or the executor failed while it played. What was finished is kept."""

    exit_code = EXIT_CLUSTER


class Crew(ABC):
    """Plays tasks on workers that others started, or that are started for a whole run.

    A task is played at least once, and its result is taken exactly once. It has the same bits wherever it is played.
    """

    here = 0
    """How many of the workers take memory of this machine, as far as is known."""
    name = ""
    """What people call it."""
    tell: Callable[[str], None] | None = None
    """Is called with a line about a worker that is left out."""

    @property
    @abstractmethod
    def workers(self) -> int:
        """How many tasks can be played at once now; 0 where there are no workers at the moment."""

    @abstractmethod
    def ship(self, parcel: Parcel) -> None:
        """Make a parcel the one of the next bundles."""

    @abstractmethod
    def send(self, bundle: Sequence[Task], again: bool) -> Any:
        """Send a bundle, and return a handle. With `again`, the worker that it came to lacked the parcel."""

    @abstractmethod
    def answers(self, waiting: dict[Any, tuple[Task, ...]]) -> list[tuple[Any, Answer | None]]:
        """The handles that are finished, at least after a while, each with its answer; None where it must be sent again."""

    @abstractmethod
    def refuse(self, other: Other) -> None:
        """Send no more to a worker with another program; or raise an error if nothing can be sent elsewhere."""

    @abstractmethod
    def drop(self, handles: Sequence[Any]) -> None:
        """Forget bundles that are not finished, and the parcel."""

    def play(self, works: Sequence[Work], tasks: Sequence[Task]) -> Generator[tuple[Task, Play, float], None, None]:
        """Each task with its result and its seconds, in the order in which they finish. Closing it drops what is not finished.

        The number of bundles that are under way is bounded, so that memory does not grow with the number of tasks.
        """
        todo, waiting = deque(tasks), dict[Any, tuple[Task, ...]]()
        played, spent_s = 0, 0.0
        try:
            self.ship(Parcel.of(works))
            while todo or waiting:
                workers = max(self.workers, 1)
                while todo and len(waiting) < _EACH * workers:
                    count = bundle_size(len(todo), workers, spent_s / played if played else None)
                    bundle = tuple(todo.popleft() for _ in range(count))
                    waiting[self.send(bundle, False)] = bundle
                for handle, answer in self.answers(waiting):
                    bundle = waiting.pop(handle)
                    if isinstance(answer, list):
                        for task, (result, seconds) in zip(bundle, answer, strict=True):
                            played, spent_s = played + 1, spent_s + seconds
                            yield task, result, seconds
                    elif isinstance(answer, Missing):
                        waiting[self.send(bundle, True)] = bundle
                    elif isinstance(answer, Unloaded):
                        raise ClusterError(
                            f"{answer.worker} cannot load what it is to play: {answer.reason}; install there the packages that "
                            f"are installed here; {GO_ON}"
                        )
                    else:
                        todo.extendleft(reversed(bundle))
                        if isinstance(answer, Other):
                            self.refuse(answer)
        finally:
            self.drop([*waiting])


def bundle_size(left: int, workers: int, mean_s: float | None) -> int:
    """How many of `left` tasks to send as one, at so many seconds a task; one where nothing is known yet.

    Long tasks go one by one, and so do the last ones, so that all workers end together.

    >>> bundle_size(1000, 4, 0.02), bundle_size(1000, 4, 5.0), bundle_size(12, 4, 0.02), bundle_size(1000, 4, None)
    (10, 1, 1, 1)
    """
    if mean_s is None:
        return 1
    most = min(_LARGEST, max(1, left // (_EACH * workers)))
    return min(most, math.ceil(max(SHORT_S, _EACH_WORKER_S * workers) / mean_s)) if mean_s > 0 else most


_current: ContextVar[Crew | None] = ContextVar("crew", default=None)


def current() -> Crew | None:
    """The crew that plays the tasks of this thread's run; None for this process and its own workers."""
    return _current.get()


@contextmanager
def playing_on(crew: Crew | None) -> Iterator[None]:
    """Let a crew play all tasks meanwhile; None leaves it as it is."""
    if crew is None:
        yield
        return
    token = _current.set(crew)
    try:
        yield
    finally:
        _current.reset(token)
