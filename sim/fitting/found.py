"""What was found of one thing: how a file writes it, how sure it is, and in words what it rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.units import format_duration


@dataclass(frozen=True)
class Number:
    """An estimate and its standard error."""

    estimate: float
    error: float

    def within(self, value: float, errors: float = 3.0) -> bool:
        """Whether a value lies within so many standard errors."""
        return abs(value - self.estimate) <= errors * self.error


@dataclass(frozen=True)
class Found:
    """What was found of one thing.

    `what` names it, `written` is how a file writes it, None where the data cannot tell it or there is none of it; `told` says
    what it rests on, or why it is left out. `numbers` are its estimates. `chart` is what a chart draws.
    """

    what: str
    written: Any
    told: str
    numbers: Mapping[str, Number] = field(default_factory=dict)
    chart: Chart | None = None


@dataclass(frozen=True)
class Chart:
    """Data and a fit over the same x, as lists of numbers. `seconds`: x is a time."""

    title: str
    x_name: str
    y_name: str
    x: tuple[float, ...]
    data: tuple[float, ...]
    fit: tuple[float, ...]
    log_x: bool = False
    log_y: bool = False
    seconds: bool = False


def rounded(value: float, digits: int = 4) -> float:
    """A number of so many significant digits, as files write it.

    >>> rounded(0.0501234), rounded(123456.0), rounded(0.0)
    (0.05012, 123500.0, 0.0)
    """
    return float(f"{value:.{digits}g}")


def whole(shares: Sequence[float] | NDArray[np.float64], digits: int = 6) -> list[float]:
    """Shares of so many digits that sum to 1, as files write them: the largest takes what rounding leaves.

    >>> whole([1 / 3, 2 / 3], 2)
    [0.33, 0.67]
    """
    written = [round(float(each), digits) for each in shares]
    largest = max(range(len(written)), key=written.__getitem__)
    written[largest] = round(1 - sum(written[:largest] + written[largest + 1 :]), digits)
    return written


def length(seconds: float) -> str:
    """A length of time of about three digits, as files write it.

    >>> length(0.04512), length(61.13), length(3712.0), length(12_345.0), length(0.0)
    ('45.1ms', '61.1s', '3710s', '206m', '0s')
    """
    for unit in (3600.0, 60.0):
        if seconds >= 100 * unit:
            return format_duration(round(seconds / unit) * unit)
    if 0 < seconds < 1:
        return f"{rounded(1000 * float(seconds), 3):g}ms"
    return format_duration(rounded(float(seconds), 3))


def in_time(number: Number) -> str:
    """A length of time and its standard error, in one unit, for people.

    >>> in_time(Number(44_040.0, 340.0)), in_time(Number(0.0451, 0.0002))
    ('12.2h ± 0.094h', '45.1ms ± 0.2ms')
    """
    units = (("d", 3 * 86_400.0, 86_400.0), ("h", 7_200.0, 3_600.0), ("m", 120.0, 60.0), ("s", 1.0, 1.0), ("ms", 0.0, 1e-3))
    name, _, size = next(unit for unit in units if number.estimate >= unit[1])
    return f"{number.estimate / size:.3g}{name} ± {number.error / size:.2g}{name}"
