"""A published number, this program's value of it, and whether the two agree."""

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
    """The result of playing scenarios: a mean over `trials` trials, and its standard error."""

    value: float
    standard_error: float
    trials: int


@dataclass(frozen=True)
class Figure:
    """One published number, or a few numbers that belong together.

    `name` is field.name. `published` has the numbers printed in `source`, or a function that computes a formula without the
    engines. `ours(quick)` returns exact numbers, which must agree to within `tolerance`, or a sample, which must agree to
    within 4 standard errors. `at_most`: the published number is a bound, and smaller values agree. `recalled`: the printed
    source was not at hand. `slow`: not among the quick figures.
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
        """The part of the program that the figure tests."""
        return self.name.partition(".")[0]

    def check(self, quick: bool) -> Result:
        """Compute our value, and compare it with the published one."""
        started = time.perf_counter()
        published = (self.published(),) if callable(self.published) else self.published
        result = self.ours(quick)
        if isinstance(result, Sample):
            ours: Numbers = (result.value,)
            error, trials, tolerance = result.standard_error, result.trials, STANDARD_ERRORS * result.standard_error
        else:
            assert self.tolerance is not None
            ours, error, trials, tolerance = result, None, None, self.tolerance
        off = [one - other for one, other in zip(ours, published, strict=False)]
        # A value that is not finite never agrees.
        passed = len(ours) == len(published) and all(
            np.isfinite(miss) and (miss if self.at_most else abs(miss)) <= tolerance * (1 + 1e-9) for miss in off
        )
        return Result(self, published, ours, error, trials, tolerance, passed, time.perf_counter() - started)


@dataclass(frozen=True)
class Result:
    """A figure that was computed. `standard_error` and `trials` are None for an exact value."""

    figure: Figure
    published: Numbers
    ours: Numbers
    standard_error: float | None
    trials: int | None
    tolerance: float
    passed: bool
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """The entry of the figure in the JSON file; a number that is not finite is None."""
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
    """A figure whose value a formula or an integral gives.

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
    """A figure whose value comes from scenarios, played on the engines; with `at_most`, the published number is a bound."""
    numbers = published if callable(published) else (published,)
    return Figure(name, what, source, numbers, ours, None, recalled, slow, at_most)


def _numbers(values: ArrayLike) -> Numbers:
    return tuple(np.atleast_1d(np.asarray(values, np.float64)).tolist())
