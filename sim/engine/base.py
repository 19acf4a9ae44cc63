"""What every engine is: telemetry for a routing, and a ledger that no policy sees."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sim.policy.base import Ints, Routing, Telemetry
from sim.world.draws import binomial
from sim.world.streams import at, keys
from sim.world.world import Truth

Floats = NDArray[np.float64]


class Engine(Protocol):
    """R replications of one scenario, advanced together, one tick at a time."""

    ledger: Ledger
    tick: int
    """Ticks played."""

    def step(self, routing: Routing) -> Telemetry:
        """Play one tick under a routing, and report what monitoring saw in it."""

    def settle(self, arm: Ints, decided_tick: Ints) -> None:
        """What each verdict costs until the horizon. arm, decided_tick (R,); -1 where nothing was decided."""


@dataclass
class Ledger:
    """The true account of every trial of a block. No policy ever sees it.

    served, mirrored (R, K) calls by arm; errors, slo_violations (R,) among live calls that arrived by the horizon, complete
    once the engine has settled; peak_exposure (R,) the largest share of live traffic that challengers had in a tick before the
    verdict; 1 where one was shipped without a tick.
    """

    truth: Truth
    served: Ints
    mirrored: Ints
    errors: Ints
    slo_violations: Ints
    peak_exposure: Floats

    @classmethod
    def open(cls, truth: Truth) -> Ledger:
        """An account with nothing on it."""
        rows, arms = truth.rows, len(truth.world.arms)
        return cls(
            truth, np.zeros((rows, arms), np.int64), np.zeros((rows, arms), np.int64), np.zeros(rows, np.int64),
            np.zeros(rows, np.int64), np.zeros(rows),
        )  # fmt: skip

    @cached_property
    def gap(self) -> Floats:
        """(R, K) what a request to an arm forgoes of the primary metric: the best acceptable arm's mean less its own, or 0."""
        best = np.take_along_axis(self.truth.value, self.truth.best[:, None], axis=1)
        return np.maximum(best - self.truth.value, 0.0)

    @property
    def regret(self) -> Floats:
        """(R,) the gap, summed over live requests."""
        total: Floats = (self.served * self.gap).sum(axis=1)
        return total

    @property
    def harmed(self) -> Ints:
        """(R,) live requests served by an arm that is truly worse than the champion."""
        total: Ints = (self.served * self.truth.worse()).sum(axis=1)
        return total

    @property
    def cost_s(self) -> Floats:
        """(R,) expected service seconds of all calls, live and mirrored."""
        total: Floats = ((self.served + self.mirrored) * self.truth.mean_latency_s()).sum(axis=1)
        return total

    def expose(self, rows: Ints, live: Floats) -> None:
        """Note the shares (r, K) of a tick."""
        self.peak_exposure[rows] = np.maximum(self.peak_exposure[rows], 1 - live[:, 0])

    def settle(self, arm: Ints, decided_tick: Ints) -> None:
        """From a verdict to the horizon all traffic goes to one arm. arm, decided_tick (R,); -1 where nothing was decided."""
        rows = np.flatnonzero(decided_tick >= 0)
        to = arm[rows]
        before = np.where(decided_tick[rows] > 0, self.arrived[rows, np.maximum(decided_tick[rows] - 1, 0)], 0)
        rest = self.arrived[rows, -1] - before
        self.served[rows, to] += rest
        self.peak_exposure[rows] = np.maximum(self.peak_exposure[rows], (to > 0) & (decided_tick[rows] == 0))
        key = at(keys(self.truth.world.seed, self.truth.replications[rows], "tail"), to.astype(np.uint64))
        errors = binomial(rest, self.truth.error_rate[rows, to], at(key, 1))
        self.book(rows, errors, binomial(rest - errors, self.slow_share[rows, to], at(key, 2)))

    def book(self, rows: Ints, errors: Ints, slow: Ints) -> None:
        """Note live calls (r,) that failed, and those that succeeded above the objective's latency."""
        self.errors[rows] += errors
        self.slo_violations[rows] += errors + slow

    @cached_property
    def slow_share(self) -> Floats:
        """(R, K) share of calls above the objective's latency; 0 without one."""
        slo_s = self.truth.world.slo_s
        return np.zeros(self.served.shape) if slo_s is None else self.truth.latency_above(slo_s)

    @cached_property
    def arrived(self) -> Ints:
        """(R, T) requests up to the end of each tick."""
        return np.cumsum(self.truth.arrivals, axis=1)
