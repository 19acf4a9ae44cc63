"""The compiled engine: the same events as the SimPy engine, bit for bit, at a hundred times its speed.

This module holds the arrays and turns the counts of the kernel into telemetry; `kernel` plays the events of a tick.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from threading import Timer

import numpy as np
from numpy.typing import NDArray

from sim.arrays import Floats, Ints
from sim.engine.calls import CALL, NEVER, ordered
from sim.engine.compiled.kernel import play
from sim.engine.compiled.memory import allocate
from sim.engine.compiled.plain import play_plain
from sim.engine.compiled.records import ABOVE, DONE, EACH_METRIC, FOREVER, HEAP_FULL, LOG_FULL, PLAY, RECORD_FULL, TIME
from sim.engine.feedback import FeedbackLog, metrics_of
from sim.engine.ledger import Ledger
from sim.engine.needs import FILLED_BY_CALLS, limits, of_class, refuse_unfilled
from sim.engine.routes import Cookies, homes, thresholds
from sim.policy.base import Routing, Telemetry
from sim.policy.columns import COUNTS, MOMENTS, Above, Agreement, Column, Count, LatencySum, Moment
from sim.world.change import Conditions
from sim.world.clock import to_ns
from sim.world.potential import Potential, user_of
from sim.world.warm_up import Coldness
from sim.world.world import Truth, World


class CompiledEngine:
    """R replications, request by request. `needs` are the telemetry columns to produce; `record` keeps every call."""

    ledger: Ledger
    tick: int

    def __init__(self, truth: Truth, needs: tuple[Column, ...], mirrors: bool, record: bool = False) -> None:
        self.truth = truth
        self.ledger = Ledger.open(truth)
        self.tick = 0
        refuse_unfilled("compiled", FILLED_BY_CALLS, truth.world, needs)
        self._places = {column: place for place, column in enumerate(needs)}
        arms = len(truth.world.arms)
        metrics, logging = metrics_of(needs)
        agreement = bool(of_class(needs, Agreement))
        self._potential = Potential(truth, metrics, mirrors, agreement)
        self._limits = limits(needs, None)
        self._feedback = FeedbackLog(truth, self._potential, needs)
        self._arrays = allocate(truth, self._potential, self._limits, agreement, record, logging)
        self._live = np.zeros((truth.rows, arms))
        self._live[:, 0] = 1.0
        # The weights that `duty` routes by: none so far.
        self._sent = np.full((truth.rows, arms), np.nan)
        self._counted = self._slots(needs)
        self._bounds_ns = _bounds_ns(truth.world, self._arrays.out)
        population = truth.world.population
        self._cookies = Cookies.of(population, truth.rows, arms)
        ups = truth.world.warm_ups
        self._coldness = None if ups is None else Coldness.warm(ups, truth.rows, arms)
        if truth.world.change is None:
            self._face(truth.conditions(0))

    def step(self, routing: Routing) -> Telemetry:
        rows = routing.rows
        self._enter_cohorts(rows, routing.cohort)
        self.ledger.expose(rows, routing.live)
        self._live[rows] = routing.live
        self._feedback.weigh(rows, self.tick, routing.live)
        self._play(self.tick, rows, routing.live, routing.mirror, shown=True, writes=routing.mirror_writes)
        seen = self._arrays.seen[self._places_of(rows), self.tick]
        counts = np.take(seen.reshape(rows.size, seen.shape[1] * seen.shape[2]), self._counted, axis=1)
        weighed = self._feedback.report(rows, self.tick, counts)
        telemetry = Telemetry(self.tick, counts, self._places, routing.live, weighed)
        self.tick += 1
        return telemetry

    def settle(self, arm: Ints, decided_tick: Ints) -> None:
        """Play on to the horizon after a verdict if requests compete, else draw the rest in one step."""
        world = self.truth.world
        if world.competing:
            self.ledger.expose_verdicts(arm, decided_tick)
            for tick in range(world.ticks):
                rows = np.flatnonzero((decided_tick >= 0) & (decided_tick <= tick))
                if rows.size:
                    live = np.eye(len(world.arms))[arm[rows]]
                    self._play(tick, rows, live, np.zeros_like(live), shown=False)
            self._drain(arm, decided_tick)
        else:
            self.ledger.settle(arm, decided_tick)

    @property
    def calls(self) -> NDArray[np.void]:
        """Every call whose end is known so far, in the order of events; empty without `record`."""
        recorded = self._arrays.record[: self._arrays.run["recorded"][0]]
        return ordered(np.ascontiguousarray(recorded).view(CALL)[:, 0])

    def _slots(self, needs: tuple[Column, ...]) -> Ints:
        """(K, C) where the columns of an arm stand in `seen` of a tick, as one row; 0 where the kernel does not count them."""
        metrics, first = self._potential.metrics, ABOVE + len(self._limits)
        arms, size = len(self.truth.world.arms), self._arrays.seen.shape[3]
        slots = []
        for column in needs:
            match column:
                case Count():
                    slot = COUNTS.index(column.as_live())
                case Above():
                    slot = ABOVE + self._limits.index(column.limit_s)
                case LatencySum():
                    slot = TIME
                case Moment():
                    slot = first + EACH_METRIC * metrics.index(column.metric) + MOMENTS.index(column.moment)
                case Agreement():
                    slot = first + EACH_METRIC * len(metrics) + MOMENTS.index(column.moment)
                case _:
                    slot = 0
            slots.append(slot + arms * size * column.mirrored)
        found: Ints = np.array(slots, np.int64) + size * np.arange(arms)[:, None]
        return found

    def _enter_cohorts(self, rows: Ints, cohort: Ints) -> None:
        """Drop the calls in flight and the late feedback of an earlier stage from what this stage sees."""
        state = self._arrays.state
        entered = rows[cohort != state["cohort"][rows]]
        for row in entered:
            self._arrays.seen[row, self.tick :] = 0
        self._feedback.enter(entered)
        state["cohort"][rows] = cohort

    def _play(
        self,
        tick: int,
        rows: Ints,
        live: Floats,
        mirror: Floats,
        shown: bool,
        drains: bool = False,
        writes: Floats | None = None,
    ) -> None:
        """Run the kernel over a tick, and book its events. With `drains`, end the calls in flight after the last tick.

        `mirror` and `writes` (r, K): the share of requests that is copied, and of those that write; the same if None.
        """
        truth, arrays, world = self.truth, self._arrays, self.truth.world
        # The conditions at the horizon stay in force for the calls that end after it.
        now = min(tick, world.ticks - 1)
        run, duty, pool = arrays.run, arrays.duty, arrays.pool
        tick_ns, mirrors = int(run["tick_ns"][0]), bool(mirror.any())
        pieces = truth.pieces(rows, now)
        conditions: Conditions | None = None
        if world.change is not None or self._coldness is not None:
            conditions = truth.conditions(now)
            if self._coldness is not None:
                conditions = self._coldness.now if drains else self._coldness.begin(rows, live, mirror, conditions)
            self._face(conditions)
        run[0]["number"], run[0]["mirrors"], run[0]["shown"], run[0]["drains"] = tick, mirrors, shown, drains
        run[0]["edge_ns"], run[0]["next_ns"] = tick * tick_ns, FOREVER if drains else (tick + 1) * tick_ns
        run[0]["poisson"] = pieces.law == "poisson"
        if mirrors:
            duty["mirror"][rows], duty["mirror_writes"][rows] = mirror, mirror if writes is None else writes
        self._send(rows, live)
        pool["bound_ns"] = FOREVER if drains else self._bounds_ns[tick]
        plays = np.zeros(rows.size, PLAY)
        plays["row"], plays["first"] = rows, self._potential.first[rows, now]
        plays["count"] = 0 if drains else truth.arrivals[rows, now]
        plays["piece_first"], plays["piece_last"], plays["ahead"] = pieces.first, pieces.last, pieces.ahead
        arrays.expect(int(plays["count"].max(initial=0)))
        plain = bool(run["plain"][0]) and not mirrors
        if plain:
            play_plain(
                *self._potential.tables, run, arrays.state, duty, pool, plays, arrays.free.ravel(), arrays.seen.ravel(),
                arrays.lost, arrays.limits_ns, arrays.factors, pieces.offset_ns, pieces.level, arrays.gaps, arrays.offsets,
                arrays.chosen, arrays.work,
            )  # fmt: skip
        place, j, full = 0, -1, DONE if plain else HEAP_FULL
        while full != DONE:
            full, place, j = play(
                *self._potential.tables, run, arrays.state, duty, pool, plays, arrays.free.ravel(), arrays.drains.ravel(),
                arrays.coming, arrays.leave, arrays.waits, arrays.heap, arrays.seen.ravel(), arrays.lost, arrays.limits_ns,
                arrays.factors, arrays.out, arrays.record, arrays.log, self._cookies.kept, pieces.offset_ns, pieces.level,
                arrays.gaps, arrays.offsets, arrays.chosen, arrays.work, arrays.copied, place, j,
            )  # fmt: skip
            logged = int(arrays.run["logged"][0])
            if logged:
                self._feedback.book(arrays.log[:logged], tick)
                arrays.run["logged"] = 0
            if full != LOG_FULL or not logged:
                arrays.grow(full)
        self._book(rows, tick, conditions if self._coldness is not None else None, mirrors)

    def _places_of(self, rows: Ints) -> Ints | slice:
        """Where distinct rows (r,), in order, stand in arrays of all: there, or everywhere, as a slice, which is quicker."""
        return slice(None) if rows.size == self.truth.rows else rows

    def _face(self, conditions: Conditions) -> None:
        """Have calls meet these conditions from now on."""
        duty = self._arrays.duty
        duty["error_rate"], duty["scale"] = conditions.error_rate, conditions.latency_scale

    def _send(self, rows: Ints, live: Floats) -> None:
        """Route by the weights live (r, K) from now on; there is nothing to do where they are those of the tick before."""
        of, population = self._places_of(rows), self.truth.world.population
        if (self._sent[of] == live).all():
            return
        self._sent[of] = live
        if population is not None and population.sticky:
            duty = self._arrays.duty
            duty["own"][rows, 1:], duty["guests"][rows, 1:], duty["threshold"][rows, 1:] = homes(live)
        else:
            self._arrays.duty["threshold"][rows] = thresholds(live)
            self._cookies.begin(rows, live)

    def _book(self, rows: Ints, number: int, now: Conditions | None, mirrors: bool) -> None:
        """Move the sums of a tick into the ledger; requests lost after the last tick have a tick number of their own."""
        state, duty = self._arrays.state, self._arrays.duty
        tick = min(number, self.truth.world.ticks - 1)
        of = self._places_of(rows)
        requests, calls, mirrored = duty["requests"][of], duty["calls"][of], duty["mirrored"][of]
        self.ledger.serve(rows, tick, requests, calls, mirrored, now)
        if self._coldness is not None:
            self._coldness.heal(rows, calls + mirrored)
        if mirrors:
            self.ledger.duplicate(rows, duty["duplicated"][of])
        if self.truth.world.pools:
            self.ledger.lose(rows, tick, self._arrays.lost[of, number])
        self.ledger.retries[of] += state["retries"][of]
        self.ledger.book(rows, state["errors"][of], state["slow"][of])
        for name in ("requests", "calls", "mirrored", "duplicated"):
            duty[name] = 0
        for name in ("errors", "slow", "retries"):
            state[name] = 0

    def _drain(self, arm: Ints, decided_tick: Ints) -> None:
        """End the calls that are in flight at the horizon."""
        live, decided = self._live.copy(), decided_tick >= 0
        live[decided] = np.eye(live.shape[1])[arm[decided]]
        self._play(self.truth.world.ticks, np.arange(len(live)), live, np.zeros_like(live), shown=False, drains=True)
        self._abandon()

    def _abandon(self) -> None:
        """Book the calls that still wait for a server as lost."""
        arrays, pools = self._arrays, self._arrays.pool
        for row, pool in np.argwhere(pools["parked"] < pools["tail"]):
            for counter in range(pools["parked"][row, pool], pools["tail"][row, pool]):
                call = arrays.waits[row, pool, counter % arrays.leave.shape[2]]
                request, copy, attempt, arm, arrive = (int(field) for field in call[:5])
                if copy == 0:
                    self.ledger.book(np.array([row]), np.array([1]), np.array([0]))
                    lost = np.arange(self._live.shape[1]) == arm
                    self.ledger.lose(np.array([row]), self.truth.world.ticks - 1, lost[None].astype(np.int64))
                if arrays.run["recording"][0]:
                    place = int(arrays.run["recorded"][0])
                    if place == len(arrays.record):
                        arrays.grow(RECORD_FULL)
                    tables = self._potential.tables
                    user = user_of(tables.rules[0], tables.rows[row], tables.floats, tables.ints, request)
                    arrays.record[place] = request, user, copy, attempt, arm, arrive, NEVER, NEVER, NEVER, NEVER
                    arrays.run["recorded"] += 1


def _bounds_ns(world: World, out: Ints) -> Ints:
    """(T, P) for each tick, the next edge at which the number of servers of a pool may change; out (T, P)."""
    if not out.any() and all(pool.scaling is None for pool in world.pools):
        return np.full(out.shape, FOREVER, np.int64)
    edges_ns = np.arange(1, world.ticks) * to_ns(world.tick_s)
    bounds = np.full(out.shape, FOREVER, np.int64)
    for place, pool in enumerate(world.pools):
        changes = pool.scaling is not None or out[1:, place] != out[:-1, place]
        soonest = np.minimum.accumulate(np.where(changes, edges_ns, FOREVER)[::-1])
        bounds[:-1, place] = soonest[::-1]
    return bounds


def warm_up(world: World, asked: Iterable[tuple[tuple[Column, ...], bool]], say: Callable[[str], None]) -> None:
    """Compile what policies will need, or load it from the cache, before a run starts; report by `say` if it takes long.

    asked: the telemetry columns of each policy, and whether it mirrors.
    """
    notice = Timer(1.5, say, ["compiling the engine, once on this machine: about ten seconds"])
    notice.daemon = True
    notice.start()
    truth = world.realise(np.arange(1))
    nobody, nothing = np.zeros(0, np.int64), np.zeros((0, len(world.arms)))
    for needs, mirrors in dict.fromkeys(asked):
        engine = CompiledEngine(truth, needs, mirrors)
        engine.step(Routing(nobody, nothing, nothing, nobody))
        if mirrors:
            # Ticks with copies are played event by event.
            engine = CompiledEngine(truth, needs, mirrors)
            engine._arrays.run["plain"] = 0
            engine.step(Routing(nobody, nothing, nothing, nobody))
    notice.cancel()
