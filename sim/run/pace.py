"""How much of a run is left, learnt from the tasks that are finished."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from itertools import islice

from sim.run.blocks import Task, Which
from sim.run.crew import Crew

# Where less than this share of the expected work is measured, a policy that was not met yet is taken to cost what was expected.
_TELLING = 0.02


class Pace:
    """Remaining time of `workers` processes for tasks of `expected` seconds each, which they take in this order.

    A policy costs what its finished tasks did, in relation to what was expected of them: at the same point if some were played
    there, else at other points. A policy of which nothing is finished costs what was expected, and more where all the others
    did: they may have decided earlier than expected, which says nothing of this one. `tasks_of` plays the first block of every
    policy early, so that after a tenth of a long run each is known. While tasks are played, the time of the `clock` that passes
    is taken off what they should take.

    >>> cheap, dear = (Task(policy, 0, 0, 10) for policy in ("hold", "bandit"))
    >>> again = Task("bandit", 1, 10, 20)
    >>> pace = Pace({cheap: 1.0, dear: 1.0, again: 1.0}, workers=1, clock=lambda: 0.0)
    >>> pace.note(cheap, 0.1), pace.note(dear, 7.0)
    (None, None)
    >>> pace.left_s, round(pace.share, 2)
    (7.0, 0.5)
    """

    def __init__(self, expected: Mapping[Task, float], workers: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._left = dict(expected)
        self._workers = workers
        self._clock = clock
        self._total_s = sum(expected.values())
        self._spent_s = 0.0
        # By point and policy, of what is left: the number of tasks, and the seconds that were expected of them.
        self._of: dict[Which, tuple[int, float]] = {}
        for task, seconds in expected.items():
            count, of = self._of.get(task.which, (0, 0.0))
            self._of[task.which] = count + 1, of + seconds
        # Seconds taken, and seconds expected: by point and policy, by policy, and of all.
        self._seen: dict[Hashable, tuple[float, float]] = {}
        self._finished()

    def note(self, task: Task, seconds: float | None) -> None:
        """A task is finished and took `seconds`; None if it was loaded from an interrupted run."""
        expected = self._left.pop(task)
        count, of = self._of.pop(task.which)
        if count > 1:
            self._of[task.which] = count - 1, of - expected
        if seconds is not None:
            self._spent_s += seconds
            for key in (task.which, task.policy, None):
                took, so_far = self._seen.get(key, (0.0, 0.0))
                self._seen[key] = took + seconds, so_far + expected
        self._finished()

    def count(self, crew: Crew | None) -> None:
        """Take over how many workers a crew has now; without one, their number does not change."""
        if crew is not None:
            self._workers = max(crew.workers, 1)

    @property
    def left_s(self) -> float:
        """The seconds until everything is played."""
        _, left = self._done_and_left()
        return left / self._playing

    @property
    def share(self) -> float:
        """The share of the work that is done, of 1, by time."""
        done, left = self._done_and_left()
        done += 0 if left else 1
        return done / (done + left) if done + left else 1.0

    def _finished(self) -> None:
        """A task is finished: what is left is another, which is worked out when somebody asks."""
        self._since, self._known = self._clock(), False

    def _look(self) -> None:
        """Work out what is left since a task was finished, for those who ask until the next one is.

        That goes over every policy at every point that is left, of which there may be thousands.
        """
        if self._known:
            return
        rates = {which: self._rate(which) for which in self._of}
        self._work_s = sum(expected * rates[which] for which, (_, expected) in self._of.items())
        self._playing = max(1, min(self._workers, len(self._left)))
        self._in_play_s = sum(self._left[task] * rates[task.which] for task in islice(self._left, self._playing))
        self._known = True

    def _done_and_left(self) -> tuple[float, float]:
        """The seconds of work that are done, and those that are left."""
        self._look()
        passed = min(self._playing * (self._clock() - self._since), self._in_play_s, self._work_s)
        return self._spent_s + passed, self._work_s - passed

    def _rate(self, which: Which) -> float:
        """How many seconds a task of a policy takes for each one that was expected."""
        for key in (which, which[1]):
            took, of = self._seen.get(key, (0.0, 0.0))
            if of:
                return took / of
        took, of = self._seen.get(None, (0.0, 0.0))
        return max(took / of, 1.0) if of > _TELLING * self._total_s else 1.0
