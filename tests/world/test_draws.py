"""Keyed draws follow the distributions that they claim, against scipy's distribution functions."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sim.scenario.traffic import MOST_REQUESTS
from sim.world.draws import binomial, gamma, multinomial, normal
from sim.world.streams import at, keys

N = 40_000
KEY = keys(11, np.arange(N), "draws")


def p_value_of_uniform(u: NDArray[np.float64]) -> float:
    """Chi-square over 64 bins."""
    return float(scipy.stats.chisquare(np.bincount((np.clip(u, 0, 1 - 1e-12) * 64).astype(int), minlength=64)).pvalue)


@pytest.mark.parametrize(
    ("n", "p"),
    [
        (1, 0.3), (7, 0.5), (30, 0.02), (30, 0.97), (100, 0.0999), (100, 0.1001), (100, 0.5), (1000, 0.99), (24_000, 0.05),
        (10**6, 1e-7), (10**6, 1e-4), (10**9, 1e-9), (10**9, 0.3), (10**12, 1e-12), (10**12, 1e-6), (10**12, 0.5),
        (10**12, 1 - 1e-9),
    ],
)  # fmt: skip
def test_binomial_has_its_distribution(n: int, p: float) -> None:
    drawn = binomial(np.full(N, n), p, KEY)
    assert ((drawn >= 0) & (drawn <= n)).all()
    # The randomised probability transform of a discrete variable is exactly uniform.
    law = scipy.stats.binom(n, p) if p <= 0.5 else scipy.stats.binom(n, 1 - p)
    k = drawn if p <= 0.5 else n - drawn
    below = law.cdf(k - 1)
    u = below + np.random.default_rng(0).random(N) * (law.cdf(k) - below)
    assert p_value_of_uniform(u) > 1e-4
    sd = np.sqrt(n * p * (1 - p))
    assert abs(drawn.mean() - n * p) < 4 * sd / np.sqrt(N)


def test_binomial_of_nothing_never_or_always() -> None:
    n, p = np.array([0, 0, 0, 9, 9, 10**12, 10**12]), np.array([0.0, 0.5, 1.0, 0.0, 1.0, 0.0, 1.0])
    assert binomial(n, p, KEY[:7]).tolist() == [0, 0, 0, 0, 9, 0, 10**12]


@given(st.integers(0, 2**53), st.floats(0, 1), st.integers(0, 1000))
def test_binomial_stays_within_its_range(n: int, p: float, key: int) -> None:
    assert 0 <= binomial(np.array([n]), np.array([p]), KEY[key : key + 1])[0] <= n


@given(st.permutations(range(40)))
def test_no_draw_depends_on_its_neighbours(order: list[int]) -> None:
    n, p = np.geomspace(1, 1e9, 40).astype(np.int64), np.linspace(0, 1, 40)
    key = KEY[:40]
    assert np.array_equal(binomial(n, p, key)[order], binomial(n[order], p[order], key[order]))
    assert np.array_equal(gamma(n / 2, key)[order], gamma(n[order] / 2, key[order]))


@pytest.mark.parametrize("shape", [0.5, 0.75, 1.0, 1.5, 12.0, 1e4, 1e9])
def test_gamma_has_its_distribution(shape: float) -> None:
    drawn = gamma(np.full(N, shape), KEY)
    assert p_value_of_uniform(scipy.stats.gamma(shape).cdf(drawn)) > 1e-4


def test_normal_has_its_distribution() -> None:
    assert scipy.stats.kstest(normal(KEY), "norm").pvalue > 1e-3


def test_multinomial_counts_have_the_right_covariance_and_add_up() -> None:
    p = np.array([0.0, 0.5, 0.3, 0.0, 0.15, 0.05, 0.0])
    drawn = multinomial(np.full(N, 40), p, KEY)
    assert (drawn.sum(axis=1) == 40).all()
    assert not drawn[:, p == 0].any()
    some = p > 0
    expected = 40 * (np.diag(p) - np.outer(p, p))[some][:, some]
    # A sample covariance of near-normal counts has a variance of (s_ii s_jj + s_ij^2) / N.
    error = np.sqrt((np.outer(np.diag(expected), np.diag(expected)) + expected**2) / N)
    assert (np.abs(np.cov(drawn[:, some].T) - expected) < 4.5 * error).all()
    assert (np.abs(drawn[:, some].mean(axis=0) - 40 * p[some]) < 4 * np.sqrt(np.diag(expected) / N)).all()


def test_multinomial_of_one_draw_has_its_chances() -> None:
    p = np.array([0.1, 0.2, 0.7])
    counts = multinomial(np.ones(N, np.int64), p, at(KEY, 5)).sum(axis=0)
    assert scipy.stats.chisquare(counts, N * p).pvalue > 1e-3


def test_binomials_are_normal_at_the_most_requests_that_a_replication_has() -> None:
    n = np.full(400_000, MOST_REQUESTS)
    for p in (0.5, 0.05):
        drawn = binomial(n, p, keys(3, np.arange(n.size), f"most {p}"))
        # A step is 10^-6 standard deviations, so the law is as good as continuous.
        z = (drawn - MOST_REQUESTS * p) / np.sqrt(MOST_REQUESTS * p * (1 - p))
        assert scipy.stats.kstest(z, "norm").pvalue > 1e-3
        assert abs(z.var() - 1) < 4 * np.sqrt(2 / z.size)
