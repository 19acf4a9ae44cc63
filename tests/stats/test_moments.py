"""Moments add up over ticks and never turn rounding into spread."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from sim.errors import InputError
from sim.stats.moments import Moments, finite, non_negative, positive, standard_errors

COLUMN = npst.arrays(np.float64, 12, elements=st.integers(-50, 50).map(float))


@given(COLUMN, COLUMN, st.integers(1, 11))
def test_moments_of_parts_are_the_moments_of_the_whole(y: np.ndarray, x: np.ndarray, cut: int) -> None:
    whole, parts = Moments.of(y, x), Moments.of(y[:cut], x[:cut]) + Moments.of(y[cut:], x[cut:])
    assert whole == parts
    assert parts.spread_y == pytest.approx(np.var(y) * 12, abs=1e-9)
    assert parts.spread_xy == pytest.approx(np.cov(y, x, bias=True)[0, 1] * 12, abs=1e-9)


def test_a_constant_column_has_no_spread() -> None:
    moments = Moments.of(np.full(1000, 0.1), np.arange(1000.0))
    assert moments.spread_y == 0
    assert moments.spread_xy == 0


@pytest.mark.parametrize(
    ("check", "value", "message"),
    [
        (finite, [0.0, np.nan], "rate: must be finite, got nan"),
        (non_negative, [[1, -2]], "rate: must be finite and not negative, got -2.0"),
        (positive, 0, "rate: must be finite and positive, got 0.0"),
        (standard_errors, [np.inf, -1], "rate: must not be negative or NaN, got -1.0"),
    ],
)
def test_a_wrong_element_is_named(check: object, value: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check("rate", value)  # type: ignore[operator]


def test_wrong_moments_are_refused_by_name() -> None:
    with pytest.raises(InputError, match="n: must be finite and not negative, got -1"):
        Moments(-1, 0, 0, 0, 0, 0)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"x: must have as many values as y, got shapes \(2,\) against \(3,\)"):
        Moments.of([1, 2, 3], [1, 2])
    with pytest.raises(InputError, match="y: must have an axis of units"):
        Moments.of(1, 2)
