"""The verbs of the command line; no logic."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence

from sim.cli import (
    assess,
    bench,
    calibrate,
    check,
    compare,
    completion,
    exporting,
    forecast,
    importing,
    init,
    models,
    recommend,
    replay,
    report,
    run,
    schema,
    serve_check,
    show,
    trace,
    track,
    verify,
)
from sim.cli.endings import failed, interrupted
from sim.cli.interrupts import Interrupts
from sim.cli.options import PLAIN
from sim.cli.output import streams
from sim.cli.parser import Parser
from sim.errors import EXIT_INTERRUPTED
from sim.version import VERSION

VERBS = (
    init, calibrate, importing, exporting, assess, recommend, models, check, run, show, compare, report, trace, forecast,
    serve_check, replay, track, bench, verify, schema, completion,
)  # fmt: skip
"""One file each, in the order of `sim --help`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code, as `sim --help` lists them."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A ρ or an arrow that the terminal's encoding lacks must not end a program whose work is done.
        sys.stdout.reconfigure(errors="replace")
    with streams(), Interrupts() as interrupts:
        try:
            options = make_parser().parse_args(arguments, argparse.Namespace(interrupts=interrupts))
            code: int = options.verb(options)
            _flush()
        except BaseException as error:
            if interrupts.heard or isinstance(error, KeyboardInterrupt):
                # The interrupt may have become another exception on the way up; it is still why the command ends.
                return interrupted()
            if isinstance(error, SystemExit):
                return _parsed(error)
            return failed(error)
        # A verb that saved what it had has said so itself.
        return interrupted() if interrupts.heard and code != EXIT_INTERRUPTED else code


def _parsed(ended: SystemExit) -> int:
    """How argparse ends: after `--help` and `--version`, whose output may be broken as that of any verb, or with an error."""
    try:
        _flush()
    except OSError as error:
        return failed(error)
    raise ended


def _flush() -> None:
    """What cannot be written is to be known here, not when Python ends."""
    sys.stdout.flush()


_EPILOGUE = """\
examples:
  sim init --list                          the examples that come with sim, each with its question
  sim init my-model --model ranker --baseline 5% --traffic 40/s
  sim import rollout.yaml --rate 30/s --out rehearsal.yaml
                                           a rollout of Argo, Flagger … as a scenario
  sim assess rollout.yaml --rate 30/s      how often it aborts for nothing, and how soon it catches what is worse
  sim models demo                          train and register real demo models
  sim models register checkout             register behaviour models: an example's, or a file's
  sim check quickstart small-lift          every problem at its line
  sim run quickstart                       simulate, compare, report, log
  sim recommend quickstart                 search for a policy that nobody has written down
  sim trace quickstart --policy ab --replication 3 --until 10m
  sim serve-check quickstart --policy ab --rate 5/s --tick 5s
  sim init --example small-lift my-rollout && sim run my-rollout/small-lift.yaml
  sim compare reports/quickstart-* reports/small-lift-*
  sim run quickstart --set replications=200 --seed 3 --out fewer
  sim replay log.parquet --policies policies.yaml
                                           what policies would have earned on your logs
  sim show reports/quickstart-*            the memo and the table again
  sim report reports/quickstart-* --baseline ab
  sim track reports/quickstart-* --tracking-uri sqlite:///team.db
  sim bench --quick                        how fast the engines are here
  sim verify --quick                       published numbers, and ours
  eval "$(sim completion bash)"            the shell completes what you type

A word such as quickstart is a file in this folder, with or without .yaml, or else an example that comes with sim.

exit codes: 0 done; 1 this machine could not do it (a full disk, too little memory, a process that was killed);
2 wrong input; 3 a threshold is breached; 4 saved, but the tracking server could not be reached; 70 a fault of sim;
130 interrupted, and resumable by the same command.
"""


def make_parser() -> argparse.ArgumentParser:
    """The parser of all verbs."""
    parser = Parser(
        "sim", description="Rehearse how a new model version meets real traffic.", epilog=_EPILOGUE, formatter_class=PLAIN
    )
    parser.add_argument("--version", action="version", version=f"sim {VERSION}")
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")
    for verb in VERBS:
        verb.add(verbs)
    return parser
