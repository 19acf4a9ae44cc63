"""Lower bounds for bandits against published values, a second way to work them out, and what must always hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import entropy

from sim.errors import InputError
from sim.stats.bandits import best_arm_identification, kl_bernoulli, lai_robbins

SHARES = st.floats(0.01, 0.99)
ARMS = st.lists(st.integers(1, 99), min_size=2, max_size=6, unique=True).map(lambda counts: np.array(counts) / 100)


@given(SHARES, SHARES)
def test_divergence_is_that_of_scipy(p: float, q: float) -> None:
    assert kl_bernoulli(p, q) == pytest.approx(entropy([p, 1 - p], [q, 1 - q]), abs=1e-12)


def test_divergence_at_the_ends() -> None:
    assert kl_bernoulli([0, 1, 0, 0.5, 0.5], [0, 1, 0.5, 0, 1]).tolist() == [0, 0, pytest.approx(np.log(2)), np.inf, np.inf]


def test_the_constants_of_lai_and_robbins() -> None:
    assert lai_robbins([0.9, 0.8]) == pytest.approx(0.1 / (0.8 * np.log(8 / 9) + 0.2 * np.log(2)))
    assert lai_robbins(np.arange(1, 10) / 10) == pytest.approx(7.52, abs=0.005)
    assert lai_robbins([0.5, 0.5]) == 0


@given(ARMS)
def test_order_of_the_arms_does_not_matter(arms: np.ndarray) -> None:
    backward = best_arm_identification(arms[::-1])
    forward = best_arm_identification(arms)
    assert lai_robbins(arms[::-1]) == pytest.approx(lai_robbins(arms))
    assert backward.characteristic_time == pytest.approx(forward.characteristic_time, rel=1e-6)
    np.testing.assert_allclose(backward.weights[::-1], forward.weights, atol=1e-6)


def worth(weights: np.ndarray, arms: np.ndarray) -> float:
    """What samples at these weights tell, each: how far the nearest alternative with another best arm is (Lemma 3)."""
    best = int(arms.argmax())
    found = []
    for other in range(arms.size):
        if other != best:
            pair = weights[[best, other]]
            middle = pair @ arms[[best, other]] / pair.sum()
            found.append(float(pair @ kl_bernoulli(arms[[best, other]], middle)))
    return min(found)


@given(ARMS)
def test_optimal_weights_cannot_be_bettered(arms: np.ndarray) -> None:
    found = best_arm_identification(arms)
    assert found.weights.sum() == pytest.approx(1)
    assert worth(found.weights, arms) * found.characteristic_time == pytest.approx(1, rel=1e-6)
    rng = np.random.default_rng(1)
    for moved in found.weights * np.exp(rng.normal(0, 0.05, (20, arms.size))):
        assert worth(moved / moved.sum(), arms) <= worth(found.weights, arms) * (1 + 1e-9)


def test_the_characteristic_time_by_a_search() -> None:
    arms = np.array([0.5, 0.45, 0.43, 0.4])

    def loss(logits: np.ndarray) -> float:
        weights = np.exp(logits - logits.max())
        return -worth(weights / weights.sum(), arms)

    options = {"maxiter": 20_000, "maxfev": 20_000, "xatol": 1e-10, "fatol": 1e-16}
    searched = minimize(loss, np.zeros(4), method="Nelder-Mead", options=options)
    assert best_arm_identification(arms).characteristic_time == pytest.approx(-1 / searched.fun, rel=1e-3)


@pytest.mark.parametrize(
    ("arms", "rule"),
    [([0.5], "two arms or more"), ([0.5, 1.2], "between 0 and 1"), ([0.5, 0.5], "one best arm"), ([0.5, 0.0], "strictly")],
)
def test_arms_that_cannot_be_are_refused(arms: list[float], rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        best_arm_identification(arms)


def test_an_arm_that_never_fails_has_no_constant() -> None:
    with pytest.raises(InputError, match="never fails"):
        lai_robbins([1.0, 0.5])
