"""How many requests came in each interval, of a log of any length."""

from __future__ import annotations

import numpy as np

from sim.arrays import Ints

_MOST = 20_000_000
_MICRO = 1_000_000


class Counts:
    """Requests by interval of `width_s` seconds from the first one: seconds, or minutes and hours where the log is very long.

    >>> import numpy as np
    >>> counts = Counts()
    >>> counts.add(np.array([0, 400_000, 2_500_000]))
    >>> counts.width_s, counts.by(1).tolist(), counts.by(2).tolist()
    (1, [2, 0, 1], [2])
    """

    def __init__(self) -> None:
        self.width_s = 1
        self._counts = np.zeros(0, np.int64)

    def add(self, time_us: Ints) -> None:
        """Count requests, by their microseconds since the first one of all, rising, (B,)."""
        while int(time_us[-1]) // (_MICRO * self.width_s) >= _MOST:
            self._counts = _summed(np.pad(self._counts, (0, -len(self._counts) % 60)), 60)
            self.width_s *= 60
        place = time_us // (_MICRO * self.width_s)
        first = int(place[0])
        new = np.bincount(place - first)
        more = first + len(new) - len(self._counts)
        if more > 0:
            # Room for as many again, so that a long log is not copied with every batch.
            self._counts = np.pad(self._counts, (0, max(more, len(self._counts))))
        self._counts[first : first + len(new)] += new

    def by(self, width_s: int) -> Ints:
        """Requests (M,) in each whole interval of so many seconds, a multiple of `width_s`, up to the last request."""
        counted = np.flatnonzero(self._counts)
        whole = self._counts[: int(counted[-1]) + 1 if counted.size else 0]
        times = max(width_s // self.width_s, 1)
        return _summed(whole[: len(whole) // times * times], times)


def _summed(values: Ints, times: int) -> Ints:
    summed: Ints = values.reshape(-1, times).sum(axis=1)
    return summed
