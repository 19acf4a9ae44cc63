"""`sim calibrate`: a scenario of a team's own logs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sim.cli.options import PLAIN, Verbs
from sim.errors import EXIT_OK, InputError, Problem, plain

if TYPE_CHECKING:
    from sim.fitting.calibrating import Calibrated
    from sim.fitting.events import Options as Events

_FACTS = {
    "--name": "what the model is called (default: the name of the first file)",
    "--horizon": "by when a rollout must be over (default: 14d)",
    "--lifetime": "how long a version serves until the next one (default: 90d)",
    "--smallest-effect": "the relative change below which shipping does not matter (default: 1%%)",
    "--spread": "how much new versions usually change it, where no past experiments are given (default: 2%%)",
}
_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}


def add(verbs: Verbs) -> None:
    parser = verbs.add_parser(
        "calibrate", help="make a scenario of your own logs and past experiments", formatter_class=PLAIN,
        description="Read request logs (CSV or Parquet, a row a request, by time) and say what was found: the rate with\n"
        "its day, week and bursts; outcomes, latency and errors by arm; how late outcomes are; users; segments. Of a table\n"
        "of past experiments (results, or counts with means and variances) a prior of effects is fitted. With --out, write\n"
        "a commented scenario, its models file, and a page of fits beside the data. Nothing is overwritten. Only aggregates\n"
        "are written; users' ids are hashed as they are read.",
        epilog="examples:\n  sim calibrate requests.parquet\n"
        "  sim calibrate requests.csv --columns time=ts,arm=variant,outcome=bought --out checkout.yaml\n"
        "  sim calibrate requests.parquet experiments.csv --next --out checkout.yaml\n"
        "  sim calibrate experiments.csv --metric conversion\n"
        "  sim calibrate requests.parquet --outcomes purchases.parquet\n"
        "  sim calibrate events.parquet --events --primary purchase --repeats add\n"
        "  sim calibrate january.parquet february.parquet --champion v7 --latency-unit ms --json\n\n"
        "roles of columns: time, arm, user, outcome (one or more, the first decides), outcome_time (when it became known),\n"
        "latency, error or status, segment, covariate (known before). Usual names are known without being said.",
    )  # fmt: skip
    parser.add_argument(
        "files", metavar="FILE", nargs="+", type=Path, help="logs, one after the other, and a table of past experiments"
    )
    parser.add_argument("--columns", default="", metavar="ROLE=COLUMN,…", help="which column of a log is what; ROLE= for none")
    parser.add_argument(
        "--outcomes", action="append", default=[], type=Path, metavar="FILE",
        help="a file with a row an outcome, joined to the requests by their id; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--events", action="store_true", help="the logs have a row an event: requests, and their outcomes, joined by an id"
    )
    parser.add_argument(
        "--outcome-columns", default="", metavar="ROLE=COLUMN,…",
        help="which column of outcomes or events is what: id (of the request), time, event, value; ROLE= for none",
    )  # fmt: skip
    parser.add_argument("--request-event", metavar="NAME", help="with --events, the event that is a request")
    parser.add_argument(
        "--absent", choices=("zero", "unknown"), help="what a request without an outcome has: 0, or none that is known yet"
    )
    parser.add_argument("--repeats", choices=("add",), help="add up outcomes of one kind of a request, which else are refused")
    parser.add_argument("--drop-strays", action="store_true", help="leave out outcomes of requests that are in no file")
    parser.add_argument(
        "--experiment-columns", default="", metavar="ROLE=COLUMN,…", help="which column of a table of experiments is what"
    )
    parser.add_argument(
        "--metric", metavar="NAME", help="the metric of past experiments (default: the only one, or the primary)"
    )
    parser.add_argument("--control", metavar="ARM", help="the control of past experiments (default: as names say)")
    parser.add_argument(
        "--next", action="store_true", help="the challenger is the version to come: leave out other arms of the log"
    )
    parser.add_argument("--latency-unit", choices=sorted(_UNITS), help="the unit of the latency (default: as its name ends)")
    parser.add_argument(
        "--champion", metavar="ARM", help="the arm that serves today (default: as names say, or of most requests)"
    )
    parser.add_argument("--primary", metavar="COLUMN", help="the outcome that decides (default: the first)")
    for flag, text in _FACTS.items():
        parser.add_argument(flag, metavar=flag.rpartition("-")[2].upper(), help=text)
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="the scenario to write; models/ and calibration.html beside it"
    )
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    parser.set_defaults(verb=_calibrate)


def _calibrate(options: argparse.Namespace) -> int:
    from sim.fitting.calibrating import calibrate, check_facts, write
    from sim.fitting.columns import parse_roles
    from sim.fitting.experiment_columns import ROLES as OF_EXPERIMENTS
    from sim.report.bar import Bar

    keys = [flag.removeprefix("--").replace("-", "_") for flag in _FACTS]
    given: dict[str, str] = {key: getattr(options, key) for key in keys if getattr(options, key) is not None}
    check_facts(given)
    roles = parse_roles(options.columns, "--columns") if options.columns else ()
    pairs = (
        parse_roles(options.experiment_columns, "--experiment-columns", OF_EXPERIMENTS) if options.experiment_columns else ()
    )
    experiment_roles = dict(pairs)
    events = _events(options)
    if options.out is not None and options.out.exists():
        raise InputError([Problem("is there already, and is not overwritten", file=str(options.out))])
    with Bar(quiet=options.quiet) as bar:
        found = calibrate(
            options.files, roles, experiment_roles=experiment_roles, metric=options.metric, control=options.control,
            next_version=options.next, latency_unit_s=_UNITS.get(options.latency_unit), champion=options.champion,
            primary=options.primary, facts=given, told=bar.say, outcomes=options.outcomes, events=events,
        )  # fmt: skip
    if options.json:
        _print_json(found)
    else:
        _print(found)
    if options.out is not None:
        start = write(found, options.out)
        print(*(f"written: {plain(str(file))}" for file in start.files), sep="\n", file=sys.stderr)
        print("next:", *(f"  {plain(command)}" for command in start.commands), sep="\n", file=sys.stderr)
    return EXIT_OK


def _events(options: argparse.Namespace) -> Events | None:
    """How outcomes in rows of their own are joined; None where there are none."""
    from sim.fitting.columns import parse_roles
    from sim.fitting.event_columns import OPTION, ROLES
    from sim.fitting.events import Options as Events

    own = {
        OPTION: options.outcome_columns, "--request-event": options.request_event, "--absent": options.absent,
        "--repeats": options.repeats, "--drop-strays": options.drop_strays,
    }  # fmt: skip
    if options.events and options.outcomes:
        raise InputError([Problem("says that outcomes stand in the log, and --outcomes names files of them", "--events")])
    if not options.events and not options.outcomes:
        lone = [
            Problem("is of outcomes in rows of their own: give --outcomes FILE or --events", name) for name in own if own[name]
        ]
        if lone:
            raise InputError(lone)
        return None
    if options.request_event and not options.events:
        raise InputError([Problem("is of a log of events: give --events", "--request-event")])
    roles = dict(parse_roles(options.outcome_columns, OPTION, ROLES)) if options.outcome_columns else {}
    return Events(
        roles, options.events, options.request_event, options.absent, options.repeats == "add", options.drop_strays,
        options.primary,
    )  # fmt: skip


def _print(found: Calibrated) -> None:
    for line in found.lines():
        print(plain(line))


def _print_json(found: Calibrated) -> None:
    import json

    print(json.dumps(found.to_dict(), indent=1, ensure_ascii=False))
