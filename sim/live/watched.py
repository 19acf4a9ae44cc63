"""What is watched of a rehearsal beside what its policy needs, and the quantities that are compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sim.arrays import Floats, Ints
from sim.engine.base import Stepped
from sim.policy.base import Routing, Telemetry
from sim.policy.columns import MOMENTS, Above, Agreement, Column, Count, Moment
from sim.world.world import World

_STEP = 1.05
"""Latencies are told apart to within 5%."""

Unit = Literal["count", "share", "s", "mean"]


class Watched:
    """An engine, of which the policy sees the columns that it needs. What else is counted is summed by replication.

    `needs` are the policy's columns, `columns` those that are watched; totals (R, K, C) sums of the latter.
    """

    def __init__(self, engine: Stepped, needs: Sequence[Column], columns: Sequence[Column], shape: tuple[int, int]) -> None:
        self._engine = engine
        self.tick = engine.tick
        self._needs = {column: place for place, column in enumerate(needs)}
        self._columns = columns
        self.totals: Ints = np.zeros((*shape, len(columns)), np.int64)

    def step(self, routing: Routing) -> Telemetry:
        """Play a tick. Returns the telemetry of the policy's columns."""
        seen = self._engine.step(routing)
        self.tick = self._engine.tick
        self.totals[routing.rows] += seen.counts[..., [seen.columns[column] for column in self._columns]]
        own = seen.counts[..., [seen.columns[column] for column in self._needs]]
        return Telemetry(seen.tick, own, self._needs, seen.live, seen.weighed)


@dataclass(frozen=True)
class Quantity:
    """Something that is compared: of an arm (empty: of all), of what users got or of `copies`.

    of: totals (R, K, C) to (R,), NaN where there is nothing to tell it by.
    """

    what: str
    arm: str
    copies: bool
    unit: Unit
    of: Callable[[Ints], Floats]


class Watch:
    """The columns to watch in a world, and the quantities that they give.

    levels: the quantiles of latency that are compared. Latencies are counted above limits from `least_s` to `most_s`.
    """

    def __init__(self, world: World, mirrors: bool, levels: Sequence[float], least_s: float, most_s: float) -> None:
        steps = int(np.ceil(np.log(most_s / least_s) / np.log(_STEP)))
        self._limits_s = least_s * _STEP ** np.arange(steps + 1)
        self._metrics = [(outcome.spec.name, outcome.grid) for outcome in world.outcomes]
        self._above = tuple(Above(float(limit_s)) for limit_s in self._limits_s)
        live: list[Column] = [Count("requests"), Count("responses"), Count("errors"), *self._above]
        copies = [column.as_mirrored() for column in live] if mirrors else []
        live += [Moment(name, kind) for name, _ in self._metrics for kind in MOMENTS[:2]]
        if mirrors:
            copies += [Agreement("count", mirrored=True), Agreement("sum", mirrored=True)]
        self.columns: tuple[Column, ...] = (*live, *copies)
        self._places = {column: place for place, column in enumerate(self.columns)}
        self.quantities = tuple(self._all(world.arms, mirrors, levels))

    def calls(self, totals: Ints) -> Ints:
        """(R, K) calls, live and copied, of totals (R, K, C)."""
        kinds = (Count("requests"), Count("requests", mirrored=True))
        found: Ints = totals[..., [self._places[kind] for kind in kinds if kind in self._places]].sum(axis=2)
        return found

    def _all(self, arms: Sequence[str], mirrors: bool, levels: Sequence[float]) -> list[Quantity]:
        requests = self._at(Count("requests"))
        found = [Quantity("requests", "", False, "count", lambda totals: totals[..., requests].sum(axis=1).astype(np.float64))]
        for arm, name in enumerate(arms[1:], start=1):
            found.append(Quantity("share", name, False, "share", _share(requests, arm)))
        found += [each for arm, name in enumerate(arms) for each in self._lane(arm, name, False, levels)]
        for arm, name in enumerate(arms[1:] if mirrors else (), start=1):
            copied = self._at(Count("requests", mirrored=True))
            found.append(Quantity("requests", name, True, "count", _of(arm, copied)))
            found += self._lane(arm, name, True, levels)
            agreed, answered = self._at(Agreement("sum", mirrored=True)), self._at(Agreement("count", mirrored=True))
            found.append(Quantity("agreement", name, True, "share", _ratio(arm, agreed, answered)))
        return found

    def _lane(self, arm: int, name: str, copies: bool, levels: Sequence[float]) -> list[Quantity]:
        def at(column: Column) -> int:
            return self._at(column.as_mirrored() if copies else column)

        responses = at(Count("responses"))
        found = [Quantity("errors", name, copies, "share", _ratio(arm, at(Count("errors")), responses))]
        above = [at(each) for each in self._above]
        for level in levels:
            found.append(Quantity(f"p{100 * level:g}", name, copies, "s", self._quantile(arm, responses, above, level)))
        if not copies:
            for metric, grid in self._metrics:
                total, known = self._at(Moment(metric, "sum")), self._at(Moment(metric, "count"))
                found.append(Quantity(metric, name, copies, "mean", _ratio(arm, total, known, grid)))
        return found

    def _at(self, column: Column) -> int:
        return self._places[column]

    def _quantile(self, arm: int, responses: int, above: Sequence[int], level: float) -> Callable[[Ints], Floats]:
        """The least limit that at most 1 - level of the responses are above; infinite if there is none."""
        limits_s = np.append(self._limits_s, np.inf)

        def of(totals: Ints) -> Floats:
            count = totals[:, arm, responses]
            within = totals[:, arm][:, above] <= (1 - level) * count[:, None] + 1e-9
            first = np.where(within.any(axis=1), within.argmax(axis=1), len(above))
            return np.where(count > 0, limits_s[first], np.nan)

        return of


def _of(arm: int, place: int) -> Callable[[Ints], Floats]:
    return lambda totals: totals[:, arm, place].astype(np.float64)


def _share(place: int, arm: int) -> Callable[[Ints], Floats]:
    def of(totals: Ints) -> Floats:
        count = totals[..., place].sum(axis=1)
        return np.where(count > 0, totals[:, arm, place] / np.maximum(count, 1), np.nan)

    return of


def _ratio(arm: int, above: int, below: int, scale: float = 1.0) -> Callable[[Ints], Floats]:
    def of(totals: Ints) -> Floats:
        count = totals[:, arm, below]
        return np.where(count > 0, scale * totals[:, arm, above] / np.maximum(count, 1), np.nan)

    return of
