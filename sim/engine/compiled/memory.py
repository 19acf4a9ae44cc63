"""The arrays of the compiled engine. Their size depends on the calls in flight at once, not on the number of requests.

Queues and retries start with little room. If those of one replication are full, all replications get twice the room. So the
memory of a block is that of its fullest replication, times the number of replications.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.arrays import Floats, Ints
from sim.engine.calls import CALL
from sim.engine.compiled.records import (
    ABOVE,
    DUTY,
    EACH_METRIC,
    FOREVER,
    HEAP_FULL,
    LOG_FULL,
    PARKED_FIELDS,
    POOL,
    QUEUE_FULL,
    RECORD_FULL,
    ROW,
    RUN,
)
from sim.engine.feedback import FIELDS
from sim.world.capacity import Pool
from sim.world.clock import to_ns
from sim.world.potential import Potential
from sim.world.world import Truth, World

# The initial room of a queue, in calls.
_QUEUE = 256


@dataclass
class Arrays:
    """The arrays that the kernel works on, for R replications of K arms and P pools over T ticks.

    run (1,), state (R,), duty (R, K), pool (R, P): records. free (R, P, C): when each server becomes free, a heap with the
    earliest time on top, or all in order where they are few. drains (R, P, C), if capacity changes: end times of the calls
    whose server was removed. coming (R, P, S, 2), if capacity changes: time and number of the replicas that will be ready.
    leave (R, P, Q): when the calls in the queue leave it. waits (R, P, Q, fields): the parked calls in the queue. heap (R,
    H, 4) of retries: time, request, attempt, first arrival. seen (R, T, 2 K, columns): telemetry, live lanes before
    mirrored lanes. lost (R, T + 1, K): requests lost to a timeout or a rejection, by the tick in which they were lost.
    limits_ns (L,); factors (1, T, M, K), or (R, T, M, K) where replications differ; out (T, P); record (n, fields of
    `CALL`); log (n, fields of `sim.engine.feedback`). gaps, offsets, chosen, work, copied: room for the arrivals of one tick.
    """

    run: NDArray[np.void]
    state: NDArray[np.void]
    duty: NDArray[np.void]
    pool: NDArray[np.void]
    free: Ints
    drains: Ints
    coming: Ints
    leave: Ints
    waits: Ints
    heap: Ints
    seen: Ints
    lost: Ints
    limits_ns: Ints
    factors: Floats
    out: Ints
    record: Ints
    log: Ints
    gaps: Floats
    offsets: Ints
    chosen: Ints
    work: Ints
    copied: Ints

    def expect(self, busiest: int) -> None:
        """Make room for `busiest` arrivals of one replication in one tick."""
        if self.offsets.size < busiest:
            size = busiest + busiest // 4
            self.gaps = np.zeros(size + 1)
            self.offsets, self.chosen, self.work, self.copied = np.zeros((4, size), np.int64)
            if self.run["logging"][0]:
                self._log(size * int(self.run["entries"][0]))

    def _log(self, room: int) -> None:
        """Make room for at least `room` entries of feedback; the log must be empty."""
        if room > len(self.log):
            self.log = np.zeros((room, self.log.shape[1]), np.int64)
            self.run["log_room"] = room

    def grow(self, full: int) -> None:
        """Double the room of the array that was full."""
        if full == HEAP_FULL:
            self.heap = np.concatenate([self.heap, np.zeros_like(self.heap)], axis=1)
        elif full == LOG_FULL:
            # The empty log is too small for one event.
            self._log(2 * len(self.log))
        elif full == RECORD_FULL:
            self.record = np.concatenate([self.record, np.zeros_like(self.record)])
        elif full == QUEUE_FULL:
            self.leave = self._longer(self.leave)
            if self.run["changes"][0]:
                self.waits = self._longer(self.waits)

    def _longer(self, ring: Ints) -> Ints:
        """A copy of a ring (R, P, Q, ...) of the queues, with twice the room."""
        size, grown = ring.shape[2], np.concatenate([ring, np.zeros_like(ring)], axis=2)
        for row, pool in np.ndindex(*ring.shape[:2]):
            kept = np.arange(int(self.pool["head"][row, pool]), int(self.pool["tail"][row, pool]))
            grown[row, pool, kept % (2 * size)] = ring[row, pool, kept % size]
        return grown


def allocate(
    truth: Truth, potential: Potential, limits_s: tuple[float, ...], agreement: bool, record: bool, logging: int
) -> Arrays:
    """Allocate the arrays of a block. The feedback of the first `logging` metrics is logged."""
    world, retry, pools = truth.world, truth.world.retry, truth.world.pools
    rows, ticks, arms = truth.rows, truth.world.ticks, len(truth.world.arms)
    out = np.zeros((ticks, len(pools)), np.int64) if world.change is None else world.change.out
    changes = any(pool.scaling or pool.servers == 0 for pool in pools) or bool(out.any())
    columns = ABOVE + len(limits_s) + EACH_METRIC * (len(potential.metrics) + agreement)
    corrected = sum(world.feedback[name].provisional for name in potential.metrics[:logging] if name in world.feedback)
    settings = {
        "tick_ns": potential.tick_ns, "ticks": ticks, "slo_ns": FOREVER if world.slo_s is None else to_ns(world.slo_s),
        "attempts": potential.attempts, "metrics": len(potential.metrics), "agreement": agreement, "changes": changes,
        "columns": columns, "recording": record, "logging": logging, "entries": logging + corrected,
        "plain": not (changes or record or logging or agreement) and plain(world, potential.metrics),
        "failures": world.counts_failures, "on_error": retry is not None and retry.on_error,
        "on_timeout": retry is not None and retry.on_timeout, "on_rejection": retry is not None and retry.on_rejection,
    }  # fmt: skip
    duty = np.zeros((rows, arms), DUTY)
    duty["pool"] = -1
    duty["misrouted"] = 0.0 if world.misrouted is None else world.misrouted
    state = np.zeros((rows, len(pools)), POOL)
    for place, pool in enumerate(pools):
        duty["pool"][:, list(pool.arms)] = place
        _describe(state[:, place], pool, changes, int(out[0, place]))
    servers = max((pool.most_servers for pool in pools), default=1)
    state["base"] = np.arange(rows * len(pools)).reshape(rows, -1) * max(servers, 1)
    coming = max((pool.scaling.most for pool in pools if pool.scaling), default=0) + 1
    # A pool of constant capacity without a queue limit needs no queue.
    kept = [pool.queue for pool in pools if changes or pool.queue is not None]
    longest = max((FOREVER if queue is None else queue for queue in kept), default=0)
    settings["queues"] = longest > _QUEUE
    run = np.zeros(1, RUN)
    _fill(run, settings)
    # A power of 2, so that a place in the ring takes no division.
    queue = 1 << (min(longest, _QUEUE) + arms - 1).bit_length()

    def zeros(*shape: int) -> Ints:
        return np.zeros(shape, np.int64)

    return Arrays(
        run=run, state=np.zeros(rows, ROW), duty=duty, pool=state, free=zeros(rows, len(pools), max(servers, 1)),
        drains=zeros(rows, len(pools), max(servers, 1) if changes else 0), coming=zeros(rows, len(pools), coming, 2),
        leave=zeros(rows, len(pools), queue),
        waits=zeros(rows, len(pools), queue if changes else 1, PARKED_FIELDS),
        heap=zeros(rows, 64 if potential.attempts > 1 or changes else 1, 4), seen=zeros(rows, ticks, 2 * arms, columns),
        lost=zeros(rows, ticks + 1, arms), limits_ns=np.array([to_ns(limit) for limit in limits_s], np.int64),
        factors=potential.factors(), out=out,
        record=zeros(1024 if record else 1, len(CALL.names or ())), log=zeros(1, FIELDS),
        gaps=np.zeros(1), offsets=zeros(0), chosen=zeros(0),
        work=zeros(0), copied=zeros(0),
    )  # fmt: skip


def plain(world: World, metrics: Sequence[str]) -> bool:
    """Whether calls of constant pools depend on nothing but earlier calls of their pool, and all is known as they end."""
    queues = any(pool.queue is not None for pool in world.pools)
    late = any(name in world.feedback for name in metrics)
    kept = world.population is not None and world.population.ratchets
    return not (queues or late or kept or world.loss or world.retry)


def _describe(records: NDArray[np.void], pool: Pool, changes: bool, out: int) -> None:
    """Write a pool's settings and its first state into the records (R,) of all replications."""
    scaling = pool.scaling
    settings = {
        "queue": FOREVER if pool.queue is None else pool.queue,
        "timeout_ns": FOREVER if pool.timeout_ns is None else pool.timeout_ns,
        "waits_ns": FOREVER if pool.waits_ns is None else pool.waits_ns,
        "concurrency": pool.concurrency, "limited": changes or pool.queue is not None, "scales": scaling is not None,
        "ready": pool.replicas, "wanted": pool.replicas, "since": FOREVER, "soon_ns": FOREVER,
        "servers": max(pool.replicas - out, 0) * pool.concurrency,
    }  # fmt: skip
    if scaling is not None:
        settings |= {name: getattr(scaling, name) for name in ("target", "least", "most", "cold_start_ns", "cool_down")}
    _fill(records, settings)


def _fill(records: NDArray[np.void], settings: Mapping[str, int]) -> None:
    """Set the fields of all records that are named, and the others to 0: one assignment is quicker than many."""
    records[...] = tuple(settings.get(name, 0) for name in records.dtype.names or ())
