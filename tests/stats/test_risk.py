"""Tail risk against its definition, closed forms and the order of the losses."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from sim.errors import InputError
from sim.stats.risk import cvar, value_at_risk

LOSSES = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=60)


@given(LOSSES, st.floats(0.05, 0.95))
def test_cvar_is_the_mean_of_the_worst_with_the_edge_in_fraction(losses: list[float], level: float) -> None:
    tail = len(losses) * (1 - level)
    whole = math.floor(tail)
    worst = sorted(losses, reverse=True)
    expected = (sum(worst[:whole]) + (tail - whole) * worst[min(whole, len(worst) - 1)]) / tail
    assert cvar(losses, level).estimate == pytest.approx(expected, abs=1e-6)


def test_cvar_is_the_minimum_of_rockafellar_and_uryasev() -> None:
    losses = np.random.default_rng(1).gamma(2.0, size=333)
    least = minimize_scalar(lambda c: c + np.maximum(losses - c, 0).mean() / 0.1, bounds=(0, 20), method="bounded")
    assert cvar(losses, 0.9).estimate == pytest.approx(least.fun, abs=1e-4)


@given(LOSSES)
def test_cvar_is_coherent(losses: list[float]) -> None:
    array = np.array(losses)
    found = cvar(array).estimate
    var = value_at_risk(array).estimate
    assert found is not None
    assert var is not None
    assert found >= var - 1e-9
    assert found >= array.mean() - 1e-9
    assert cvar(2 * array + 3).estimate == pytest.approx(2 * found + 3, abs=1e-6)
    halves = cvar(array[::-1].copy()).estimate
    assert cvar(array + array[::-1]).estimate <= found + halves + 1e-6


def test_the_interval_covers_the_exponential_closed_form() -> None:
    rng = np.random.default_rng(3)
    truth = 1 + math.log(20)
    found = [cvar(losses) for losses in rng.exponential(size=(1_000, 1_000))]
    covered = np.mean([one.lower <= truth <= one.upper for one in found])
    # The docstring's .94, less 3 standard errors.
    assert covered > 0.94 - 3 * math.sqrt(0.94 * 0.06 / 1_000)


def test_too_few_in_the_tail_have_no_bounds() -> None:
    assert cvar([]).estimate is None
    assert cvar([4.0]).estimate == 4.0
    assert cvar(range(199)).upper is None
    assert cvar(range(200)).upper is not None


def test_wrong_input_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="level: must lie strictly between 0 and 1, got 95"):
        cvar([1.0], level=95)
    with pytest.raises(InputError, match="values: must be finite, got inf at index 0"):
        value_at_risk([math.inf])
