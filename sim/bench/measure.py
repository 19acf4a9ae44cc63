"""Measuring side by side: contenders take turns, so that a slower machine slows down all of them."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from sim.run.workers import begin, end

INSTALL = 'pip install "rollout-sim[bench]"'
"""How the peers are installed."""


@dataclass(frozen=True)
class Contender:
    """A program or engine that plays requests. `play()` is one turn; it returns the number of requests that it represents."""

    key: str
    what: str
    play: Callable[[], float]
    peer: bool = False
    """Whether it is another program. A peer plays in its own process, for isolation, and is left out if it fails."""


@dataclass(frozen=True)
class Missing:
    """A row that is left out, and the reason."""

    what: str
    reason: str


@dataclass(frozen=True)
class Row:
    """The result of a contender, by round (n,): the requests it played, its processor time and its wall time."""

    key: str
    what: str
    requests: tuple[float, ...]
    cpu_s: tuple[float, ...]
    wall_s: tuple[float, ...]

    @property
    def speeds(self) -> tuple[float, ...]:
        """(n,) requests per second of processor time, which is per second of one core."""
        return tuple(count / seconds for count, seconds in zip(self.requests, self.cpu_s, strict=True))

    @property
    def per_s(self) -> float:
        """The median of `speeds`."""
        return statistics.median(self.speeds)

    def times(self, other: Row) -> float:
        """How many times as fast as another row: the median over rounds of the ratio within a round.

        >>> slow, fast = (Row(key, key, (1.0,) * 3, cpu, cpu) for key, cpu in (("a", (2.0, 4.0, 9.0)), ("b", (1.0, 2.0, 1.0))))
        >>> fast.times(slow)
        2.0
        """
        return statistics.median(ours / theirs for ours, theirs in zip(self.speeds, other.speeds, strict=True))


def measure(contenders: Sequence[Contender], rounds: int, say: Callable[[str], None]) -> tuple[list[Row], list[Missing]]:
    """Play every contender once to warm up, without counting it, and then `rounds` times, in turns.

    >>> rows, missing = measure([Contender("nine", "nine", lambda: 9.0)], 2, lambda text: None)
    >>> rows[0].requests, missing
    ((9.0, 9.0), [])
    """
    with ExitStack() as processes:
        turns: dict[str, Callable[[], tuple[float, float, float]]] = {}
        missing = []
        say("warming up")
        for contender in contenders:
            turn = _apart(contender.play, processes) if contender.peer else partial(timed, contender.play)
            try:
                turn()
            except Exception as error:
                # A failure in a new version of a peer must not stop the other rows.
                if not contender.peer:
                    raise
                missing.append(Missing(contender.key, f"failed: {type(error).__name__}: {error}"))
            else:
                turns[contender.key] = turn
        taken: dict[str, list[tuple[float, float, float]]] = {key: [] for key in turns}
        for number in range(1, rounds + 1):
            say(f"round {number} of {rounds}")
            for key, turn in turns.items():
                taken[key].append(turn())
    rows = []
    for contender in contenders:
        if contender.key in taken:
            requests, cpu_s, wall_s = zip(*taken[contender.key], strict=True)
            rows.append(Row(contender.key, contender.what, requests, cpu_s, wall_s))
    return rows, missing


def timed(play: Callable[[], float]) -> tuple[float, float, float]:
    """(result, seconds of processor time, seconds of wall time); both times are above zero."""
    wall, cpu = time.perf_counter(), time.process_time()
    count = play()
    return count, max(time.process_time() - cpu, 1e-9), max(time.perf_counter() - wall, 1e-9)


def _apart(play: Callable[[], float], processes: ExitStack) -> Callable[[], tuple[float, float, float]]:
    """A turn in a fresh process, which measures its own time. All turns of a contender use the same process."""
    process = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), initializer=begin)
    processes.callback(end, process)
    return lambda: process.submit(timed, play).result()
