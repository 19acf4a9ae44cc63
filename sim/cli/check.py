"""`sim check`: every problem of scenario files, each at its line."""

from __future__ import annotations

import argparse
from pathlib import Path

from sim import workflow
from sim.cli.options import PLAIN, Verbs, add_parts
from sim.errors import EXIT_OK, InputError, Problem


def add(verbs: Verbs) -> None:
    parser = verbs.add_parser(
        "check", help="check scenario files: every problem, each at its line", formatter_class=PLAIN,
        epilog="example: sim check scenarios/*.yaml",
    )  # fmt: skip
    parser.add_argument("files", type=Path, nargs="+", help="scenario files")
    parser.add_argument("--quiet", action="store_true", help="say nothing of files that are fine")
    add_parts(parser)
    parser.set_defaults(verb=_check)


def _check(options: argparse.Namespace) -> int:
    from sim.scenario.sweep import text_of

    found: list[Problem] = []
    for file in options.files:
        try:
            scenario = workflow.load_scenario(file, parts=options.parts)
        except InputError as error:
            found += error.problems
        else:
            if not options.quiet:
                policies = ", ".join(policy.name for policy in scenario.policies)
                print(f"{file}: ok ({scenario.replications} replications of {scenario.ticks} ticks; policies {policies})")
                for path, values in (scenario.sweep or {}).items():
                    print(f"  sweep of {path}: {', '.join(map(text_of, values))}")
    if found:
        raise InputError(found)
    return EXIT_OK
