"""Potential outcomes: what every request of a replication would get from every arm, drawn whatever the policy does.

Each stream has a generator of its own, read tick by tick. A routing then decides which outcomes are revealed, and never
changes one; an arm, a metric or a mirror that is added or left out does not shift the draws of any other.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.world.streams import generator
from sim.world.world import Truth

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

NS = 1_000_000_000


def nanoseconds(seconds: float) -> int:
    """A time on the clock of the event engines.

    >>> nanoseconds(0.25)
    250000000
    """
    return round(seconds * NS)


@dataclass(frozen=True)
class Requests:
    """The n requests of a tick, in the order of their arrival, and what each would get from each of K arms.

    arrival_ns (n,); route (n,) and mirror (n, K) uniforms, to be compared with weights and mirror fractions; service_ns (n, K)
    at least 1; error (n, K); values {metric: (n, K)} on the metric's grid; agree (n, K) whether an arm answers as the champion
    does. `mirror` and `agree` are None where nothing asks for them.
    """

    arrival_ns: Ints
    route: Floats
    mirror: Floats | None
    service_ns: Ints
    error: Bools
    values: dict[str, Ints]
    agree: Bools | None


class Potential:
    """The requests of one replication: `row` of a truth. `metrics` are those whose values are drawn."""

    def __init__(self, truth: Truth, row: int, metrics: Collection[str], mirrors: bool, agreement: bool) -> None:
        self._truth = truth
        self._row = row
        self._metrics = tuple(metrics)
        self._mirrors = mirrors
        self._agreement = agreement
        self._generators: dict[str, np.random.Generator] = {}

    def _stream(self, name: str) -> np.random.Generator:
        if name not in self._generators:
            replication = int(self._truth.replications[self._row])
            self._generators[name] = generator(self._truth.world.seed, replication, name)
        return self._generators[name]

    def draw(self, tick: int) -> Requests:
        """The requests of a tick; ticks must be drawn in order, each once."""
        truth, row, arms = self._truth, self._row, self._truth.world.arms
        count = int(truth.arrivals[row, tick])
        length = nanoseconds(truth.world.tick_s)
        # Given their number, the arrivals of a Poisson process are uniform order statistics.
        within = np.sort(self._stream("positions").integers(length, size=count))
        data_row = self._data_row(count)
        error = [self._stream(f"error.{arm}").random(count) < truth.error_rate[row, k] for k, arm in enumerate(arms)]
        return Requests(
            arrival_ns=tick * length + within,
            route=self._stream("route").random(count),
            mirror=_columns([self._stream(f"mirror.{arm}").random(count) for arm in arms]) if self._mirrors else None,
            service_ns=_columns([self._service_ns(k, count) for k in range(len(arms))]),
            error=_columns(error),
            values={metric: self._values(metric, data_row) for metric in self._metrics},
            agree=self._agree(data_row) if self._agreement else None,
        )

    def _data_row(self, count: int) -> Ints:
        """(n,) the row of the data that each request replays, the same for all arms and metrics."""
        table = self._truth.world.answers_agree
        return np.zeros(count, np.int64) if table is None else self._stream("row").integers(len(table), size=count)

    def _service_ns(self, k: int, count: int) -> Ints:
        arm = self._truth.world.arms[k]
        seconds = self._truth.latency_scale[self._row, k] * self._truth.latency[k].draw(self._stream(f"service.{arm}"), count)
        drawn: Ints = np.maximum(np.rint(seconds * NS), 1).astype(np.int64)
        return drawn

    def _values(self, metric: str, data_row: Ints) -> Ints:
        outcome = self._truth.outcomes[metric]
        return _columns(
            [
                outcome.values(self._stream(f"value.{metric}.{arm}"), data_row, self._row, k)
                for k, arm in enumerate(self._truth.world.arms)
            ]
        )

    def _agree(self, data_row: Ints) -> Bools:
        world = self._truth.world
        if world.answers_agree is not None:
            return world.answers_agree[data_row]
        assert world.agreement is not None
        return _columns(
            [self._stream(f"agree.{arm}").random(data_row.size) < world.agreement[k] for k, arm in enumerate(world.arms)]
        )


def _columns(arrays: list[NDArray[np.generic]]) -> NDArray:  # type: ignore[type-arg]
    return np.stack(arrays, axis=1)
