"""Winsorising keeps what is inside the caps and says what it did to the mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy.stats.mstats import winsorize

from sim.errors import InputError
from sim.stats.winsor import caps, winsorise


@given(npst.arrays(np.float64, (2, 30), elements=st.floats(-1e6, 1e6)), st.floats(0, 0.4), st.floats(0.6, 1))
def test_the_bias_is_what_the_mean_moved_by(values: np.ndarray, lower: float, upper: float) -> None:
    low, high = caps(values, lower, upper)
    found = winsorise(values, low, high)
    np.testing.assert_allclose(found.values.mean(-1) - values.mean(-1), found.bias, atol=1e-6)
    assert (found.share <= lower + 1 - upper + 1e-9).all()
    again = winsorise(found.values, low, high)
    assert np.array_equal(again.bias, [0, 0])


def test_ten_percent_off_the_top_agrees_with_scipy() -> None:
    values = np.random.default_rng(1).lognormal(size=200)
    found = winsorise(values, *caps(values, upper=0.9))
    np.testing.assert_array_equal(np.sort(found.values), np.sort(np.asarray(winsorize(values, (0, 0.1)))))


def test_shared_caps_show_what_is_hidden_of_an_effect() -> None:
    champion, challenger = np.array([1.0, 2, 3, 4]), np.array([1.0, 2, 3, 40])
    _, high = caps(np.concatenate([champion, challenger]), upper=0.8)
    hidden = winsorise(challenger, high=high).bias - winsorise(champion, high=high).bias
    assert hidden == pytest.approx(-9)
    assert winsorise(np.ones(5)).share == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: caps([1, 2], 0.6, 0.5), r"upper: must lie above lower \(0.6\) and not above 1, got 0.5"),
        (lambda: caps([1, 2], -0.1), "lower: must lie between 0 and 1, got -0.1"),
        (lambda: caps([]), "values: must have at least one value"),
        (lambda: winsorise([]), "values: must have at least one value"),
        (lambda: winsorise([np.nan]), "values: must be finite, got nan"),
        (lambda: winsorise([1], 3, 2), "low: must not exceed high .*2.* got .*3"),
        (lambda: winsorise([1], np.nan), "low: must not exceed high"),
    ],
)
def test_wrong_input_is_refused_by_name(call: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
