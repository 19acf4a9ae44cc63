"""`sim run`: simulate a scenario, compare its policies, write the report, log."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim import workflow
from sim.cli.options import (
    PLAIN,
    RUNS_MODELS,
    Completes,
    Verbs,
    add_annotate,
    add_changes,
    add_cluster,
    add_display,
    add_parts,
    add_stores,
    completing,
    positive,
    scenario_file,
)
from sim.cli.output import shown_of
from sim.errors import plain
from sim.tracking.limits import in_table

if TYPE_CHECKING:
    from sim.report.bar import Bar
    from sim.run.blocks import Watch
    from sim.run.effort import Effort
    from sim.run.plan import Plan
    from sim.run.record import Record


_MOST_SAID = 100
"""Warnings, and breached thresholds, of a sweep of many points."""


def add(verbs: Verbs) -> None:
    parser = verbs.add_parser(
        "run", help="simulate a scenario, compare its policies, write the report, log to MLflow", formatter_class=PLAIN,
        reads_scenario=True,
        description="Simulate a scenario file. A run that is finished is shown as it is, and an interrupted one goes on.\n\n"
        f"{RUNS_MODELS}",
        epilog="examples:\n  sim run quickstart --workers 2 --tracking-uri sqlite:///mlflow.db\n"
        "  sim run small-lift --set truth.challenger.conversion.relative_effect=2% --set replications=200 --seed 3\n"
        "  sim run small-lift --set 'policies[2].evidence.mde=1%' --out small-mde\n"
        "  sim run small-lift --cluster local:2\n  sim run small-lift --cluster tcp://scheduler:8786",
    )  # fmt: skip
    file = parser.add_argument("file", metavar="FILE", help="scenario file (YAML), or the name of an example")
    completing(file, Completes.SCENARIO)
    parser.add_argument(
        "--workers", type=positive, help="processes (default: as the work is worth); results do not depend on it"
    )
    add_cluster(parser)
    reports = parser.add_argument(
        "--reports", type=Path, default=workflow.REPORTS, help="where run folders are kept (default: reports)"
    )
    completing(reports, Completes.FOLDER)
    out = parser.add_argument(
        "--out", type=Path, metavar="DIR", help="the run folder itself (default: named after the scenario, in --reports)"
    )
    completing(out, Completes.FOLDER)
    parser.add_argument(
        "--again",
        action="store_true",
        help="play a run that is finished anew; the old one is replaced when the new one is complete",
    )
    parser.add_argument("--no-tracking", action="store_true", help="log nothing to MLflow ('sim track' can do it later)")
    parser.add_argument("--yes", action="store_true", help="do not ask before a run of more than an hour")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    add_display(parser)
    add_changes(parser)
    add_parts(parser)
    add_stores(parser)
    add_annotate(parser)
    parser.set_defaults(verb=_run)


def _run(options: argparse.Namespace) -> int:
    from sim.report.bar import Bar

    with Bar(quiet=options.quiet) as bar:
        file = scenario_file(options.file)
        # Said at once: what reads and plays it takes a while to load.
        bar.say(f"{plain(str(file))}: reading the scenario and its model versions")
        outcome = workflow.run_scenario(
            file,
            reports=options.reports,
            out=options.out,
            changes=options.changes,
            tracking_uri=options.tracking_uri,
            registry_uri=options.registry_uri,
            experiment=options.experiment,
            timeout_s=options.timeout,
            workers=options.workers,
            cluster=options.cluster,
            log=not options.no_tracking,
            parts=options.parts,
            again=options.again,
            annotate=options.annotate,
            planned=planning(options, bar),
            noted=lambda line: _warn([line]),
            told=None if options.quiet else bar.say,
        )
    show(outcome, options.display)
    return outcome.exit_code


def planning(options: argparse.Namespace, bar: Bar) -> Callable[[Plan, Effort], Watch | None]:
    """What is said of a plan before it is played, and asked; the bar then tells how far it is."""
    from sim.report.progress import by_policy, confirm, lines, taken

    def planned(plan: Plan, effort: Effort) -> Watch | None:
        options.interrupts.check()
        for line in lines(plan):
            bar.say(line)
        if effort.note:
            print(f"sim: {effort.note}", file=sys.stderr)
        _warn(plan.warnings)
        warm(plan, bar.say)
        options.interrupts.check()
        if not options.quiet:
            from sim.run.glance import glanced

            effort = glanced(plan, effort)
            for line in (taken(plan, effort), *by_policy(plan, effort)):
                bar.say(line)
            options.interrupts.check()
        if not options.yes:
            confirm(effort)
        return bar.start(effort, until_enough=plan.scenario.enough is not None)

    return planned


def warm(plan: Plan, say: Callable[[str], None]) -> None:
    """Compile what a plan needs, or load it, so that it does not count as time of what is played."""
    compiled = next((each for each in plan.worlds if each.engine.entry.compiles), None)
    if compiled:
        from sim.engine.compiled import warm_up

        world, forms = compiled.world, compiled.forms
        policies = [form.build(forms, world.arms) for form in forms.values()]
        setting = world.setting(plan.scenario.replications)
        warm_up(world, [(each.needs(setting), each.mirrors()) for each in policies], say)


def _warn(warnings: Iterable[str]) -> None:
    said = list(warnings)
    for warning in said[:_MOST_SAID]:
        print(f"sim: warning: {plain(warning)}", file=sys.stderr)
    if len(said) > _MOST_SAID:
        print(f"sim: {len(said) - _MOST_SAID:,} more warnings, which run.json will have", file=sys.stderr)


def show(outcome: workflow.Outcome, display: Any) -> None:
    """Print what was found, and where it is."""
    from sim.report.terminal import table

    if outcome.comparison is None:
        where = plain(str(outcome.folder))
        print(f"sim: interrupted; what was played is kept in {where}, and the same command goes on", file=sys.stderr)
        return
    if not outcome.played:
        _say_found(outcome, outcome.comparison.run)
    with shown_of(outcome.folder):
        table(outcome.comparison, display=display, file=sys.stdout)
        print(f"report: {plain(str(outcome.folder / 'report.html'))}")
        if outcome.tracked:
            print(f"mlflow: {plain(outcome.tracked.tracking_uri)} run {outcome.tracked.run_id}")
            if told := in_table(len(outcome.comparison.points)):
                print(f"mlflow: {told}")
    if outcome.tracked and outcome.tracked.unmarked:
        _warn([f"logged, but the versions do not name the run: {outcome.tracked.unmarked}"])
    if outcome.tracking_error:
        print(f"sim: results are saved, but not logged: {plain(str(outcome.tracking_error))}", file=sys.stderr)
    breached = [row.name for row in outcome.comparison.thresholds if row.breached]
    if breached:
        more = f" and {len(breached) - _MOST_SAID:,} more" if len(breached) > _MOST_SAID else ""
        print(f"sim: threshold breached: {', '.join(breached[:_MOST_SAID])}{more}", file=sys.stderr)
    if outcome.interrupted:
        print("sim: interrupted; finished policies are saved, run again to go on", file=sys.stderr)


def _say_found(outcome: workflow.Outcome, run: Record) -> None:
    """Say that a run was finished before, and by which program."""
    _warn(run.warnings)
    if outcome.stale:
        _warn([f"another version of sim played this ({run.sim_version or 'unknown'}); --again plays it anew with this one"])
    when = f" on {run.finished_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if run.finished_at else " before"
    print(f"sim: finished{when}, and not played again (--again plays it anew)", file=sys.stderr)
