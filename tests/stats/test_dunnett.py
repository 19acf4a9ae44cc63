"""Dunnett's bounds against his tables, SciPy and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr
from scipy.stats import dunnett, multivariate_normal
from scipy.stats import t as student

from sim.errors import InputError
from sim.stats.dunnett import dunnett_adjust, dunnett_critical
from sim.stats.multiplicity import bonferroni_adjust
from sim.stats.power import sample_size


@pytest.mark.parametrize(
    ("challengers", "degrees", "two_sided", "one_sided"),
    [
        (2, 5, 3.03, 2.44),
        (2, 10, 2.57, 2.15),
        (3, 10, 2.76, 2.34),
        (3, 20, 2.54, 2.19),
        (4, 60, 2.51, 2.21),
        (2, math.inf, 2.21, 1.92),
        (3, math.inf, 2.35, 2.06),
        (4, math.inf, 2.44, 2.16),
        (9, math.inf, 2.69, 2.42),
    ],
)
def test_published_critical_values(challengers: int, degrees: float, two_sided: float, one_sided: float) -> None:
    """5% points of Dunnett (1964), two-sided, and (1955), one-sided; two decimals."""
    share = [0.5] * challengers
    assert dunnett_critical(share, degrees_of_freedom=degrees) == pytest.approx(two_sided, abs=0.0051)
    assert dunnett_critical(share, sides=1, degrees_of_freedom=degrees) == pytest.approx(one_sided, abs=0.0051)


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_unequal_arms_agree_with_scipy(alternative: str) -> None:
    rng = np.random.default_rng(0)
    champion, arms = rng.normal(size=9), [rng.normal(0.6, 1, n) for n in (12, 7, 30)]
    expected = dunnett(*arms, control=champion, alternative=alternative, random_state=np.random.default_rng(1))
    n = np.array([arm.size for arm in arms])
    found = dunnett_adjust(expected.statistic, n / (n + 9), degrees_of_freedom=58 - 4, alternative=alternative)
    # SciPy integrates by quasi-Monte Carlo.
    np.testing.assert_allclose(found, expected.pvalue, atol=2e-4)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.floats(-4, 4), st.floats(0.01, 0.97)), min_size=2, max_size=2))
def test_two_challengers_are_a_bivariate_normal(pairs: list[tuple[float, float]]) -> None:
    t, share = np.array(pairs).T
    joint = multivariate_normal([0, 0], [[1, math.sqrt(share.prod())], [math.sqrt(share.prod()), 1]])
    for alternative, reached in (("two-sided", np.abs(t)), ("greater", t), ("less", -t)):
        low = -reached if alternative == "two-sided" else np.full(2, -9.0)
        expected = [1 - joint.cdf([each] * 2, lower_limit=[bound] * 2) for each, bound in zip(reached, low, strict=True)]
        np.testing.assert_allclose(dunnett_adjust(t, share, alternative=alternative), expected, atol=1e-6)


def test_a_family_of_unequal_arms_keeps_its_error_exactly() -> None:
    rng, count = np.random.default_rng(7), 200_000
    n = np.array([2000, 500, 4000, 1000])
    means = rng.normal(size=(count, 4)) / np.sqrt(n)
    z = (means[:, 1:] - means[:, :1]) / np.sqrt(1 / n[1:] + 1 / n[0])
    bound = dunnett_critical(n[1:] / (n[1:] + n[0]))
    wrong = (np.abs(z) > bound).any(axis=1).mean()
    assert abs(wrong - 0.05) < 4 * math.sqrt(0.05 * 0.95 / count)
    assert bound < 2.394  # Bonferroni's


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=5), st.floats(0.0, 0.98))
def test_adjusted_p_values_lie_between_one_test_and_bonferroni(statistics: list[float], share: float) -> None:
    t = np.array(statistics)
    alone = 2 * ndtr(-np.abs(t))
    found = dunnett_adjust(t, share)
    assert (found >= alone - 1e-9).all()
    assert (found <= bonferroni_adjust(alone) + 1e-9).all()
    order = np.random.default_rng(0).permutation(t.size)
    np.testing.assert_allclose(dunnett_adjust(t[order], share), found[order], atol=1e-12)
    if t.size == 1:
        np.testing.assert_allclose(found, alone, atol=1e-9)


def test_an_arm_that_is_not_tested_does_not_count() -> None:
    found = dunnett_adjust([[2.1, np.nan, 1.0], [np.nan] * 3], 0.5)
    np.testing.assert_allclose(found[0, [0, 2]], dunnett_adjust([2.1, 1.0], 0.5))
    assert np.isnan(found[0, 1])
    assert np.isnan(found[1]).all()
    assert dunnett_adjust([math.inf, -math.inf], 0.5) == pytest.approx([0, 0], abs=1e-12)


@pytest.mark.parametrize("challengers", [1, 3])
def test_the_smallest_alpha_that_is_allowed_is_met(challengers: int) -> None:
    bound = dunnett_critical([0.0] * challengers, 1e-12)
    assert 1 - (1 - 2 * ndtr(-bound)) ** challengers == pytest.approx(1e-12, rel=0.05)


@pytest.mark.parametrize("degrees", [1, 2, 5])
def test_one_challenger_has_students_p_value_also_far_out(degrees: int) -> None:
    alpha = np.array([0.05, 1e-3, 1e-6])
    found = dunnett_adjust(student.isf(alpha / 2, degrees)[:, None], 0.5, degrees_of_freedom=degrees)
    np.testing.assert_allclose(found[:, 0], alpha, rtol=2e-5)


def test_nearly_all_in_common_is_quick_and_stricter_than_the_truth() -> None:
    """At a share of 1 the tests are one: the larger statistic alone would decide."""
    found = dunnett_adjust([2.0, 1.0], [1 - 1e-9, 1.0])
    assert found[0] == pytest.approx(2 * ndtr(-2.0), rel=0.05)
    assert found[0] >= 2 * ndtr(-2.0)
    assert sample_size("means", sd=1, effect=1, ratio=1e17, comparisons=2, correction="dunnett") > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"champion_share": [0.5, 1.5]}, "champion_share: must lie between 0 and 1, got 1.5"),
        ({"champion_share": []}, "champion_share: must have one share a challenger"),
        ({"alpha": 1.0}, "alpha: must be at least 1e-12 and below 1, got 1.0"),
        ({"alpha": 1e-14}, "alpha: must be at least 1e-12 and below 1, got 1e-14"),
        ({"sides": 3}, "sides: must be 1 or 2, got 3"),
        ({"degrees_of_freedom": 0}, "degrees_of_freedom: must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_is_refused_by_name(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        dunnett_critical(**({"champion_share": [0.5, 0.5]} | arguments))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="alternative: must be one of"):
        dunnett_adjust([1.0], 0.5, alternative="up")  # type: ignore[arg-type]
