"""Two-sample tests against statsmodels, and where there is nothing to test."""

from __future__ import annotations

import warnings
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from statsmodels.stats.proportion import proportions_ztest
from statsmodels.stats.weightstats import ttest_ind

from sim.errors import InputError
from sim.stats.two_sample import Alternative, Kind, TestResult, two_sample

ALTERNATIVES = {"two-sided": "two-sided", "greater": "larger", "less": "smaller"}


def from_samples(kind: Kind, a: np.ndarray, b: np.ndarray, alternative: Alternative = "two-sided") -> TestResult:
    return two_sample(kind, a.size, a.sum(), (a * a).sum(), b.size, b.sum(), (b * b).sum(), alternative=alternative)


@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_pooled_z_is_the_textbook_test_of_two_proportions(alternative: Alternative) -> None:
    for s0, n0, s1, n1 in ((100, 1000, 130, 1000), (3, 40, 9, 55), (0, 50, 4, 60), (70, 90, 20, 30)):
        expected = proportions_ztest([s1, s0], [n1, n0], alternative=ALTERNATIVES[alternative])
        found = two_sample("z_pooled", n0, s0, s0, n1, s1, s1, alternative=alternative)
        assert_allclose([found.statistic, found.p_value], expected, rtol=1e-10)


def test_unpooled_z_uses_each_arms_binomial_variance() -> None:
    found = two_sample("z_unpooled", 1000, 100, 100, 500, 65, 65)
    assert_allclose(found.standard_error, np.sqrt(0.1 * 0.9 / 1000 + 0.13 * 0.87 / 500))
    assert_allclose(found.statistic, 0.03 / found.standard_error)


@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_welch_agrees_with_statsmodels(alternative: Alternative) -> None:
    rng = np.random.default_rng(5)
    for n0, n1 in ((5, 9), (40, 3), (200, 100)):
        a, b = rng.normal(10, 1, n0), rng.normal(10.4, 3, n1)
        t, p, df = ttest_ind(b, a, usevar="unequal", alternative=ALTERNATIVES[alternative])
        found = from_samples("welch", a, b, alternative)
        assert_allclose([found.statistic, found.p_value, found.degrees_of_freedom], [t, p, df], rtol=1e-8)
        assert_allclose(found.effect, b.mean() - a.mean())


@pytest.mark.parametrize("kind", get_args(Kind))
@pytest.mark.parametrize("alternative", get_args(Alternative))
def test_nothing_to_test_is_no_evidence_and_no_warning(kind: Kind, alternative: Alternative) -> None:
    n0 = np.array([0, 10, 0, 10, 10])
    n1 = np.array([10, 0, 0, 10, 10])
    tenth = np.array([0.1] * 10)
    sums = np.array([3.0, 3.0, 0.0, tenth.sum(), 0.0])
    squares = np.array([3.0, 3.0, 0.0, (tenth**2).sum(), 0.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        arms = (n0, np.where(n0 > 0, sums, 0), np.where(n0 > 0, squares, 0))
        other = (n1, np.where(n1 > 0, sums, 0), np.where(n1 > 0, squares, 0))
        found = two_sample(kind, *arms, *other, alternative=alternative)
    assert np.all(found.statistic == 0)
    assert np.all(found.p_value == 1)
    assert not np.isnan(found.degrees_of_freedom).any()
    assert np.all(np.isinf(found.standard_error[:3]))


def test_welch_needs_two_outcomes_an_arm() -> None:
    found = two_sample("welch", 1, 5.0, 25.0, 30, 30.0, 60.0)
    assert (found.statistic, found.p_value) == (0, 1)


def test_a_constant_arm_borrows_no_variance() -> None:
    found = two_sample("welch", 20, 20, 20, 10, 5, 5)
    assert found.degrees_of_freedom == pytest.approx(9)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50), st.integers(0, 50)), min_size=1))
def test_rows_are_independent_and_the_arms_symmetric(rows: list[tuple[int, int, int, int]]) -> None:
    s0, f0, s1, f1 = np.array(rows).T
    for kind in get_args(Kind):
        together = two_sample(kind, s0 + f0, s0, s0, s1 + f1, s1, s1)
        swapped = two_sample(kind, s1 + f1, s1, s1, s0 + f0, s0, s0)
        assert_allclose(together.statistic, -swapped.statistic, atol=1e-12)
        alone = two_sample(kind, s0[0] + f0[0], s0[0], s0[0], s1[0] + f1[0], s1[0], s1[0])
        assert alone.p_value == together.p_value[0]
        less = two_sample(kind, s0 + f0, s0, s0, s1 + f1, s1, s1, "less").p_value
        more = two_sample(kind, s0 + f0, s0, s0, s1 + f1, s1, s1, "greater").p_value
        tested = together.p_value < 1
        assert_allclose(2 * np.minimum(less, more)[tested], together.p_value[tested], rtol=1e-9)


@pytest.mark.parametrize("kind", get_args(Kind))
def test_the_type_one_error_is_the_nominal_one(kind: Kind) -> None:
    rng = np.random.default_rng(11)
    replications, n = 20_000, 2_000
    s0, s1 = rng.binomial(n, 0.3, (2, replications))
    error = (two_sample(kind, n, s0, s0, n, s1, s1).p_value < 0.05).mean()
    # 4 standard errors, and the discreteness of the binomial.
    assert abs(error - 0.05) < 4 * np.sqrt(0.05 * 0.95 / replications) + 0.001


def test_unknown_words_are_refused_by_name() -> None:
    with pytest.raises(InputError, match="kind: must be one of z_unpooled, z_pooled, welch, got t"):
        two_sample("t", 1, 1, 1, 1, 1, 1)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="alternative: must be one of two-sided, greater, less"):
        two_sample("welch", 1, 1, 1, 1, 1, 1, alternative="larger")  # type: ignore[arg-type]
