"""What the kernel writes down beside its sums, and whether there is room for what comes next."""

from __future__ import annotations

from typing import Any

from sim.engine.compiled.records import DONE, HEAP_FULL, LOG_FULL, RECORD_FULL
from sim.jit import compiled, integer


@compiled
def room(run: Any, state: Any, pools: Any, retries: Any, records: Any, arms: Any) -> Any:
    """(status, ahead): DONE if the next event fits into heap, record and log, of so many entries; else which of them is full.

    ahead: so many events after it fit as well, whatever they are.
    """
    waiting = 0
    for p in range(pools.size):
        waiting += pools[p].tail - pools[p].parked
    # An event is a request and its copies: each of them may come to wait, to be tried again, or to end.
    most = arms + 1
    left = retries - state.heaped - waiting - 1
    if left < 0:
        return integer(HEAP_FULL), integer(0)
    if run.recording:
        records -= run.recorded + waiting + most
        if records < 0:
            return integer(RECORD_FULL), integer(0)
        left = min(left, records)
    if run.entries:
        entries = run.log_room - run.logged - (waiting + most) * run.entries
        if entries < 0:
            return integer(LOG_FULL), integer(0)
        left = min(left, entries // run.entries)
    return integer(DONE), left // most


@compiled
def record_call(
    record: Any, place: Any, request: Any, user: Any, copy: Any, attempt: Any, k: Any, arrive: Any, start: Any, end: Any,
    outcome: Any, retry: Any,
) -> None:  # fmt: skip
    """Write down a call, in the order of the fields of `CALL`: see `sim.engine.calls`."""
    call = record[place]
    call[0], call[1], call[2], call[3], call[4] = request, user, copy, attempt, k
    call[5], call[6], call[7], call[8], call[9] = arrive, start, end, outcome, retry


@compiled
def note(
    run: Any, log: Any, r: Any, known: Any, lane: Any, m: Any, i: Any, value: Any, counts: Any, visited: Any
) -> None:  # fmt: skip
    """Add to the log of feedback, in the order of its fields: see `sim.engine.feedback`."""
    entry = log[run.logged]
    entry[0], entry[1], entry[2], entry[3] = r, known, lane, m
    entry[4], entry[5], entry[6], entry[7] = i, value, counts, visited
    run.logged += 1
