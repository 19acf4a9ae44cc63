"""`sim run`: simulate a scenario, compare its policies, write the report, log."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim import workflow
from sim.cli.options import PLAIN, Verbs, add_display, add_parts, add_stores, positive, scenario_file
from sim.errors import plain

if TYPE_CHECKING:
    from sim.run.blocks import Watch
    from sim.run.plan import Plan


def add(verbs: Verbs) -> None:
    parser = verbs.add_parser(
        "run", help="simulate a scenario, compare its policies, write the report, log to MLflow", formatter_class=PLAIN,
        reads_scenario=True,
        description="Simulate a scenario file. Loading a registered real model runs its code: name a registry you trust.",
        epilog="example: sim run quickstart --workers 2 --tracking-uri sqlite:///mlflow.db",
    )  # fmt: skip
    parser.add_argument("file", metavar="FILE", help="scenario file (YAML), or the name of an example")
    parser.add_argument(
        "--workers", type=positive, help="processes (default: as the work is worth); results do not depend on it"
    )
    parser.add_argument("--reports", type=Path, default=workflow.REPORTS, help="where run folders are kept (default: reports)")
    parser.add_argument("--no-tracking", action="store_true", help="log nothing to MLflow ('sim track' can do it later)")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    add_display(parser)
    add_parts(parser)
    add_stores(parser)
    parser.set_defaults(verb=_run)


def _run(options: argparse.Namespace) -> int:
    from sim.report.progress import Bar, lines

    with Bar(quiet=options.quiet) as bar:

        def planned(plan: Plan) -> Watch | None:
            options.interrupts.check()
            for line in lines(plan):
                bar.say(line)
            for warning in plan.warnings:
                print(f"sim: warning: {plain(warning)}", file=sys.stderr)
            compiled = next((each for each in plan.points if each.engine.entry.compiles), None)
            if compiled:
                from sim.engine.compiled import warm_up

                warm_up(compiled.world, bar.say)
                options.interrupts.check()
            return bar.start(plan)

        outcome = workflow.run_scenario(
            scenario_file(options.file),
            reports=options.reports,
            tracking_uri=options.tracking_uri,
            registry_uri=options.registry_uri,
            experiment=options.experiment,
            timeout_s=options.timeout,
            workers=options.workers,
            log=not options.no_tracking,
            parts=options.parts,
            planned=planned,
        )
    _show(outcome, options.display)
    return outcome.exit_code


def _show(outcome: workflow.Outcome, display: Any) -> None:
    from sim.report.terminal import table

    if outcome.comparison is None:
        print(f"sim: interrupted before any policy was finished; run again to go on: {outcome.folder}", file=sys.stderr)
        return
    table(outcome.comparison, display=display, file=sys.stdout)
    print(f"report: {outcome.folder / 'report.html'}")
    if outcome.tracked:
        print(f"mlflow: {outcome.tracked.tracking_uri} run {outcome.tracked.run_id}")
    if outcome.tracking_error:
        print(f"sim: results are saved, but not logged: {plain(str(outcome.tracking_error))}", file=sys.stderr)
    breached = [row.name for row in outcome.comparison.thresholds if row.breached]
    if breached:
        print(f"sim: threshold breached: {', '.join(breached)}", file=sys.stderr)
    if outcome.interrupted:
        print("sim: interrupted; finished policies are saved, run again to go on", file=sys.stderr)
