"""A progress bar with the remaining time, on the terminal's error stream; a line now and then where there is no terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from sim.compare.wording import number
from sim.run.blocks import Task, Watch, tasks_of
from sim.run.plan import Plan
from sim.scenario.sweep import JOINT

_EVERY_S = 10.0


def lines(plan: Plan) -> Iterator[str]:
    """Lines about the plan: its points, engines and versions."""
    name = plan.scenario.name
    if plan.paths:
        yield f"{name}: {len(plan.points)} points of {JOINT.join(plan.paths)}"
    yield from dict.fromkeys(f"{name}: engine {each.engine.name} ({each.engine.reason})" for each in plan.points)
    yield from dict.fromkeys(f"  {of.arm}: {of.pinned} ({of.kind})" for each in plan.points for of in each.versions)
    yield from _alike(plan)


def _alike(plan: Plan) -> Iterator[str]:
    """The line about the A/A tests; none where none are played."""
    tests = [(point, sum(point.policy(form).immediate is None for form in point.forms)) for point in plan.points]
    count = sum(each for _, each in tests)
    if not plan.scenario.aa or not count:
        return
    said = f"{plan.scenario.name}: A/A tests of {count} {'policies' if count > 1 else 'policy'} beside the run"
    one_by_one = [(point, each) for point, each in tests if point.engine.entry.tells_calls]
    requests = sum(each * float(point.world.requests.sum()) * point.scenario.replications for point, each in one_by_one)
    # Where requests are played one by one, this costs what the policies cost.
    cost = f" play at most {number(requests, 'requests')} requests, as the run itself" if requests else ""
    yield f"{said}{cost} (aa: false leaves them out)"


class Bar:
    """Watches tasks finish. Weighs them by replications; tasks of a resumed run do not count towards the speed."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._bar: Any = None
        self._said = self._started = time.monotonic()

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def say(self, text: str) -> None:
        """Print a line about the progress."""
        if not self._quiet:
            print(text, file=sys.stderr)

    def start(self, plan: Plan) -> Watch | None:
        """Begin; returns the function to call for every finished task."""
        if self._quiet:
            return None
        total = sum(task.end - task.first for task in tasks_of(plan))
        self._started = time.monotonic()
        if sys.stderr.isatty():
            return self._on_terminal(total)
        done = resumed = 0

        def watch(task: Task, again: bool) -> None:
            nonlocal done, resumed
            done += task.end - task.first
            resumed += (task.end - task.first) if again else 0
            now = time.monotonic()
            if now - self._said >= _EVERY_S:
                self._said = now
                left = (now - self._started) * (total - done) / max(done - resumed, 1)
                print(f"{done / total:4.0%} played, about {left:.0f} s left", file=sys.stderr)

        return watch

    def _on_terminal(self, total: int) -> Watch:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
            console=Console(stderr=True), transient=True,
        )  # fmt: skip
        self._bar.start()
        row = self._bar.add_task("playing", total=total)

        def watch(task: Task, again: bool) -> None:
            self._bar.update(row, advance=task.end - task.first, description=f"played {task.policy}")

        return watch
