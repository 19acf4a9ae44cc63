"""The compiled engine's inner loop: the same events as the SimPy engine, told in the order of arrival.

Under first-come, first-served the whole fate of a call is known when it arrives, from the times at which its pool's servers
become free (Kiefer & Wolfowitz 1955), unless it would start after its pool's next possible change of capacity. Then it is
*parked*, and planned again at that change. So the only events are arrivals, retries and changes of capacity, and the only
heap is that of the retries. What a call's end adds to telemetry is booked at once, in the tick in which it will be seen.

Functions return what `Room` names when an array is full; nothing of the event at hand has happened then.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sim.engine.calls import ERROR, FINISH, NEVER, REJECTION, TIMEOUT
from sim.engine.scaling import wanted_replicas
from sim.world.jit import compiled, integer
from sim.world.potential import (
    BINARY,
    agrees,
    backoff_of,
    delay_of,
    error_of,
    is_lost,
    segment_of,
    service_of,
    user_of,
    value_of,
)
from sim.world.sampling import EXPONENTIAL, NONE, QUANTILES, SLOTS, at, exponential, nanoseconds, parametric, spread, unit

FOREVER = 2**62

# What monitoring counts of a lane in a tick: these, then calls above each limit, then count, sum and sum of squares by metric.
REQUESTS, RESPONSES, ERRORS, TIMEOUTS, REJECTIONS, RETRIES, ABOVE = range(7)
# Why `play` came back: it is done, or an array needs more room.
DONE, QUEUE_FULL, HEAP_FULL, RECORD_FULL, LOG_FULL = range(5)
# The fields of a parked call.
_REQUEST, _COPY, _ATTEMPT, _ARM, _ARRIVE, _SERVICE, _FAILS, _LOST, _FIRST, _COHORT, PARKED_FIELDS = range(11)

# Records, one array of each; structured arrays are several times faster here than as many plain ones.
RUN = np.dtype(
    [
        *(
            (name, np.int64)
            for name in ("tick_ns", "ticks", "slo_ns", "attempts", "metrics", "agreement", "changes", "recording")
        ),
        *((name, np.int64) for name in ("on_error", "on_timeout", "on_rejection", "recorded", "columns")),
        # The tick at play: its number and edges; whether it has mirrors, whether anybody looks, whether arrivals are Poisson.
        # One that drains has no arrivals and no end, and decides nothing.
        *((name, np.int64) for name in ("number", "edge_ns", "next_ns", "mirrors", "shown", "poisson", "drains")),
        # How many metrics' feedback is logged, how much of it there is, and room for how much.
        *((name, np.int64) for name in ("logging", "logged", "log_room")),
    ]
)
"""(1,) what is the same for all replications. `changes` says that capacity can change."""
ROW = np.dtype([(name, np.int64) for name in ("cohort", "heaped", "errors", "slow", "retries")])
"""(R,) a replication: its cohort, how many retries are due, and what there was to book in this tick."""
DUTY = np.dtype(
    [
        *((name, np.int64) for name in ("pool", "requests", "calls", "mirrored")),
        *((name, np.float64) for name in ("error_rate", "scale", "misrouted", "threshold", "mirror")),
    ]
)
"""(R, K) an arm: its pool or -1, tallies, what is in force in the tick, and its routing."""
POOL = np.dtype(
    [
        *((name, np.int64) for name in ("base", "front", "queue", "timeout_ns", "concurrency", "limited", "bound_ns")),
        *((name, np.int64) for name in ("scales", "least", "most", "cold_start_ns", "cool_down")),
        ("target", np.float64),
        *(
            (name, np.int64)
            for name in ("servers", "draining", "ready", "wanted", "since", "pending", "busy_ns", "there_ns", "seen_ns")
        ),
        *((name, np.int64) for name in ("head", "tail", "parked")),
    ]
)
"""(R, P) a pool. `base`: where its servers begin in `free`, `front`: the first of them; queue and timeout are FOREVER for none;
bound_ns: the next edge at which its capacity may change; `limited`: its queue is kept. pending: how many times more replicas
are to come; busy_ns and there_ns: servers' time used and offered in this tick, the latter up to seen_ns. The queue is a ring
from head to tail, parked calls from `parked` on."""
PLAY = np.dtype([(name, np.int64) for name in ("row", "count", "first", "piece_first", "piece_last")] + [("ahead", np.float64)])
"""(r,) a replication at play in this tick: how many requests, the index of the first, how they lie (see `Pieces`)."""


@compiled
def _push(heap: Any, r: Any, size: Any, time: Any, request: Any, attempt: Any, first: Any) -> None:
    """Add a retry to the `size` ones of a replication."""
    place = size
    while place > 0:
        parent = (place - 1) // 2
        if heap[r, parent, 0] < time or (heap[r, parent, 0] == time and heap[r, parent, 1] < request):
            break
        for field in range(4):
            heap[r, place, field] = heap[r, parent, field]
        place = parent
    heap[r, place, 0], heap[r, place, 1], heap[r, place, 2], heap[r, place, 3] = time, request, attempt, first


@compiled
def _pop(heap: Any, r: Any, size: Any) -> None:
    """Drop the first of `size` retries. A request has at most one at a time, so (time, request) is a whole order."""
    last = size - 1
    time, request = heap[r, last, 0], heap[r, last, 1]
    place = 0
    while True:
        child = 2 * place + 1
        if child >= last:
            break
        right = child + 1
        if right < last and (
            heap[r, right, 0] < heap[r, child, 0]
            or (heap[r, right, 0] == heap[r, child, 0] and heap[r, right, 1] < heap[r, child, 1])
        ):
            child = right
        if time < heap[r, child, 0] or (time == heap[r, child, 0] and request < heap[r, child, 1]):
            break
        for field in range(4):
            heap[r, place, field] = heap[r, child, field]
        place = child
    for field in range(4):
        heap[r, place, field] = heap[r, last, field]


@compiled
def _begin(run: Any, pool: Any, free: Any, start: Any, end: Any) -> None:
    """The server that is free first takes a call.

    The times are a ring in which they increase from `front` on; a late one is put in from the back, past few others.
    """
    base, front, last = pool.base, pool.front, pool.servers - 1
    slot = front
    front = 0 if front == last else front + 1
    pool.front = front
    while slot != front:
        before = last if slot == 0 else slot - 1
        if free[base + before] <= end:
            break
        free[base + slot] = free[base + before]
        slot = before
    free[base + slot] = end
    if pool.scales:
        pool.busy_ns += max(min(end, run.next_ns) - start, 0)


@compiled
def _resize(run: Any, pool: Any, free: Any, drains: Any, out: Any, now: Any) -> None:
    """Take the number of servers that is in force from now on, `out` replicas being down; those that are busy drain."""
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
    ends = np.sort(ends[:busy])
    # A completion admits nobody as long as more are busy than there are servers: those that matter end last.
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
    pool.front = 0


@compiled
def _ready_at(pool: Any, coming: Any, r: Any, p: Any) -> Any:
    """When more replicas of a pool will be ready."""
    soonest = FOREVER
    for place in range(pool.pending):
        soonest = min(soonest, coming[r, p, place, 0])
    return soonest


@compiled
def _plan(run: Any, pool: Any, free: Any, leave: Any, waits: Any, r: Any, p: Any, bound: Any, now: Any) -> Any:
    """Plan the first parked call of a pool again: (start, end, outcome).

    start is NEVER if it leaves unserved, end if it stays parked.
    """
    place = pool.parked % leave.shape[2]
    arrive, service = waits[r, p, place, _ARRIVE], waits[r, p, place, _SERVICE]
    deadline = min(arrive + pool.timeout_ns, FOREVER)
    start = max(free[pool.base + pool.front], now) if pool.servers > 0 else FOREVER
    if start >= bound and deadline >= bound:
        return integer(NEVER), integer(NEVER), integer(NEVER)
    pool.parked += 1
    if start >= bound or start > deadline:
        leave[r, p, place] = deadline
        return integer(NEVER), deadline, integer(TIMEOUT)
    leave[r, p, place] = start
    end = start + service
    _begin(run, pool, free, start, end)
    if end > deadline:
        return start, deadline, integer(TIMEOUT)
    return start, end, integer(ERROR if waits[r, p, place, _FAILS] else FINISH)


@compiled
def _decide(pool: Any, coming: Any, r: Any, p: Any, edge: Any) -> None:
    """Scale a pool at an edge, after the tick that ended there."""
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
def _open(run: Any, pool: Any, free: Any, drains: Any, coming: Any, r: Any, p: Any, out: Any) -> None:
    """A pool at the first edge of a tick: capacity is decided, before any event there."""
    edge = run.edge_ns
    if pool.scales and run.number > 0 and not run.drains:
        pool.there_ns += pool.servers * (edge - pool.seen_ns)
        pool.seen_ns = edge
        _decide(pool, coming, r, p, edge)
    _resize(run, pool, free, drains, out, edge)
    pool.there_ns = 0
    pool.busy_ns = 0
    if pool.scales:
        for place in range(pool.servers):
            pool.busy_ns += max(min(free[pool.base + place], run.next_ns) - edge, 0)
        for place in range(pool.draining):
            pool.busy_ns += max(min(drains[pool.base + place], run.next_ns) - edge, 0)


@compiled
def _admit(run: Any, pool: Any, free: Any, drains: Any, coming: Any, r: Any, p: Any, out: Any, now: Any) -> None:
    """Replicas of a pool become ready."""
    kept = 0
    for place in range(pool.pending):
        if coming[r, p, place, 0] == now:
            pool.ready += coming[r, p, place, 1]
        else:
            coming[r, p, kept, 0], coming[r, p, kept, 1] = coming[r, p, place, 0], coming[r, p, place, 1]
            kept += 1
    pool.pending = kept
    _resize(run, pool, free, drains, out, now)


@compiled
def _leave(pool: Any, leave: Any, r: Any, p: Any, now: Any) -> None:
    """Those whom a server took, or who gave up, are in the queue no more."""
    head = pool.head
    while head < pool.tail and leave[r, p, head % leave.shape[2]] <= now:
        head += 1
    pool.head = head


@compiled
def _room(run: Any, state: Any, pools: Any, leave: Any, heap: Any, record: Any, r: Any, arms: Any, now: Any) -> Any:
    """Whether what the next event may add fits into every array."""
    waiting = 0
    if run.changes:
        for p in range(pools.size):
            waiting += pools[p].tail - pools[p].parked
            if pools[p].tail - pools[p].head + arms > leave.shape[2]:
                _leave(pools[p], leave, r, p, now)
                if pools[p].tail - pools[p].head + arms > leave.shape[2]:
                    return QUEUE_FULL
    if state.heaped + waiting + 1 > heap.shape[1]:
        return HEAP_FULL
    if run.recording and run.recorded + waiting + arms + 1 > record.shape[0]:
        return RECORD_FULL
    if run.logged + (waiting + arms + 1) * run.logging > run.log_room:
        return LOG_FULL
    return DONE


@compiled
def _arm_of(rules: Any, row: Any, duties: Any, i: Any, user: Any) -> Any:
    """The arm that serves a request, under the weights in force."""
    u = unit(at(row.route, user if rules.sticky else i))
    arm = 0
    for k in range(duties.size - 1):
        arm += integer(u >= duties[k].threshold)
    if arm > 0 and duties[arm].misrouted > 0.0 and unit(at(row.misroute, i)) < duties[arm].misrouted:
        arm = 0
    return arm


@compiled
def _send(
    rules: Any, row: Any, laws: Any, duties: Any, floats: Any, ints: Any, first: Any, count: Any, chosen: Any, work: Any
) -> None:
    """To which arm the first attempts of a tick go, and how long it will work on each.

    They are known ahead of all events, and drawing them in a row is twice as fast as one by one between unpredictable branches.
    """
    arms = duties.size
    keys, kinds = np.empty(arms, np.uint64), np.empty(arms, np.int64)
    means, scales, thresholds = np.empty(arms), np.empty(arms), np.empty(arms)
    for k in range(arms):
        keys[k], kinds[k], means[k] = laws[k].service, laws[k].law, laws[k].a
        scales[k], thresholds[k] = duties[k].scale, duties[k].threshold
    route, users, sticky = row.route, rules.users, rules.sticky != 0
    for j in range(count):
        user = user_of(rules, row, floats, ints, first + j) if users > 0 else first + j
        u = unit(at(route, user if sticky else first + j))
        arm = 0
        for k in range(arms - 1):
            arm += integer(u >= thresholds[k])
        chosen[j] = arm
    for k in range(1, arms):
        if duties[k].misrouted > 0.0:
            for j in range(count):
                if chosen[j] == k and unit(at(row.misroute, first + j)) < duties[k].misrouted:
                    chosen[j] = 0
    for j in range(count):
        k = chosen[j]
        key = at(keys[k], (first + j) * SLOTS)
        if kinds[k] == EXPONENTIAL:
            seconds = means[k] * exponential(key)
        elif kinds[k] == QUANTILES:
            seconds = service_of(laws[k], floats, first + j, 0)
        else:
            seconds = parametric(kinds[k], laws[k].a, laws[k].b, key)
        work[j] = nanoseconds(seconds * scales[k], 1)


@compiled
def _park(waits: Any, r: Any, p: Any, slot: Any, i: Any, copy: Any, attempt: Any, k: Any, now: Any, service: Any, fails: Any,
          lost: Any, began: Any, cohort: Any) -> None:  # fmt: skip
    call = waits[r, p, slot]
    call[_REQUEST], call[_COPY], call[_ATTEMPT], call[_ARM], call[_ARRIVE] = i, copy, attempt, k, now
    call[_SERVICE], call[_FAILS], call[_LOST], call[_FIRST], call[_COHORT] = service, fails, lost, began, cohort


@compiled
def _tries_again(run: Any, outcome: Any) -> Any:
    if outcome == ERROR:
        return run.on_error != 0
    if outcome == TIMEOUT:
        return run.on_timeout != 0
    return run.on_rejection != 0


@compiled
def _tell(record: Any, place: Any, request: Any, user: Any, copy: Any, attempt: Any, k: Any, arrive: Any, start: Any,
          end: Any, outcome: Any, retry: Any) -> None:  # fmt: skip
    told = record[place]
    told[0], told[1], told[2], told[3], told[4] = request, user, copy, attempt, k
    told[5], told[6], told[7], told[8], told[9] = arrive, start, end, outcome, retry


@compiled
def play(
    rules_1: Any, rows_: Any, arms_: Any, metrics_: Any, cells_: Any, floats: Any, ints: Any,
    run_1: Any, states: Any, duties_: Any, pools_: Any, plays: Any, free: Any, drains: Any, coming: Any, leave: Any,
    waits: Any, heap: Any, seen: Any, lost_in: Any, limits_ns: Any, factors: Any, out: Any, record: Any, log: Any,
    offset_ns: Any, level: Any, gaps: Any, offsets: Any, chosen: Any,
    work: Any, place: Any, j: Any,
) -> Any:  # fmt: skip
    """Play a tick for the replications from `place` on, the first of them from its arrival `j` on (-1: from its edge).

    Returns (why it came back, place, j): DONE, or what to make room for, and where to go on. Every turn of the inner loop is
    one call that ends, or one that is parked. Functions that take arrays are only called where a world needs them: handing an
    array over costs more than all else that happens to a request.
    """
    rules, run = rules_1[0], run_1[0]
    arms, pool_count = duties_.shape[1], pools_.shape[1]
    tick = min(run.number, run.ticks - 1)
    number, edge_ns, next_ns, tick_ns = run.number, run.edge_ns, run.next_ns, run.tick_ns
    changes, attempts, shown, columns = run.changes != 0, run.attempts, run.shown != 0, run.columns
    recording, mirrors = run.recording != 0, run.mirrors != 0
    logging = run.logging if shown else 0
    careful = changes or attempts > 1 or recording
    at_most = (arms + 1) * logging
    limits = limits_ns.size
    while place < plays.size:
        r, count, first = plays[place].row, plays[place].count, plays[place].first
        row, state, duties, pools = rows_[r], states[r], duties_[r], pools_[r]
        laws, metrics, cells = arms_[r], metrics_[r], cells_[r]
        if count > 0:
            spread(
                run.poisson, count, at(row.positions, number), offset_ns, level, plays[place].piece_first,
                plays[place].piece_last, plays[place].ahead, gaps, offsets,
            )  # fmt: skip
            _send(rules, row, laws, duties, floats, ints, first, count, chosen, work)
        # The pool whose parked calls are planned again, and since when; -1 for none.
        planning, since = -1, edge_ns
        opening = pool_count
        if j < 0:
            if changes:
                full = _room(run, state, pools, leave, heap, record, r, arms, edge_ns)
                if full != DONE:
                    return full, place, j
                opening = 0
            j = 0
        cohort = state.cohort
        # The request at hand: its index, attempt, first arrival and user, the arm that serves it, and copies still to come.
        i, attempt, began, user, arm, copy, copies = first, 0, edge_ns, first, 0, 0, 0
        now = edge_ns
        while True:
            arrive = now
            lost = False
            if planning < 0 and opening < pool_count:
                planning, since = opening, edge_ns
                _open(run, pools[planning], free, drains, coming, r, planning, out[tick, planning])
                opening += 1
            if planning >= 0:
                pool = pools[planning]
                if pool.parked == pool.tail:
                    planning = -1
                    continue
                bound = min(pool.bound_ns, _ready_at(pool, coming, r, planning))
                slot = pool.parked % leave.shape[2]
                start, end, outcome = _plan(run, pool, free, leave, waits, r, planning, bound, since)
                if end < 0:
                    planning = -1
                    continue
                i, copy, attempt = (
                    waits[r, planning, slot, _REQUEST],
                    waits[r, planning, slot, _COPY],
                    waits[r, planning, slot, _ATTEMPT],
                )
                k, arrive, began = (
                    waits[r, planning, slot, _ARM],
                    waits[r, planning, slot, _ARRIVE],
                    waits[r, planning, slot, _FIRST],
                )
                lost, cohort = waits[r, planning, slot, _LOST] != 0, waits[r, planning, slot, _COHORT]
                user = user_of(rules, row, floats, ints, i) if rules.users > 0 else i
                copies = 0
            else:
                # The next copy: to the arms that do not serve the request, in their order.
                copy += 1
                while copy <= copies and (copy - 1 == arm or unit(at(laws[copy - 1].mirror, i)) >= duties[copy - 1].mirror):
                    copy += 1
                if copy <= copies:
                    k = copy - 1
                    duties[k].mirrored += 1
                else:
                    fresh = edge_ns + offsets[j] if j < count else FOREVER
                    again = heap[r, 0, 0] if state.heaped > 0 else FOREVER
                    now = min(fresh, again)
                    if logging > 0 and run.logged + at_most > run.log_room:
                        return LOG_FULL, place, j
                    if careful:
                        full = _room(run, state, pools, leave, heap, record, r, arms, min(now, next_ns))
                        if full != DONE:
                            return full, place, j
                        if changes:
                            since = min(now + 1, next_ns)
                            for p in range(pool_count):
                                ready = _ready_at(pools[p], coming, r, p)
                                if ready < since:
                                    since, planning = ready, p
                            if planning >= 0:
                                _admit(run, pools[planning], free, drains, coming, r, planning, out[tick, planning], since)
                                copy = copies
                                continue
                    if now >= next_ns:
                        break
                    arrive = now
                    cohort = state.cohort
                    # At equal times the lower request comes first, and a retry's request arrived earlier.
                    if again <= fresh:
                        i, attempt, began = heap[r, 0, 1], heap[r, 0, 2], heap[r, 0, 3]
                        _pop(heap, r, state.heaped)
                        state.heaped -= 1
                        state.retries += 1
                        copies = 0
                        user = user_of(rules, row, floats, ints, i) if rules.users > 0 else i
                        arm = _arm_of(rules, row, duties, i, user)
                    else:
                        i, attempt, began = first + j, 0, now
                        user = user_of(rules, row, floats, ints, i) if rules.users > 0 else i
                        arm = chosen[j]
                        copies = arms if mirrors else 0
                        j += 1
                        duties[arm].requests += 1
                    duties[arm].calls += 1
                    copy = 0
                    k = arm
                duty, law = duties[k], laws[k]
                lost = is_lost(rules, law, i, attempt)
                if shown and not lost:
                    counted = ((r * run.ticks + number) * 2 * arms + (k if copy == 0 else k + arms)) * columns
                    seen[counted + REQUESTS] += 1
                    if attempt > 0:
                        seen[counted + RETRIES] += 1
                if copy == 0 and attempt == 0:
                    service = work[j - 1]
                elif law.law == QUANTILES:
                    service = nanoseconds(service_of(law, floats, i, attempt) * duty.scale, 1)
                else:
                    key = at(law.service, i * SLOTS + attempt)
                    service = nanoseconds(parametric(law.law, law.a, law.b, key) * duty.scale, 1)
                fails = duty.error_rate > 0.0 and error_of(law, i, attempt) < duty.error_rate
                start, end = now, now + service
                outcome = ERROR if fails else FINISH
                p = duty.pool
                if p >= 0:
                    pool = pools[p]
                    deadline = min(now + pool.timeout_ns, FOREVER)
                    start = max(free[pool.base + pool.front], now) if pool.servers > 0 else FOREVER
                    waiting = start > now and pool.limited != 0
                    if waiting:
                        _leave(pool, leave, r, p, now)
                    if waiting and pool.tail - pool.head >= pool.queue:
                        start, end, outcome = NEVER, now, REJECTION
                    else:
                        bound = FOREVER
                        if changes:
                            bound = min(pool.bound_ns, _ready_at(pool, coming, r, p))
                        left = start
                        parked = start > now and start >= bound and deadline >= bound
                        if parked:
                            left = FOREVER
                        elif start > deadline or start >= bound:
                            left = deadline
                            start, end, outcome = NEVER, deadline, TIMEOUT
                        else:
                            end = start + service
                            _begin(run, pool, free, start, end)
                            if end > deadline:
                                end, outcome = deadline, TIMEOUT
                        if waiting:
                            slot = pool.tail % leave.shape[2]
                            leave[r, p, slot] = left
                            pool.tail += 1
                            if parked:
                                _park(waits, r, p, slot, i, copy, attempt, k, now, service, fails, lost, began, cohort)
                                continue
                            pool.parked = pool.tail
            # The end of a call, and its next attempt.
            retry = NEVER
            if copy == 0:
                if outcome == FINISH:
                    if end - began > run.slo_ns:
                        state.slow += 1
                elif attempt + 1 < attempts and _tries_again(run, outcome):
                    retry = end + backoff_of(rules, row, floats, i, attempt)
                    _push(heap, r, state.heaped, retry, i, attempt + 1, began)
                    state.heaped += 1
                else:
                    state.errors += 1
                    if outcome != ERROR:
                        lost_in[r, min(number if end < next_ns else end // tick_ns, run.ticks), k] += 1
            if recording:
                _tell(record, run.recorded, i, user, copy, attempt, k, arrive, start, end, outcome, retry)
                run.recorded += 1
            if lost or cohort != state.cohort:
                continue
            ended = number if end < next_ns else end // tick_ns
            if ended >= run.ticks:
                continue
            counted = ((r * run.ticks + ended) * 2 * arms + (k if copy == 0 else k + arms)) * columns
            seen[counted + RESPONSES] += 1
            for limit in range(limits):
                # Added, not branched on: whether a call is slow cannot be predicted.
                seen[counted + ABOVE + limit] += integer(end - arrive > limits_ns[limit])
            if outcome != FINISH:
                seen[counted + ERRORS] += 1
                if outcome == TIMEOUT:
                    seen[counted + TIMEOUTS] += 1
                elif outcome == REJECTION:
                    seen[counted + REJECTIONS] += 1
                continue
            earned = counted + ABOVE + limits
            if run.metrics > 0:
                then = number if began >= edge_ns else began // tick_ns
                segment = segment_of(rules, row, floats, user) if rules.segments > 1 else 0
                for m in range(run.metrics):
                    metric = metrics[m]
                    late = 0
                    known = ended
                    if metric.law != NONE:
                        known = (end + delay_of(metric, floats, i)) // tick_ns
                        if known >= run.ticks:
                            earned += 3
                            continue
                        late = (known - ended) * 2 * arms * columns
                    factor = factors[then, m, k]
                    if metric.kind == BINARY and rules.usual_chance == 0.0 and rules.segments == 1:
                        value = integer(unit(at(cells[m, k].value, i)) < cells[m, k].centre * factor)
                    else:
                        value = value_of(rules, row, metric, cells[m, k], floats, ints, factor, k, arms, i, user, segment)
                    seen[earned + late] += 1
                    seen[earned + late + 1] += value
                    seen[earned + late + 2] += value * value
                    earned += 3
                    if m < logging:
                        logged = run.logged
                        log[logged, 0], log[logged, 1], log[logged, 2] = r, known, k if copy == 0 else k + arms
                        log[logged, 3], log[logged, 4], log[logged, 5] = m, i, value
                        run.logged = logged + 1
            if run.agreement:
                agreed = integer(agrees(rules, row, laws[k], ints, k, arms, i))
                seen[earned] += 1
                seen[earned + 1] += agreed
                seen[earned + 2] += agreed
        place += 1
        j = -1
    return DONE, place, j
