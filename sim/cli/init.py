"""`sim init`: an example scenario to start from."""

from __future__ import annotations

import argparse
from pathlib import Path

from sim.cli.options import PLAIN, Verbs
from sim.errors import EXIT_OK


def add(verbs: Verbs) -> None:
    parser = verbs.add_parser(
        "init", help="write an example scenario to start from", formatter_class=PLAIN,
        description="Write an example scenario, and the models file that it needs, into a folder. Nothing is overwritten.",
        epilog="examples:\n  sim init --list\n  sim init --example three-offers offers",
    )  # fmt: skip
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--example", metavar="NAME", help="the example")
    which.add_argument("--list", action="store_true", help="list the examples, each with the question that it answers")
    parser.add_argument("folder", type=Path, nargs="?", default=Path(), help="where to (default: this folder)")
    parser.set_defaults(verb=_init)


def _init(options: argparse.Namespace) -> int:
    from sim.scenario import examples

    if options.list:
        rows = list(examples.listing())
        width = max(len(name) for name, _ in rows)
        print(*(f"{name:{width}}  {question}" for name, question in rows), sep="\n")
        return EXIT_OK
    start = examples.write(options.example, options.folder)
    print(*(f"written: {file}" for file in start.files), sep="\n")
    print("next:", *(f"  {command}" for command in start.commands), sep="\n")
    return EXIT_OK
