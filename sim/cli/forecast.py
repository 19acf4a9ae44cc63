"""`sim forecast`: how a rollout that is under way will end."""

from __future__ import annotations

import argparse
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
)
from sim.errors import EXIT_OK, InputError, Problem, plain

if TYPE_CHECKING:
    from sim.forecast.tallies import Tallies
    from sim.world.world import World


def add(verbs: Verbs) -> None:
    parser = verbs.add_parser(
        "forecast", help="tell how a rollout that is under way will end", formatter_class=PLAIN, reads_scenario=True,
        description="Where are we now? By tallies of time and arm, and the scenario's priors: what is likely true, and\n"
        "how it ends to go on as planned, to split traffic evenly, to prolong, to ship now or to keep the champion.\n\n"
        "The table has a row for each time and arm: time (since the start, as 6h or in seconds), arm, requests, and any of\n"
        "errors, responses, METRIC (its sum, such as conversions), METRIC.count, METRIC.square and latency.above.250ms.\n"
        "Counts are since the start, or with --per-interval since the row before. Nothing is written.\n\n"
        f"{RUNS_MODELS}",
        epilog="examples:\n  sim forecast rollout.yaml --policy ab --seen tallies.csv\n"
        "  sim forecast rollout.yaml --policy canary --seen daily.parquet --per-interval --json\n"
        "  sim forecast rollout.yaml --policy ab --seen tallies.csv --longer 3d --markdown\n"
        "  sim forecast rollout.yaml --policy ab --experiment checkout-live --step 1h --tracking-uri http://mlflow:5000\n\n"
        "tallies.csv:\n  time,arm,requests,errors,conversion\n  1d,champion,431870,402,21604\n  1d,challenger,432130,449,21922",
    )  # fmt: skip
    file = parser.add_argument("file", metavar="FILE", help="scenario file (YAML), or the name of an example")
    completing(file, Completes.SCENARIO)
    parser.add_argument("--policy", required=True, metavar="NAME", help="the policy that is under way, by its name in the file")
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("--seen", type=Path, metavar="TABLE", help="the tallies so far, .csv or .parquet")
    given.add_argument("--run", metavar="ID", help="an MLflow run with the tallies as metrics ARM/COLUMN, by steps")
    given.add_argument("--experiment", metavar="NAME", help="an MLflow experiment, whose newest run has them")
    parser.add_argument(
        "--step", type=duration, metavar="TIME", help="how long a step of the run is (default: the scenario's tick)"
    )
    parser.add_argument("--per-interval", action="store_true", help="counts are of each interval, not since the start")
    parser.add_argument("--longer", type=duration, default=None, help="how much longer a prolonged rollout lasts (default: 7d)")
    parser.add_argument(
        "--replications", type=_several, default=None, metavar="N", help="rehearsals of each way to go on (default: 400)"
    )
    reports = parser.add_argument(
        "--reports", type=Path, default=workflow.REPORTS, help="where predictions are kept (default: reports)"
    )
    completing(reports, Completes.FOLDER)
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print the figures as JSON")
    output.add_argument("--markdown", action="store_true", help="print them as Markdown")
    add_changes(parser)
    add_parts(parser)
    add_stores(parser, logs=False)
    parser.set_defaults(verb=_forecast)


def _forecast(options: argparse.Namespace) -> int:
    import json

    from sim.forecast import pages
    from sim.forecast.forecasting import LONGER_S, REPLICATIONS, forecast
    from sim.forecast.tallies import tallies_of
    from sim.tracking.tallies import run_table

    def of_run(world: World) -> Tallies:
        step_s = options.step or world.tick_s
        table, source = run_table(options.tracking_uri, options.experiment, options.run, world.arms, step_s)
        return tallies_of(table, source, world, options.per_interval)

    if options.step is not None and options.seen is not None:
        raise InputError([Problem("is for --run and --experiment: a table says its times itself", "--step")])
    found = forecast(
        scenario_file(options.file), options.policy, options.seen or of_run, per_interval=options.per_interval,
        replications=options.replications or REPLICATIONS, longer_s=options.longer or LONGER_S, reports=options.reports,
        tracking_uri=options.tracking_uri, registry_uri=options.registry_uri, parts=options.parts, changes=options.changes,
        watch=options.interrupts.check,
    )  # fmt: skip
    if options.json:
        print(json.dumps(found.to_dict(), indent=1, allow_nan=False))
    else:
        print(pages.to_markdown(found) if options.markdown else plain(pages.to_text(found)))
    return EXIT_OK


def _several(text: str) -> int:
    """A number from 50 to 20,000: shares of fewer rehearsals are of chance."""
    number = positive(text)
    if not 50 <= number <= 20_000:
        raise argparse.ArgumentTypeError(f"must be from 50 to 20,000, got {text}")
    return number
