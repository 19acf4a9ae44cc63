"""Late feedback that is weighed within ticks by the shares of the tick of the visit, for the aggregate engine.

What was sent under equal shares waits together, and apart from what was sent under others. So the weights of what becomes known
are those of the visit, at the cost of one stream of feedback for each time that the shares have changed.
"""

from __future__ import annotations

import numpy as np

from sim.arrays import Bools, Floats, Ints
from sim.engine.aggregate.earnings import Sums
from sim.engine.aggregate.feedback import FeedbackStream, Streams
from sim.policy.columns import MOMENTS
from sim.policy.contrast import KINDS, share_of_two
from sim.stats.within_ticks import weigh
from sim.world.streams import Keys, at
from sim.world.world import Truth

_SHARES = 2**26


class ByShares:
    """The feedback of one metric, of live calls, in streams by the shares under which they were sent.

    weighed (2, r, K - 1, 3, KINDS): the weighed count, sum and sum of squares of the last tick, as in `Telemetry.weighed`.
    """

    weighed: Floats

    def __init__(self, truth: Truth, metric: str, made: Streams) -> None:
        self._truth, self._metric, self._made = truth, metric, made
        self._streams: list[FeedbackStream] = []
        # The challengers' shares of each stream, (R, K - 1), and the stream of this tick and of the one before, or -1.
        self._weight: list[Floats] = []
        self._now = np.full(truth.rows, -1)
        self._before = np.full(truth.rows, -1)
        self._failures = np.zeros((2, 0, 0), np.int64)
        self._failed = 0

    def send(self, rows: Ints, live: Floats) -> None:
        """The shares live (r, K) of a tick that begins: those that have changed get the next stream."""
        share = share_of_two(live)
        self._before[rows] = self._now[rows]
        now = self._now[rows]
        changed = now < 0
        for number, weight in enumerate(self._weight):
            changed |= (now == number) & (weight[rows] != share).any(axis=1)
        self._now[rows[changed]] += 1
        for number in np.unique(self._now[rows[changed]]).tolist():
            if number == len(self._streams):
                self._streams.append(self._made.of(self._metric, number))
                self._weight.append(np.zeros((self._truth.rows, share.shape[1])))
            new = changed & (self._now[rows] == number)
            self._weight[number][rows[new]] = share[new]
        self._failures = np.zeros((2, rows.size, live.shape[1]), np.int64)

    def fail(self, rows: Ints, now: Ints, before: Ints, value: int) -> None:
        """Failures (r, K) that are known at once, of calls sent in this tick and in the one before, and what each counts as."""
        self._failures, self._failed = np.stack([now, before]), value

    def arrive(self, rows: Ints, tick: int, ended: Ints, late: Ints, key: Keys) -> Sums:
        total = np.zeros((len(MOMENTS), *ended.shape[:2]), np.int64)
        self.weighed = np.zeros((2, rows.size, ended.shape[1] - 1, len(MOMENTS), KINDS))
        powers = np.array([1, self._failed, self._failed**2])
        for number, stream in enumerate(self._streams):
            sent, earlier = self._now[rows] == number, self._before[rows] == number
            mine = at(key, _SHARES + number) if number else key
            sums = np.stack(stream.arrive(rows, tick, _of(ended, sent), _of(late, earlier), mine))
            total += sums
            failures = _of(self._failures[0], sent) + _of(self._failures[1], earlier)
            counts = np.moveaxis(sums, 0, 2) + failures[..., None] * powers
            self.weighed += np.stack(weigh(counts.astype(np.float64), self._weight[number][rows]))
        count, value, square = total
        return count, value, square

    def drop(self, rows: Ints) -> None:
        for stream in self._streams:
            stream.drop(rows)
        self._now[rows] = self._before[rows] = -1


def _of(counts: Ints, rows: Bools) -> Ints:
    """The counts of some rows, 0 in the others."""
    return np.where(rows.reshape(-1, *(1,) * (counts.ndim - 1)), counts, 0)
