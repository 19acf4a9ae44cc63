"""Options that several verbs have, and how their numbers are read."""

from __future__ import annotations

import argparse
import math
import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from sim.errors import shortened
from sim.tracking.limits import LONGEST_S, TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.scenario.examples import Found
    from sim.scenario.put import Change

RUNS_MODELS = """\
A real model is loaded, which runs its code: only from a registry that --registry-uri, --tracking-uri or the environment names,
or from the mlflow.db in this folder if your own sim made it there. Behaviour models are read, never run."""
"""What every verb says that may run the code of a registered model."""

Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""Where each verb adds its parser."""
PLAIN = argparse.RawDescriptionHelpFormatter
"""Keeps the lines of descriptions and examples as they are written."""


class Completes(Enum):
    """What a shell completes an argument to."""

    FILE = "file"
    FOLDER = "folder"
    PYTHON = "a Python file"
    RUN = "a run folder"
    SCENARIO = "a scenario file, or an example"
    MODELS = "a models file, or an example"
    EXAMPLE = "an example"
    ENGINE = "an engine"
    ENGINE_OF_CALLS = "an engine that tells single calls"
    FORMAT = "a format of reports"


_COMPLETES = "sim_completes"
_MOST_DIGITS = 12


def completing(action: argparse.Action, what: Completes) -> None:
    """Say what a shell completes an argument to. A path of which nothing is said is a file."""
    setattr(action, _COMPLETES, what)


def completed_as(action: argparse.Action) -> Completes | None:
    """What a shell completes an argument to; None where it cannot know."""
    said: Completes | None = getattr(action, _COMPLETES, None)
    return Completes.FILE if said is None and action.type is Path else said


def scenario_file(word: str) -> Path:
    """The scenario file that a word names: a path, or the name of an example. Prints to stderr which example it is."""
    from sim.scenario import examples

    return _note_shown(examples.find(word, examples.scenarios()))


def models_file(word: str) -> Path:
    """The models file that a word names, as in `scenario_file`."""
    from sim.scenario import examples

    return _note_shown(examples.find(word, examples.models()))


def _note_shown(found: Found) -> Path:
    if found.note:
        print(f"sim: {found.note}", file=sys.stderr)
    return found.file


def add_display(parser: argparse.ArgumentParser, *, width: bool = False) -> None:
    """How a table is shown; with `width`, also in how many characters."""
    parser.add_argument(
        "--display", choices=("auto", "rich", "plain", "none"), default="auto", help="how the table is shown (default: auto)"
    )
    if width:
        parser.add_argument(
            "--width", type=wide, metavar="CHARACTERS",
            help="of a line, at least 20; columns without room are left out, and named (default: the terminal's, else 120)",
        )  # fmt: skip


def add_parts(parser: argparse.ArgumentParser) -> None:
    """Parts of the user's own."""
    parts = parser.add_argument(
        "--parts",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="a Python file with parts of your own, such as allocations; runs that file's code. May be given several times",
    )
    completing(parts, Completes.PYTHON)


def add_cluster(parser: argparse.ArgumentParser) -> None:
    """Workers that are not the program's own."""
    parser.add_argument(
        "--cluster", metavar="ADDRESS",
        help="play on a Dask cluster: tcp://HOST:PORT of its scheduler, or local:N for N processes that end with the run",
    )  # fmt: skip


def add_changes(parser: argparse.ArgumentParser, *, engine: bool = True) -> None:
    """Other values than those of the scenario file; `engine` where the verb has no engine of its own to name."""
    parser.add_argument(
        "--set", dest="changes", action="append", default=[], metavar="PATH=VALUE", type=_change,
        help="another value for a key of the file, by the path that errors print, as YAML: replications=200, "
        "policies[1].evidence.mde=1%%, traffic='{rate: 3/s}', sweep=null. May be given several times; the last one holds",
    )  # fmt: skip
    if engine:
        kind = parser.add_argument(
            "--engine",
            dest="changes",
            action="append",
            metavar="KIND",
            type=_change_of("--engine"),
            help="short for --set engine=KIND",
        )
        completing(kind, Completes.ENGINE)
    parser.add_argument(
        "--seed", dest="changes", action="append", metavar="N", type=_change_of("--seed"), help="short for --set seed=N"
    )


def _change(text: str) -> Change:
    from sim.scenario.put import Change

    return Change.parse(text)


def _change_of(option: str) -> Callable[[str], Change]:
    """Reads the value of an option that is short for a change of the key of its name."""

    def read(text: str) -> Change:
        from sim.scenario.put import Change

        return Change.of(option, option.removeprefix("--"), text)

    return read


def add_stores(
    parser: argparse.ArgumentParser, *, registry: bool = True, logs: bool = True, only_if_named: bool = False
) -> None:
    """Where MLflow is; with `only_if_named`, it is only asked where one of the options is given. `logs` if runs are logged."""
    default = "none, and models are not resolved" if only_if_named else "MLFLOW_TRACKING_URI, else mlflow.db in this folder"
    parser.add_argument("--tracking-uri", help=f"MLflow server or store (default: {default})")
    if registry:
        parser.add_argument("--registry-uri", help="where model versions are (default: the tracking server)")
    if logs:
        parser.add_argument("--experiment", help="MLflow experiment (default: rollout-simulations)")
        parser.add_argument(
            "--timeout", type=seconds, metavar="SECONDS", default=TIMEOUT_S,
            help=f"time for logging, whatever the server does (default: {TIMEOUT_S:g}); 'sim track' goes on later",
        )  # fmt: skip


def add_annotate(parser: argparse.ArgumentParser) -> None:
    """Whether descriptions of versions may be written to."""
    parser.add_argument(
        "--annotate", action="store_true",
        help="put the memo into the description of each version, in a section of its own; what people wrote there stays",
    )  # fmt: skip


def formats(text: str) -> tuple[str, ...]:
    """The formats of reports in a list with commas, each once."""
    from sim.spelling import did_you_mean, there_are
    from sim.workflow import FORMATS

    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in FORMATS:
            raise argparse.ArgumentTypeError(
                f"no format {shortened(name, 60)!r}; {did_you_mean(name, FORMATS) or there_are(FORMATS)}"
            )
    return names


def positive(text: str) -> int:
    """A whole number of at least 1."""
    return _number(text, 1)


def wide(text: str) -> int:
    """A whole number of at least 20."""
    return _number(text, 20)


def whole(text: str) -> int:
    """A whole number of at least 0."""
    return _number(text, 0)


def _number(text: str, least: int) -> int:
    if not text.isdecimal() or len(text) > _MOST_DIGITS or int(text) < least:
        rule = f"must be a whole number of at least {least} and below 10^{_MOST_DIGITS}"
        raise argparse.ArgumentTypeError(f"{rule}, got {shortened(text, 60)!r}")
    return int(text)


def duration(text: str) -> float:
    """Seconds, from a duration with its unit."""
    from sim.units import UnitError, parse_duration

    try:
        return parse_duration(text)
    except UnitError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def seconds(text: str) -> float:
    """Seconds for logging."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= LONGEST_S:
        raise argparse.ArgumentTypeError(f"must be a number of seconds, above 0 and at most {LONGEST_S:g}, got {text!r}")
    return value
