"""The compiled engine's inner loop: the same events as the SimPy engine, computed in the order of arrival.

Under first-come, first-served, the whole fate of a call is known when it arrives, from the times at which its pool's servers
become free (Kiefer & Wolfowitz 1955). The exception is a call that would start after its pool's next possible change of
capacity: it is *parked*, and planned again at that change. So the only events are arrivals, retries and changes of capacity,
and only retries need a heap of events. The end of a call is booked in telemetry at once, in the tick in which it will be seen.

When an array is full, `play` returns which array (see `records`), before it changes anything for the current event.
"""

from __future__ import annotations

from typing import Any

from sim.engine.calls import ERROR, FINISH, NEVER, REJECTION, TIMEOUT
from sim.engine.compiled.notes import note, record_call, room
from sim.engine.compiled.pool import add_ready, begin, leave_queue, open_pool, park, plan_parked
from sim.engine.compiled.records import (
    ABOVE,
    ARM,
    ARRIVE,
    ATTEMPT,
    COHORT,
    COPY,
    DONE,
    EACH_METRIC,
    ERRORS,
    FIRST,
    FOREVER,
    KNOWN,
    LOG_FULL,
    LOST,
    QUEUE_FULL,
    REJECTIONS,
    REQUEST,
    REQUESTS,
    RESPONSES,
    RETRIES,
    SQUARE,
    SUM,
    TIME,
    TIMEOUTS,
)
from sim.engine.compiled.retries import pop, push, tries_again
from sim.engine.compiled.sending import arm_of, copy_to, kept_arm, send
from sim.jit import compiled, integer
from sim.world.potential import (
    agrees,
    backoff_of,
    delay_of,
    error_of,
    is_lost,
    segment_of,
    service_of,
    user_of,
    value_of,
    writes_of,
)
from sim.world.sampling import SLOTS, TABLED, at, nanoseconds, parametric, spread, unit
from sim.world.tables import BINARY


