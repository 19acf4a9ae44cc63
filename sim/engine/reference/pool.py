"""The servers of a pool: first come, first served, with a limited queue, clients who give up, and scaling of replicas."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import simpy

from sim.engine.calls import ERROR, FINISH, NEVER, REJECTION, TIMEOUT
from sim.engine.reference.clock import Clock, Due
from sim.engine.scaling import wanted_replicas
from sim.world.capacity import Pool
from sim.world.potential import Requests

# Ticks since the last scaling of a pool that has never scaled.
_LONG_AGO = 2**40


class Call:
    """One attempt of a request at one arm. The event `ended` occurs when the client sees the end; its value is the outcome.

    The potential outcomes of the call are at `place` in `requests`; `cohort` is the cohort at its arrival.
    """

    __slots__ = (
        "arm", "arrive_ns", "attempt", "cohort", "copy", "ended", "fails", "lost", "place", "request", "requests", "service_ns",
        "start_ns",
    )  # fmt: skip

    def __init__(
        self, requests: Requests, place: int, copy: int, attempt: int, arm: int, arrive_ns: int, service_ns: int, fails: bool,
        lost: bool, cohort: int,
    ) -> None:  # fmt: skip
        self.requests = requests
        self.place = place
        self.request = requests.first + place
        self.copy = copy
        self.attempt = attempt
        self.arm = arm
        self.arrive_ns = arrive_ns
        self.start_ns = NEVER
        self.service_ns = service_ns
        self.fails = fails
        self.lost = lost
        self.cohort = cohort
        self.ended: simpy.Event

    def serve(self, clock: Clock) -> simpy.Event:
        """Start service of the call. Returns the event of its completion, whose value is the outcome."""
        self.start_ns = clock.now
        outcome = ERROR if self.fails else FINISH
        return clock.at(clock.now + self.service_ns, Due.COMPLETION, self.request, self.copy, self.attempt, outcome)


@dataclass
class Coming:
    """Replicas that are ordered but not ready yet."""

    replicas: int


class Servers:
    """The servers and the queue of a pool, with a capacity that can change, which `simpy.Resource` does not support.

    The owner calls `turn` at the edge of each tick, before any event at that time.
    """

    def __init__(self, clock: Clock, pool: Pool, number: int) -> None:
        self._clock, self._pool, self._number = clock, pool, number
        self._ready = self._wanted = pool.replicas
        self._out = 0
        self._coming: list[Coming] = []
        self._changed = -_LONG_AGO
        self._servers = pool.servers
        self._busy = 0
        self._waiting: OrderedDict[Call, None] = OrderedDict()
        # Server time used and offered since the last edge, up to `_seen_ns`.
        self._busy_ns = self._servers_ns = self._seen_ns = 0

    @property
    def waiting(self) -> list[Call]:
        """Calls in the queue, in order."""
        return list(self._waiting)

    def turn(self, tick: int, out: int) -> None:
        """Start a tick in which `out` replicas are down: scale the pool and set its servers."""
        if tick and self._pool.scaling:
            self._scale(tick)
        self._out = out
        self._resize()

    def arrive(self, call: Call) -> None:
        """Give an arriving call to a server, or put it in the queue, or reject it."""
        call.ended = self._clock.event()
        if self._busy < self._servers:
            self._start(call)
            if self._pool.timeout_ns is not None and call.service_ns > self._pool.timeout_ns:
                self._limit(call, self._pool.timeout_ns)
        elif self._pool.queue is None or len(self._waiting) < self._pool.queue:
            self._waiting[call] = None
            if self._pool.waits_ns is not None and self._pool.waits_ns != self._pool.timeout_ns:
                self._limit(call, self._pool.waits_ns, served=False)
            if self._pool.timeout_ns is not None:
                self._limit(call, self._pool.timeout_ns)
        else:
            call.ended.succeed(REJECTION)

    def _limit(self, call: Call, limit_ns: int, *, served: bool = True) -> None:
        """Let the client give up at the limit, where it is `served` too or only where it still waits.

        A completion or a start exactly at the limit is in time, as completions come first.
        """

        def give_up(_: simpy.Event) -> None:
            if not call.ended.triggered and (served or call in self._waiting):
                # If the call is in service, the client leaves and the server continues.
                self._waiting.pop(call, None)
                call.ended.succeed(TIMEOUT)

        deadline = self._clock.at(call.arrive_ns + limit_ns, Due.GIVE_UP, call.request, call.copy, call.attempt)
        deadline.callbacks.append(give_up)

    def _start(self, call: Call) -> None:
        self._account()
        self._busy += 1

        def complete(completion: simpy.Event) -> None:
            self._account()
            self._busy -= 1
            if not call.ended.triggered:
                call.ended.succeed(completion.value)
            self._admit()

        call.serve(self._clock).callbacks.append(complete)

    def _admit(self) -> None:
        while self._waiting and self._busy < self._servers:
            self._start(self._waiting.popitem(last=False)[0])

    def _resize(self) -> None:
        """Set the number of servers. Busy servers above it finish their call; idle servers take waiting calls."""
        self._account()
        self._servers = self._pool.concurrency * max(self._ready - self._out, 0)
        self._admit()

    def _account(self) -> None:
        elapsed = self._clock.now - self._seen_ns
        self._busy_ns += self._busy * elapsed
        self._servers_ns += self._servers * elapsed
        self._seen_ns = self._clock.now

    def _scale(self, tick: int) -> None:
        """Scale the pool by the load of the tick that ended."""
        scaling = self._pool.scaling
        assert scaling is not None
        self._account()
        wanted = wanted_replicas(
            self._wanted, self._busy_ns, self._servers_ns, scaling.target, scaling.least, scaling.most, tick - self._changed,
            scaling.cool_down,
        )  # fmt: skip
        self._busy_ns = self._servers_ns = 0
        more = int(wanted) - self._wanted
        if more == 0:
            return
        self._wanted, self._changed = int(wanted), tick
        if more > 0:
            self._order(Coming(more), scaling.cold_start_ns)
        else:
            self._dismiss(-more)

    def _order(self, coming: Coming, cold_start_ns: int) -> None:
        def ready(_: simpy.Event) -> None:
            self._coming.remove(coming)
            self._ready += coming.replicas
            self._resize()

        self._coming.append(coming)
        self._clock.at(self._clock.now + cold_start_ns, Due.CAPACITY, self._number).callbacks.append(ready)

    def _dismiss(self, fewer: int) -> None:
        """Remove replicas: first those that are not ready yet, the latest order first, then ready ones."""
        for coming in reversed(self._coming):
            cancelled = min(fewer, coming.replicas)
            coming.replicas -= cancelled
            fewer -= cancelled
        self._ready -= fewer
