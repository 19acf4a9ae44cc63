"""The SimPy engine: every request an event. It is written to be read, as the definition of what the other engines must match.

One `simpy.Environment` a replication, on a clock of integer nanoseconds, is advanced to the edge of each tick: ticks are
half-open. Calls do not compete for servers, so the order of events at equal times has no consequence. Processes draw
nothing: they reveal the potential outcomes of `sim.world.potential`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Generator, Iterator

import numpy as np
import simpy

from sim.engine.base import Ledger
from sim.engine.columns import Column, column
from sim.policy.base import Bools, Floats, Ints, Routing, Telemetry
from sim.world.potential import Potential, Requests, nanoseconds
from sim.world.world import AGREEMENT, Truth, World

Process = Generator[simpy.Event, None, None]


def refusals(world: World) -> Iterator[str]:
    """What this engine cannot express in a world: nothing so far."""
    yield from ()


class SimpyEngine:
    """R replications, request by request. `needs` are the telemetry columns to produce."""

    ledger: Ledger
    tick: int

    def __init__(self, truth: Truth, needs: tuple[str, ...], mirrors: bool) -> None:
        self.truth = truth
        self.ledger = Ledger.open(truth)
        self.tick = 0
        columns = tuple(column(name) for name in needs)
        self._places = {name: place for place, name in enumerate(needs)}
        self._replications = [Replication(self.ledger, row, columns, mirrors) for row in range(truth.rows)]

    def step(self, routing: Routing) -> Telemetry:
        """Play one tick of the replications that are still undecided, and report what monitoring saw in it."""
        self.ledger.expose(routing.rows, routing.live)
        counts = np.zeros((*routing.live.shape, len(self._places)), np.int64)
        for place, row in enumerate(routing.rows):
            live, mirror, cohort = routing.live[place], routing.mirror[place], int(routing.cohort[place])
            counts[place] = self._replications[row].play(self.tick, live, mirror, cohort)
        telemetry = Telemetry(self.tick, counts, self._places)
        self.tick += 1
        return telemetry

    def settle(self, arm: Ints, decided_tick: Ints) -> None:
        """Calls in flight end as they would have; what arrives after a verdict is drawn in one step."""
        for replication in self._replications:
            replication.drain()
        self.ledger.settle(arm, decided_tick)


class Replication:
    """One replication: its clock, its requests, and what monitoring has seen in this tick."""

    def __init__(self, ledger: Ledger, row: int, columns: tuple[Column, ...], mirrors: bool) -> None:
        truth = ledger.truth
        arms, slo_s = len(truth.world.arms), truth.world.slo_s
        metrics = sorted({each.metric for each in columns if each.metric and each.metric != AGREEMENT})
        agreement = any(each.metric == AGREEMENT for each in columns)
        self._ledger, self._row = ledger, row
        self._potential = Potential(truth, row, metrics, mirrors, agreement)
        self._tick_ns = nanoseconds(truth.world.tick_s)
        self._slo_ns = None if slo_s is None else nanoseconds(slo_s)
        self._env = simpy.Environment()
        self._live = Lane([each for each in columns if not each.mirrored], arms)
        self._mirrored = Lane([each for each in columns if each.mirrored], arms)
        self._places = [each.mirrored for each in columns]
        self._cohort = 0

    def play(self, tick: int, live: Floats, mirror: Floats, cohort: int) -> Ints:
        """(K, C) what monitoring shows of a tick. Routing changes at the tick's first edge, before any event there."""
        self._live.shown[:] = 0
        self._mirrored.shown[:] = 0
        self._cohort = cohort
        self._env.process(self._source(self._potential.draw(tick), live, mirror))
        # SimPy stops before the events that are due exactly at the edge: they belong to the next tick.
        self._env.run(until=(tick + 1) * self._tick_ns)
        counts = np.empty((len(live), len(self._places)), np.int64)
        counts[:, np.logical_not(self._places)] = self._live.shown
        counts[:, self._places] = self._mirrored.shown
        return counts

    def drain(self) -> None:
        """Let the calls in flight end; no policy sees it."""
        self._env.run()

    def _source(self, requests: Requests, live: Floats, mirror: Floats) -> Process:
        """Requests arrive. Each is served live by one arm, and perhaps copied to others at the same moment."""
        thresholds = _thresholds(live)
        copied = _copied(requests, mirror)
        violated = requests.error if self._slo_ns is None else requests.error | (requests.service_ns > self._slo_ns)
        ends, copies_end = self._live.ends(requests), self._mirrored.ends(requests)
        service_ns = requests.service_ns.tolist()
        for i, (arrival_ns, route) in enumerate(zip(requests.arrival_ns.tolist(), requests.route.tolist(), strict=True)):
            yield self._env.timeout(arrival_ns - self._env.now)
            arm = bisect_right(thresholds, route)
            hurt = int(requests.error[i, arm]), int(violated[i, arm])
            self._env.process(self._live_call(arm, service_ns[i][arm], ends[i, arm], hurt))
            for copy in copied[i]:
                if copy != arm:
                    self._env.process(self._mirrored_call(copy, service_ns[i][copy], copies_end[i, copy]))

    def _live_call(self, arm: int, service_ns: int, end: Ints, hurt: tuple[int, int]) -> Process:
        """A user's call: the arm was chosen on arrival and stays, whatever the routing does meanwhile."""
        cohort = self._cohort
        self._ledger.served[self._row, arm] += 1
        self._live.shown[arm] += self._live.arrival
        yield self._env.timeout(service_ns)
        error, violation = hurt
        self._ledger.errors[self._row] += error
        self._ledger.slo_violations[self._row] += violation
        if cohort == self._cohort:
            self._live.shown[arm] += end

    def _mirrored_call(self, arm: int, service_ns: int, end: Ints) -> Process:
        """A copy: no user sees its answer."""
        cohort = self._cohort
        self._ledger.mirrored[self._row, arm] += 1
        self._mirrored.shown[arm] += self._mirrored.arrival
        yield self._env.timeout(service_ns)
        if cohort == self._cohort:
            self._mirrored.shown[arm] += end


