"""`sim show`: the memo and the table of a run folder again."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sim.cli.options import PLAIN, Completes, Verbs, add_display, completing
from sim.cli.output import shown_of
from sim.errors import EXIT_OK, plain


def add(verbs: Verbs) -> None:
    parser = verbs.add_parser(
        "show", help="print what a run folder says again", formatter_class=PLAIN,
        description="Print the memo and the table of a run folder again. Nothing is played, computed or changed.",
        epilog="examples:\n  sim show reports/quickstart-*\n  sim show reports/quickstart-* --width 200\n"
        "  sim show reports/quickstart-* --json",
    )  # fmt: skip
    folder = parser.add_argument("folder", metavar="RUN", type=Path, help="run folder")
    completing(folder, Completes.RUN)
    parser.add_argument("--json", action="store_true", help="print the summary instead, as in summary.json")
    add_display(parser, width=True)
    parser.set_defaults(verb=_show)


def _show(options: argparse.Namespace) -> int:
    from sim.compare.saved import read_saved
    from sim.compare.summary import to_json
    from sim.report.terminal import table

    comparison = read_saved(options.folder)
    with shown_of(options.folder):
        if options.json:
            print(to_json(comparison))
            return EXIT_OK
        table(comparison, display=options.display, file=sys.stdout, width=options.width)
        if (options.folder / "report.html").is_file():
            print(f"report: {plain(str(options.folder / 'report.html'))}")
    return EXIT_OK
