"""Non-inferiority, equivalence and relative effects against statsmodels and simulation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from statsmodels.stats.weightstats import ttost_ind

from sim.errors import InputError
from sim.stats.hypotheses import against, equivalence, non_inferiority
from sim.stats.power import sample_size
from sim.stats.two_sample import TestResult, two_sample


def welch(champion: np.ndarray, challenger: np.ndarray) -> TestResult:
    moments = [[arm.size, arm.sum(), (arm * arm).sum()] for arm in (champion, challenger)]
    return two_sample("welch", *moments[0], *moments[1])


def test_equivalence_agrees_with_statsmodels() -> None:
    rng = np.random.default_rng(3)
    for n0, n1, shift in ((30, 50, 0.1), (200, 80, -0.3), (15, 15, 0.9)):
        champion, challenger = rng.normal(10, 1, n0), rng.normal(10 + shift, 2, n1)
        expected, (_, below, _), (_, above, _) = ttost_ind(challenger, champion, -0.5, 0.5, usevar="unequal")
        result = welch(champion, challenger)
        assert equivalence(result, 0.5) == pytest.approx(expected, rel=1e-8)
        assert non_inferiority(result, 0.5) == pytest.approx(below, rel=1e-8)
        assert non_inferiority(result, 0.5, "decrease") == pytest.approx(above, rel=1e-8)


def test_swapping_the_arms_turns_the_margin_around() -> None:
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=40), rng.normal(0.3, 1, 60)
    assert non_inferiority(welch(a, b), 0.2) == pytest.approx(non_inferiority(welch(b, a), 0.2, "decrease"))
    assert equivalence(welch(a, b), 0.2) == pytest.approx(equivalence(welch(b, a), 0.2))
    assert against(welch(a, b), 0.0) == pytest.approx(welch(a, b).p_value)


@pytest.mark.parametrize("scale", ["absolute", "relative"])
@pytest.mark.parametrize(("hypothesis", "truth"), [("non_inferiority", 0), ("non_inferiority", -1), ("equivalence", 0)])
def test_sizes_reach_their_power_and_margins_their_error(scale: Any, hypothesis: Any, truth: int) -> None:
    """At the margin the error is 5%, at no effect the power 80%: 4 standard errors of 40,000 tests, .005 for the normal limit.

    The power of a relative margin needs a small relative standard error: it is .82 where that is 4%, as at a margin of 10%.
    """
    rate, margin, count = 0.2, 0.005, 40_000
    unit = margin / rate if scale == "relative" else margin
    n = math.ceil(sample_size("proportions", baseline=rate, hypothesis=hypothesis, margin=unit, scale=scale))
    rng = np.random.default_rng(5)
    s0, s1 = rng.binomial(n, rate, count), rng.binomial(n, rate + truth * margin, count)
    result = two_sample("z_unpooled", n, s0, s0, n, s1, s1, scale=scale)
    p_value = non_inferiority(result, unit) if hypothesis == "non_inferiority" else equivalence(result, unit)
    expected = 0.05 if truth else 0.8
    assert abs((p_value <= 0.05).mean() - expected) < 4 * math.sqrt(expected * (1 - expected) / count) + 0.005


def test_relative_effects_cover_as_they_should() -> None:
    """95% intervals by the delta method, 10,000 tests of a skewed metric."""
    rng, count, n = np.random.default_rng(6), 10_000, 400
    outcomes = [rng.gamma(2, scale, (count, n)) for scale in (5.0, 5.5)]
    moments = [(n, each.sum(1), (each**2).sum(1)) for each in outcomes]
    result = two_sample("welch", *moments[0], *moments[1], scale="relative")
    covered = np.abs(result.effect - 0.1) <= 1.96 * result.standard_error
    assert abs(covered.mean() - 0.95) < 4 * math.sqrt(0.05 * 0.95 / count) + 0.002
    # Means of gammas of one shape have one relative error.
    assert result.champion_share.mean() == pytest.approx(0.5, abs=0.01)


def test_what_two_tests_have_in_common_is_the_champion() -> None:
    rng, count = np.random.default_rng(7), 20_000
    n = [300, 900, 100]
    sums = [rng.binomial(each, 0.3, count) for each in n]
    first, second = (two_sample("z_unpooled", n[0], sums[0], sums[0], n[k], sums[k], sums[k]) for k in (1, 2))
    expected = math.sqrt(first.champion_share.mean() * second.champion_share.mean())
    assert np.corrcoef(first.statistic, second.statistic)[0, 1] == pytest.approx(expected, abs=0.02)
    pooled = two_sample("z_pooled", n[0], sums[0], sums[0], n[1], sums[1], sums[1])
    np.testing.assert_allclose(pooled.champion_share, 0.75)


def test_nothing_known_is_no_evidence() -> None:
    result = two_sample("z_unpooled", [0, 10, 10], [0, 0, 10], [0, 0, 10], [0, 10, 10], [0, 0, 10], [0, 0, 10])
    for each in (result, two_sample("welch", [0, 1], [0, 1], [0, 1], [5, 5], [1, 1], [1, 1], scale="relative")):
        assert (non_inferiority(each, 0.1) == 1).all()
        assert (equivalence(each, 0.1) == 1).all()


def test_what_cannot_be_is_refused_by_name() -> None:
    result = two_sample("z_unpooled", 100, 10, 10, 100, 10, 10)
    for test in (non_inferiority, equivalence):
        with pytest.raises(InputError, match=r"margin: must be positive and finite, got -0\.1"):
            test(result, -0.1)
    with pytest.raises(InputError, match="direction: must be increase or decrease, got up"):
        non_inferiority(result, 0.1, "up")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="kind: must be z_unpooled or welch on the relative scale, got z_pooled"):
        two_sample("z_pooled", 1, 1, 1, 1, 1, 1, scale="relative")
    with pytest.raises(InputError, match=r"n1: must be finite and not negative, got -3\.0"):
        two_sample("welch", 10, 1, 1, -3, 1, 1)
