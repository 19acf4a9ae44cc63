"""The Mann–Whitney test against scipy.stats.mannwhitneyu."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sim.errors import InputError
from sim.stats.rank import mann_whitney
from sim.stats.two_sample import Alternative

VALUES = st.lists(st.integers(0, 12), min_size=1, max_size=15)


@settings(max_examples=200, deadline=None)
@given(VALUES, VALUES, st.sampled_from(["two-sided", "greater", "less"]))
def test_it_is_scipys(x: list[int], y: list[int], alternative: Alternative) -> None:
    found = mann_whitney(x, y, alternative)
    if len({*x, *y}) == 1:
        assert float(found.p_value) == 1
        return
    expected = stats.mannwhitneyu(x, y, alternative=alternative, method="asymptotic")
    assert float(found.u) == expected.statistic
    assert float(found.p_value) == pytest.approx(expected.pvalue, abs=1e-12)


def test_missing_values_are_left_out_of_every_row_by_itself() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.integers(0, 9, (50, 12)).astype(float), rng.integers(0, 9, (50, 8)).astype(float)
    x[rng.random(x.shape) < 0.3], y[rng.random(y.shape) < 0.3] = np.nan, np.nan
    found = mann_whitney(x, y, "greater")
    for row in range(50):
        kept = [values[row][~np.isnan(values[row])] for values in (x, y)]
        expected = stats.mannwhitneyu(*kept, alternative="greater", method="asymptotic")
        assert (found.n1[row], found.n2[row]) == tuple(map(len, kept))
        assert found.p_value[row] == pytest.approx(expected.pvalue, abs=1e-12)


def test_error_with_a_dozen_values_and_many_ties() -> None:
    rows = 20_000
    values = np.random.default_rng(2).binomial(20, 0.05, (2, rows, 12))
    wrong = (mann_whitney(values[0], values[1], "greater").p_value <= 0.05).mean()
    assert 0.03 < wrong < 0.05 + 4 * np.sqrt(0.05 * 0.95 / rows)


def test_nothing_to_compare_is_no_evidence() -> None:
    nothing = np.full((1, 3), np.nan)
    assert mann_whitney(nothing, [[1.0, 2.0]]).p_value.tolist() == [1]
    assert mann_whitney(nothing, nothing).p_value.tolist() == [1]


def test_what_is_no_sample_is_refused() -> None:
    with pytest.raises(InputError, match="x: must be finite or missing"):
        mann_whitney([1.0, np.inf], [1.0])
    with pytest.raises(InputError, match="alternative: must be one of two-sided, greater, less, got up"):
        mann_whitney([1.0], [2.0], "up")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="y: must have the replications of x"):
        mann_whitney([[1.0]], [2.0])
