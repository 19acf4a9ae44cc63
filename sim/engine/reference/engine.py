"""The SimPy engine: every request is a process. It is written to be read, and defines what the other engines must match.

Each replication has one `simpy.Environment` on a clock of integer nanoseconds, which is advanced to the edge of each tick.
Ticks are half-open: routing, conditions and capacity change at an edge before any event at that time. Processes draw no random
numbers: they reveal the potential outcomes of `sim.world.potential`.
"""

from __future__ import annotations

import gc
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import simpy
from numpy.typing import NDArray

from sim.arrays import Bools, Floats, Ints
from sim.engine.calls import CALL, ERROR, FINISH, NEVER, REJECTION, TIMEOUT, ordered
from sim.engine.feedback import FeedbackLog, metrics_of
from sim.engine.ledger import Ledger
from sim.engine.needs import FILLED_BY_CALLS, of_class, refuse_unfilled
from sim.engine.reference.clock import Clock, Due
from sim.engine.reference.monitor import Monitor
from sim.engine.reference.pool import Call, Servers
from sim.engine.routes import ByWeight, Cookies, Router, routers
from sim.policy.base import Routing, Telemetry
from sim.policy.columns import Agreement, Column
from sim.world.clock import to_ns
from sim.world.potential import Potential, Requests
from sim.world.sampling import nanoseconds
from sim.world.warm_up import Coldness
from sim.world.world import Truth, World

Process = Generator[simpy.Event, Any, None]


class SimpyEngine:
    """R replications, request by request. `needs` are the telemetry columns to produce; `record` keeps every call."""

    ledger: Ledger
    tick: int

    def __init__(self, truth: Truth, needs: tuple[Column, ...], mirrors: bool, record: bool = False) -> None:
        self.truth = truth
        self.ledger = Ledger.open(truth)
        self.tick = 0
        refuse_unfilled("simpy", FILLED_BY_CALLS, truth.world, needs)
        self._places = {column: place for place, column in enumerate(needs)}
        self._potential = Potential(truth, metrics_of(needs)[0], mirrors, bool(of_class(needs, Agreement)))
        self._feedback = FeedbackLog(truth, self._potential, needs)
        self._cohort = np.zeros(truth.rows, np.int64)
        self._cookies = Cookies.of(truth.world.population, truth.rows, len(truth.world.arms))
        self._replications = [Replication(truth.world, needs, record, kept) for kept in self._cookies.kept]
        ups = truth.world.warm_ups
        self._coldness = None if ups is None else Coldness.warm(ups, truth.rows, len(truth.world.arms))

    def step(self, routing: Routing) -> Telemetry:
        """Play one tick of the replications that are still undecided. Returns the telemetry of that tick."""
        rows = routing.rows
        self.ledger.expose(rows, routing.live)
        self._feedback.enter(rows[routing.cohort != self._cohort[rows]])
        self._cohort[rows] = routing.cohort
        self._feedback.weigh(rows, self.tick, routing.live)
        self._play(rows, routing.live, (routing.mirror, routing.mirror_writes), self.tick, routing.cohort)
        counts = np.zeros((*routing.live.shape, len(self._places)), np.int64)
        for place, row in enumerate(rows):
            monitor = self._replications[row].monitor
            counts[place] = monitor.shown(self.tick, int(routing.cohort[place]))
            self._feedback.book(monitor.logged(int(row)), self.tick)
        weighed = self._feedback.report(rows, self.tick, counts)
        telemetry = Telemetry(self.tick, counts, self._places, routing.live, weighed)
        self.tick += 1
        return telemetry

    def settle(self, arm: Ints, decided_tick: Ints) -> None:
        """Play on to the horizon after a verdict if requests compete, else draw the rest in one step. Calls in flight end."""
        world, everyone = self.truth.world, np.arange(self.truth.rows)
        if world.competing:
            self.ledger.expose_verdicts(arm, decided_tick)
            for tick in range(world.ticks):
                rows = np.flatnonzero((decided_tick >= 0) & (decided_tick <= tick))
                live = np.eye(len(world.arms))[arm[rows]]
                self._play(rows, live, (np.zeros_like(live), None), tick)
        with _no_collection():
            for replication in self._replications:
                replication.drain()
        self._book(everyone, max((world.ticks if world.competing else self.tick) - 1, 0))
        if not world.competing:
            self.ledger.settle(arm, decided_tick)

    @property
    def calls(self) -> NDArray[np.void]:
        """Every call whose end is known so far, in the order of events; empty without `record`."""
        calls = [call for replication in self._replications for call in replication.calls or ()]
        return ordered(np.array(calls, CALL))

    def _play(
        self, rows: Ints, live: Floats, mirrors: tuple[Floats, Floats | None], tick: int, cohort: Ints | None = None
    ) -> None:
        """Play a tick of some replications; `mirrors` as in a routing. Monitoring counts nothing if `cohort` is None."""
        mirror, writes = mirrors[0], mirrors[0] if mirrors[1] is None else mirrors[1]
        conditions, population = self.truth.conditions(tick), self.truth.world.population
        if self._coldness is not None:
            conditions = self._coldness.begin(rows, live, mirror, conditions)
        sent = routers(live, sticky=population is not None and population.sticky)
        self._cookies.begin(rows, live)
        with _no_collection():
            for place, row in enumerate(rows):
                requests = self._potential.draw(int(row), tick)
                copied = _copied(requests, mirror[place], writes[place])
                rules = Rules(
                    sent[place], conditions.error_rate[row].tolist(), conditions.latency_scale[row].tolist(),
                    cohort is not None, 0 if cohort is None else int(cohort[place]),
                )  # fmt: skip
                self._replications[row].play(tick, rules, requests, copied)
        self._book(rows, tick)

    def _book(self, rows: Ints, tick: int) -> None:
        if not rows.size:
            return
        accounts = [self._replications[row].account for row in rows]
        served, calls, mirrored = (np.array([getattr(account, name) for account in accounts]) for name in _SERVED)
        self.ledger.serve(rows, tick, served, calls, mirrored, None if self._coldness is None else self._coldness.now)
        if self._coldness is not None:
            self._coldness.heal(rows, calls + mirrored)
        self.ledger.duplicate(rows, np.array([account.duplicated for account in accounts]))
        self.ledger.book(rows, *(np.array([getattr(account, name) for account in accounts]) for name in ("failed", "slow")))
        self.ledger.lose(rows, tick, np.array([account.lost for account in accounts]))
        self.ledger.retries[rows] += [account.retries for account in accounts]
        for row in rows:
            self._replications[row].account = Account.open(len(self.truth.world.arms))


