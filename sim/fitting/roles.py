"""Roles of columns, as they are said and as names tell them: of logs and of tables of experiments."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from sim.errors import Problem
from sim.spelling import did_you_mean, there_are
from sim.units import shown


def said_wrong(given: Iterable[tuple[str, str]], names: Sequence[str], file: str, option: str) -> Iterator[Problem]:
    """What is wrong with roles and names of columns that were said: a name that is not there, or that has two roles."""
    pairs = [(role, name) for role, name in given if name]
    for role, name in pairs:
        if name not in names:
            hint = did_you_mean(name, names) or there_are(names)
            yield Problem(f"no column {shown(name)}, which is to be the {role}; {hint}", file=file)
    taken = [name for _, name in pairs]
    for name in sorted({name for name in taken if taken.count(name) > 1}):
        yield Problem(f"{shown(name)} is given two roles", option)


def plain_name(name: str) -> str:
    """A name in small letters, with _ for what is neither letter nor digit.

    >>> plain_name("Conversion Time"), plain_name("stdError (abs.)")
    ('conversion_time', 'std_error_abs')
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)
    return re.sub(r"[^0-9a-z]+", "_", spaced.casefold()).strip("_")
