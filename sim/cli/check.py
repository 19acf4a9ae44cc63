"""`sim check`: every problem of scenario files, each at its line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sim import workflow
from sim.cli.options import PLAIN, Completes, Verbs, add_changes, add_parts, add_stores, completing, positive, scenario_file
from sim.errors import EXIT_OK, InputError, Problem, plain

if TYPE_CHECKING:
    from sim.run.unplayed import Seen
    from sim.scenario.reading import Source
    from sim.scenario.schema import Scenario


def add(verbs: Verbs) -> None:
    parser = verbs.add_parser(
        "check", help="check scenario files: every problem, each at its line", formatter_class=PLAIN, reads_scenario=True,
        description="Check scenario files and the files that they name: recorded traffic, and data sets. With --tracking-uri\n"
        "or --registry-uri, resolve their models too, and say everything that `sim run` would say before it plays. No\n"
        "model's code is run: what real versions predict is seen by `sim run` only.\n\n"
        "With --cost, say what `sim run` would take: time and memory, of all and by policy, as a glance at a few replications\n"
        "on this machine tells, of at most ten seconds. Models are resolved for it, as by `sim run`.",
        epilog="examples:\n  sim check quickstart small-lift\n  sim check small-lift --registry-uri sqlite:///mlflow.db\n"
        "  sim check small-lift --cost --registry-uri sqlite:///mlflow.db\n"
        "  sim check small-lift --set traffic.rate=2/s --set horizon=28d",
    )  # fmt: skip
    files = parser.add_argument("files", metavar="FILE", nargs="+", help="scenario files (YAML), or names of examples")
    completing(files, Completes.SCENARIO)
    parser.add_argument("--cost", action="store_true", help="say what `sim run` would take, by policy; nothing is kept")
    parser.add_argument(
        "--workers", type=positive, metavar="N", help="with --cost: on so many processes (default: as the work is worth)"
    )
    parser.add_argument("--quiet", action="store_true", help="say nothing of files that are fine")
    add_changes(parser)
    add_parts(parser)
    add_stores(parser, logs=False, only_if_named=True)
    parser.set_defaults(verb=_check)


def _check(options: argparse.Namespace) -> int:
    from sim.scenario.check import open_numbers
    from sim.scenario.check_calibrated import told as calibrated_told
    from sim.scenario.labels import summed, text_of

    if options.workers and not options.cost:
        raise InputError([Problem("is for --cost: nothing is played without it", path="--workers")])
    problems: list[Problem] = []
    more = 0
    for word in options.files:
        try:
            file = scenario_file(word)
            scenario, seen = workflow.check_scenario(
                file,
                resolve=bool(options.cost or options.tracking_uri or options.registry_uri),
                tracking_uri=options.tracking_uri,
                registry_uri=options.registry_uri,
                parts=options.parts,
                changes=options.changes,
            )
        except InputError as error:
            problems += error.problems
            more += error.more
            continue
        for warning in seen.warnings:
            print(f"sim: warning: {plain(warning)}", file=sys.stderr)
        if not options.quiet:
            policies = ", ".join(policy.name for policy in scenario.policies)
            most = "up to " if scenario.enough else ""
            told = f"{most}{scenario.replications} replications of {scenario.ticks} ticks; policies {policies}"
            print(f"{plain(str(file))}: ok ({told})")
            for path, values in (scenario.sweep or {}).items():
                print(plain(f"  sweep of {path}: {summed([*map(text_of, values)])}"))
            for each in open_numbers(scenario):
                print(plain(f"  {calibrated_told(each)}"))
            for line in _varied(scenario):
                print(plain(f"  {line}"))
            if seen.unscored:
                print("  its real models are there, and the data fits their signatures; what they predict is seen by `sim run`")
        if options.cost:
            try:
                _say_cost(file, scenario, seen, options)
            except InputError as error:
                problems += error.problems
                more += error.more
    if problems:
        raise InputError(problems, more)
    return EXIT_OK


def _say_cost(file: Source, scenario: Scenario, seen: Seen, options: argparse.Namespace) -> None:
    """Print what a run would take, as far as that can be told without code of models, and without finding numbers."""
    from sim.cli.run import warm
    from sim.report.progress import by_policy, taken
    from sim.run.effort import effort_of
    from sim.run.glance import glanced
    from sim.scenario.check import open_numbers

    if seen.unscored:
        print("  what it takes is told by `sim run`, which runs the code of its real models")
        return
    if any(True for _ in open_numbers(scenario)):
        print("  what it takes is told by `sim run`, once the numbers that are to be calibrated are found")
        return
    plan = workflow.plan_scenario(
        file, tracking_uri=options.tracking_uri, registry_uri=options.registry_uri, parts=options.parts, changes=options.changes
    )
    effort = effort_of(plan, options.workers)
    if effort.note:
        print(f"sim: {plain(effort.note)}", file=sys.stderr)
    warm(plan, lambda line: print(plain(line), file=sys.stderr))
    effort = glanced(plan, effort)
    print(plain(f"  {taken(plan, effort)}"))
    for line in by_policy(plan, effort, always=True):
        print(plain(f"  {line}"))


def _varied(scenario: Scenario) -> Iterator[str]:
    """The lines about the other worlds that `sim run` plays, as far as they stand in the file."""
    from sim.scenario.labels import text_of
    from sim.scenario.variants import keys_of, usual, wanted

    if not wanted(scenario):
        return
    for path, values in keys_of(scenario).items():
        yield f"played again with another {path}: {', '.join(map(text_of, values))}"
    if not keys_of(scenario):
        found = usual(scenario)
        if found.changes:
            yield f"played again with {', with '.join(f'{change.what} ({change.told})' for change in found.changes)}"
        yield from (f"not varied: {what}: {why}" for what, why in found.left_out.items())
