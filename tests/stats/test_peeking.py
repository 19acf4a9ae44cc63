"""Peeking against the table of Armitage, McPherson & Rowe, closed forms and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal, norm

from sim.errors import InputError
from sim.stats.group_sequential import design
from sim.stats.peeking import false_positive_rate


@pytest.mark.parametrize(("looks", "rate"), [(1, 0.05), (2, 0.083), (5, 0.142), (10, 0.193), (100, 0.374), (1000, 0.530)])
def test_the_table_of_armitage_mcpherson_and_rowe(looks: int, rate: float) -> None:
    assert false_positive_rate(looks) == pytest.approx(rate, abs=6e-4)


@pytest.mark.parametrize("alpha", [0.001, 0.05, 0.4])
@pytest.mark.parametrize("sides", [1, 2])
def test_two_looks_are_a_bivariate_normal(alpha: float, sides: int) -> None:
    critical = np.full(2, norm.isf(alpha / sides))
    joint = multivariate_normal([0, 0], [[1, math.sqrt(0.5)], [math.sqrt(0.5), 1]])
    quiet = joint.cdf(critical, lower_limit=-critical if sides == 2 else np.full(2, -np.inf))
    assert false_positive_rate(2, alpha, sides) == pytest.approx(1 - quiet, abs=1e-7)


def test_simulated_peeking() -> None:
    count, looks = 100_000, 20
    steps = np.random.Generator(np.random.MT19937(5)).normal(size=(count, looks))
    z = np.cumsum(steps, axis=1) / np.sqrt(np.arange(1, looks + 1))
    for alpha, sides, found in ((0.1, 2, np.abs(z)), (0.025, 1, z)):
        rate = (found > norm.isf(alpha / sides)).any(axis=1).mean()
        expected = false_positive_rate(looks, alpha, sides)
        assert abs(rate - expected) < 4 * math.sqrt(expected * (1 - expected) / count)


@settings(max_examples=30)
@given(st.integers(1, 30), st.floats(0.001, 0.5), st.sampled_from([1, 2]))
def test_more_looks_err_more_but_less_than_bonferroni(looks: int, alpha: float, sides: int) -> None:
    rate = false_positive_rate(looks, alpha, sides)
    assert alpha * (1 - 1e-8) <= rate < false_positive_rate(looks + 1, alpha, sides) < 1
    assert rate <= 1 - (1 - alpha) ** looks + 1e-9


@pytest.mark.parametrize("looks", [2, 7, 40])
def test_pocock_undoes_peeking(looks: int) -> None:
    nominal = design("pocock", looks, alpha=0.05).nominal_p[0]
    assert false_positive_rate(looks, nominal) == pytest.approx(0.05, abs=1e-8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 0.05, 2), "looks: must be a whole number, 1 to 1000, got 0"),
        ((1001, 0.05, 2), "looks: .* got 1001"),
        ((5, 1.0, 2), "alpha: must lie strictly between 0 and 1, got 1.0"),
        ((5, 0.05, 0), "sides: must be 1 or 2, got 0"),
    ],
)
def test_impossible_questions_are_refused_by_name(arguments: tuple[int, float, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        false_positive_rate(*arguments)
