"""`sim report`: compare and report a run folder again."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sim import workflow
from sim.cli.options import PLAIN, Completes, Verbs, add_display, completing, formats
from sim.cli.output import shown_of
from sim.errors import EXIT_OK, plain

_CALLED = {"json": "summary", "csv": "measures", "png": "picture"}
"""What a file of a format is called; others are reports."""


def add(verbs: Verbs) -> None:
    parser = verbs.add_parser(
        "report", help="compare and report a run folder again", formatter_class=PLAIN,
        description="Compare the policies of a run folder again, from its trials, and write what is told of them into it: the\n"
        "reports report.html and report.md, the table measures.csv, the picture policies.png, and the\n"
        "summary (summary.json). Formats that are not named stay as they are.",
        epilog="examples:\n  sim report reports/quickstart-* --baseline ab\n  sim report reports/quickstart-* --format md,json",
    )  # fmt: skip
    folder = parser.add_argument("folder", type=Path, help="run folder")
    completing(folder, Completes.RUN)
    parser.add_argument("--baseline", help="the policy that others are paired with")
    wanted = parser.add_argument(
        "--format",
        dest="formats",
        type=formats,
        default=tuple(workflow.FORMATS),
        metavar="FORMAT,…",
        help=f"which to write, of {', '.join(workflow.FORMATS)} (default: all)",
    )
    completing(wanted, Completes.FORMAT)
    add_display(parser)
    parser.set_defaults(verb=_report)


def _report(options: argparse.Namespace) -> int:
    from sim.report.terminal import table

    comparison = workflow.report_run(options.folder, baseline=options.baseline, formats=options.formats)
    with shown_of(options.folder):
        table(comparison, display=options.display, file=sys.stdout)
        for name in options.formats:
            print(f"{_CALLED.get(name, 'report')}: {plain(str(options.folder / workflow.FORMATS[name]))}")
    return EXIT_OK
