"""A pool in the kernel: the times at which its servers become free, and its queue."""

from __future__ import annotations

from typing import Any

import numpy as np

from sim.engine.calls import ERROR, FINISH, NEVER, TIMEOUT
from sim.engine.compiled.records import ARM, ARRIVE, ATTEMPT, COHORT, COPY, FAILS, FIRST, FOREVER, LOST, REQUEST, SERVICE
from sim.engine.scaling import wanted_replicas
from sim.jit import compiled, integer

# Up to so many servers, free times are kept in full order: to pass over all of them takes no branch.
_FEW = 16


@compiled
def _look_ahead(pool: Any, coming: Any, r: Any, p: Any) -> None:
    """Note when more replicas of a pool will be ready next; FOREVER if none."""
    pool.soon_ns = FOREVER
    for place in range(pool.pending):
        pool.soon_ns = min(pool.soon_ns, coming[r, p, place, 0])


@compiled
def open_pool(run: Any, pool: Any, free: Any, drains: Any, coming: Any, r: Any, p: Any, out: Any) -> None:
    """Set the capacity of a pool at the edge where a tick starts, before any event at that time."""
    edge = run.edge_ns
    if pool.scales and run.number > 0 and not run.drains:
        pool.there_ns += pool.servers * (edge - pool.seen_ns)
        pool.seen_ns = edge
        _decide(pool, coming, r, p, edge)
    _look_ahead(pool, coming, r, p)
    _resize(run, pool, free, drains, out, edge)
    pool.there_ns = 0
    pool.busy_ns = 0
    if pool.scales:
        for place in range(pool.servers):
            pool.busy_ns += max(min(free[pool.base + place], run.next_ns) - edge, 0)
        for place in range(pool.draining):
            pool.busy_ns += max(min(drains[pool.base + place], run.next_ns) - edge, 0)


@compiled
def add_ready(run: Any, pool: Any, free: Any, drains: Any, coming: Any, r: Any, p: Any, out: Any, now: Any) -> None:
    """Add the replicas of a pool that become ready now."""
    kept = 0
    for place in range(pool.pending):
        if coming[r, p, place, 0] == now:
            pool.ready += coming[r, p, place, 1]
        else:
            coming[r, p, kept, 0], coming[r, p, kept, 1] = coming[r, p, place, 0], coming[r, p, place, 1]
            kept += 1
    pool.pending = kept
    _look_ahead(pool, coming, r, p)
    _resize(run, pool, free, drains, out, now)


@compiled
def _decide(pool: Any, coming: Any, r: Any, p: Any, edge: Any) -> None:
    """Scale a pool at an edge, by the load of the tick that ended there."""
    had = pool.wanted
    wanted = wanted_replicas(had, pool.busy_ns, pool.there_ns, pool.target, pool.least, pool.most, pool.since, pool.cool_down)
    pool.since += 1
    if wanted == had:
        return
    pool.since = 1
    pool.wanted = wanted
    if wanted > had:
        coming[r, p, pool.pending, 0] = edge + pool.cold_start_ns
        coming[r, p, pool.pending, 1] = wanted - had
        pool.pending += 1
        return
    fewer = had - wanted
    while fewer > 0 and pool.pending > 0:
        last = pool.pending - 1
        cancelled = min(fewer, coming[r, p, last, 1])
        coming[r, p, last, 1] -= cancelled
        fewer -= cancelled
        if coming[r, p, last, 1] == 0:
            pool.pending = last
    pool.ready -= fewer


@compiled
def _resize(run: Any, pool: Any, free: Any, drains: Any, out: Any, now: Any) -> None:
    """Set the number of servers from now on; `out` replicas are down. Busy servers above the number finish their call."""
    servers = max(pool.ready - out, 0) * pool.concurrency
    pool.there_ns += pool.servers * (now - pool.seen_ns)
    pool.seen_ns = now
    if servers == pool.servers:
        return
    ends = np.empty(pool.servers + pool.draining, np.int64)
    busy = 0
    for place in range(pool.servers):
        if free[pool.base + place] > now:
            ends[busy] = free[pool.base + place]
            busy += 1
    for place in range(pool.draining):
        if drains[pool.base + place] > now:
            ends[busy] = drains[pool.base + place]
            busy += 1
    _order(ends, busy)
    # No call is admitted while more servers are busy than exist now: so the latest ends become the free times. They are in
    # full order, which is also that of a heap.
    over = max(busy - servers, 0)
    idle = max(servers - busy, 0)
    for place in range(over):
        drains[pool.base + place] = ends[place]
    for place in range(idle):
        free[pool.base + place] = now
    for place in range(busy - over):
        free[pool.base + idle + place] = ends[over + place]
    pool.draining = over
    pool.servers = servers


