"""The sequential test of two rates: exact likelihoods, its error at any number of looks, and how soon it sees a rise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sim.errors import InputError
from sim.stats.rates import MULTIPLES, log_mixture, log_ratios

ROWS = 4000


@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 500), st.integers(1, 500), st.floats(1.05, 20), st.floats(0.5, 3))
def test_it_is_the_likelihood_ratio_of_the_events_given_how_many(
    e0: int, e1: int, n0: int, n1: int, multiple: float, null: float
) -> None:
    def likelihood(ratio: float) -> float:
        return float(stats.binom.logpmf(e1, e0 + e1, n1 * ratio / (n0 + n1 * ratio)))

    found = float(log_ratios(e0, n0, e1, n1, multiples=[multiple], null=null)[0])
    assert found == pytest.approx(likelihood(multiple * null) - likelihood(null), abs=1e-8)


def ever(rate0: float, rate1: float, *, null: float = 1.0, ticks: int = 200, seed: int = 3) -> tuple[float, float]:
    """Share of sequences in which the evidence ever reaches log(20), and the median tick; traffic to arm 1 is ramped."""
    rng = np.random.default_rng(seed)
    total, first = np.zeros((ROWS, MULTIPLES.size)), np.full(ROWS, ticks)
    for tick in range(ticks):
        n1 = 50 if tick < ticks // 2 else 500
        e0, e1 = rng.binomial(1000, rate0, ROWS), rng.binomial(n1, rate1, ROWS)
        total += log_ratios(e0, 1000, e1, n1, null=null)
        first = np.where((first == ticks) & (log_mixture(total) >= math.log(20)), tick, first)
    return float((first < ticks).mean()), float(np.median(first))


@pytest.mark.parametrize(("rate", "null"), [(0.01, 1.0), (0.3, 1.0), (0.01, 1.5)])
def test_error_over_200_looks_is_below_alpha(rate: float, null: float) -> None:
    """Binomial events; of 5%, where the level is high less is used."""
    assert ever(rate, rate * null, null=null)[0] < 0.05 + 4 * math.sqrt(0.05 * 0.95 / ROWS)


def test_a_lower_rate_is_no_rise() -> None:
    assert ever(0.02, 0.01)[0] < 0.001


def test_a_rise_is_found() -> None:
    found, tick = ever(0.01, 0.03)
    assert found == 1
    assert tick < 60


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=6))
def test_batches_of_one_share_add_up(events: list[tuple[int, int]]) -> None:
    e0, e1 = np.array(events).T
    once = log_ratios(e0.sum(), 300 * len(events), e1.sum(), 100 * len(events))
    np.testing.assert_allclose(log_ratios(e0, 300, e1, 100).sum(axis=0), once, atol=1e-9)


def test_nothing_seen_is_no_evidence() -> None:
    found = log_ratios([0, 0, 5], [0, 100, 100], [0, 0, 0], [0, 100, 0])
    assert (found == 0).sum(axis=1).tolist() == [16, 16, 16]
    assert log_mixture(found).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"multiples": [1.0]}, "multiples: must exceed 1, got 1.0"),
        ({"null": 0.0}, "null: must be positive"),
    ],
)
def test_what_is_no_alternative_is_refused(said: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        log_ratios(1, 10, 1, 10, **said)  # type: ignore[arg-type]


def test_negative_counts_are_refused() -> None:
    with pytest.raises(InputError, match="events1: must be finite and not negative, got -1"):
        log_ratios(1, 10, -1, 10)
