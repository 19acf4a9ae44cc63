"""Which figures there are, and working them out."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import cache

from sim.errors import InputError, Problem
from sim.verify.figure import Figure, Result

MODULES = ("sequential", "sequential_played", "fixed", "estimates", "bandits", "queues", "canaries")
FIELDS = {
    "sequential": "Looking more than once",
    "fixed": "One look, several challengers, margins, intervals",
    "estimates": "Variance reduction, sample ratios, users, times",
    "bandits": "Bandits",
    "queues": "Queues",
    "canaries": "Canaries and reliability",
}

Watch = Callable[[int, int, Figure], None]
"""Called before each figure, with how many are done and how many there are."""


@cache
def figures() -> tuple[Figure, ...]:
    """All of them, by field."""
    # A field is loaded when it is needed: SciPy takes a third of a second.
    found = [figure for name in MODULES for figure in importlib.import_module(f"sim.verify.{name}").figures()]
    return tuple(sorted(found, key=lambda figure: list(FIELDS).index(figure.field)))


def chosen(only: Sequence[str] = (), quick: bool = False) -> tuple[Figure, ...]:
    """The figures whose name is, or begins with, one of `only`; else all, with `quick` those that are not slow.

    Raises `InputError` for each of `only` that nothing begins with.

    >>> [figure.name for figure in chosen(["queues.mm"])]
    ['queues.mm4', 'queues.mm1']
    """
    known = ", ".join(FIELDS)
    missed = [each for each in only if not any(figure.name.startswith(each) for figure in figures())]
    if missed:
        rule = f"no figure's name begins so; fields are {known}"
        raise InputError([Problem(f"{rule}, got {each!r}", path="--only") for each in missed])
    if only:
        return tuple(figure for figure in figures() if figure.name.startswith(tuple(only)))
    return tuple(figure for figure in figures() if not (quick and figure.slow))


def verify(asked: Sequence[Figure], quick: bool = False, watch: Watch | None = None) -> list[Result]:
    """Work the figures out, with `quick` on a tenth of the trials. Every figure has draws of its own, always the same.

    >>> [result.passed for result in verify(chosen(["queues.mm4"]))]
    [True]
    """
    results = []
    for number, figure in enumerate(asked):
        if watch:
            watch(number, len(asked), figure)
        results.append(figure.check(quick))
    return results
