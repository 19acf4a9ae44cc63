"""`sim check`: every problem of scenario files, each at its line."""

from __future__ import annotations

import argparse
import sys

from sim import workflow
from sim.cli.options import PLAIN, Verbs, add_changes, add_parts, add_stores, scenario_file
from sim.errors import EXIT_OK, InputError, Problem


def add(verbs: Verbs) -> None:
    parser = verbs.add_parser(
        "check", help="check scenario files: every problem, each at its line", formatter_class=PLAIN, reads_scenario=True,
        description="Check scenario files and the files that they name: recorded traffic, and data sets. With --tracking-uri\n"
        "or --registry-uri, resolve their models too, and say everything that `sim run` would say before it plays. No\n"
        "model's code is run: what real versions predict is seen by `sim run` only.",
        epilog="examples:\n  sim check quickstart small-lift\n  sim check small-lift --registry-uri sqlite:///mlflow.db\n"
        "  sim check small-lift --set traffic.rate=2/s --set horizon=28d",
    )  # fmt: skip
    parser.add_argument("files", metavar="FILE", nargs="+", help="scenario files (YAML), or names of examples")
    parser.add_argument("--quiet", action="store_true", help="say nothing of files that are fine")
    add_changes(parser)
    add_parts(parser)
    add_stores(parser, logs=False, only_if_named=True)
    parser.set_defaults(verb=_check)


def _check(options: argparse.Namespace) -> int:
    from sim.scenario.sweep import text_of

    problems: list[Problem] = []
    more = 0
    for word in options.files:
        try:
            file = scenario_file(word)
            scenario, seen = workflow.check_scenario(
                file,
                resolve=bool(options.tracking_uri or options.registry_uri),
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
            print(f"sim: warning: {warning}", file=sys.stderr)
        if not options.quiet:
            policies = ", ".join(policy.name for policy in scenario.policies)
            print(f"{file}: ok ({scenario.replications} replications of {scenario.ticks} ticks; policies {policies})")
            for path, values in (scenario.sweep or {}).items():
                print(f"  sweep of {path}: {', '.join(map(text_of, values))}")
            if seen.unscored:
                print("  its real models are there, and the data fits their signatures; what they predict is seen by `sim run`")
    if problems:
        raise InputError(problems, more)
    return EXIT_OK
