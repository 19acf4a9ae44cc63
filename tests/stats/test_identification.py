"""Optimal weights and likelihood ratios of whole blocks, against the scalar ones and what must always hold."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize

from sim.errors import InputError
from sim.stats.bandits import kl_bernoulli, kl_of_shift
from sim.stats.identification import (
    best_arm_identification,
    customary_threshold,
    likelihood_ratio,
    optimal_weights,
    proven_rate,
    proven_threshold,
)

COUNTS = st.lists(st.tuples(st.integers(0, 500), st.floats(0, 1)), min_size=2, max_size=6)


ARMS = st.lists(st.integers(1, 99), min_size=2, max_size=6, unique=True).map(lambda counts: np.array(counts) / 100)


def everyone(shape: tuple[int, ...]) -> np.ndarray:
    return np.ones(shape, bool)


def weights_by_search(means: np.ndarray) -> np.ndarray:
    """Of one replication, as in Theorem 5: a search for the level within which there is one for every arm's ratio."""
    best = float(means.max())

    def divergences(ratio: float, other: float) -> tuple[float, float]:
        middle = (best + ratio * other) / (1 + ratio)
        return float(kl_bernoulli(best, middle)), float(kl_bernoulli(other, middle))

    def ratio_at(level: float, other: float) -> float:
        if other == best:
            return 1.0
        return float(brentq(lambda ratio: np.dot([1, ratio], divergences(ratio, other)) - level, 0.0, 1e6, xtol=1e-14))

    def excess(level: float) -> float:
        found = [divergences(ratio_at(level, other), other) for other in means if other != best]
        return sum(far / near for far, near in found) - 1

    second = float(np.sort(means)[-2])
    most = float(kl_bernoulli(best, second)) * (1 - 1e-3)
    level = float(brentq(excess, most * 1e-6, most, xtol=1e-16))
    ratios = np.array([ratio_at(level, other) for other in means])
    return ratios / ratios.sum()


@pytest.mark.parametrize("arms", [2, 3, 6])
def test_weights_are_those_of_a_search(arms: int) -> None:
    rng = np.random.default_rng(arms)
    means = np.concatenate([rng.uniform(0.01, 0.99, (15, arms)), rng.permuted(np.linspace(0.04, 0.05, arms)[None], axis=1)])
    alone = np.stack([weights_by_search(row) for row in means])
    np.testing.assert_allclose(optimal_weights(means, everyone(means.shape)), alone, atol=1e-7)


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng: 10 ** rng.uniform(-6, -2, (500, 4)),
        lambda rng: 1 - 10 ** rng.uniform(-6, -2, (500, 4)),
        lambda rng: rng.integers(0, 6, (500, 4)) / 5,
        lambda rng: np.where(rng.random((500, 3)) < 0.3, rng.integers(0, 2, (500, 3)), rng.beta(0.2, 0.2, (500, 3)).round(9)),
        lambda rng: rng.random((500, 3)) * [1, 1e-3, 1e-6],
        lambda rng: 0.3 + 1e-5 * rng.random((500, 4)),
    ],
)
def test_weights_balance_whatever_the_means(draw: object) -> None:
    """Every other arm is told from the best at the same rate, and the ratios of divergences sum to 1 (Lemma 3)."""
    means = draw(np.random.default_rng(8))  # type: ignore[operator]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        weights = optimal_weights(means, everyone(means.shape))
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    assert (weights >= 0).all()
    order = np.sort(means, axis=1)
    for mean, weight in zip(means[order[:, -1] > order[:, -2]], weights[order[:, -1] > order[:, -2]], strict=True):
        best = int(mean.argmax())
        others = np.delete(np.arange(mean.size), best)
        others = others[weight[others] > 1e-8]
        middle = (weight[best] * mean[best] + weight[others] * mean[others]) / (weight[best] + weight[others])
        far, near = kl_of_shift(mean[best], middle - mean[best]), kl_of_shift(mean[others], middle - mean[others])
        rates = weight[best] * far + weight[others] * near
        np.testing.assert_allclose(rates, rates[0], rtol=1e-4)
        assert (far / near).sum() == pytest.approx(1, abs=1e-4)


def test_removed_arms_get_nothing_and_change_nothing() -> None:
    means = np.array([[0.5, 0.45, 0.9, 0.4]])
    found = optimal_weights(means, np.array([[True, True, False, True]]))
    np.testing.assert_allclose(found[0, [0, 1, 3]], best_arm_identification([0.5, 0.45, 0.4]).weights, atol=1e-8)
    assert found[0, 2] == 0
    assert optimal_weights(means, np.array([[False, True, False, False]])).tolist() == [[0, 1, 0, 0]]


def test_means_that_cannot_be_are_refused() -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        optimal_weights([[0.5, 1.2]], everyone((1, 2)))
    assert optimal_weights([[0.5, 1.2]], np.array([[True, False]])).tolist() == [[1, 0]]


@given(COUNTS)
def test_the_ratio_is_that_of_its_definition(arms: list[tuple[int, float]]) -> None:
    """Maximised likelihoods with and without the arm that looks best being the best, over pairs (eq. 6)."""
    count = np.array([n for n, _ in arms], np.float64)
    total = np.rint(count * [share for _, share in arms])
    mean = total / np.maximum(count, 1)
    best = int(mean.argmax())
    ratios = []
    for other in range(len(arms)):
        if other == best:
            continue
        if min(count[other], count[best]) == 0:
            ratios.append(0.0)
            continue
        pooled = (total[best] + total[other]) / (count[best] + count[other])
        ratios.append(float(count[[best, other]] @ kl_bernoulli(mean[[best, other]], pooled)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = likelihood_ratio(count[None], total[None], everyone((1, len(arms))))
    assert found[0] == pytest.approx(min(ratios), abs=1e-9)


def test_an_arm_alone_has_no_alternative() -> None:
    count = np.full((1, 2), 10.0)
    assert likelihood_ratio(count, count / 2, np.array([[True, False]])).tolist() == [np.inf]


def test_thresholds_rise_with_time_and_certainty() -> None:
    t = np.array([0, 1, 10, 1e3, 1e6])
    for threshold in (
        lambda delta: customary_threshold(t, delta),
        lambda delta: proven_threshold(t, delta, 4),
        lambda delta: proven_rate(t, delta, 4),
    ):
        assert (np.diff(threshold(0.05)) >= 0).all()
        assert (threshold(0.01) > threshold(0.05)).all()
    assert (customary_threshold(t, 0.05) < proven_threshold(t, 0.05, 2)).all()
    assert (proven_threshold(t, 0.05, 4) < proven_rate(t, 0.05, 4)).all()


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


@given(ARMS)
def test_order_of_the_arms_does_not_matter(arms: np.ndarray) -> None:
    backward = best_arm_identification(arms[::-1])
    forward = best_arm_identification(arms)
    assert backward.characteristic_time == pytest.approx(forward.characteristic_time, rel=1e-6)
    np.testing.assert_allclose(backward.weights[::-1], forward.weights, atol=1e-6)


def test_arms_that_hardly_differ() -> None:
    """The gap of a normal distribution with their variance: T* = 8 p (1 − p) / gap² for two."""
    found = best_arm_identification([0.05, 0.05 + 1e-6])
    assert found.characteristic_time == pytest.approx(8 * 0.05 * 0.95 / 1e-12, rel=1e-4)
    assert found.weights == pytest.approx([0.5, 0.5], abs=1e-4)
