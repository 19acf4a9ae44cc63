"""Comparisons of periods against SciPy's tests, and the corrected ratio against many draws."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from sim.stats.periods import Periods, compare_periods

RNG = np.random.default_rng(8)


def sums(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.full(len(values), float(values.shape[1])), values.sum(axis=1), (values**2).sum(axis=1)


def test_without_pairs_it_is_welchs_test() -> None:
    a, b = RNG.normal(3, 1, (5, 12)), RNG.normal(3.5, 2, (5, 9))
    found = compare_periods(Periods(*sums(a), *sums(b)))
    expected = stats.ttest_ind(b, a, axis=1, equal_var=False)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert found.difference == pytest.approx(b.mean(axis=1) - a.mean(axis=1))


def test_in_pairs_it_is_students_test_of_the_differences() -> None:
    a = RNG.normal(3, 1, (5, 12))
    b = a + RNG.normal(0.2, 0.5, (5, 12))
    found = compare_periods(Periods(*sums(a), *sums(b), products=(a * b).sum(axis=1)))
    assert found.p_value == pytest.approx(stats.ttest_rel(b, a, axis=1).pvalue)
    assert found.standard_error == pytest.approx((b - a).std(axis=1, ddof=1) / np.sqrt(12))


def test_the_ratio_is_unbiased_to_second_order() -> None:
    """The plain ratio of two means of six is 1.5% too high here: 0.3² / 6. The corrected one is within 4 standard errors."""
    a, b = RNG.normal(1, 0.3, (40_000, 6)), RNG.normal(1.1, 0.3, (40_000, 6))
    found = compare_periods(Periods(*sums(a), *sums(b)))
    plain = b.mean(axis=1) / a.mean(axis=1) - 1
    error = plain.std() / np.sqrt(40_000)
    assert plain.mean() - 0.1 > 4 * error
    # What is left is of the fourth order: 3 (0.3² / 6)² of 1.1.
    assert abs(found.relative.mean() - 0.1) < 4 * error + 3 * 1.1 * (0.09 / 6) ** 2


def test_too_few_periods_compare_nothing() -> None:
    one = np.array([[1.0]]), np.array([[1.0, 2.0]])
    found = compare_periods(Periods(*sums(one[0]), *sums(one[1])))
    assert np.isnan(found.p_value[0])
    assert np.isnan(found.relative[0])
