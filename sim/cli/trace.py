"""`sim trace`: one replication's event log."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sim import workflow
from sim.cli.options import (
    PLAIN,
    RUNS_MODELS,
    Completes,
    Verbs,
    add_changes,
    add_parts,
    add_stores,
    completing,
    duration,
    positive,
    scenario_file,
    whole,
)
from sim.errors import EXIT_OK, plain

if TYPE_CHECKING:
    from sim.run.plan import PlannedPoint


def add(verbs: Verbs) -> None:
    parser = verbs.add_parser(
        "trace", help="print or write one replication's event log", formatter_class=PLAIN, reads_scenario=True,
        description="Play one replication of one policy request by request, and tell every event: arrive, start, finish,\n"
        "error, timeout, reject, retry, feedback, tick (the routing from there on), verdict. Both engines tell the same.\n\n"
        f"{RUNS_MODELS}",
        epilog="examples:\n  sim trace quickstart --policy ab --replication 3 --until 10m\n"
        "  sim trace quickstart --policy canary --replication 0 --until 6h --out canary.parquet\n"
        "  sim trace quickstart --policy ab --replication 0 --until 6h --requests --out requests.parquet",
    )  # fmt: skip
    file = parser.add_argument("file", metavar="FILE", help="scenario file (YAML), or the name of an example")
    completing(file, Completes.SCENARIO)
    parser.add_argument("--policy", required=True, help="the policy's name in the file")
    parser.add_argument("--replication", type=whole, required=True, help="which replication, from 0")
    engine = parser.add_argument("--engine", help="simpy or compiled (default: the run's own where it has events, else simpy)")
    completing(engine, Completes.ENGINE_OF_CALLS)
    parser.add_argument("--until", type=duration, help="simulated time after which nothing is told, such as 6h")
    parser.add_argument("--limit", type=positive, default=40, help="events printed: the first and the last (default 40)")
    parser.add_argument(
        "--requests", action="store_true",
        help="a row a request instead of a row an event: the log that a team would have, for sim calibrate and sim replay",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, help="write all events to this .parquet or .csv file instead")
    reports = parser.add_argument(
        "--reports", type=Path, default=workflow.REPORTS, help="where predictions are kept (default: reports)"
    )
    completing(reports, Completes.FOLDER)
    add_changes(parser, engine=False)
    add_parts(parser)
    add_stores(parser, logs=False)
    parser.set_defaults(verb=_trace)


def _trace(options: argparse.Namespace) -> int:
    from sim.run.trace import lines

    def planned(point: PlannedPoint) -> None:
        if options.engine is None and not point.engine.entry.tells_calls:
            played = f"a run of this scenario is played by the {point.engine.name} engine, which has no events"
            print(f"sim: {played}; this is the same world request by request, with draws of its own", file=sys.stderr)

    log = workflow.trace_scenario(
        scenario_file(options.file), options.policy, options.replication,
        engine=options.engine, until_s=options.until, out=options.out,
        reports=options.reports, tracking_uri=options.tracking_uri, registry_uri=options.registry_uri,
        parts=options.parts, changes=options.changes, planned=planned, requests=options.requests,
    )  # fmt: skip
    if options.out is None and options.requests:
        print(log.to_string(index=False, max_rows=options.limit, min_rows=options.limit))
    elif options.out is None:
        print(*lines(log, options.limit), sep="\n")
    else:
        print(f"{plain(str(options.out))}: {len(log):,} {'requests' if options.requests else 'events'}")
    return EXIT_OK
