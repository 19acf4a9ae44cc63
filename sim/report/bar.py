"""How far a run is: a bar on a terminal's error stream, lines now and then elsewhere. Loads nothing before there is a run."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sim.run.blocks import Task, Watch
    from sim.run.effort import Effort
    from sim.run.pace import Pace

_EVERY_S = 10.0
# A bar that moves more often looks no different, and of thousands of tasks costs more than some of them.
_BAR_EVERY_S = 0.1


class Bar:
    """Watches tasks finish, and says how long the others will take."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._bar: Any = None
        self._said = time.monotonic()

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def say(self, text: str) -> None:
        """Print a line about the progress."""
        if not self._quiet:
            print(text, file=sys.stderr)

    def start(self, effort: Effort, *, until_enough: bool = False) -> Watch | None:
        """Begin; returns the function to call for every finished task.

        With `until_enough` there may be enough before all are played, and the time that is left says so.
        """
        if self._quiet:
            return None
        from sim.run.pace import Pace

        pace = Pace(effort.expected, effort.workers)
        if sys.stderr.isatty():
            return self._on_terminal(pace, until_enough, len(effort.expected))

        from sim.run.crew import current

        before = done = 0

        def watch(task: Task, seconds: float | None) -> None:
            nonlocal before, done
            if seconds is not None and before:
                # What an interrupted run left is told once, before the first that is played now.
                print(f"going on: {before} of {len(effort.expected)} parts were played before", file=sys.stderr)
                before = 0
            pace.note(task, seconds)
            pace.count(current())
            before += seconds is None
            done += 1
            now = time.monotonic()
            if now - self._said >= _EVERY_S:
                self._said = now
                print(
                    f"{pace.share:4.0%} played, {left(pace, until_enough)}{on_crew(done, len(effort.expected))}",
                    file=sys.stderr,
                )

        return watch

    def _on_terminal(self, pace: Pace, until_enough: bool, of: int) -> Watch:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn
        from rich.text import Text

        from sim.run.crew import current

        class Left(ProgressColumn):
            def render(self, task: Any) -> Text:
                # While a task is played, the time that is left runs down.
                return Text(left(pace, until_enough))

        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(), Left(),
            console=Console(stderr=True), transient=True,
        )  # fmt: skip
        self._bar.start()
        row = self._bar.add_task("playing", total=1.0)
        done = 0
        moved = -_BAR_EVERY_S

        def watch(task: Task, seconds: float | None) -> None:
            nonlocal done, moved
            pace.note(task, seconds)
            pace.count(current())
            done += 1
            now = time.monotonic()
            if now - moved < _BAR_EVERY_S and done < of:
                return
            moved = now
            self._bar.update(row, completed=pace.share, description=f"played {task.policy}{on_crew(done, of)}")

        return watch


def left(pace: Pace, until_enough: bool) -> str:
    """How long the rest takes, in words."""
    from sim.report.progress import spoken

    return f"about {spoken(pace.left_s)} left" + (" if all are needed" if until_enough else "")


def on_crew(done: int, of: int) -> str:
    """What the line about the progress says of a crew: tasks and workers. Empty where none plays."""
    from sim.run.crew import current

    crew = current()
    return "" if crew is None else f", {done:,} of {of:,} tasks, {crew.workers} workers"
