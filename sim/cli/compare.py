"""`sim compare`: several runs side by side."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sim.cli.options import PLAIN, Completes, Verbs, add_display, completing
from sim.cli.output import shown_of
from sim.errors import EXIT_OK, InputError, Problem, plain


def add(verbs: Verbs) -> None:
    parser = verbs.add_parser(
        "compare", help="put several runs side by side: one table, and where they differ", formatter_class=PLAIN,
        description="Put several runs side by side, as they were saved: the same policies in different worlds, or other\n"
        "policies in the same world. Where scenarios, seeds, engines and versions agree, policies are paired by replication,\n"
        "and one of all is recommended; that the trials agree is checked. Where they differ, the keys are named.",
        epilog="examples:\n  sim compare reports/quickstart-* reports/small-lift-*\n"
        "  sim compare reports/quickstart-* reports/small-lift-* --out compared.html",
    )  # fmt: skip
    folders = parser.add_argument("folders", metavar="RUN", type=Path, nargs="+", help="run folders, at least two")
    completing(folders, Completes.RUN)
    parser.add_argument("--out", metavar="FILE", type=Path, help="write the page too, to a .html or .md file")
    add_display(parser, width=True)
    parser.set_defaults(verb=_compare)


def _compare(options: argparse.Namespace) -> int:
    from sim.compare.several import compare_runs
    from sim.files import writable
    from sim.report.several import table, write

    if options.out is not None:
        if options.out.suffix not in (".html", ".md"):
            raise InputError([Problem(f"must end in .html or .md; got {str(options.out)!r}", "--out")])
        writable(options.out, "--out")
    several = compare_runs(options.folders)
    if options.out is not None:
        write(several, options.out)
    with shown_of(options.folders[0]):
        table(several, display=options.display, file=sys.stdout, width=options.width)
        if options.out is not None:
            print(f"report: {plain(str(options.out))}")
    return EXIT_OK
