"""Tilting: the mean that is asked for, on the same values, and known families as special cases."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sim.distributions.counts import NegativeBinomial, Poisson
from sim.world.tilt import tilt

Floats = NDArray[np.float64]


def tilted(values: Floats, log_chance: Floats, mean: float) -> Floats:
    """(G,) chances."""
    theta, log_sum = tilt(values, log_chance, np.array(mean))
    return np.asarray(np.exp(log_chance + theta * values - log_sum))


@pytest.mark.parametrize(("mean", "factor"), [(1.3, 1.02), (1.3, 10), (1.3, 0.01), (1000, 0.5), (1e-4, 1e4)])
def test_a_tilted_poisson_count_is_a_poisson_count(mean: float, factor: float) -> None:
    values, log_chance = Poisson(poisson=mean).levels(min(factor, 1), max(factor, 1))
    found = tilted(values, log_chance, mean * factor)
    assert np.abs(found - scipy.stats.poisson(mean * factor).pmf(values)).max() < 1e-11


@pytest.mark.parametrize("factor", [0.2, 0.9, 1.5])
def test_a_tilted_negative_binomial_count_keeps_its_dispersion(factor: float) -> None:
    count = NegativeBinomial.model_validate({"negative_binomial": {"mean": 2, "dispersion": 1.5}})
    values, log_chance = count.levels(min(factor, 1), max(factor, 1))
    law = scipy.stats.nbinom(1 / 1.5, 1 / (1 + 2 * factor * 1.5))
    assert np.abs(tilted(values, log_chance, 2 * factor) - law.pmf(values)).max() < 1e-10


def test_of_all_chances_with_that_mean_the_tilted_ones_are_nearest() -> None:
    values, chance = np.array([1.0, 3.0, 4.0, 5.0]), np.array([0.1, 0.2, 0.3, 0.4])
    found = tilted(values, np.log(chance), 4.2)
    nearest = scipy.optimize.minimize(
        lambda p: (p * np.log(p / chance)).sum(), chance, bounds=[(1e-9, 1)] * 4, tol=1e-14,
        constraints=[{"type": "eq", "fun": lambda p: p.sum() - 1}, {"type": "eq", "fun": lambda p: p @ values - 4.2}],
    )  # fmt: skip
    assert found == pytest.approx(nearest.x, abs=1e-5)


# Values lie on a grid, which is at least 1e-12.
LEVELS = st.floats(-1e6, 1e6).map(lambda value: round(value, 9))


@given(
    st.lists(st.tuples(LEVELS, st.floats(1e-6, 1)), min_size=2, max_size=8, unique_by=lambda each: each[0]),
    st.floats(1e-6, 1 - 1e-6),
)
def test_the_mean_is_the_one_that_is_asked_for(levels: list[tuple[float, float]], part: float) -> None:
    levels = sorted(levels)
    values, chance = np.array([value for value, _ in levels]), np.array([weight for _, weight in levels])
    span = float(np.ptp(values))
    mean = float(values[0]) + part * span
    found = tilted(values, np.log(chance / chance.sum()), mean)
    assert found.sum() == pytest.approx(1, abs=1e-12)
    assert (found * (values - values[0])).sum() / span == pytest.approx(part, rel=1e-9)


def test_a_tilt_does_not_depend_on_what_else_is_tilted() -> None:
    values, log_chance = Poisson(poisson=3.0).levels(0.1, 10)
    means = np.linspace(0.4, 29, 57)
    together = tilt(values, log_chance, means)
    alone = np.stack([tilt(values, log_chance, means[place : place + 1])[0] for place in range(means.size)])
    assert together.tobytes() == alone.tobytes()


def test_what_has_one_value_keeps_it() -> None:
    assert tilt(np.array([3.0]), np.zeros(1), np.array([3.0])).tolist() == [[0.0, 0.0]]
