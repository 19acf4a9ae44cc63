"""The contenders: the random draws alone, the installed peers, and the engines of this program."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec

from sim.bench import peers
from sim.bench.measure import INSTALL, Contender, Missing
from sim.bench.worlds import EVERYTHING, everything, play, stations, unlimited
from sim.engine.catalogue import no_compiler

SIMPY, CIMBA = "simpy_plain", "cimba"
"""The rows with which the others are compared."""
REPLICATIONS = 10
AGGREGATE_REPLICATIONS = 1000
MIRRORED = 0.2


def contenders(requests: int) -> tuple[list[Contender], list[Missing]]:
    """All rows of the table. The compiled engine plays about `requests` requests per round; slow contenders play fewer.

    >>> rows, missing = contenders(10_000)
    >>> [row.key for row in rows if row.key in ("bare_draws", "simpy_plain", "simpy", "aggregate")]
    ['bare_draws', 'simpy_plain', 'simpy', 'aggregate']
    """
    few = max(requests // 100, 1000)
    rows = [
        Contender("bare_draws", "bare draws (2 exponentials, 1 uniform), NumPy", partial(peers.bare_draws, requests)),
        Contender(SIMPY, "idiomatic SimPy, a process per request, no telemetry", partial(peers.plain_simpy, few)),
    ]
    missing = []
    for key, what, run in (
        ("ciw", "ciw, two nodes, a record per request", partial(peers.ciw, max(requests // 500, 1000))),
        (CIMBA, "cimba, C engine, counts and time in system", partial(peers.cimba, max(requests // 4, 1000))),
    ):
        if find_spec(key) is None:
            missing.append(Missing(key, f"is not installed: {INSTALL}"))
        else:
            rows.append(Contender(key, what, run, peer=True))
    rows.append(Contender("simpy", "engine simpy, all telemetry", partial(play, stations(few), "simpy")))
    why_not = no_compiler()
    if why_not is None:
        plain, full = stations(requests, REPLICATIONS), everything(requests / 2, REPLICATIONS)
        rows += [
            Contender("compiled", "engine compiled, all telemetry", partial(play, plain, "compiled", REPLICATIONS)),
            Contender(
                "compiled_everything", "engine compiled: shared pool, scaling, timeouts, retries, mirrors",
                partial(play, full, "compiled", REPLICATIONS, EVERYTHING, MIRRORED),
            ),
        ]  # fmt: skip
    else:
        missing.append(Missing("engine compiled", f"has no working compiler here: {why_not}"))
    world = unlimited(1000 * requests, AGGREGATE_REPLICATIONS)
    run_aggregate = partial(play, world, "aggregate", AGGREGATE_REPLICATIONS)
    rows.append(Contender("aggregate", "engine aggregate, no limit on capacity; requests it stands for", run_aggregate))
    return rows, missing
