"""Delayed monitoring: a delay line around any engine."""

from __future__ import annotations

import numpy as np

from sim.arrays import Floats, Ints
from sim.engine.base import Engine, Maker
from sim.engine.ledger import Ledger
from sim.policy.base import Routing, Telemetry
from sim.policy.columns import Column
from sim.world.world import Truth


def lagged(make: Maker) -> Maker:
    """A maker of the same engines, with telemetry delayed by the lag of their world."""

    def made(truth: Truth, needs: tuple[Column, ...], mirrors: bool) -> Engine:
        engine = make(truth, needs, mirrors)
        return Lagged(engine, truth.rows, truth.world.lag) if truth.world.lag else engine

    return made


class Lagged:
    """Delays telemetry by `lag` ticks.

    The first `lag` ticks show zeros. After that, tick t shows the telemetry of tick t - lag, or zeros if the replication has
    changed stage since.
    """

    def __init__(self, engine: Engine, rows: int, lag: int) -> None:
        self.ledger: Ledger = engine.ledger
        self.tick = engine.tick
        self._engine = engine
        self._rows = rows
        self._lag = lag
        self._line: list[tuple[Ints, Ints, Floats, Floats | None]] = []

    def step(self, routing: Routing) -> Telemetry:
        """Play a tick. Returns the telemetry of `lag` ticks ago."""
        fresh = self._engine.step(routing)
        self.tick = self._engine.tick
        cohort = np.full(self._rows, -1)
        cohort[routing.rows] = routing.cohort
        counts = np.zeros((self._rows, *fresh.counts.shape[1:]), np.int64)
        counts[routing.rows] = fresh.counts
        live = np.zeros((self._rows, routing.live.shape[1]))
        live[routing.rows] = routing.live
        weighed = None
        if fresh.weighed is not None:
            weighed = np.zeros((2, self._rows, *fresh.weighed.shape[2:]))
            weighed[:, routing.rows] = fresh.weighed
        self._line.append((cohort, counts, live, weighed))
        if len(self._line) <= self._lag:
            nothing = None if fresh.weighed is None else np.zeros_like(fresh.weighed)
            return Telemetry(fresh.tick, np.zeros_like(fresh.counts), fresh.columns, fresh.live, nothing)
        then, seen, shares, sums = self._line.pop(0)
        same = then[routing.rows] == routing.cohort
        shown = np.where(same[:, None, None], seen[routing.rows], 0)
        past = None if sums is None else np.where(same[:, None, None, None], sums[:, routing.rows], 0.0)
        return Telemetry(fresh.tick, shown, fresh.columns, shares[routing.rows], past)

    def settle(self, arm: Ints, decided_tick: Ints) -> None:
        """Book the cost of each verdict until the horizon."""
        self._engine.settle(arm, decided_tick)
