"""`sim init`: a scenario to start from, of the facts of a rollout or of an example."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sim.cli.options import PLAIN, Completes, Verbs, completing
from sim.errors import EXIT_OK, InputError, Problem, plain

if TYPE_CHECKING:
    from sim.scenario.starting import Fact

_FLAGS = {
    "--model": "what the model is called",
    "--primary": "the outcome of a request that decides, counted as yes or no (default: conversion)",
    "--baseline": "the share of requests in which it is a yes today, such as 5%%",
    "--smallest-effect": "the relative change of it below which shipping does not matter (default: 1%%)",
    "--spread": "how much new versions usually change it, relatively: one standard deviation (default: 2%%)",
    "--traffic": "how many requests arrive, such as 40/s",
    "--horizon": "by when the rollout must be over (default: 14d)",
    "--lifetime": "how long a version serves until the next one (default: 90d)",
}


def add(verbs: Verbs) -> None:
    parser = verbs.add_parser(
        "init", help="write a scenario to start from: of the facts of your rollout, or an example", formatter_class=PLAIN,
        description="Write a commented scenario and its models file into a folder, of the facts of a rollout. What must be\n"
        "known and is not given is asked on a terminal. With --example, write one of the examples that come with sim. Nothing\n"
        "is overwritten.",
        epilog="examples:\n  sim init --list\n  sim init --example three-offers offers\n"
        "  sim init my-ranker --model ranker --baseline 5% --traffic 40/s --smallest-effect 1% --lifetime 60d",
    )  # fmt: skip
    which = parser.add_mutually_exclusive_group()
    example = which.add_argument("--example", metavar="NAME", help="the example")
    completing(example, Completes.EXAMPLE)
    which.add_argument("--list", action="store_true", help="list the examples, each with the question that it answers")
    facts = parser.add_argument_group("facts of a rollout")
    for flag, text in _FLAGS.items():
        facts.add_argument(flag, metavar=flag.rpartition("-")[2].upper(), help=text)
    folder = parser.add_argument("folder", type=Path, nargs="?", default=Path(), help="where to (default: this folder)")
    completing(folder, Completes.FOLDER)
    parser.set_defaults(verb=_init)


def _init(options: argparse.Namespace) -> int:
    from sim.scenario import examples

    flags = {flag.removeprefix("--").replace("-", "_"): flag for flag in _FLAGS}
    given = {key: value for key in flags if (value := getattr(options, key)) is not None}
    if (options.list or options.example) and given:
        flag = next(flags[key] for key in flags if key in given)
        raise InputError([Problem("is a fact of a rollout, and does not go with --example or --list", flag)])
    if options.list:
        rows = list(examples.listing())
        width = max(len(name) for name, _ in rows)
        print(*(f"{name:{width}}  {question}" for name, question in rows), sep="\n")
        return EXIT_OK
    if options.example:
        start = examples.write(options.example, options.folder)
    else:
        from sim.scenario import starting

        missing = any(fact.default is None and fact.key not in given for fact in starting.FACTS)
        if missing and sys.stdin and sys.stdin.isatty() and sys.stderr.isatty():
            for fact in starting.FACTS:
                if fact.key not in given:
                    given[fact.key] = _asked(fact)
        start = starting.write(given, options.folder)
    print(*(f"written: {plain(str(file))}" for file in start.files), sep="\n")
    print("next:", *(f"  {plain(command)}" for command in start.commands), sep="\n")
    return EXIT_OK


def _asked(fact: Fact) -> str:
    """The answer of the person at the terminal, asked until it can be one. Raises `KeyboardInterrupt` where there is none."""
    while True:
        hint = f"[{fact.default}]" if fact.default else f"(such as {fact.example})"
        print(f"{fact.question} {hint} ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line:
            raise KeyboardInterrupt
        answer = line.strip() or fact.default or ""
        problem = fact.problem(answer) if answer else f"is needed, such as {fact.example}"
        if not problem:
            return answer
        print(f"  {plain(problem)}", file=sys.stderr)
