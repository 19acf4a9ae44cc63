"""Counts, sums, and sums of squares and products, from which this package computes its estimates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sim.arrays import Floats
from sim.stats.validation import broadcast, require

# A spread below this, relative to the sum of squares, is the rounding error of a constant column.
ROUNDING = 64 * np.finfo(np.float64).eps
# Rounded sums, for example in single precision, may violate the inequality of Cauchy and Schwarz by this relative amount.
SLACK = 1e-6


@dataclass(frozen=True)
class Estimates:
    """One estimate per replication and its standard error, same shape, in the unit of the metric.

    The standard error is infinite, never NaN, where there are too few outcomes to estimate it.
    """

    estimate: Floats
    standard_error: Floats


@dataclass(frozen=True)
class Moments:
    """Sums over the `n` units of an arm of a pair (y, x) per unit; the fields broadcast together.

    `y` and `x` are sums, `yy` and `xx` sums of squares, `xy` the sum of products. The unit is the unit of
    randomisation, mostly the user. Moments add up over ticks.

    Raises `InputError` for values that are not finite and for a negative `n`, `yy` or `xx`.

    >>> Moments.of([1, 2, 3], [1, 0, 1]) + Moments.of([4], [2])
    Moments(n=array(4.), y=array(10.), x=array(4.), yy=array(30.), xx=array(6.), xy=array(12.))
    """

    n: Floats
    y: Floats
    x: Floats
    yy: Floats
    xx: Floats
    xy: Floats

    def __post_init__(self) -> None:
        for field in fields(self):
            check = non_negative if field.name in ("n", "yy", "xx") else finite
            object.__setattr__(self, field.name, check(field.name, getattr(self, field.name)))

    @classmethod
    def of(cls, y: ArrayLike, x: ArrayLike) -> Moments:
        """Moments of one value of y and x per unit, (..., n), over the last axis."""
        first, second = paired("y", y, "x", x)
        n = np.full(first.shape[:-1], first.shape[-1], dtype=np.float64)
        columns = (first, second, first**2, second**2, first * second)
        return cls(n, *(np.asarray(column.sum(-1)) for column in columns))

    def __add__(self, other: Moments) -> Moments:
        names = (field.name for field in fields(self))
        return Moments(*(np.asarray(getattr(self, name) + getattr(other, name)) for name in names))

    @property
    def spread_y(self) -> Floats:
        """Sum of squared deviations of y from its mean."""
        return spread(self.n, self.y, self.yy)

    @property
    def spread_x(self) -> Floats:
        """Sum of squared deviations of x from its mean."""
        return spread(self.n, self.x, self.xx)

    @property
    def spread_xy(self) -> Floats:
        """Sum of products of the deviations of y and x; 0 where either is constant."""
        both = (self.spread_y > 0) & (self.spread_x > 0)
        return np.where(both, self.xy - self.x * self.y / np.maximum(self.n, 1.0), 0.0)


def spread(n: Floats, total: Floats, square: Floats) -> Floats:
    """Sum of squared deviations from the mean; exactly 0 where it is only the rounding error of a constant column.

    >>> spread(np.array([4.0, 0.0]), np.array([10.0, 0.0]), np.array([30.0, 0.0]))
    array([5., 0.])
    """
    deviations = square - total * total / np.maximum(n, 1.0)
    return np.where(deviations > ROUNDING * square, deviations, 0.0)


def arms(
    n0: ArrayLike, sum0: ArrayLike, square0: ArrayLike, n1: ArrayLike, sum1: ArrayLike, square1: ArrayLike
) -> tuple[Floats, Floats, Floats]:
    """(2, ...) counts, sums and sums of squares of two arms, broadcast together.

    Raises `InputError` for values that are not finite, negative counts or squares, and sums that no outcomes have: by the
    inequality of Cauchy and Schwarz, n times the sum of squares is at least the squared sum.

    >>> arms(10, 100, 1, 10, 5, 5)
    Traceback (most recent call last):
    sim.errors.InputError: square0: must be at least sum0² / n0 (1000), got 1.0
    """
    flat = broadcast(
        n0=non_negative("n0", n0), sum0=finite("sum0", sum0), square0=non_negative("square0", square0),
        n1=non_negative("n1", n1), sum1=finite("sum1", sum1), square1=non_negative("square1", square1),
    )  # fmt: skip
    n, total, square = (np.stack([flat[i], flat[i + 3]]) for i in range(3))
    with np.errstate(over="ignore"):
        least = total * total / np.maximum(n, 1.0)
    impossible = square < (1 - SLACK) * least
    if impossible.any():
        arm = int(impossible[1:].any() and not impossible[0].any())
        at = np.unravel_index(int(np.argmax(impossible[arm])), impossible[arm].shape)
        rule = f"must be at least sum{arm}² / n{arm} ({least[arm][at]:g})"
        require(False, f"square{arm}", rule, square[arm][at])
    return n, total, square


def finite(name: str, values: ArrayLike) -> Floats:
    """Floats of any shape, none NaN or infinite.

    >>> finite("effect", [1, 2])
    array([1., 2.])
    """
    return _elements(name, values, "must be finite", np.isfinite)


def non_negative(name: str, values: ArrayLike) -> Floats:
    """Finite floats of any shape, none below 0.

    >>> non_negative("counts", [3, -1])
    Traceback (most recent call last):
    sim.errors.InputError: counts: must be finite and not negative, got -1.0
    """
    return _elements(name, values, "must be finite and not negative", lambda v: np.isfinite(v) & (v >= 0))


def positive(name: str, values: ArrayLike) -> Floats:
    """Finite floats of any shape, all above 0.

    >>> positive("mixing_sd", 2)
    array(2.)
    """
    return _elements(name, values, "must be finite and positive", lambda v: np.isfinite(v) & (v > 0))


def standard_errors(name: str, values: ArrayLike) -> Floats:
    """Standard errors of any shape: not negative; infinite means no information.

    >>> standard_errors("standard_error", [0.5, float("inf")])
    array([0.5, inf])
    """
    return _elements(name, values, "must not be negative or NaN", lambda v: v >= 0)


def paired(name_y: str, y: ArrayLike, name_x: str, x: ArrayLike) -> tuple[Floats, Floats]:
    """Two finite columns (..., n) with one value per unit, broadcast together.

    >>> paired("y", [1, 2], "x", 1)
    (array([1., 2.]), array([1., 1.]))
    """
    try:
        first, second = np.broadcast_arrays(finite(name_y, y), finite(name_x, x))
    except ValueError:
        shapes = f"{np.shape(x)} against {np.shape(y)}"
        require(False, name_x, f"must have as many values as {name_y}", f"shapes {shapes}")
        raise
    require(first.ndim > 0, name_y, "must have an axis of units", f"shape {first.shape}")
    return first, second


def _elements(name: str, values: ArrayLike, rule: str, holds: Callable[[Floats], NDArray[np.bool_]]) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    good = np.asarray(holds(array))
    if not good.all():
        require(False, name, rule, array[~good].ravel()[0])
    return array
