"""`sim bench`: the engines and other simulators side by side."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sim import workflow
from sim.cli.options import PLAIN, Verbs, positive
from sim.cli.output import shown_of
from sim.errors import EXIT_OK, plain


def add(verbs: Verbs) -> None:
    parser = verbs.add_parser(
        "bench", help="measure the engines and other simulators side by side", formatter_class=PLAIN,
        description="Play two M/M/4 stations at rho = 0.8 behind a 50/50 router with every engine and with other simulators,\n"
        "in turns, on one core, and print ratios; then the cost of compiling, and the compiled engine from 1,000 requests to\n"
        "100 million. Other simulators take part where they are installed: pip install \"rollout-sim[bench]\".",
        epilog="examples:\n  sim bench --quick\n  sim bench --rounds 9 --out bench.json",
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="smaller rounds, fewer of them, and at most 10 million requests")
    parser.add_argument("--rounds", type=positive, help="turns that each one takes (default 5, with --quick 3)")
    parser.add_argument(
        "--requests", type=positive,
        help="requests a round for engine compiled; slower ones play fewer (default 10,000,000, with --quick 1,000,000)",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, default=workflow.REPORTS / "bench.json", help="JSON file (default: reports/bench.json)"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress")
    parser.set_defaults(verb=_bench)


def _bench(options: argparse.Namespace) -> int:
    from sim.bench.run import bench, keep
    from sim.files import writable

    writable(options.out, "--out")

    def say(text: str) -> None:
        options.interrupts.check()
        if not options.quiet:
            print(f"sim: {text}", file=sys.stderr)

    result = bench(quick=options.quick, rounds=options.rounds, requests=options.requests, say=say)
    options.interrupts.check()
    keep(result, options.out)
    with shown_of(options.out):
        print(*result.lines(), sep="\n")
        print(f"kept: {plain(str(options.out))}")
    return EXIT_OK
