"""The records of the kernel, one array of each; structured arrays are several times faster there than as many plain ones."""

from __future__ import annotations

import numpy as np

from sim.engine.needs import CALL_COUNTS
from sim.policy.columns import COUNTS, MOMENTS

FOREVER = 2**62

# What monitoring counts of a lane in a tick: `COUNTS`, then calls above each limit, then `MOMENTS` of every metric.
REQUESTS, RESPONSES, ERRORS, TIMEOUTS, REJECTIONS, RETRIES = (COUNTS.index(each) for each in CALL_COUNTS)
ABOVE = len(COUNTS)
KNOWN, SUM, SQUARE = (MOMENTS.index(each) for each in ("count", "sum", "square"))
EACH_METRIC = len(MOMENTS)
# Why `play` came back: it is done, or an array needs more room.
DONE, QUEUE_FULL, HEAP_FULL, RECORD_FULL, LOG_FULL = range(5)
# The fields of a parked call.
REQUEST, COPY, ATTEMPT, ARM, ARRIVE, SERVICE, FAILS, LOST, FIRST, COHORT, PARKED_FIELDS = range(11)

RUN = np.dtype(
    [
        *(
            (name, np.int64)
            for name in ("tick_ns", "ticks", "slo_ns", "attempts", "metrics", "agreement", "changes", "queues", "recording")
        ),
        *((name, np.int64) for name in ("on_error", "on_timeout", "on_rejection", "recorded", "columns")),
        # The tick at play: its number and edges; whether it has mirrors, whether anybody looks, whether arrivals are Poisson.
        # One that drains has no arrivals and no end, and decides nothing.
        *((name, np.int64) for name in ("number", "edge_ns", "next_ns", "mirrors", "shown", "poisson", "drains")),
        # How many metrics' feedback is logged, how much of it there is, and room for how much.
        *((name, np.int64) for name in ("logging", "logged", "log_room")),
    ]
)
"""(1,) what is the same for all replications. `changes`: capacity can change; `queues`: one may outgrow its ring."""
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
        *((name, np.int64) for name in ("base", "queue", "timeout_ns", "concurrency", "limited", "bound_ns")),
        *((name, np.int64) for name in ("scales", "least", "most", "cold_start_ns", "cool_down")),
        ("target", np.float64),
        *(
            (name, np.int64)
            for name in ("servers", "draining", "ready", "wanted", "since", "pending", "busy_ns", "there_ns", "seen_ns")
        ),
        *((name, np.int64) for name in ("head", "tail", "parked")),
    ]
)
"""(R, P) a pool. `base`: where its servers begin in `free`; queue and timeout are FOREVER for none;
bound_ns: the next edge at which its capacity may change; `limited`: its queue is kept. pending: how many times more replicas
are to come; busy_ns and there_ns: servers' time used and offered in this tick, the latter up to seen_ns. The queue is a ring
from head to tail, parked calls from `parked` on."""
PLAY = np.dtype([(name, np.int64) for name in ("row", "count", "first", "piece_first", "piece_last")] + [("ahead", np.float64)])
"""(r,) a replication at play in this tick: how many requests, the index of the first, how they lie (see `Pieces`)."""
