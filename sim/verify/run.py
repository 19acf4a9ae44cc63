"""The list of figures, and their computation."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import cache

from sim.errors import InputError, Problem
from sim.verify.figure import Figure, Result

MODULES = (
    "sequential",
    "sequential_played",
    "fixed",
    "changing",
    "estimates",
    "bandits",
    "queues",
    "canaries",
    "decisions",
    "offline",
)
FIELDS = {
    "sequential": "Looking more than once",
    "fixed": "One look, several challengers, margins, intervals",
    "changing": "Weights and means that change",
    "estimates": "Variance reduction, sample ratios, users, times",
    "bandits": "Bandits",
    "queues": "Queues",
    "canaries": "Canaries and reliability",
    "decisions": "What a decision is worth",
    "offline": "Offline evaluation",
}

Watch = Callable[[int, int, Figure], None]
"""A function that is called before each figure, with the number of figures done, their total number, and the figure."""


@cache
def figures() -> tuple[Figure, ...]:
    """All figures, sorted by field."""
    # Import the fields only here: importing SciPy takes a third of a second.
    all_figures = [figure for name in MODULES for figure in importlib.import_module(f"sim.verify.{name}").figures()]
    return tuple(sorted(all_figures, key=lambda figure: list(FIELDS).index(figure.field)))


def chosen(only: Sequence[str] = (), quick: bool = False) -> tuple[Figure, ...]:
    """The figures whose name begins with one of `only`. Without `only`, all figures; with `quick`, those that are not slow.

    Raises `InputError` for each of `only` with which no name begins.

    >>> [figure.name for figure in chosen(["queues.mm"])]
    ['queues.mm4', 'queues.mm1']
    """
    known = ", ".join(FIELDS)
    missed = [prefix for prefix in only if not prefix or not any(figure.name.startswith(prefix) for figure in figures())]
    if missed:
        rule = f"no figure's name begins so; fields are {known}"
        raise InputError([Problem(f"{rule}, got {prefix!r}", path="--only") for prefix in missed])
    if only:
        return tuple(figure for figure in figures() if figure.name.startswith(tuple(only)))
    return tuple(figure for figure in figures() if not (quick and figure.slow))


def verify(asked: Sequence[Figure], quick: bool = False, watch: Watch | None = None) -> list[Result]:
    """Compute the figures, with `quick` on a tenth of the trials. Every figure has its own fixed seed.

    >>> [result.passed for result in verify(chosen(["queues.mm4"]))]
    [True]
    """
    results = []
    for number, figure in enumerate(asked):
        if watch:
            watch(number, len(asked), figure)
        results.append(figure.check(quick))
    return results
