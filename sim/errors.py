"""The one exception tree. Every message names the thing, its value and the rule it breaks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

EXIT_OK = 0
EXIT_MACHINE = 1
"""The machine could not do it: a full disk, too little memory, a process that was killed."""
EXIT_INPUT = 2
EXIT_THRESHOLD = 3
EXIT_TRACKING = 4
EXIT_CLUSTER = 5
"""The cluster went away while it played; checkpoints are kept."""
EXIT_FAULT = 70
"""A fault of this program (EX_SOFTWARE of sysexits.h)."""
EXIT_INTERRUPTED = 130

Place = tuple[str | int, ...]
"""The keys and list positions that lead to a value in a file."""
# Controls other than a tab and a new line, what turns the direction of text, and bytes of names that are no UTF-8.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
# A name from a file may be of any length, and is part of paths and messages.
_LONGEST_PATH, _LONGEST_MESSAGE = 300, 2000
_NAME = re.compile(r'[^.\[\]"\s]+')


def format_path(place: Place) -> str:
    """The path of a place in a file, as people write it; ambiguous names are quoted. `sim.scenario.loading` reads it back.

    Use it for every path that contains a name from a file: a path put together by hand is wrong for names with a dot, a space
    or a bracket.

    >>> format_path(("models", 1, "uri")), format_path(("metrics", "a.b"))
    ('models[1].uri', 'metrics["a.b"]')
    """
    text = ""
    for part in place:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _NAME.fullmatch(part) and part.isprintable():
            text += f".{part}" if text else part
        else:
            text += f"[{json.dumps(part)}]"
    return text


def plain(text: str) -> str:
    r"""Text for a terminal: quotes in place of Markdown's backticks, and names without power over the terminal.

    A name of a file may hold escape characters, and bytes that are no text.

    >>> plain("give `width` instead")
    "give 'width' instead"
    >>> plain("a\x1b[2J.yaml: no such file")
    'a\\x1b[2J.yaml: no such file'
    """
    return visible(re.sub(r"`([^`\n]+)`", r"'\1'", text))


def visible(text: str) -> str:
    """Text from elsewhere with its control characters written out, as a terminal would obey them. Lines stay lines.

    >>> print(visible("no\\x1b[2J model"))
    no\\x1b[2J model
    """
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong with an input, and where.

    >>> print(Problem("must be positive, got -1", path="traffic.rate", file="a.yaml", line=3, column=9))
    a.yaml:3:9 traffic.rate: must be positive, got -1
    >>> print(Problem("no such file", file="a.yaml"))
    a.yaml: no such file
    """

    message: str
    path: str = ""
    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.file and self.line else self.file
        if self.path:
            path = shortened(self.path, _LONGEST_PATH)
            where = f"{where} {path}" if where else path
        message = shortened(self.message, _LONGEST_MESSAGE)
        return f"{where}: {message}" if where else message


def shortened(text: str, most: int) -> str:
    """A text of at most `most` characters: its middle is left out where it is longer.

    >>> shortened("models[1].uri", 40), shortened("k" * 3_000_000, 20)
    ('models[1].uri', 'kkkkkkkkkk…kkkkkkkkk')
    """
    kept = (most - 1) // 2
    return text if len(text) <= most else f"{text[: most - 1 - kept]}…{text[-kept:]}"


class SimError(Exception):
    """Anything this program raises on purpose. `exit_code` is what the command line returns for it.

    `kept` is the folder with what was finished before it was raised; empty where nothing was changed.
    """

    exit_code = EXIT_MACHINE
    kept = ""


class FileError(SimError):
    """A file cannot be written: no space, a limit, no permission. What it held before, it still holds."""


class InputError(SimError):
    """The input is wrong. `problems` holds every problem, not only the first; `more` counts those that were not worked out."""

    exit_code = EXIT_INPUT

    def __init__(self, problems: Iterable[Problem | str], more: int = 0) -> None:
        checked = [problem if isinstance(problem, Problem) else Problem(problem) for problem in problems]
        self.problems: tuple[Problem, ...] = tuple(checked)
        self.more = more
        super().__init__("\n".join(listed(checked, more)))

    def __reduce__(self) -> tuple[type[InputError], tuple[tuple[Problem, ...]], dict[str, int]]:
        return type(self), (self.problems,), {"more": self.more}


MOST_SHOWN = 100


def listed(problems: Sequence[Problem], more: int = 0) -> list[str]:
    """The lines of the first hundred problems, and a line that counts the others and `more`.

    >>> listed([Problem("is too low", path="a")], 2)
    ['a: is too low', 'and 2 more problems']
    """
    left = len(problems) - MOST_SHOWN if len(problems) > MOST_SHOWN else 0
    left += more
    rest = [f"and {left:,} more problem{'s' if left > 1 else ''}"] if left else []
    return [*map(str, problems[:MOST_SHOWN]), *rest]


class PartError(SimError):
    """A part from outside raised, or answered what its protocol does not allow. `trace` are the lines of its own traceback."""

    exit_code = EXIT_INPUT

    def __init__(self, problems: Iterable[Problem], trace: str = "") -> None:
        self.problems, self.trace = tuple(problems), trace
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[type[PartError], tuple[tuple[Problem, ...], str]]:
        return type(self), (self.problems, self.trace)


class TrackingError(SimError):
    """The tracking server or registry could not be reached, or refused. Results on disk are safe."""

    exit_code = EXIT_TRACKING
