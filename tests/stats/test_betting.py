"""Bounds for bounded outcomes against the papers' recursions, exact expectations, and by simulation."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import InputError
from sim.stats.betting import (
    bernstein_bounds,
    bernstein_step,
    betting_interval,
    empirical_bernstein,
    log_wealth,
    wealth_step,
)
from sim.stats.sequential import running_interval


def bet(past: list[float], size: int, alpha: float) -> float:
    mean = sum(past) / len(past) if past else 0.0
    variance = (0.25 + sum((x - mean) ** 2 for x in past)) / (len(past) + 1)
    t = len(past) + size
    return math.sqrt(2 * math.log(2 / alpha) / (variance * t * math.log(1 + t)))


def test_batches_of_one_follow_the_papers_recursion() -> None:
    """Theorem 2 of Waudby-Smith & Ramdas, written out outcome by outcome."""
    outcomes = np.random.default_rng(1).beta(2, 5, 40)
    found = empirical_bernstein(np.ones(40), outcomes, outcomes**2, alpha=0.1)
    weights = weighted = penalty = 0.0
    for i, x in enumerate(outcomes):
        past = list(outcomes[:i])
        stake = min(bet(past, 1, 0.1), 0.5)
        guess = (0.5 + sum(past)) / (i + 1)
        weights, weighted = weights + stake, weighted + stake * x
        penalty += 4 * (x - guess) ** 2 * (-math.log(1 - stake) - stake) / 4
        half = (math.log(2 / 0.1) + penalty) / weights
        assert found.lower[i] == pytest.approx(weighted / weights - half)
        assert found.upper[i] == pytest.approx(weighted / weights + half)


def test_capital_is_the_product_of_the_bets() -> None:
    batches, mean = [[1, 0, 0], [0, 1], [1, 1, 1, 0], []], 0.3
    n, total = [len(b) for b in batches], [sum(b) for b in batches]
    above, below = log_wealth(n, total, total, mean=mean)
    past: list[float] = []
    high = low = 1.0
    for i, batch in enumerate(batches):
        stake = bet(past, len(batch), 0.05) if past or batch else 0.0
        for x in batch:
            high *= 1 + min(stake, 0.5 / mean) * (x - mean)
            low *= 1 - min(stake, 0.5 / (1 - mean)) * (x - mean)
        past += batch
        assert (above[i], below[i]) == pytest.approx((math.log(high), math.log(low)))


def test_capital_has_mean_one_under_the_null() -> None:
    mean, sizes = 0.2, (2, 1, 3)
    totals = np.array(list(product(*(range(size + 1) for size in sizes))), dtype=float)
    above, below = log_wealth(np.array(sizes), totals, totals, mean=mean)
    ways = np.array([[math.comb(n, int(s)) for n, s in zip(sizes, row, strict=True)] for row in totals])
    chance = (ways * mean**totals * (1 - mean) ** (np.array(sizes) - totals)).prod(-1)
    assert chance.sum() == pytest.approx(1)
    for wealth in (above, below):
        np.testing.assert_allclose(chance @ np.exp(wealth), 1.0)


@given(st.lists(st.lists(st.floats(0, 1), max_size=5), min_size=1, max_size=6), st.floats(0.05, 0.95))
def test_capital_from_sums_never_exceeds_that_from_outcomes(batches: list[list[float]], mean: float) -> None:
    n, total, square = ([sum(x**k for x in b) for b in batches] for k in (0, 1, 2))
    above, below = log_wealth(n, total, square, mean=mean)
    past: list[float] = []
    high = low = 0.0
    for i, batch in enumerate(batches):
        stake = bet(past, len(batch), 0.05) if past or batch else 0.0
        high += sum(math.log1p(min(stake, 0.5 / mean) * (x - mean)) for x in batch)
        low += sum(math.log1p(-min(stake, 0.5 / (1 - mean)) * (x - mean)) for x in batch)
        past += batch
        assert above[i] <= high + 1e-8
        assert below[i] <= low + 1e-8


def test_the_interval_is_the_set_of_means_that_are_not_rejected() -> None:
    n, total = np.full(10, 50.0), np.full(10, 4.0)
    interval = betting_interval(n, total, total, alpha=0.1)
    above, _ = log_wealth(n, total, total, mean=interval.lower, alpha=0.1)
    _, below = log_wealth(n, total, total, mean=interval.upper, alpha=0.1)
    assert above[-1] == pytest.approx(math.log(20))
    assert below[-1] == pytest.approx(math.log(20))
    wider = empirical_bernstein(n, total, total, alpha=0.1)
    assert wider.lower[-1] < interval.lower < 0.08 < interval.upper < wider.upper[-1]


@pytest.mark.parametrize("distribution", ["rare", "beta"])
def test_looking_always_covers(distribution: str) -> None:
    rng = np.random.default_rng(3)
    shape = (500, 40, 25)
    outcomes = (rng.random(shape) < 0.03).astype(float) if distribution == "rare" else rng.beta(0.5, 1.5, shape)
    mean = 0.03 if distribution == "rare" else 0.25
    sums = np.full(shape[:2], 25.0), outcomes.sum(-1), (outcomes**2).sum(-1)
    allowed = 0.1 + 4 * math.sqrt(0.1 * 0.9 / shape[0])
    running = running_interval(empirical_bernstein(*sums, alpha=0.1))
    assert ((running.lower[:, -1] > mean) | (running.upper[:, -1] < mean)).mean() < allowed
    above, below = log_wealth(*sums, mean=mean, alpha=0.1)
    assert (np.maximum(above, below).max(-1) >= math.log(20)).mean() < allowed
    final = betting_interval(*sums, alpha=0.1)
    assert ((final.lower > mean) | (final.upper < mean)).mean() < allowed
    if distribution == "rare":
        assert (final.upper - final.lower).mean() < (running.upper - running.lower)[:, -1].mean()


def test_monitoring_without_a_history_gives_the_same() -> None:
    rng = np.random.default_rng(2)
    n = rng.integers(0, 30, (3, 8)).astype(float)
    total = rng.binomial(n.astype(int), 0.4).astype(float)
    sequence, wealth = empirical_bernstein(n, total, total), log_wealth(n, total, total, mean=0.3)
    seen, sums, won = np.zeros((2, 3)), [np.zeros(3)] * 3, [np.zeros(3)] * 2
    for t in range(8):
        batch = (seen[0], seen[1], seen[1], n[:, t], total[:, t], total[:, t])
        sums = [s + step for s, step in zip(sums, bernstein_step(*batch), strict=True)]
        won = [w + step for w, step in zip(won, wealth_step(*batch, mean=0.3), strict=True)]
        seen = seen + np.stack([n[:, t], total[:, t]])
        interval = bernstein_bounds(*sums)
        np.testing.assert_allclose(interval.lower, sequence.lower[:, t])
        np.testing.assert_allclose(interval.upper, sequence.upper[:, t])
        for found, expected in zip(won, wealth, strict=True):
            np.testing.assert_allclose(found, expected[:, t])


def test_nothing_seen_bounds_nothing() -> None:
    zeros = np.zeros((2, 3))
    interval = empirical_bernstein(zeros, zeros, zeros)
    assert np.isneginf(interval.lower).all()
    assert np.isposinf(interval.upper).all()
    final = betting_interval(zeros, zeros, zeros)
    assert np.array_equal(final.lower, [0, 0])
    assert np.array_equal(final.upper, [1, 1])
    certain = betting_interval([1000], [1000], [1000])
    assert 0.9 < certain.lower < certain.upper == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: empirical_bernstein([-1], [0], [0]), "n: must be finite and not negative, got -1"),
        (lambda: empirical_bernstein([1], [2], [1]), r"total: must not exceed n \(1.0\), .* got 2"),
        (lambda: empirical_bernstein([4], [2], [3]), r"square: must lie between total²/n and total \(2.0\), .* got 3"),
        (lambda: empirical_bernstein(4, 2, 2), r"n: must have an axis of batches, got shape \(\)"),
        (lambda: betting_interval([4], [2], [0.5]), "square: must lie between"),
        (lambda: betting_interval([4], [2], [2], alpha=0), "alpha: must lie strictly between 0 and 1, got 0"),
        (lambda: log_wealth([4], [2], [2], mean=1), "mean: must lie strictly between 0 and 1, got 1"),
    ],
)
def test_wrong_input_is_refused_by_name(call: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
