"""`sim report`: compare and report a run folder again."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sim import workflow
from sim.cli.options import PLAIN, Verbs, add_display
from sim.cli.output import shown_of
from sim.errors import EXIT_OK, plain


def add(verbs: Verbs) -> None:
    parser = verbs.add_parser("report", help="compare and report a run folder again", formatter_class=PLAIN,
                              epilog="example: sim report reports/quickstart-* --baseline ab")  # fmt: skip
    parser.add_argument("folder", type=Path, help="run folder")
    parser.add_argument("--baseline", help="the policy that others are paired with")
    add_display(parser)
    parser.set_defaults(verb=_report)


def _report(options: argparse.Namespace) -> int:
    from sim.report.terminal import table

    comparison = workflow.report_run(options.folder, baseline=options.baseline)
    with shown_of(options.folder):
        table(comparison, display=options.display, file=sys.stdout)
        print(f"report: {plain(str(options.folder / 'report.html'))}")
    return EXIT_OK
