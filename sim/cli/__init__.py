"""The verbs of the command line; no logic."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence

from sim.cli import bench, check, init, models, report, run, schema, trace, track, verify
from sim.cli.interrupts import Interrupts
from sim.cli.options import PLAIN
from sim.cli.parser import Parser
from sim.errors import EXIT_INTERRUPTED, EXIT_OK, InputError, PartError, SimError, plain
from sim.version import VERSION

VERBS = (init, models, check, run, trace, report, track, bench, verify, schema)
"""One file each, in the order of `sim --help`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 2 wrong input, 3 threshold breached, 4 not logged, 130 interrupted."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A ρ or an arrow that the terminal's encoding lacks must not end a program whose work is done.
        sys.stdout.reconfigure(errors="replace")
    with Interrupts() as interrupts:
        try:
            options = _parser().parse_args(arguments, argparse.Namespace(interrupts=interrupts))
            code: int = options.verb(options)
        except BaseException as error:
            if interrupts.heard or isinstance(error, KeyboardInterrupt):
                # The interrupt may have become another exception on the way up; it is still why the command ends.
                return _interrupted()
            if not isinstance(error, SimError | BrokenPipeError):
                raise
            return _failed(error)
        # A verb that saved what it had has said so itself.
        return _interrupted() if interrupts.heard and code != EXIT_INTERRUPTED else code


def _interrupted() -> int:
    print("sim: interrupted", file=sys.stderr)
    return EXIT_INTERRUPTED


def _failed(error: SimError | BrokenPipeError) -> int:
    if isinstance(error, BrokenPipeError):
        # The reader of our output has gone, as `head` does.
        sys.stderr.close()
        return EXIT_OK
    if isinstance(error, InputError | PartError):
        if isinstance(error, PartError) and error.trace:
            print(error.trace.rstrip("\n"), file=sys.stderr)
        for problem in error.problems:
            print(plain(str(problem)), file=sys.stderr)
        count = len(error.problems)
        left = f"what was finished before is in {error.kept}" if error.kept else "nothing was changed"
        what = "a part failed" if isinstance(error, PartError) else f"{count} problem{'s' if count > 1 else ''} in the input"
        print(f"sim: {what}; {left}", file=sys.stderr)
    else:
        print(f"sim: {plain(str(error))}", file=sys.stderr)
    return error.exit_code


_EPILOGUE = """\
examples:
  sim init --list                          the examples that come with sim, each with its question
  sim models demo                          train and register real demo models
  sim models register checkout             register behaviour models: an example's, or a file's
  sim check quickstart small-lift          every problem at its line
  sim run quickstart                       simulate, compare, report, log
  sim trace quickstart --policy ab --replication 3 --until 10m
  sim init --example small-lift my-rollout && sim run my-rollout/small-lift.yaml
  sim report reports/quickstart-* --baseline ab
  sim track reports/quickstart-* --tracking-uri sqlite:///team.db
  sim bench --quick                        how fast the engines are here
  sim verify --quick                       published numbers, and ours

A word such as quickstart is a file in this folder, with or without .yaml, or else an example that comes with sim.

exit codes: 0 done; 2 wrong input; 3 a threshold is breached; 4 saved, but the tracking server could not be reached;
130 interrupted, and resumable by the same command.
"""


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "sim", description="Rehearse how a new model version meets real traffic.", epilog=_EPILOGUE, formatter_class=PLAIN
    )
    parser.add_argument("--version", action="version", version=f"sim {VERSION}")
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")
    for verb in VERBS:
        verb.add(verbs)
    return parser
