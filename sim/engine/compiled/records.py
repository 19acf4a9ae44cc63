"""The record types of the kernel. One structured array of each is several times faster than many plain arrays."""

from __future__ import annotations

import numpy as np

from sim.engine.needs import CALL_COUNTS
from sim.policy.columns import COUNTS, MOMENTS

FOREVER = 2**62

# The columns of a lane in a tick: `COUNTS`, the sum of latencies, calls above each limit, then `MOMENTS` of every metric.
REQUESTS, RESPONSES, ERRORS, TIMEOUTS, REJECTIONS, RETRIES = (COUNTS.index(count) for count in CALL_COUNTS)
TIME = len(COUNTS)
ABOVE = TIME + 1
KNOWN, SUM, SQUARE = (MOMENTS.index(moment) for moment in ("count", "sum", "square"))
EACH_METRIC = len(MOMENTS)
# Why `play` returned: it is done, or an array needs more room.
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
        ("plain", np.int64),  # whether calls without copies can be played in passes: see `plain`
        ("failures", np.int64),  # whether failed requests count as outcomes
        # The current tick: its number and edges; whether it has mirrors, monitoring looks, and arrivals are Poisson.
        # A tick with `drains` has no arrivals and no end, and does not scale pools.
        *((name, np.int64) for name in ("number", "edge_ns", "next_ns", "mirrors", "shown", "poisson", "drains")),
        # The number of metrics whose feedback is logged, the entries in the log, and the room of the log.
        # And the most entries that one call makes: one for each of these metrics, two where an outcome is corrected.
        *((name, np.int64) for name in ("logging", "logged", "log_room", "entries")),
    ]
)
"""(1,) settings of all replications. `changes`: capacity can change; `queues`: a queue may need more than its ring."""
ROW = np.dtype([(name, np.int64) for name in ("cohort", "heaped", "errors", "slow", "retries")])
"""(R,) a replication: its cohort, the number of retries in its heap, and the counts to book for this tick."""
DUTY = np.dtype(
    [
        *((name, np.int64) for name in ("pool", "requests", "calls", "mirrored", "duplicated")),
        *((name, np.float64) for name in ("error_rate", "scale", "misrouted", "threshold", "own", "guests")),
        *((name, np.float64) for name in ("mirror", "mirror_writes")),
    ]
)
"""(R, K) an arm: its pool or -1, its counts, and the conditions and the routing of the tick."""
POOL = np.dtype(
    [
        *((name, np.int64) for name in ("base", "queue", "timeout_ns", "waits_ns", "concurrency", "limited", "bound_ns")),
        *((name, np.int64) for name in ("scales", "least", "most", "cold_start_ns", "cool_down")),
        ("target", np.float64),
        *(
            (name, np.int64)
            for name in ("servers", "draining", "ready", "wanted", "since", "pending", "busy_ns", "there_ns", "seen_ns")
        ),
        *((name, np.int64) for name in ("head", "tail", "parked", "soon_ns")),
    ]
)
"""(R, P) a pool. base: the index of its first server in `free`. queue, timeout_ns and waits_ns (how long a call may
wait): FOREVER if there is no limit. bound_ns: the next edge at which its capacity may change. limited: whether its queue is
kept. pending: the number of entries in `coming`; soon_ns: when the first of them is ready, FOREVER without any. busy_ns and
there_ns: server time used and offered in this tick, the latter up to seen_ns. The queue is a ring from head to tail; its
parked calls start at `parked`."""
PLAY = np.dtype([(name, np.int64) for name in ("row", "count", "first", "piece_first", "piece_last")] + [("ahead", np.float64)])
"""(r,) a replication that plays this tick: number of requests, index of the first, and their times (see `Pieces`)."""
