"""Corrections for several challengers, against statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from statsmodels.stats.multitest import multipletests

from sim.errors import InputError
from sim.stats.multiplicity import bonferroni_adjust, holm, holm_adjust

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=8)


@settings(max_examples=30)  # statsmodels takes 30 ms each
@given(P_VALUES)
def test_adjusted_p_values_agree_with_statsmodels(p: list[float]) -> None:
    assert_allclose(holm_adjust(p), multipletests(p, method="holm")[1], atol=1e-14)
    assert_allclose(bonferroni_adjust(p), multipletests(p, method="bonferroni")[1], atol=1e-14)


@given(P_VALUES, st.data())
def test_an_arm_that_is_not_tested_does_not_count(p: list[float], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(p)))
    padded = np.insert(np.array(p), at, np.nan)
    for adjust in (holm_adjust, bonferroni_adjust):
        found = adjust(padded)
        assert np.isnan(found[at])
        assert_allclose(np.delete(found, at), adjust(p), atol=0)
    assert not holm(padded, 0.05)[at]


def test_families_lie_along_the_last_axis() -> None:
    p = np.random.default_rng(2).uniform(0, 0.1, (4, 3, 5))
    assert_allclose(holm_adjust(p)[2, 1], holm_adjust(p[2, 1]))


def test_holm_keeps_the_family_wise_error_and_beats_bonferroni() -> None:
    rng = np.random.default_rng(3)
    p = rng.uniform(size=(20_000, 4))
    error = holm(p, 0.05).any(axis=1).mean()
    exact = 1 - (1 - 0.05 / 4) ** 4
    assert abs(error - exact) < 4 * np.sqrt(exact * (1 - exact) / 20_000)
    assert np.all(holm_adjust(p) <= bonferroni_adjust(p))


def test_what_is_not_a_probability_is_refused() -> None:
    with pytest.raises(InputError, match=r"p_values: must lie between 0 and 1, got 1\.5"):
        holm_adjust([0.1, 1.5])
    with pytest.raises(InputError, match="alpha: must lie strictly between 0 and 1, got 5"):
        holm([0.1], alpha=5)
