"""`sim serve-check`: a policy in real time on real servers, held against its simulation."""

from __future__ import annotations

import argparse
import json
import sys

from sim.cli.models.table import table
from sim.cli.options import (
    PLAIN,
    RUNS_MODELS,
    Completes,
    Verbs,
    add_changes,
    add_parts,
    add_stores,
    completing,
    positive,
    scenario_file,
)
from sim.errors import EXIT_OK, EXIT_THRESHOLD, visible


def add(verbs: Verbs) -> None:
    parser = verbs.add_parser(
        "serve-check", help="play a policy in real time on real servers, and hold it against its simulation",
        formatter_class=PLAIN, reads_scenario=True,
        description="Start the versions of a scenario behind MLflow's REST servers on 127.0.0.1, with a router in front that\n"
        "follows the policy's weights and mirrors; send the scenario's requests in real time, rows of its data; and compare\n"
        "what is seen with what is simulated of the same: requests, shares, latencies, errors, outcomes, the verdict.\n\n"
        "The first minutes of the scenario are played, and no duration is shortened: a canary with steps of an hour stays in\n"
        "its first, so give it others by --set. What the scenario assumes of the world, such as truth or users, is refused;\n"
        "servers are not those of capacity, but these. Exit code 3 if something differs by more than its error.\n\n"
        f"{RUNS_MODELS}",
        epilog="examples:\n  sim serve-check quickstart --policy ab --rate 5/s --tick 5s\n"
        "  sim serve-check quickstart --policy canary --minutes 1 --rate 10/s --tick 5s \\\n"
        "    --set 'policies[4].steps=[{weight: 10%, bake: 20s}, {weight: 50%, bake: 20s}]' \\\n"
        "    --set 'policies[4].checks=[{metric: error_rate, max: 5%}]'",
    )  # fmt: skip
    file = parser.add_argument("file", metavar="FILE", help="scenario file (YAML), or the name of an example")
    completing(file, Completes.SCENARIO)
    parser.add_argument("--policy", required=True, help="the policy's name in the file")
    parser.add_argument("--minutes", type=float, default=2.0, metavar="N", help="how long, in minutes (default 2)")
    parser.add_argument("--tick", metavar="DURATION", help="the control interval, such as 5s (default: the scenario's)")
    parser.add_argument("--rate", metavar="RATE", help="requests, such as 5/s (default: the scenario's; 100/s at most)")
    parser.add_argument(
        "--calls", type=positive, metavar="N", default=120,
        help="calls of each arm alone, before and after: a multiple of 12 from 60 to 6,000 (default 120)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="as JSON")
    add_changes(parser, engine=False)
    add_parts(parser)
    add_stores(parser, logs=False)
    parser.set_defaults(verb=_check)


def _check(options: argparse.Namespace) -> int:
    from sim.live import told
    from sim.live.check import serve_check

    checked = serve_check(
        scenario_file(options.file), options.policy, minutes=options.minutes, tick=options.tick, rate=options.rate,
        calls=options.calls, tracking_uri=options.tracking_uri, registry_uri=options.registry_uri, parts=options.parts,
        changes=options.changes, note=_note,
    )  # fmt: skip
    if options.json:
        print(json.dumps(told.to_dict(checked), indent=1, ensure_ascii=False))
    else:
        lines = [*told.above(checked), "", *table(told.HEADS, list(told.rows(checked))), "", *told.below(checked)]
        print(*map(visible, lines), sep="\n")
    return EXIT_OK if checked.agrees else EXIT_THRESHOLD


def _note(said: str) -> None:
    print(f"sim: {visible(said)}", file=sys.stderr)
