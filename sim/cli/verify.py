"""`sim verify`: published numbers, reproduced."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from sim.cli.options import PLAIN, Verbs
from sim.cli.output import shown_of
from sim.errors import EXIT_OK, EXIT_THRESHOLD, InputError, Problem, plain

if TYPE_CHECKING:
    from sim.verify.figure import Figure


def add(verbs: Verbs) -> None:
    parser = verbs.add_parser(
        "verify", help="reproduce published numbers, by formula and by playing scenarios", formatter_class=PLAIN,
        description="Work out published numbers twice: by formula or integration, to within a stated tolerance, and by\n"
        "playing scenarios on the engines, to within 4 standard errors. Exits with 3 if a number is off.",
        epilog="examples:\n  sim verify --quick\n  sim verify --only sequential --only queues.play\n"
        "  sim verify --write validation.md --json verify.json",
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="a tenth of the trials, and not the slowest figures")
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME",
        help="a field (sequential, fixed, changing, estimates, bandits, queues, canaries, decisions, offline), "
        "or how figures' names begin; may be repeated",
    )  # fmt: skip
    parser.add_argument("--write", type=Path, metavar="FILE.md", help="write the page, as docs/validation.md")
    parser.add_argument("--json", type=Path, metavar="FILE.json", help="write the results as JSON")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    parser.set_defaults(verb=_verify)


def _verify(options: argparse.Namespace) -> int:
    from sim.files import writable
    from sim.verify import page
    from sim.verify.run import chosen, verify

    if options.write and (options.quick or options.only):
        raise InputError([Problem("the page has every figure in full: leave --quick and --only out", path="--write")])
    from sim.verify.progress import Line

    if options.write and options.json and os.path.realpath(options.write) == os.path.realpath(options.json):
        raise InputError([Problem(f"must be another file than that of --write, got {options.json}", path="--json")])
    asked = chosen(options.only, options.quick)
    for option, file in (("--write", options.write), ("--json", options.json)):
        if file:
            writable(file, option)

    def watch(done: int, total: int, figure: Figure) -> None:
        options.interrupts.check()
        line.watch(done, total, figure)

    with Line(quiet=options.quiet) as line:
        results = verify(asked, options.quick, watch)
    options.interrupts.check()
    kept = {"page": options.write, "json": options.json}
    if options.write:
        page.write(options.write, results)
    if options.json:
        page.keep(options.json, results, options.quick)
    with shown_of(options.json or options.write):
        print(*page.lines(results), sep="\n")
        for what, file in kept.items():
            if file:
                print(f"{what}: {plain(str(file))}")
    return EXIT_OK if all(result.passed for result in results) else EXIT_THRESHOLD
