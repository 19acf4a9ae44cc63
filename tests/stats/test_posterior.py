"""P(arm is best) against closed forms, brute-force integration and simulation, at all widths."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import stats
from scipy.special import betaln, ndtr

from sim.errors import InputError
from sim.stats.posterior import (
    probability_best_beta,
    probability_best_normal,
    probability_exceeds_beta,
    probability_exceeds_normal,
)


def exact_beta(a0: int, b0: int, a1: int, b1: int) -> float:
    """P(arm 1 > arm 0) for whole a1: Cook, MD Anderson working paper 54 (2005)."""
    i = np.arange(a1)
    return float(np.exp(betaln(a0 + i, b0 + b1) - np.log(b1 + i) - betaln(1 + i, b1) - betaln(a0, b0)).sum())


def brute_force(densities: list[stats.rv_continuous]) -> np.ndarray:
    """Stieltjes sum over 16,000 quantiles of every arm."""
    u = np.concatenate([np.geomspace(1e-9, 0.01, 2_000), np.linspace(0.01, 0.5, 6_000)[1:]])
    x = np.unique(np.concatenate([np.concatenate([arm.ppf(u), arm.isf(u)]) for arm in densities]))
    below = np.array([arm.cdf(x) for arm in densities])
    found = []
    for arm in range(len(densities)):
        others = np.prod(np.delete(below, arm, axis=0), axis=0)
        found.append((np.diff(below[arm]) * (others[1:] + others[:-1]) / 2).sum())
    return np.array(found)


def test_beta_pairs_match_the_closed_form() -> None:
    cases = [
        (1, 1, 1, 1),
        (1, 1, 2, 1),
        (3, 40, 5, 38),
        (1, 200, 2, 150),
        (51, 951, 66, 936),
        (2, 2, 501, 401),
    ]
    cases += [(1, 10_000, 3, 9_000), (5_001, 95_001, 5_101, 94_901), (1, 1, 900, 100_000), (400, 1, 390, 3)]
    found = probability_exceeds_beta(*np.array(cases, dtype=float).T)
    assert_allclose(found, [exact_beta(*case) for case in cases], atol=1e-4)


@pytest.mark.parametrize("low", [0.1, 0.5, 1.0, 20.0])
def test_beta_matches_brute_force_at_unequal_counts(low: float) -> None:
    rng = np.random.default_rng(1)
    alpha, beta = low * np.exp(rng.uniform(0, 7, (2, 10, 3)))
    # Half of the rows are close calls, with widths that still differ.
    beta[:6] = alpha[:6] * np.exp(rng.normal(0, 1, (6, 3)) / np.sqrt(alpha[:6]))
    beta = np.maximum(beta, low)
    expected = [brute_force([stats.beta(*arm) for arm in zip(*row, strict=True)]) for row in zip(alpha, beta, strict=True)]
    assert_allclose(probability_best_beta(alpha, beta), expected, atol=1e-4)


def test_beta_parameters_below_a_tenth_keep_three_digits() -> None:
    rng = np.random.default_rng(4)
    alpha, beta = np.exp(rng.uniform(np.log(0.01), np.log(0.1), (2, 3, 2)))
    draws = 400_000
    for row, (a, b) in enumerate(zip(alpha, beta, strict=True)):
        # log X of a Beta(a, b) as a gamma with a + 1 and a uniform: the draws themselves underflow.
        gammas = [
            np.log(rng.gamma(shape + 1, size=(draws, 2))) + np.log(rng.uniform(size=(draws, 2))) / shape for shape in (a, b)
        ]
        odds = gammas[0] - gammas[1]
        simulated = (odds[:, 1] > odds[:, 0]).mean()
        # 4 standard errors of the simulation.
        tolerance = 1e-3 + 4 * 0.5 / np.sqrt(draws)
        assert abs(probability_best_beta(alpha, beta)[row, 1] - simulated) < tolerance


def test_huge_counts_keep_their_digits() -> None:
    # At counts like these the log-odds are normal; the pair is one standard error apart.
    for n in (1e6, 1e9, 1e12):
        a1 = 0.05 * n + np.sqrt(2 * 0.05 * 0.95 * n)
        expected = ndtr((np.log(a1 / (n - a1)) - np.log(0.05 / 0.95)) / np.sqrt(1 / a1 + 1 / (n - a1) + 1 / (0.0475 * n)))
        assert float(probability_exceeds_beta(0.05 * n, 0.95 * n, a1, n - a1)) == pytest.approx(expected, abs=2e-4)


@pytest.mark.parametrize("ratio", [1.0, 10.0, 1000.0])
def test_normal_matches_brute_force_at_unequal_widths(ratio: float) -> None:
    rng = np.random.default_rng(2)
    sd = np.exp(rng.uniform(-np.log(ratio), 0, (12, 4)))
    mean = rng.normal(size=(12, 4)) * sd.max(axis=1, keepdims=True) * 0.7
    expected = [brute_force([stats.norm(*arm) for arm in zip(*row, strict=True)]) for row in zip(mean, sd, strict=True)]
    assert_allclose(probability_best_normal(mean, sd), expected, atol=1e-5)


def test_normal_pairs_are_exact() -> None:
    found = probability_best_normal([[0.0, 5.0], [1.0, 1.0], [1.0, 2.0]], [[3.0, 4.0], [0.0, 0.0], [0.0, 0.0]])
    assert_allclose(found, [[ndtr(-1), ndtr(1)], [0.5, 0.5], [0, 1]], rtol=1e-14)
    assert probability_exceeds_normal(1, 0, 0, 0) == 0


def test_arms_without_spread_share_or_win() -> None:
    mean = [[2.0, 2.0, 1.0], [0.0, 0.0, 0.0], [3.0, 1.0, 1.0]]
    sd = [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 1e-3, 0.0]]
    assert_allclose(probability_best_normal(mean, sd), [[0.5, 0.5, 0], [1 / 3] * 3, [1, 0, 0]], atol=1e-6)


POSTERIORS = st.integers(2, 5).flatmap(
    lambda arms: st.lists(st.tuples(st.floats(0.1, 1e5), st.floats(0.1, 1e5)), min_size=arms, max_size=arms)
)


@given(POSTERIORS)
def test_probabilities_sum_to_one_and_follow_the_arms(arms: list[tuple[float, float]]) -> None:
    first, second = np.array(arms).T
    order = np.random.default_rng(len(arms)).permutation(len(arms))
    for best in (probability_best_beta, probability_best_normal):
        found = best(first[None], second[None])
        assert_allclose(found.sum(), 1, atol=1e-12)
        assert np.all(found >= 0)
        assert_allclose(best(first[None, order], second[None, order])[0], found[0, order], atol=1e-9)


@given(POSTERIORS, st.floats(1.01, 3))
def test_a_better_arm_is_more_often_best(arms: list[tuple[float, float]], factor: float) -> None:
    first, second = np.array(arms).T
    better = first * np.where(np.arange(len(arms)) == 0, factor, 1.0)
    for best in (probability_best_beta, probability_best_normal):
        rise = best(better[None], second[None]) - best(first[None], second[None])
        assert rise[0, 0] > -2e-4
        assert np.all(rise[0, 1:] < 2e-4)


def test_arms_that_are_out_do_not_compete() -> None:
    rng = np.random.default_rng(3)
    alpha, beta = rng.uniform(1, 50, (2, 4, 3))
    among = [[True, True, True], [True, False, True], [False, True, False], [False, False, False]]
    for best in (probability_best_beta, probability_best_normal):
        found = best(alpha, beta, among)
        assert_allclose(found[0], best(alpha, beta)[0])
        assert_allclose(found[1, [0, 2]], best(alpha[1:2, [0, 2]], beta[1:2, [0, 2]])[0], atol=1e-4)
        assert np.all(found[1:, 0] == [found[1, 0], 0, 0])
        assert_allclose(found[2:], [[0, 1, 0], [0, 0, 0]])


@pytest.mark.parametrize("arms", [2, 3, 6])
def test_a_row_gets_the_same_bits_whatever_the_other_rows(arms: int) -> None:
    rng = np.random.default_rng(5)
    alpha, beta = rng.uniform(1, 5_000, (2, 700, arms))
    some = rng.permutation(700)[:33]
    for best in (probability_best_beta, probability_best_normal):
        together = best(alpha, beta)
        assert np.array_equal(best(alpha[some], beta[some]), together[some])
        assert all(np.array_equal(best(alpha[i : i + 1], beta[i : i + 1])[0], together[i]) for i in some)


def test_shapes() -> None:
    assert probability_exceeds_beta(1, 1, [2, 3], [[1], [2], [3]]).shape == (3, 2)
    assert_allclose(probability_best_beta([[2.0], [3.0]], [[1.0], [1.0]]), [[1], [1]])
    assert_allclose(probability_best_normal([[2.0]], [[1.0]]), [[1]])
    assert probability_best_beta(np.ones((0, 3)), np.ones((0, 3))).shape == (0, 3)


def test_wrong_input_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"alpha: must lie between 0.01 and 1e\+12, got 0\.0"):
        probability_best_beta([[0.0, 1.0]], [[1.0, 1.0]])
    with pytest.raises(InputError, match=r"sd: must not be negative, got -1\.0"):
        probability_best_normal([[0.0, 1.0]], [[1.0, -1.0]])
    with pytest.raises(InputError, match="mean: must be finite, got nan"):
        probability_exceeds_normal(np.nan, 1, 0, 1)
    with pytest.raises(InputError, match=r"alpha: must be \(r, K\)"):
        probability_best_beta([1.0, 1.0], [1.0, 1.0])
    with pytest.raises(InputError, match="among: must have the shape"):
        probability_best_beta([[1.0, 1.0]], [[1.0, 1.0]], [[True]])
