"""The verbs of the command line; no logic."""

from __future__ import annotations

import argparse
import io
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sim.cli import bench, check, models, report, run, schema, trace, track, verify
from sim.cli.options import PLAIN
from sim.errors import EXIT_INTERRUPTED, EXIT_OK, InputError, SimError, plain
from sim.version import VERSION

VERBS = (run, check, report, trace, bench, verify, track, models, schema)
"""One file each, in the order of `sim --help`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 2 wrong input, 3 threshold breached, 4 not logged, 130 interrupted."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A ρ or an arrow that the terminal's encoding lacks must not end a program whose work is done.
        sys.stdout.reconfigure(errors="replace")
    options = _parser().parse_args(arguments)
    try:
        with _ended_like_an_interrupt():
            code: int = options.verb(options)
    except InputError as error:
        for problem in error.problems:
            print(plain(str(problem)), file=sys.stderr)
        count = len(error.problems)
        print(f"sim: {count} problem{'s' if count > 1 else ''} in the input; nothing was changed", file=sys.stderr)
        return error.exit_code
    except SimError as error:
        print(f"sim: {plain(str(error))}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("sim: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone, as `head` does.
        sys.stderr.close()
        return EXIT_OK
    return code


@contextmanager
def _ended_like_an_interrupt() -> Iterator[None]:
    """A batch system that ends this process (SIGTERM) leaves as much as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


_EPILOGUE = """\
examples:
  sim models demo                          train and register real demo models
  sim models register scenarios/models/checkout.yaml
  sim check scenarios/*.yaml               every problem at its line
  sim run scenarios/quickstart.yaml        simulate, compare, report, log
  sim trace scenarios/quickstart.yaml --policy ab --replication 3 --until 10m
  sim report reports/quickstart-0123456789 --baseline ab
  sim bench --quick                        how fast the engines are here
  sim verify --quick                       published numbers, and ours
  sim track reports/quickstart-0123456789 --tracking-uri http://localhost:5000

exit codes: 0 done; 2 wrong input; 3 a threshold is breached; 4 saved, but the tracking server could not be reached;
130 interrupted, and resumable by the same command.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "sim", description="Rehearse how a new model version meets real traffic.", epilog=_EPILOGUE, formatter_class=PLAIN
    )
    parser.add_argument("--version", action="version", version=f"sim {VERSION}")
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")
    for verb in VERBS:
        verb.add(verbs)
    return parser