class Lane:
    """What monitoring counts of live calls, or of mirrored ones. `shown` (K, C) is what it has seen in this tick."""

    def __init__(self, columns: list[Column], arms: int) -> None:
        self._columns = columns
        self.shown = np.zeros((arms, len(columns)), np.int64)
        self.arrival = np.array([each.kind == "requests" for each in columns], np.int64)
        """(C,) what the arrival of a call adds."""

    def ends(self, requests: Requests) -> Ints:
        """(n, K, C) what the end of each call would add. An errored call is a response, slow or not, without feedback."""
        added = np.zeros((*requests.error.shape, len(self._columns)), np.int64)
        for place, each in enumerate(self._columns):
            match each.kind:
                case "requests":
                    pass
                case "responses":
                    added[..., place] = 1
                case "errors":
                    added[..., place] = requests.error
                case "above":
                    added[..., place] = requests.service_ns > nanoseconds(each.limit_s)
                case "count":
                    added[..., place] = ~requests.error
                case _:
                    value = requests.agree if each.metric == AGREEMENT else requests.values[each.metric]
                    assert value is not None
                    earned = np.where(requests.error, 0, value)
                    added[..., place] = earned if each.kind == "sum" else earned * earned
        return added


def _thresholds(live: Floats) -> list[float]:
    """Cumulated weights; the last arm that has any takes what rounding leaves."""
    thresholds = np.cumsum(live)
    thresholds[np.flatnonzero(live)[-1] :] = np.inf
    return [float(threshold) for threshold in thresholds]


def _copied(requests: Requests, mirror: Floats) -> list[list[int]]:
    """For each request, the arms that would get a copy if they did not serve it."""
    chosen: Bools = np.zeros(requests.error.shape, bool) if requests.mirror is None else requests.mirror < mirror
    return [np.flatnonzero(row).tolist() if row.any() else [] for row in chosen]
