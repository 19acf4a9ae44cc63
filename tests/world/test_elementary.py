"""Logarithms and exponentials against those of 50 decimal digits."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, localcontext

import numpy as np
import pytest

from sim.arrays import Floats
from sim.world.elementary import exp, log, log1p

DRAWN = np.random.default_rng(5)


def _errors(found: Floats, at: Floats, exact: Callable[[Decimal], Decimal]) -> Floats:
    """By how many units in the last place a value is off."""
    with localcontext() as context:
        context.prec = 60
        off = [float(Decimal(float(value)) - exact(Decimal(float(x)))) for value, x in zip(found, at, strict=True)]
    return np.abs(off) / np.spacing(np.abs(found))


@pytest.mark.parametrize("x", [10 ** DRAWN.uniform(-300, 300, 400), DRAWN.uniform(0.5, 2, 400), 1 + 2.0 ** -np.arange(1, 52)])
def test_logarithms_are_right_to_the_last_places(x: Floats) -> None:
    assert _errors(log(x), x, Decimal.ln).max() < 2


@pytest.mark.parametrize(
    "x", [10 ** DRAWN.uniform(-300, 12, 400), -(10 ** DRAWN.uniform(-300, -0.01, 400)), DRAWN.uniform(-0.9, 1, 400)]
)
def test_logarithms_near_1_are_right_to_the_last_places(x: Floats) -> None:
    assert _errors(log1p(x), x, _log1p).max() < 4


def _log1p(x: Decimal) -> Decimal:
    """By its series where 60 digits would not tell 1 + x from 1."""
    return x - x * x / 2 + x**3 / 3 if abs(x) < Decimal("1e-20") else (1 + x).ln()


@pytest.mark.parametrize("x", [DRAWN.uniform(-700, 700, 400), DRAWN.uniform(-14, 0, 400), -(10 ** DRAWN.uniform(-300, 0, 400))])
def test_exponentials_are_right_to_the_last_places(x: Floats) -> None:
    assert _errors(exp(x), x, Decimal.exp).max() < 2


def test_the_ends() -> None:
    assert log(np.array([1.0])).tolist() == log1p(np.array([0.0])).tolist() == [0.0]
    assert exp(np.array([0.0, -0.0])).tolist() == [1.0, 1.0]
