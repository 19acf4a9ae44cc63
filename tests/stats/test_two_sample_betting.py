"""Betting on a difference holds at every look and size, for any outcomes in [0, 1]."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from sim.errors import InputError
from sim.stats.two_sample_betting import capital_step

CHANCE = st.integers(0, 1000).map(lambda count: count / 1000)
SEEN = st.tuples(st.integers(0, 500), CHANCE)
REJECTS = math.log(2 / 0.05)


@settings(max_examples=100, deadline=None)
@given(SEEN, SEEN, st.integers(0, 12), st.integers(0, 12), CHANCE, CHANCE)
def test_the_capital_is_not_expected_to_grow_without_an_effect(
    champion: tuple[int, float], challenger: tuple[int, float], n0: int, n1: int, p: float, q: float
) -> None:
    """Summed over all batches there can be, whatever was seen before: at most 1 where arm 1 is no better (no worse)."""
    (seen0, share0), (seen1, share1) = champion, challenger
    worse, better = sorted((p, q))
    hits0, hits1 = np.arange(n0 + 1)[:, None], np.arange(n1 + 1)
    up, down = capital_step(seen0, seen0 * share0, seen1, seen1 * share1, n0, hits0, n1, hits1)
    for growth, mean0, mean1 in ((up, better, worse), (down, worse, better), (up, p, p), (down, p, p)):
        chance = binom.pmf(hits0, n0, mean0) * binom.pmf(hits1, n1, mean1)
        assert float((chance * np.exp(growth)).sum()) <= 1 + 1e-9


def race(draw: Callable[[list[np.ndarray]], list[np.ndarray]], count: int, batches: int) -> np.ndarray:
    """(count, 2) largest log capitals of betting on batches of n0, total0, n1, total1."""
    seen, capital, most = [np.zeros(count)] * 4, np.zeros((2, count)), np.zeros((2, count))
    for _ in range(batches):
        batch = draw(seen)
        capital = capital + np.array(capital_step(*seen, *batch))
        most = np.maximum(most, capital)
        seen = [before + now for before, now in zip(seen, batch, strict=True)]
    return most.T


def test_error_under_an_allocation_that_chases_the_winner() -> None:
    """5% two-sided over 150 looks, each batch going mostly to the arm that did better so far."""
    rng, count = np.random.default_rng(1), 4000

    def draw(seen: list[np.ndarray]) -> list[np.ndarray]:
        ahead = seen[3] * seen[0] > seen[1] * seen[2]
        n0, n1 = np.where(ahead, 4, 16), np.where(ahead, 16, 4)
        return [n0, rng.binomial(n0, 0.1), n1, rng.binomial(n1, 0.1)]

    wrong = (race(draw, count, 150) >= REJECTS).any(axis=1).mean()
    assert 0.001 < wrong < 0.05


def test_an_effect_is_found() -> None:
    rng, count = np.random.default_rng(2), 500
    size = np.full(count, 40)
    won = race(lambda _: [size, rng.binomial(size, 0.2), size, rng.binomial(size, 0.26)], count, 100) >= REJECTS
    assert won[:, 0].mean() > 0.99
    assert won[:, 1].mean() < 0.02


def test_nothing_is_won_without_data_or_memory() -> None:
    for arguments in ((0, 0, 0, 0, 0, 0, 0, 0), (0, 0, 0, 0, 50, 5, 50, 45), (9, 1, 9, 8, 0, 0, 0, 0)):
        assert [float(growth) for growth in capital_step(*arguments)] == [0, 0]
    better, worse = capital_step(100, 10, 100, 30, 20, 2, 20, 6)
    turned_better, turned_worse = capital_step(100, 30, 100, 10, 20, 6, 20, 2)
    assert better == pytest.approx(turned_worse)
    assert worse == turned_better == 0


def test_sums_that_cannot_be_are_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"total1: must not exceed n1 \(10\.0\), as outcomes lie between 0 and 1, got 11\.0"):
        capital_step(0, 0, 0, 0, 10, 1, 10, 11)
    with pytest.raises(InputError, match=r"seen_n0: must be finite and not negative, got -1\.0"):
        capital_step(-1, 0, 0, 0, 10, 1, 10, 1)
