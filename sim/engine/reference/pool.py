"""The servers of a pool: first come, first served, with a limited queue, clients who give up, and replicas that come and go."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import simpy

from sim.engine.calls import ERROR, FINISH, NEVER, REJECTION, TIMEOUT
from sim.engine.reference.clock import Clock, Due
from sim.engine.scaling import wanted_replicas
from sim.world.capacity import Pool
from sim.world.potential import Requests

# Ticks since a pool last changed what it wants, where it never has.
_LONG_AGO = 2**40


class Call:
    """One attempt of a request at one arm. `ended` happens when the client sees its end; its value is the outcome.

    `requests` and `place` say where its potential outcomes stand; `cohort` is the one in force when it arrived.
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
        """A server takes the call; the event is its completion, whose value is the outcome."""
        self.start_ns = clock.now
        outcome = ERROR if self.fails else FINISH
        return clock.at(clock.now + self.service_ns, Due.COMPLETION, self.request, self.copy, self.attempt, outcome)


@dataclass
class Coming:
    """Replicas on their way."""

    replicas: int


class Servers:
    """A pool at work. `simpy.Resource` admits one waiter at a time and knows no capacity that changes; this does.

    At the edge of a tick the owner calls `turn`, before any event there.
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
        # Time used and offered since the last edge, up to `_seen_ns`.
        self._busy_ns = self._servers_ns = self._seen_ns = 0

    @property
    def waiting(self) -> list[Call]:
        """Calls in the queue, in order."""
        return list(self._waiting)

    def turn(self, tick: int, out: int) -> None:
        """The edge of a tick in which `out` replicas are down."""
        if tick and self._pool.scaling:
            self._scale(tick)
        self._out = out
        self._resize()

    def arrive(self, call: Call) -> None:
        """A call comes: to a server, to the queue, or to be rejected."""
        call.ended = self._clock.event()
        if self._busy < self._servers:
            self._start(call)
            if self._pool.timeout_ns is not None and call.service_ns > self._pool.timeout_ns:
                self._limit(call, self._pool.timeout_ns)
        elif self._pool.queue is None or len(self._waiting) < self._pool.queue:
            self._waiting[call] = None
            if self._pool.timeout_ns is not None:
                self._limit(call, self._pool.timeout_ns)
        else:
            call.ended.succeed(REJECTION)

    def _limit(self, call: Call, timeout_ns: int) -> None:
        """The client will not wait longer than this. Finishing exactly then is in time, as completions come first."""

        def give_up(_: simpy.Event) -> None:
            if not call.ended.triggered:
                # In service, the client leaves and the server works on.
                self._waiting.pop(call, None)
                call.ended.succeed(TIMEOUT)

        deadline = self._clock.at(call.arrive_ns + timeout_ns, Due.GIVE_UP, call.request, call.copy, call.attempt)
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
        """Busy servers above the number drain; idle ones take who waits."""
        self._account()
        self._servers = self._pool.concurrency * max(self._ready - self._out, 0)
        self._admit()

    def _account(self) -> None:
        elapsed = self._clock.now - self._seen_ns
        self._busy_ns += self._busy * elapsed
        self._servers_ns += self._servers * elapsed
        self._seen_ns = self._clock.now

    def _scale(self, tick: int) -> None:
        """Decide from the tick that ended."""
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
        """Those that are not ready yet go first, the latest of them before all."""
        for coming in reversed(self._coming):
            cancelled = min(fewer, coming.replicas)
            coming.replicas -= cancelled
            fewer -= cancelled
        self._ready -= fewer
