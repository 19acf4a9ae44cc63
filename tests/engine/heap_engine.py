"""A second opinion: one heap of timed events, in plain Python, written from the rules and not from the engines.

It shares with them what they are given (requests, the rule for scaling, the ledger), and nothing of how they play.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.arrays import Ints
from sim.engine.calls import CALL, ERROR, FINISH, NEVER, REJECTION, TIMEOUT, ordered
from sim.engine.ledger import Ledger
from sim.engine.scaling import wanted_replicas
from sim.policy.base import Routing, Telemetry
from sim.policy.columns import Above, Agreement, Column, Count, LatencySum, Moment
from sim.world.capacity import Pool
from sim.world.potential import Potential, Requests
from sim.world.world import Truth

READY, COMPLETION, GIVE_UP, ARRIVAL = range(4)
UNANSWERED = {TIMEOUT: Count("timeouts"), REJECTION: Count("rejections")}


@dataclass(eq=False)
class Call:
    """One attempt."""

    requests: Requests
    place: int
    copy: int
    attempt: int
    arm: int
    arrive: int
    first: int
    cohort: int
    start: int = NEVER
    over: bool = False

    @property
    def key(self) -> tuple[int, int, int]:
        return self.requests.first + self.place, self.copy, self.attempt

    @property
    def at(self) -> tuple[int, int, int]:
        return self.place, self.arm, self.attempt


def kept_arm(weights: list[float], u: float, v: float) -> int:
    """The arm of a user who keeps it: of their home, the champion, or the arm that has too many for its own home."""
    count = len(weights) - 1
    home = int(u * count)
    place = u * count - home
    room = [1 - min(weight * count, 1) for weight in weights[1:]]
    guests = [max(weight * count - 1, 0) for weight in weights[1:]]
    if place >= room[home]:
        return 1 + home
    # Guests are poured into all homes at once: the smallest rooms are full first.
    rest, level = sum(guests), 0.0
    for n, top in enumerate(sorted(room)):
        poured = min((top - level) * (count - n), rest)
        level += poured / (count - n)
        rest -= poured
    if weights[0] > 0 and place >= level:
        return 0
    shares = guests if any(guests) else weights[1:]
    up_to = 0.0
    for arm, share in enumerate(shares, start=1):
        up_to += share / sum(shares)
        if share > 0 and (v < up_to or not any(shares[arm:])):
            return arm
    raise AssertionError(weights)


@dataclass
class Station:
    """A pool as it is now. `coming` are [replicas] on their way; used and offered are integrals over a tick, up to `since`."""

    pool: Pool
    ready: int
    wanted: int
    coming: list[list[int]]
    queue: list[Call]
    servers: int
    busy: int = 0
    out: int = 0
    changed: int = -(10**9)
    used: int = 0
    offered: int = 0
    since: int = 0


class Row:
    """One replication."""

    def __init__(self, engine: HeapEngine, row: int) -> None:
        world = engine.truth.world
        self.engine, self.world, self.row = engine, world, row
        self.heap: list[tuple[tuple[int, ...], int, Callable[[], None]]] = []
        self.stations = [Station(pool, pool.replicas, pool.replicas, [], [], pool.servers) for pool in world.pools]
        self.station_of = {arm: station for station in self.stations for arm in station.pool.arms}
        self.now = self.cohort = self.pushed = 0
        self.seen: dict[int, list[tuple[int, int, int, Column, int]]] = defaultdict(list)
        """{tick: (cohort, lane, arm, column, how many)}."""
        self.tally: dict[str, Any] = {}
        self.clear()

    def clear(self) -> None:
        self.tally = {name: [0] * len(self.world.arms) for name in ("requests", "calls", "mirrored", "duplicated", "lost")}
        self.tally |= {"failed": 0, "slow": 0, "retries": 0}

    def push(self, time: int, kind: int, key: tuple[int, ...], action: Callable[[], None]) -> None:
        self.pushed += 1
        heapq.heappush(self.heap, ((time, kind, *key), self.pushed, action))

    def run(self, until: float) -> None:
        """Every event before a time."""
        while self.heap and self.heap[0][0][0] < until:
            (time, *_), _, action = heapq.heappop(self.heap)
            self.now = time
            action()

    def edge(self, tick: int) -> None:
        """What changes before any event of a tick."""
        self.now = tick * self.engine.tick_ns
        for number, station in enumerate(self.stations):
            self.integrate(station)
            if tick > 0 and station.pool.scaling:
                self.scale(station, number, tick)
            station.used = station.offered = 0
            station.out = 0 if self.world.change is None else int(self.world.change.out[tick, number])
            self.resize(station)

    def scale(self, station: Station, number: int, tick: int) -> None:
        rule = station.pool.scaling
        assert rule is not None
        wanted = int(
            wanted_replicas(
                station.wanted, station.used, station.offered, rule.target, rule.least, rule.most, tick - station.changed,
                rule.cool_down,
            )
        )  # fmt: skip
        difference = wanted - station.wanted
        if difference:
            station.wanted, station.changed = wanted, tick
        if difference > 0:
            order = [difference]
            station.coming.append(order)

            def ready() -> None:
                station.coming = [other for other in station.coming if other is not order]
                station.ready += order[0]
                self.resize(station)

            self.push(self.now + rule.cold_start_ns, READY, (number, 0, 0), ready)
        for order in station.coming[::-1] if difference < 0 else ():
            cancelled = min(order[0], -difference)
            order[0] -= cancelled
            difference += cancelled
        station.ready += min(difference, 0)

    def resize(self, station: Station) -> None:
        self.integrate(station)
        station.servers = max(station.ready - station.out, 0) * station.pool.concurrency
        self.admit(station)

    def integrate(self, station: Station) -> None:
        station.used += station.busy * (self.now - station.since)
        station.offered += station.servers * (self.now - station.since)
        station.since = self.now

    def admit(self, station: Station) -> None:
        while station.queue and station.busy < station.servers:
            self.start(station.queue.pop(0), station)

    def start(self, call: Call, station: Station | None) -> None:
        if station is not None:
            self.integrate(station)
            station.busy += 1
        call.start = self.now
        fails = call.requests.error[call.at] < self.engine.rate(call, self.row)

        def complete() -> None:
            if station is not None:
                self.integrate(station)
                station.busy -= 1
            if not call.over:
                self.end(call, ERROR if fails else FINISH)
            if station is not None:
                self.admit(station)

        self.push(self.now + self.engine.service(call, self.row), COMPLETION, call.key, complete)

    def come(self, requests: Requests, place: int, attempt: int, first: int | None) -> None:
        """A live attempt arrives, and with a first one its copies."""
        population, uniforms = self.world.population, (float(requests.route[place]), float(requests.guest[place]))
        if population is not None and population.sticky:
            arm = kept_arm(self.live, *uniforms)
        else:
            arm = int(np.argmax(uniforms[0] < self.thresholds))
        misrouted = self.world.misrouted
        if misrouted is not None and requests.misroute[place] < misrouted[arm]:
            arm = 0
        self.tally["calls"][arm] += 1
        if attempt == 0:
            self.tally["requests"][arm] += 1
        else:
            self.tally["retries"] += 1
        self.arrive(Call(requests, place, 0, attempt, arm, self.now, self.now if first is None else first, self.cohort))
        if attempt == 0 and requests.mirror is not None:
            for other in range(len(self.world.arms)):
                share = self.mirror[int(requests.writes[place])][other]
                if other != arm and requests.mirror[place, other] < share:
                    self.tally["mirrored"][other] += 1
                    self.tally["duplicated"][other] += bool(requests.writes[place])
                    self.arrive(Call(requests, place, 1 + other, 0, other, self.now, self.now, self.cohort))

    def arrive(self, call: Call) -> None:
        self.count(call, self.now, Count("requests"), 1)
        if call.attempt:
            self.count(call, self.now, Count("retries"), 1)
        station = self.station_of.get(call.arm)
        if station is None:
            self.start(call, None)
        elif station.busy >= station.servers and len(station.queue) == station.pool.queue:
            self.end(call, REJECTION)
        else:
            if station.pool.timeout_ns is not None:
                self.push(self.now + station.pool.timeout_ns, GIVE_UP, call.key, lambda: self.give_up(call, station))
            if station.busy < station.servers:
                self.start(call, station)
            else:
                station.queue.append(call)
                if station.pool.patience_ns is not None:
                    self.push(self.now + station.pool.patience_ns, GIVE_UP, call.key, lambda: self.leave(call, station))

    def leave(self, call: Call, station: Station) -> None:
        if not call.over and call in station.queue:
            station.queue.remove(call)
            self.end(call, TIMEOUT)

    def give_up(self, call: Call, station: Station) -> None:
        if not call.over:
            if call in station.queue:
                station.queue.remove(call)
            self.end(call, TIMEOUT)

    def end(self, call: Call, outcome: int) -> None:
        """The client sees the end of a call, and perhaps tries again."""
        call.over = True
        self.count(call, self.now, Count("responses"), 1)
        self.count(call, self.now, LatencySum(), int(self.now - call.arrive))
        for above in self.engine.above:
            self.count(call, self.now, above, int(self.now - call.arrive > round(above.limit_s * 1e9)))
        if outcome != FINISH:
            self.count(call, self.now, Count("errors"), 1)
            if outcome in UNANSWERED:
                self.count(call, self.now, UNANSWERED[outcome], 1)
        else:
            for metric, values in call.requests.values.items():
                delay = int(call.requests.delay_ns[metric][call.place, call.arm])
                value = int(values[call.place, call.arm])
                late = self.world.feedback.get(metric)
                if late is not None and late.window_s is not None and delay > round(late.window_s * 1e9):
                    delay, value = round(late.window_s * 1e9), 0
                counted = self.now if late is not None and late.provisional else self.now + delay
                self.count(call, counted, Moment(metric, "count"), 1)
                self.count(call, self.now + delay, Moment(metric, "sum"), value)
                self.count(call, self.now + delay, Moment(metric, "square"), value * value)
            if call.requests.agree is not None:
                agrees = int(call.requests.agree[call.place, call.arm])
                for column, amount in ((Agreement("count"), 1), (Agreement("sum"), agrees), (Agreement("square"), agrees)):
                    self.count(call, self.now, column, amount)
        retry_ns = NEVER
        if call.copy == 0:
            retry_ns = self.again(call, outcome)
        if outcome != FINISH and retry_ns == NEVER and self.world.counts_failures:
            for metric in call.requests.values:
                told = next(each for each in self.world.outcomes if each.spec.name == metric)
                value = round(told.failed_outcome / told.grid)
                for power, moment in enumerate(("count", "sum", "square")):
                    self.count(call, self.now, Moment(metric, moment), value**power)
        self.tell(call, self.now, outcome, retry_ns)

    def again(self, call: Call, outcome: int) -> int:
        """When the next attempt arrives; if there is none, the request is over."""
        retry = self.world.retry
        if outcome == FINISH:
            slo_s = self.world.slo_s
            self.tally["slow"] += slo_s is not None and self.now - call.first > round(slo_s * 1e9)
            return NEVER
        if retry is not None and call.attempt + 1 < retry.attempts:
            tried = {ERROR: retry.on_error, TIMEOUT: retry.on_timeout, REJECTION: retry.on_rejection}
            if tried[outcome]:
                time = self.now + int(call.requests.backoff_ns[call.place, call.attempt])
                key = (call.key[0], 0, call.attempt + 1)
                self.push(time, ARRIVAL, key, lambda: self.come(call.requests, call.place, call.attempt + 1, call.first))
                return time
        self.fail(call, outcome)
        return NEVER

    def fail(self, call: Call, outcome: int) -> None:
        self.tally["failed"] += 1
        if outcome in UNANSWERED:
            self.tally["lost"][call.arm] += 1

    def tell(self, call: Call, end: int, outcome: int, retry_ns: int) -> None:
        user = int(call.requests.user[call.place])
        request, copy, attempt = call.key
        told = (request, user, copy, attempt, call.arm, call.arrive, call.start, end, outcome, retry_ns)
        self.engine.told.append(told)

    def count(self, call: Call, time: int, column: Column, amount: int) -> None:
        if not call.requests.lost[call.at]:
            self.seen[time // self.engine.tick_ns].append((call.cohort, call.copy > 0, call.arm, column, amount))

    def play(self, tick: int, live: Any, mirror: Any, requests: Requests) -> None:
        """A tick from its edge to the next."""
        self.live: list[float] = live.tolist()
        self.thresholds = np.cumsum(live)
        self.thresholds[np.flatnonzero(live)[-1] :] = np.inf
        self.mirror = mirror
        self.edge(tick)
        for place, time in enumerate(requests.arrival_ns.tolist()):
            self.push(time, ARRIVAL, (requests.first + place, 0, 0), partial(self.come, requests, place, 0, None))
        self.run((tick + 1) * self.engine.tick_ns)

    def drain(self) -> None:
        self.run(float("inf"))
        for station in self.stations:
            for call in station.queue:
                if call.copy == 0:
                    self.fail(call, TIMEOUT)
                self.tell(call, NEVER, NEVER, NEVER)


class HeapEngine:
    """An engine, as `sim.engine.base.Engine` has it."""

    ledger: Ledger
    tick: int

    def __init__(self, truth: Truth, needs: tuple[Column, ...], mirrors: bool, record: bool = False) -> None:
        self.truth, self.needs, self.tick = truth, needs, 0
        self.ledger = Ledger.open(truth)
        metrics = sorted({name for column in needs for name in column.metrics})
        self.potential = Potential(truth, metrics, mirrors, any(isinstance(column, Agreement) for column in needs))
        self.tick_ns = round(truth.world.tick_s * 1e9)
        self.above = {column.as_live() for column in needs if isinstance(column, Above)}
        self.told: list[tuple[int, ...]] = []
        self.rows = [Row(self, row) for row in range(truth.rows)]

    def step(self, routing: Routing) -> Telemetry:
        """Play a tick."""
        self.ledger.expose(routing.rows, routing.live)
        counts = np.zeros((*routing.live.shape, len(self.needs)), np.int64)
        places = {(column.mirrored, column.as_live()): place for place, column in enumerate(self.needs)}
        for place, row in enumerate(routing.rows.tolist()):
            self.rows[row].cohort = int(routing.cohort[place])
        writes = routing.mirror if routing.mirror_writes is None else routing.mirror_writes
        self._play(routing.rows, self.tick, routing.live, np.stack([routing.mirror, writes], axis=1))
        for place, row in enumerate(routing.rows.tolist()):
            for cohort, mirrored, arm, column, amount in self.rows[row].seen[self.tick]:
                at = places.get((mirrored, column))
                if at is not None and cohort == routing.cohort[place]:
                    counts[place, arm, at] += amount
        self.tick += 1
        return Telemetry(self.tick - 1, counts, {column: place for place, column in enumerate(self.needs)}, routing.live)

    def settle(self, arm: Ints, decided_tick: Ints) -> None:
        """To the horizon, and whatever is still under way to its end."""
        world, everyone = self.truth.world, np.arange(self.truth.rows)
        if world.competing:
            self.ledger.expose_verdicts(arm, decided_tick)
            for tick in range(world.ticks):
                rows = np.flatnonzero((decided_tick >= 0) & (decided_tick <= tick))
                live = np.eye(len(world.arms))[arm[rows]]
                self._play(rows, tick, live, np.zeros((rows.size, 2, len(world.arms))))
        for row in self.rows:
            row.drain()
        self._book(everyone, world.ticks - 1)
        if not world.competing:
            self.ledger.settle(arm, decided_tick)

    @property
    def calls(self) -> NDArray[np.void]:
        """Every call whose end is known."""
        return ordered(np.array(self.told, CALL))

    def rate(self, call: Call, row: int) -> float:
        """The chance of an error in the tick in which a call arrived."""
        return float(self.truth.conditions(self._tick_of(call)).error_rate[row, call.arm])

    def service(self, call: Call, row: int) -> int:
        """How long a server works on a call, in nanoseconds."""
        scale = float(self.truth.conditions(self._tick_of(call)).latency_scale[row, call.arm])
        return max(1, round(float(call.requests.service_s[call.at]) * scale * 1e9))

    def _tick_of(self, call: Call) -> int:
        return min(call.arrive // self.tick_ns, self.truth.world.ticks - 1)

    def _play(self, rows: Ints, tick: int, live: Any, mirror: Any) -> None:
        for place, row in enumerate(rows.tolist()):
            self.rows[row].play(tick, live[place], mirror[place], self.potential.draw(row, tick))
        self._book(rows, tick)

    def _book(self, rows: Ints, tick: int) -> None:
        if not rows.size:
            return
        of = {name: np.array([self.rows[row].tally[name] for row in rows]) for name in self.rows[0].tally}
        self.ledger.serve(rows, tick, of["requests"], of["calls"], of["mirrored"])
        self.ledger.duplicate(rows, of["duplicated"])
        self.ledger.book(rows, of["failed"], of["slow"].astype(np.int64))
        self.ledger.lose(rows, tick, of["lost"])
        self.ledger.retries[rows] += of["retries"]
        for row in rows:
            self.rows[row].clear()
