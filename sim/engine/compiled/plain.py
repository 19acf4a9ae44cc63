"""A tick of a replication in which nothing comes back: the same calls as in `kernel`, in passes over blocks of them.

Where capacity is constant, queues have no limit, and clients try once, the end of a call depends on earlier calls of its pool
alone. Then there is no order of events to keep. Each pass does one thing for a block of calls, without branches, so that a
processor does several at once; only the servers are taken one call after the other. `memory.plain` says which worlds these are.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sim.engine.calls import ERROR, FINISH, TIMEOUT
from sim.engine.compiled.pool import begin
from sim.engine.compiled.records import (
    ABOVE,
    EACH_METRIC,
    ERRORS,
    FOREVER,
    KNOWN,
    REQUESTS,
    RESPONSES,
    SQUARE,
    SUM,
    TIME,
    TIMEOUTS,
)
from sim.engine.compiled.sending import pick, send
from sim.jit import compiled, integer
from sim.world.potential import segment_of, user_of, value_of
from sim.world.sampling import BLOCK, SLOTS, at, spread, unit
from sim.world.tables import BINARY

# The lane of a call that is told by itself: it ends in another tick, or not well.
_APART = -1


@compiled
def play_plain(
    rules_1: Any, rows_: Any, arms_: Any, metrics_: Any, cells_: Any, floats: Any, ints: Any, run_1: Any, states: Any,
    duties_: Any, pools_: Any, plays: Any, free: Any, seen: Any, lost_in: Any, limits_ns: Any, factors_: Any, offset_ns: Any,
    level: Any, room: Any, offsets: Any, chosen: Any, work: Any,
) -> None:  # fmt: skip
    """Play a tick for all replications of `plays`. Arrays are as in `kernel.play`; from `room` on they are to work in."""
    rules, run = rules_1[0], run_1[0]
    ends, outcomes, lanes = np.empty(BLOCK, np.int64), np.empty(BLOCK, np.int64), np.empty(BLOCK, np.int64)
    for place in range(plays.size):
        r, count, first = plays[place].row, plays[place].count, plays[place].first
        if count == 0:
            continue
        row, state, duties, pools = rows_[r], states[r], duties_[r], pools_[r]
        laws, metrics, cells = arms_[r], metrics_[r], cells_[r]
        factors = factors_[r if factors_.shape[0] > 1 else 0]
        spread(
            run.poisson, count, at(row.positions, run.number), offset_ns, level, plays[place].piece_first,
            plays[place].piece_last, plays[place].ahead, room, offsets,
        )  # fmt: skip
        # What is not a yes or a no with a chance of its own is told call by call.
        counted = rules.usual_chance == 0.0 and rules.segments == 1
        for m in range(run.metrics):
            counted = counted and metrics[m].kind == BINARY
        until_ns = run.next_ns if counted else run.edge_ns
        for start in range(0, count, BLOCK):
            after = offsets[start : min(start + BLOCK, count)]
            n = after.size
            arm, took, u, end, outcome, lane = chosen[:n], work[:n], room[:n], ends[:n], outcomes[:n], lanes[:n]
            send(rules, row, laws, duties, floats, ints, first + start, n, arm, took, u)
            _fail(laws, duties, first + start, arm, outcome, u)
            _serve(run, duties, pools, free, after, arm, took, end, outcome)
            apart = _part(run, state, duties, until_ns, after, arm, end, outcome, took, lane)
            if run.shown:
                for k in range(duties.size):
                    seen[((r * run.ticks + run.number) * 2 * duties.size + k) * run.columns + REQUESTS] += _count(arm, k)
            if apart > 0:
                _tell_apart(
                    rules, row, metrics, cells, floats, ints, factors, run, state, seen, lost_in, limits_ns, r, first + start,
                    arm, end, outcome, took, lane,
                )  # fmt: skip
            if run.shown and apart < n:
                _tell(run, seen, limits_ns, r, duties.size, took, lane)
                _earn(cells, factors, run, seen, limits_ns.size, r, first + start, arm, lane, end, u)


@compiled
def _count(values: Any, value: Any) -> Any:
    """How often a value is among some."""
    count = 0
    for j in range(values.size):
        count += integer(values[j] == value)
    return count


@compiled
def _fail(laws: Any, duties: Any, first: Any, arm: Any, outcome: Any, u: Any) -> None:
    """Fill in which calls will fail, if they are not too late before that."""
    outcome[:] = FINISH
    for k in range(duties.size):
        key, rate = laws[k].error, duties[k].error_rate
        if rate > 0.0:
            for j in range(u.size):
                u[j] = unit(at(key, (first + j) * SLOTS))
            for j in range(u.size):
                outcome[j] = ERROR if (arm[j] == k) & (u[j] < rate) else outcome[j]


@compiled
def _serve(run: Any, duties: Any, pools: Any, free: Any, after: Any, arm: Any, work: Any, end: Any, outcome: Any) -> None:
    """Fill in when calls end, first come, first served (Kiefer & Wolfowitz 1955), and which are too late."""
    edge_ns = run.edge_ns
    for j in range(end.size):
        now = edge_ns + after[j]
        p = duties[arm[j]].pool
        if p < 0:
            end[j] = now + work[j]
            continue
        timeout_ns, waits_ns = pools[p].timeout_ns, pools[p].waits_ns
        start = max(free[pools[p].base], now)
        if waits_ns < FOREVER and start > now + waits_ns:
            end[j], outcome[j] = now + waits_ns, TIMEOUT
            continue
        ends = min(start + work[j], FOREVER - 1)
        begin(run, pools[p], free, start, ends)
        if timeout_ns < FOREVER and ends > now + timeout_ns:
            ends, outcome[j] = now + timeout_ns, TIMEOUT
        end[j] = ends


@compiled
def _part(
    run: Any, state: Any, duties: Any, until_ns: Any, after: Any, arm: Any, end: Any, outcome: Any, took: Any, lane: Any
) -> Any:
    """Book the calls, and fill in how long they took, and the lane of each that ends well before a time.

    Returns how many do not.
    """
    edge_ns, apart = run.edge_ns, 0
    for j in range(took.size):
        took[j] = end[j] - (edge_ns + after[j])
    for j in range(lane.size):
        well = (end[j] < until_ns) & (outcome[j] == FINISH)
        lane[j] = arm[j] if well else _APART
        apart += integer(not well)
    if run.slo_ns < FOREVER:
        slow, slo_ns = 0, run.slo_ns
        for j in range(took.size):
            slow += integer((took[j] > slo_ns) & (outcome[j] == FINISH))
        state.slow += slow
    for k in range(duties.size):
        sent = _count(arm, k)
        duties[k].requests += sent
        duties[k].calls += sent
    return apart


@compiled
def _tell(run: Any, seen: Any, limits_ns: Any, r: Any, arms: Any, took: Any, lane: Any) -> None:
    """Count the calls that end well in this tick, and how long they took."""
    for k in range(arms):
        count, total = 0, 0
        for j in range(took.size):
            count += integer(lane[j] == k)
            total += took[j] if lane[j] == k else 0
        counted = ((r * run.ticks + run.number) * 2 * arms + k) * run.columns
        seen[counted + RESPONSES] += count
        seen[counted + TIME] += total
        for limit in range(limits_ns.size):
            above, limit_ns = 0, limits_ns[limit]
            for j in range(took.size):
                above += integer((lane[j] == k) & (took[j] > limit_ns))
            seen[counted + ABOVE + limit] += above


@compiled
def _earn(
    cells: Any, factors: Any, run: Any, seen: Any, limits: Any, r: Any, first: Any, arm: Any, lane: Any, keys: Any, u: Any
) -> None:
    """Count the successes among the calls that end well in this tick. keys and u (n,) are to work in."""
    arms = cells.shape[1]
    begins = (r * run.ticks + run.number) * 2 * arms * run.columns + ABOVE + limits
    for m in range(run.metrics):
        for k in range(arms):
            pick(arm, k, integer(cells[m, k].value), keys)
        for j in range(u.size):
            u[j] = unit(at(keys[j], first + j))
        for k in range(arms):
            chance, known, earned = cells[m, k].centre * factors[run.number, m, k], 0, 0
            for j in range(u.size):
                known += integer(lane[j] == k)
                earned += integer((lane[j] == k) & (u[j] < chance))
            place = begins + k * run.columns + m * EACH_METRIC
            seen[place + KNOWN] += known
            seen[place + SUM] += earned
            seen[place + SQUARE] += earned


@compiled
def _tell_apart(
    rules: Any, row: Any, metrics: Any, cells: Any, floats: Any, ints: Any, factors: Any, run: Any, state: Any, seen: Any,
    lost_in: Any, limits_ns: Any, r: Any, first: Any, arm: Any, end: Any, outcome: Any, took: Any, lane: Any,
) -> None:  # fmt: skip
    """Book and tell the calls that are left, one by one."""
    arms = cells.shape[1]
    for j in range(lane.size):
        if lane[j] != _APART:
            continue
        k, i = arm[j], first + j
        ended = end[j] // run.tick_ns
        if outcome[j] != FINISH:
            state.errors += 1
            if outcome[j] == TIMEOUT:
                lost_in[r, min(ended, run.ticks), k] += 1
        if not run.shown or ended >= run.ticks:
            continue
        counted = ((r * run.ticks + ended) * 2 * arms + k) * run.columns
        seen[counted + RESPONSES] += 1
        seen[counted + TIME] += took[j]
        for limit in range(limits_ns.size):
            seen[counted + ABOVE + limit] += integer(took[j] > limits_ns[limit])
        place = counted + ABOVE + limits_ns.size
        if outcome[j] != FINISH:
            seen[counted + ERRORS] += 1
            if outcome[j] == TIMEOUT:
                seen[counted + TIMEOUTS] += 1
            if run.failures:
                for m in range(run.metrics):
                    value = metrics[m].failed
                    seen[place + KNOWN] += 1
                    seen[place + SUM] += value
                    seen[place + SQUARE] += value * value
                    place += EACH_METRIC
            continue
        user = user_of(rules, row, floats, ints, i) if rules.users > 0 else i
        segment = segment_of(rules, row, floats, user) if rules.segments > 1 else 0
        for m in range(run.metrics):
            factor = factors[run.number, m, k]
            value = value_of(rules, row, metrics[m], cells[m, k], floats, ints, factor, k, arms, i, user, segment)
            seen[place + KNOWN] += 1
            seen[place + SUM] += value
            seen[place + SQUARE] += value * value
            place += EACH_METRIC