@compiled
def play(
    rules_1: Any, rows_: Any, arms_: Any, metrics_: Any, cells_: Any, floats: Any, ints: Any,
    run_1: Any, states: Any, duties_: Any, pools_: Any, plays: Any, free: Any, drains: Any, coming: Any, leave: Any,
    waits: Any, heap: Any, seen: Any, lost_in: Any, limits_ns: Any, factors_: Any, out: Any, record: Any, log: Any, kept: Any,
    offset_ns: Any, level: Any, gaps: Any, offsets: Any, chosen: Any,
    work: Any, copied: Any, place: Any, j: Any,
) -> Any:  # fmt: skip
    """Play a tick for the replications from `place` on; the first replication starts at its arrival `j` (-1: at the edge).

    Returns (status, place, j): status is DONE or the array that needs room; place and j are where to continue. Every iteration
    of the inner loop is one call that ends or is parked. Functions that take arrays are called only where a world needs them:
    passing an array costs more than all other work on a request.
    """
    rules, run = rules_1[0], run_1[0]
    arms, pool_count = duties_.shape[1], pools_.shape[1]
    tick = min(run.number, run.ticks - 1)
    number, edge_ns, next_ns, tick_ns = run.number, run.edge_ns, run.next_ns, run.tick_ns
    changes, attempts, shown, columns = run.changes != 0, run.attempts, run.shown != 0, run.columns
    recording, mirrors = run.recording != 0, run.mirrors != 0
    logging = run.logging if shown else 0
    queues = run.queues != 0
    careful = changes or attempts > 1 or recording
    at_most = (arms + 1) * (run.entries if shown else 0)
    limits, keepers, users, segments = limits_ns.size, rules.keepers, rules.users, rules.segments
    ticks, metric_count, slo_ns, agreement = run.ticks, run.metrics, run.slo_ns, run.agreement != 0
    # Yes or no with a chance of its own, as most outcomes are.
    simple = rules.usual_chance == 0.0 and segments == 1
    while place < plays.size:
        r, count, first = plays[place].row, plays[place].count, plays[place].first
        row, state, duties, pools = rows_[r], states[r], duties_[r], pools_[r]
        laws, metrics, cells = arms_[r], metrics_[r], cells_[r]
        factors = factors_[r if factors_.shape[0] > 1 else 0]
        if count > 0:
            spread(
                run.poisson, count, at(row.positions, number), offset_ns, level, plays[place].piece_first,
                plays[place].piece_last, plays[place].ahead, gaps, offsets,
            )  # fmt: skip
            if keepers == 0:
                send(rules, row, laws, duties, floats, ints, first, count, chosen, work, gaps)
                if mirrors:
                    copy_to(laws, duties, first, chosen[:count], copied)
        # The pool whose parked calls are planned again, or -1, and the time of its change.
        planning, since = -1, edge_ns
        opening = pool_count
        # So many events surely fit before `room` has to be asked again.
        ahead = integer(0)
        if j < 0:
            if changes:
                full, ahead = room(run, state, pools, heap.shape[1], record.shape[0], arms)
                if full != DONE:
                    return full, place, j
                opening = 0
            j = 0
        cohort = current = state.cohort
        # Where telemetry of this tick begins in `seen`, and how long that of a tick is.
        each_tick = 2 * arms * columns
        here = (r * ticks + number) * each_tick
        # The current request: its index, attempt, first arrival and user, the arm that serves it, and its copies.
        i, attempt, began, user, arm, copy, copies = first, 0, edge_ns, first, 0, 0, 0
        writes = False
        now = edge_ns
        while True:
            arrive = now
            lost = False
            if planning < 0 and opening < pool_count:
                planning, since = opening, edge_ns
                open_pool(run, pools[planning], free, drains, coming, r, planning, out[tick, planning])
                opening += 1
            if planning >= 0:
                pool = pools[planning]
                if pool.parked == pool.tail:
                    planning = -1
                    continue
                bound = min(pool.bound_ns, pool.soon_ns)
                slot = pool.parked & (leave.shape[2] - 1)
                start, end, outcome = plan_parked(run, pool, free, leave, waits, r, planning, bound, since)
                if end < 0:
                    planning = -1
                    continue
                # Read one by one: a function that returns all of them would slow down the whole loop by 5%.
                i, copy, attempt = (
                    waits[r, planning, slot, REQUEST],
                    waits[r, planning, slot, COPY],
                    waits[r, planning, slot, ATTEMPT],
                )
                k, arrive, began = (
                    waits[r, planning, slot, ARM],
                    waits[r, planning, slot, ARRIVE],
                    waits[r, planning, slot, FIRST],
                )
                lost, cohort = not shown or waits[r, planning, slot, LOST] != 0, waits[r, planning, slot, COHORT]
                user = user_of(rules, row, floats, ints, i) if users > 0 else i
                copies = 0
            else:
                # The next copy goes to the arms that do not serve the request, in their order.
                copy += 1
                while copy <= copies:
                    if copy - 1 != arm:
                        share = duties[copy - 1].mirror_writes if writes else duties[copy - 1].mirror
                        if share > 0.0 and unit(at(laws[copy - 1].mirror, i)) < share:
                            break
                    copy += 1
                if copy <= copies:
                    k = copy - 1
                    duties[k].mirrored += 1
                    duties[k].duplicated += integer(writes)
                else:
                    fresh = edge_ns + offsets[j] if j < count else FOREVER
                    again = heap[r, 0, 0] if state.heaped > 0 else FOREVER
                    now = min(fresh, again)
                    if logging > 0 and run.logged + at_most > run.log_room:
                        return LOG_FULL, place, j
                    if queues:
                        for p in range(pool_count):
                            if pools[p].tail - pools[p].head + arms > leave.shape[2]:
                                leave_queue(pools[p], leave, r, p, min(now, next_ns))
                                if pools[p].tail - pools[p].head + arms > leave.shape[2]:
                                    return QUEUE_FULL, place, j
                    if careful:
                        ahead -= 1
                        if ahead < 0:
                            full, ahead = room(run, state, pools, heap.shape[1], record.shape[0], arms)
                            if full != DONE:
                                return full, place, j
                        if changes:
                            since = min(now + 1, next_ns)
                            for p in range(pool_count):
                                if pools[p].soon_ns < since:
                                    since, planning = pools[p].soon_ns, p
                            if planning >= 0:
                                add_ready(run, pools[planning], free, drains, coming, r, planning, out[tick, planning], since)
                                copy = copies
                                continue
                    if now >= next_ns:
                        break
                    arrive = now
                    cohort = current
                    # At equal times the lower request comes first, and a retry's request arrived earlier.
                    if again <= fresh:
                        i, attempt, began = heap[r, 0, 1], heap[r, 0, 2], heap[r, 0, 3]
                        pop(heap, r, state.heaped)
                        state.heaped -= 1
                        state.retries += 1
                        copies = 0
                        user = user_of(rules, row, floats, ints, i) if users > 0 else i
                        if keepers > 0:
                            arm = kept_arm(rules, row, duties, kept, r, i, user)
                        else:
                            arm = arm_of(rules, row, duties, i, user)
                    else:
                        i, attempt, began = first + j, 0, now
                        user = user_of(rules, row, floats, ints, i) if users > 0 else i
                        arm = chosen[j] if keepers == 0 else kept_arm(rules, row, duties, kept, r, i, user)
                        # Most requests have no copy, and their arm would make for a branch that cannot be foreseen.
                        copies = arms if mirrors and (keepers > 0 or copied[j] != 0) else 0
                        writes = mirrors and writes_of(rules, row, i)
                        j += 1
                        duties[arm].requests += 1
                    duties[arm].calls += 1
                    copy = 0
                    k = arm
                duty, law = duties[k], laws[k]
                # After a verdict, and after the horizon, monitoring does not look any more.
                lost = not shown or is_lost(rules, law, i, attempt)
                if not lost:
                    counted = here + (k if copy == 0 else k + arms) * columns
                    seen[counted + REQUESTS] += 1
                    if attempt > 0:
                        seen[counted + RETRIES] += 1
                if copy == 0 and attempt == 0 and keepers == 0:
                    service = work[j - 1]
                elif law.law >= TABLED:
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
                    deadline, leaves = min(now + pool.timeout_ns, FOREVER), min(now + pool.waits_ns, FOREVER)
                    start = max(free[pool.base], now) if pool.servers > 0 else FOREVER
                    waiting = start > now and pool.limited != 0
                    # Those who have left are taken out when they seem to be too many.
                    if waiting and pool.tail - pool.head >= pool.queue:
                        leave_queue(pool, leave, r, p, now)
                    if waiting and pool.tail - pool.head >= pool.queue:
                        start, end, outcome = NEVER, now, REJECTION
                    else:
                        bound = FOREVER
                        if changes:
                            bound = min(pool.bound_ns, pool.soon_ns)
                        left = start
                        parked = start > now and start >= bound and leaves >= bound
                        if parked:
                            left = FOREVER
                        elif start > leaves or start >= bound:
                            left = leaves
                            start, end, outcome = NEVER, leaves, TIMEOUT
                        else:
                            end = min(start + service, FOREVER - 1)
                            begin(run, pool, free, start, end)
                            if end > deadline:
                                end, outcome = deadline, TIMEOUT
                        if waiting:
                            slot = pool.tail & (leave.shape[2] - 1)
                            leave[r, p, slot] = left
                            pool.tail += 1
                            if parked:
                                park(waits, r, p, slot, i, copy, attempt, k, now, service, fails, lost, began, cohort)
                                continue
                            pool.parked = pool.tail
            # The end of a call, and its next attempt.
            retry = NEVER
            if copy == 0:
                if outcome == FINISH:
                    state.slow += integer(end - began > slo_ns)
                elif attempt + 1 < attempts and tries_again(run, outcome):
                    retry = end + backoff_of(rules, row, floats, i, attempt)
                    push(heap, r, state.heaped, retry, i, attempt + 1, began)
                    state.heaped += 1
                else:
                    state.errors += 1
                    if outcome != ERROR:
                        lost_in[r, min(number if end < next_ns else end // tick_ns, ticks), k] += 1
            if recording:
                record_call(record, run.recorded, i, user, copy, attempt, k, arrive, start, end, outcome, retry)
                run.recorded += 1
            if lost or cohort != current:
                continue
            ended = number if end < next_ns else end // tick_ns
            if ended >= ticks:
                continue
            visited = number if arrive >= edge_ns else arrive // tick_ns
            counted = here + (ended - number) * each_tick + (k if copy == 0 else k + arms) * columns
            seen[counted + RESPONSES] += 1
            seen[counted + TIME] += end - arrive
            for limit in range(limits):
                # Added, not branched on: whether a call is slow cannot be predicted.
                seen[counted + ABOVE + limit] += integer(end - arrive > limits_ns[limit])
            if outcome != FINISH:
                seen[counted + ERRORS] += 1
                if outcome == TIMEOUT:
                    seen[counted + TIMEOUTS] += 1
                elif outcome == REJECTION:
                    seen[counted + REJECTIONS] += 1
                # A request that is tried again has not failed.
                if run.failures and retry == NEVER:
                    earned = counted + ABOVE + limits
                    for m in range(metric_count):
                        value = metrics[m].failed
                        seen[earned + KNOWN] += 1
                        seen[earned + SUM] += value
                        seen[earned + SQUARE] += value * value
                        earned += EACH_METRIC
                        if m < logging:
                            note(run, log, r, ended, k if copy == 0 else k + arms, m, i, value, integer(1), visited)
                continue
            earned = counted + ABOVE + limits
            if metric_count > 0:
                then = number if began >= edge_ns else began // tick_ns
                segment = segment_of(rules, row, floats, user) if segments > 1 else 0
                for m in range(metric_count):
                    metric = metrics[m]
                    factor = factors[then, m, k]
                    if simple and metric.kind == BINARY:
                        value = integer(unit(at(cells[m, k].value, i)) < cells[m, k].centre * factor)
                    else:
                        value = value_of(rules, row, metric, cells[m, k], floats, ints, factor, k, arms, i, user, segment)
                    late, counts = 0, integer(1)
                    known = ended
                    if metric.delayed != 0:
                        delay_ns = delay_of(metric, cells[m, k], floats, value, i)
                        if delay_ns > metric.window_ns:
                            delay_ns, value = metric.window_ns, 0
                        if metric.provisional != 0:
                            # The outcome counts as 0 now; nothing follows if that is what it is.
                            counts = integer(0)
                            seen[earned + KNOWN] += 1
                            if m < logging:
                                note(run, log, r, known, k if copy == 0 else k + arms, m, i, integer(0), integer(1), visited)
                        known = (end + delay_ns) // tick_ns
                        if known >= ticks or (counts == 0 and value == 0):
                            earned += EACH_METRIC
                            continue
                        late = (known - ended) * each_tick
                    seen[earned + late + KNOWN] += counts
                    seen[earned + late + SUM] += value
                    seen[earned + late + SQUARE] += value * value
                    earned += EACH_METRIC
                    if m < logging:
                        note(run, log, r, known, k if copy == 0 else k + arms, m, i, value, counts, visited)
            if agreement:
                agreed = integer(agrees(rules, row, laws[k], floats, ints, k, arms, i))
                seen[earned + KNOWN] += 1
                seen[earned + SUM] += agreed
                seen[earned + SQUARE] += agreed
        place += 1
        j = -1
    return DONE, place, j