@compiled
def _order(values: Any, count: Any) -> None:
    """Sort the first `count` values (Williams 1964, heapsort): it compiles in a tenth of the time of NumPy's."""
    start, end = count // 2, count
    while end > 1:
        if start > 0:
            start -= 1
            value = values[start]
        else:
            end -= 1
            value = values[end]
            values[end] = values[0]
        place, child = start, 2 * start + 1
        while child < end:
            if child + 1 < end and values[child + 1] > values[child]:
                child += 1
            if values[child] <= value:
                break
            values[place] = values[child]
            place, child = child, 2 * child + 1
        values[place] = value


@compiled
def begin(run: Any, pool: Any, free: Any, start: Any, end: Any) -> None:
    """Give a call to the server that is free first, and restore the order of free times: that of a heap, or a full one."""
    base, servers = pool.base, pool.servers
    if pool.scales:
        pool.busy_ns += max(min(end, run.next_ns) - start, 0)
    if servers <= _FEW:
        for place in range(base + 1, base + servers):
            other = free[place]
            free[place - 1] = min(end, other)
            end = max(end, other)
        free[base + servers - 1] = end
        return
    place, child = 0, 1
    while child < servers:
        if child + 1 < servers and free[base + child + 1] < free[base + child]:
            child += 1
        if free[base + child] >= end:
            break
        free[base + place] = free[base + child]
        place, child = child, 2 * child + 1
    free[base + place] = end


@compiled
def leave_queue(pool: Any, leave: Any, r: Any, p: Any, now: Any) -> None:
    """Remove the calls that a server took, or whose client gave up, from the queue."""
    head = pool.head
    while head < pool.tail and leave[r, p, head & (leave.shape[2] - 1)] <= now:
        head += 1
    pool.head = head


@compiled
def park(
    waits: Any, r: Any, p: Any, slot: Any, i: Any, copy: Any, attempt: Any, k: Any, now: Any, service: Any, fails: Any,
    lost: Any, began: Any, cohort: Any,
) -> None:  # fmt: skip
    """Store a call in its slot of the queue, to be planned again."""
    call = waits[r, p, slot]
    call[REQUEST], call[COPY], call[ATTEMPT], call[ARM], call[ARRIVE] = i, copy, attempt, k, now
    call[SERVICE], call[FAILS], call[LOST], call[FIRST], call[COHORT] = service, fails, lost, began, cohort


@compiled
def plan_parked(run: Any, pool: Any, free: Any, leave: Any, waits: Any, r: Any, p: Any, bound: Any, now: Any) -> Any:
    """Plan the first parked call of a pool again: (start, end, outcome).

    start is NEVER if the call leaves unserved; end is NEVER if the call stays parked.
    """
    place = pool.parked & (leave.shape[2] - 1)
    arrive, service = waits[r, p, place, ARRIVE], waits[r, p, place, SERVICE]
    # FOREVER is half of what an integer holds, so a sum with it does not overflow.
    deadline, leaves = min(arrive + pool.timeout_ns, FOREVER), min(arrive + pool.waits_ns, FOREVER)
    start = max(free[pool.base], now) if pool.servers > 0 else FOREVER
    if start >= bound and leaves >= bound:
        return integer(NEVER), integer(NEVER), integer(NEVER)
    pool.parked += 1
    if start >= bound or start > leaves:
        leave[r, p, place] = leaves
        return integer(NEVER), leaves, integer(TIMEOUT)
    leave[r, p, place] = start
    end = min(start + service, FOREVER - 1)
    begin(run, pool, free, start, end)
    if end > deadline:
        return start, deadline, integer(TIMEOUT)
    return start, end, integer(ERROR if waits[r, p, place, FAILS] else FINISH)
