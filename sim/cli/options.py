"""Options that several verbs have, and how their numbers are read."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TypeAlias

Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""Where each verb adds its parser."""
PLAIN = argparse.RawDescriptionHelpFormatter
"""Keeps the lines of descriptions and examples as they are written."""


def add_display(parser: argparse.ArgumentParser) -> None:
    """How a table is shown."""
    parser.add_argument(
        "--display", choices=("auto", "rich", "plain", "none"), default="auto", help="how the table is shown (default: auto)"
    )


def add_parts(parser: argparse.ArgumentParser) -> None:
    """Parts of the user's own."""
    parser.add_argument(
        "--parts", type=Path, action="append", default=[], metavar="FILE",
        help="a Python file with parts of your own, such as allocations; runs that file's code. May be given several times",
    )  # fmt: skip


def add_stores(parser: argparse.ArgumentParser, *, registry: bool = True, experiment: bool = True) -> None:
    """Where MLflow is."""
    parser.add_argument(
        "--tracking-uri", help="MLflow server or store (default: MLFLOW_TRACKING_URI, else mlflow.db in this folder)"
    )
    if registry:
        parser.add_argument("--registry-uri", help="where model versions are (default: the tracking server)")
    if experiment:
        parser.add_argument("--experiment", help="MLflow experiment (default: rollout-simulations)")


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text!r}")
    return int(text)


def whole(text: str) -> int:
    """A whole number of at least 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 0, got {text!r}")
    return int(text)


def duration(text: str) -> float:
    """Seconds, from a duration with its unit."""
    from sim.units import UnitError, parse_duration

    try:
        return parse_duration(text)
    except UnitError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
