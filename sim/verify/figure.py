"""A published number, how this program arrives at it, and whether the two agree."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

STANDARD_ERRORS = 4.0
TOLERANCE = 1e-3

Numbers = tuple[float, ...]


@dataclass(frozen=True)
class Sample:
    """What scenarios gave: a mean over so many trials, and its standard error."""

    value: float
    standard_error: float
    trials: int


@dataclass(frozen=True)
class Figure:
    """One published number, or a few that belong together.

    `name` is field.name. `published` is as printed in `source`; where that is a formula, a function that works it out without
    the engines. `ours(quick)` is exact, to be met to within `tolerance`, or the sample of a play, to be met to within 4
    standard errors. `at_most`: what is published is a bound, and less agrees with it. `recalled`: the printed source was not at
    hand. `slow`: not among the quick ones.
    """

    name: str
    what: str
    source: str
    published: Numbers | Callable[[], float]
    ours: Callable[[bool], Numbers | Sample]
    tolerance: float | None
    recalled: bool = False
    slow: bool = False
    at_most: bool = False

    @property
    def field(self) -> str:
        """The part of the program that it is about."""
        return self.name.partition(".")[0]

    def check(self, quick: bool) -> Result:
        """Work it out."""
        started = time.perf_counter()
        published = (self.published(),) if callable(self.published) else self.published
        found = self.ours(quick)
        if isinstance(found, Sample):
            ours: Numbers = (found.value,)
            error, trials, tolerance = found.standard_error, found.trials, STANDARD_ERRORS * found.standard_error
        else:
            assert self.tolerance is not None
            ours, error, trials, tolerance = found, None, None, self.tolerance
        off = [one - other for one, other in zip(ours, published, strict=False)]
        # A value that is not finite agrees with nothing.
        passed = len(ours) == len(published) and all(
            np.isfinite(each) and (each if self.at_most else abs(each)) <= tolerance * (1 + 1e-9) for each in off
        )
        return Result(self, published, ours, error, trials, tolerance, passed, time.perf_counter() - started)


@dataclass(frozen=True)
class Result:
    """A figure that was worked out. `standard_error` and `trials` are None where no chance is in it."""

    figure: Figure
    published: Numbers
    ours: Numbers
    standard_error: float | None
    trials: int | None
    tolerance: float
    passed: bool
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """What the JSON file says of it; a number that is not finite is None."""
        figure = self.figure
        return {
            "name": figure.name,
            "what": figure.what,
            "source": figure.source,
            "recalled": figure.recalled,
            "kind": "exact" if self.standard_error is None else "played",
            "published": list(self.published),
            "at_most": figure.at_most,
            "ours": [value if np.isfinite(value) else None for value in self.ours],
            "standard_error": self.standard_error,
            "trials": self.trials,
            "tolerance": self.tolerance,
            "passed": self.passed,
            "seconds": round(self.seconds, 3),
        }


def exact(
    name: str,
    what: str,
    source: str,
    published: ArrayLike,
    ours: Callable[..., ArrayLike],
    tolerance: float = TOLERANCE,
    *,
    recalled: bool = False,
    slow: bool = False,
) -> Figure:
    """A figure that a formula or an integral gives.

    >>> exact("fixed.half", "a half", "arithmetic", 0.5, lambda: 1 / 2).check(quick=True).passed
    True
    """
    return Figure(name, what, source, _numbers(published), lambda quick: _numbers(ours()), tolerance, recalled, slow)


def played(
    name: str,
    what: str,
    source: str,
    published: float | Callable[..., float],
    ours: Callable[..., Sample],
    *,
    recalled: bool = False,
    slow: bool = False,
    at_most: bool = False,
) -> Figure:
    """A figure that scenarios give, played on the engines; with `at_most`, one that they do not exceed."""
    said = published if callable(published) else (published,)
    return Figure(name, what, source, said, ours, None, recalled, slow, at_most)


def _numbers(values: ArrayLike) -> Numbers:
    return tuple(np.atleast_1d(np.asarray(values, np.float64)).tolist())