_SERVED = ("requests", "calls", "mirrored")


@dataclass
class Account:
    """The counts of a tick for the ledger.

    By arm (K): requests by the arm of their first attempt; live calls; mirrored calls; those of them that write; requests lost
    to a timeout or a rejection, by the arm of their last attempt. In total: failed requests; good answers slower than the
    objective; retries.
    """

    requests: list[int]
    calls: list[int]
    mirrored: list[int]
    duplicated: list[int]
    lost: list[int]
    failed: int = 0
    slow: int = 0
    retries: int = 0

    @classmethod
    def open(cls, arms: int) -> Account:
        """An empty account."""
        return cls([0] * arms, [0] * arms, [0] * arms, [0] * arms, [0] * arms)


@dataclass(frozen=True)
class Rules:
    """The rules of a tick: the router; error rates and latency factors by arm; whether monitoring looks; the cohort."""

    router: Router
    error_rate: list[float]
    scale: list[float]
    seen: bool
    cohort: int


class Replication:
    """One replication: its clock, its pools and its requests. `kept` (U,) says which users stay with which challenger."""

    def __init__(self, world: World, columns: tuple[Column, ...], record: bool, kept: NDArray[np.int8]) -> None:
        arms, slo_s = len(world.arms), world.slo_s
        self._kept, self._keepers = kept, world.challengers.stop - 1 if kept.size else 0
        self._tick_ns = to_ns(world.tick_s)
        self._slo_ns = None if slo_s is None else to_ns(slo_s)
        self._attempts = world.retry.attempts if world.retry else 1
        self._retried = _retried(world)
        self._misrouted = [0.0] * arms if world.misrouted is None else world.misrouted.tolist()
        self._out = None if world.change is None else world.change.out
        self._clock = Clock()
        self._pools = [Servers(self._clock, pool, number) for number, pool in enumerate(world.pools)]
        self._pool_of: list[Servers | None] = [None] * arms
        for pool, servers in zip(world.pools, self._pools, strict=True):
            for arm in pool.arms:
                self._pool_of[arm] = servers
        failed = {outcome.spec.name: outcome.failed_value for outcome in world.outcomes} if world.counts_failures else None
        self.monitor = Monitor(columns, arms, self._tick_ns, world.feedback, failed)
        self.account = Account.open(arms)
        self.calls: list[tuple[int, ...]] | None = [] if record else None
        self._rules = Rules(ByWeight([]), [], [], False, 0)

    def play(self, tick: int, rules: Rules, requests: Requests, copied: list[list[int]]) -> None:
        """Play a tick, from its edge up to the next edge. `copied` are the arms that would get a copy of each request."""
        self._rules = rules
        for number, pool in enumerate(self._pools):
            pool.turn(tick, 0 if self._out is None else int(self._out[tick, number]))
        self._clock.process(self._source(requests, copied))
        # SimPy stops before the events that are due exactly at the edge: they belong to the next tick.
        self._clock.run(until=(tick + 1) * self._tick_ns)

    def drain(self) -> None:
        """Let all calls in flight end, without monitoring. Calls that still wait when no event is left are lost."""
        self._rules = replace(self._rules, seen=False)
        self._clock.run()
        for pool in self._pools:
            for call in pool.waiting:
                self._record(call, NEVER, NEVER, NEVER)
                if call.copy == 0:
                    self._failed(call, TIMEOUT)

    def _source(self, requests: Requests, copied: list[list[int]]) -> Process:
        """The process of arrivals. One arm serves each request live; others may get a copy at the same time."""
        clock, first = self._clock, requests.first
        for place, arrival_ns in enumerate(requests.arrival_ns.tolist()):
            yield clock.at(arrival_ns, Due.ARRIVAL, first + place)
            arm = self._routed(requests, place)
            self.account.requests[arm] += 1
            clock.process(self._live(requests, place, arm))
            for copy in copied[place]:
                if copy != arm:
                    clock.process(self._mirrored(requests, place, copy))

    def _live(self, requests: Requests, place: int, arm: int) -> Process:
        """The process of a live request: attempt after attempt, each to the arm by the weights at its arrival."""
        clock, first_ns, attempt = self._clock, self._clock.now, 0
        while True:
            self.account.calls[arm] += 1
            call = self._arrive(requests, place, 0, attempt, arm)
            outcome = yield call.ended
            if not self._retried[outcome] or attempt + 1 == self._attempts:
                break
            retry_ns = clock.now + int(requests.backoff_ns[place, attempt])
            self._ended(call, outcome, retry_ns)
            attempt += 1
            yield clock.at(retry_ns, Due.ARRIVAL, call.request, 0, attempt)
            self.account.retries += 1
            arm = self._routed(requests, place)
        self._ended(call, outcome, NEVER)
        if outcome != FINISH:
            self._failed(call, outcome)
        elif self._slo_ns is not None and clock.now - first_ns > self._slo_ns:
            self.account.slow += 1

    def _mirrored(self, requests: Requests, place: int, arm: int) -> Process:
        """The process of a mirrored copy: no user sees its answer, and it is not tried again."""
        self.account.mirrored[arm] += 1
        self.account.duplicated[arm] += int(requests.writes[place])
        call = self._arrive(requests, place, 1 + arm, 0, arm)
        outcome = yield call.ended
        self._ended(call, outcome, NEVER)

    def _routed(self, requests: Requests, place: int) -> int:
        """The arm by the uniform numbers of the request or its user, or the champion if the router makes a mistake."""
        user = int(requests.user[place])
        arm = int(self._kept[user]) if self._keepers else 0
        if arm == 0:
            arm = self._rules.router.arm(float(requests.route[place]), float(requests.guest[place]))
            if 0 < arm <= self._keepers:
                self._kept[user] = arm
        return 0 if requests.misroute[place] < self._misrouted[arm] else arm

    def _arrive(self, requests: Requests, place: int, copy: int, attempt: int, arm: int) -> Call:
        """Start a call at its arm, under the current conditions."""
        rules, at = self._rules, (place, arm, attempt)
        service_ns = int(nanoseconds(requests.service_s[at] * rules.scale[arm], 1))
        fails = bool(requests.error[at] < rules.error_rate[arm])
        call = Call(
            requests, place, copy, attempt, arm, self._clock.now, service_ns, fails, bool(requests.lost[at]), rules.cohort
        )
        if rules.seen:
            self.monitor.arrived(call)
        pool = self._pool_of[arm]
        if pool is None:
            call.ended = call.serve(self._clock)
        else:
            pool.arrive(call)
        return call

    def _ended(self, call: Call, outcome: int, retry_ns: int) -> None:
        if self._rules.seen:
            current, again = call.cohort == self._rules.cohort, retry_ns != NEVER
            self.monitor.ended(call, outcome, self._clock.now, current, again)
        self._record(call, self._clock.now, outcome, retry_ns)

    def _failed(self, call: Call, outcome: int) -> None:
        self.account.failed += 1
        if outcome in (TIMEOUT, REJECTION):
            self.account.lost[call.arm] += 1

    def _record(self, call: Call, end_ns: int, outcome: int, retry_ns: int) -> None:
        if self.calls is not None:
            self.calls.append((
                call.request, int(call.requests.user[call.place]), call.copy, call.attempt, call.arm, call.arrive_ns,
                call.start_ns, end_ns, outcome, retry_ns,
            ))  # fmt: skip


def _retried(world: World) -> dict[int, bool]:
    """{outcome: whether clients try again after it}."""
    retry = world.retry
    on = (False, retry.on_error, retry.on_timeout, retry.on_rejection) if retry else (False,) * 4
    return dict(zip((FINISH, ERROR, TIMEOUT, REJECTION), on, strict=True))


def _copied(requests: Requests, mirror: Floats, writes: Floats) -> list[list[int]]:
    """For each request, the arms that would get a copy if they did not serve it; if it writes by `writes` (K,)."""
    if requests.mirror is None or not mirror.any():
        return [[]] * requests.arrival_ns.size
    chosen: Bools = requests.mirror < np.where(requests.writes[:, None], writes, mirror)
    return [np.flatnonzero(row).tolist() for row in chosen]


@contextmanager
def _no_collection() -> Iterator[None]:
    """Switch off the garbage collector. Events are freed as they happen; a search for cycles takes a third of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
