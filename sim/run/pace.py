"""How much of a run is left, learnt from the tasks that are finished."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from sim.run.blocks import Task, Which

# Where less than this share of the expected work is measured, a policy that was not met yet is taken to cost what was expected.
_TELLING = 0.02


class Pace:
    """Remaining time of `workers` processes for tasks of `expected` seconds each.

    A policy costs what its finished tasks did, in relation to what was expected of them: at the same point if some were played
    there, else at other points. A policy of which nothing is finished costs what all the others do. `tasks_of` plays the first
    block of every policy early, so that after a tenth of a long run each is known.

    >>> cheap, dear = (Task(policy, 0, 0, 10) for policy in ("hold", "bandit"))
    >>> again = Task("bandit", 1, 10, 20)
    >>> pace = Pace({cheap: 1.0, dear: 1.0, again: 1.0}, workers=1)
    >>> pace.note(cheap, 0.1), pace.note(dear, 7.0)
    (None, None)
    >>> pace.left_s, round(pace.share, 2)
    (7.0, 0.5)
    """

    def __init__(self, expected: Mapping[Task, float], workers: int) -> None:
        self._left = dict(expected)
        self._workers = workers
        self._total_s = sum(expected.values())
        self._spent_s = 0.0
        # Seconds taken, and seconds expected: by point and policy, by policy, and of all.
        self._seen: dict[Hashable, tuple[float, float]] = {}

    def note(self, task: Task, seconds: float | None) -> None:
        """A task is finished and took `seconds`; None if it was loaded from an interrupted run."""
        expected = self._left.pop(task)
        if seconds is None:
            return
        self._spent_s += seconds
        for key in (task.which, task.policy, None):
            took, of = self._seen.get(key, (0.0, 0.0))
            self._seen[key] = took + seconds, of + expected

    @property
    def left_s(self) -> float:
        """The seconds until everything is played."""
        return self._work_s() / max(1, min(self._workers, len(self._left)))

    @property
    def share(self) -> float:
        """The share of the work that is done, of 1, by time."""
        left = self._work_s()
        done = self._spent_s + (0 if left else 1)
        return done / (done + left) if done + left else 1.0

    def _work_s(self) -> float:
        by_which: dict[Which, float] = {}
        for task, expected in self._left.items():
            by_which[task.which] = by_which.get(task.which, 0.0) + expected
        return sum(expected * self._rate(which) for which, expected in by_which.items())

    def _rate(self, which: Which) -> float:
        """How many seconds a task of a policy takes for each one that was expected."""
        for key in (which, which[1]):
            took, of = self._seen.get(key, (0.0, 0.0))
            if of:
                return took / of
        took, of = self._seen.get(None, (0.0, 0.0))
        return took / of if of > _TELLING * self._total_s else 1.0
