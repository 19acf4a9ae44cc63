"""Bounds at the information that arrived: the same as those of a design at these fractions, for many tests at once."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from sim.errors import InputError
from sim.stats.group_sequential import Design, design
from sim.stats.running_bounds import Plan, Running, Spending, node_count

Floats = NDArray[np.float64]
CASES: list[dict[str, Any]] = [
    {"sides": 2, "spending": "obrien_fleming"},
    {"sides": 1, "spending": "pocock"},
    {"sides": 1, "spending": "kim_demets", "rho": 2.0, "futility": "pocock"},
    {"sides": 1, "spending": "obrien_fleming", "futility": "hwang_shih_decani", "futility_gamma": -2.0, "binding": True},
]


def run(case: dict[str, Any], times: Floats, drift: float, nodes: int) -> tuple[Floats, Floats]:
    """(r, K) upper and lower bounds of tests that look at `times`, (r, K)."""
    beta = Spending(case["futility"], 0.2, None, case.get("futility_gamma")) if "futility" in case else None
    plan = Plan(Spending(case["spending"], 0.025, case.get("rho")), case["sides"], beta, case.get("binding", False), drift)
    null, effective = Running.start(len(times), nodes), Running.start(len(times), nodes, drift)
    looks = []
    for k in range(times.shape[1]):
        last = np.full(len(times), k + 1 == times.shape[1])
        upper, lower, null, effective = plan.look(null, effective, times[:, k], last)  # type: ignore[assignment]
        looks.append((upper, lower))
    upper, lower = (np.stack(bounds, axis=1) for bounds in zip(*looks, strict=True))
    return upper, lower


def at(case: dict[str, Any], information: Floats) -> Design:
    return design("spending", len(information), 0.025 * case["sides"], 0.8, information=information, **case)


@pytest.mark.parametrize("looks", [1, 3, 10])
@pytest.mark.parametrize("case", CASES)
def test_bounds_are_those_of_the_design_at_these_fractions(case: dict[str, Any], looks: int) -> None:
    even = np.arange(1, looks + 1) / looks
    nodes = node_count(even, at(case, even).bounds, case["sides"])
    rng = np.random.default_rng(looks)
    for end in (1.0, 1.1, 0.97):
        times = np.minimum(even + rng.uniform(0, 0.7 / looks, looks), 0.94)
        times[-1] = end
        expected = at(case, times)
        assert expected.drift is not None
        upper, lower = run(case, np.stack([times, times]), expected.drift / math.sqrt(end), nodes)
        np.testing.assert_allclose(upper[0], expected.bounds, atol=1e-7)
        if expected.futility is not None:
            np.testing.assert_allclose(lower[0], expected.futility, atol=1e-7)


def test_every_test_has_its_own_times() -> None:
    rng = np.random.default_rng(1)
    times = np.arange(1, 5) / 4 + rng.uniform(0, 0.15, (600, 4))
    times[:, :-1] = np.minimum(times[:, :-1], 0.99)
    together, _ = run(CASES[0], times, 0.0, 48)
    for row in (0, 299, 599):
        alone, _ = run(CASES[0], times[row : row + 1], 0.0, 48)
        np.testing.assert_allclose(alone[0], together[row], atol=1e-9)


def test_an_early_end_spends_all_that_is_left() -> None:
    ended, _ = run(CASES[0], np.array([[0.25, 0.5, 0.6]]), 0.0, 64)
    whole, _ = run(CASES[0], np.array([[0.25, 0.5, 1.0]]), 0.0, 64)
    assert ended[0, -1] < whole[0, -1]
    # One look is the fixed test, wherever it is.
    assert run(CASES[0], np.array([[0.3]]), 0.0, 32)[0][0, 0] == pytest.approx(-ndtri(0.025))


def test_simulated_tests_err_as_often_as_they_may_whenever_they_look() -> None:
    rng, count = np.random.default_rng(2), 20_000
    times = np.arange(1, 5) / 4 + rng.uniform(0, 0.2, (count, 4))
    times[:, :-1] = np.minimum(times[:, :-1], 0.99)
    upper, lower = run(CASES[0], times, 0.0, 40)
    steps = rng.normal(size=times.shape) * np.sqrt(np.diff(times, prepend=0, axis=1))
    z = np.cumsum(steps, axis=1) / np.sqrt(times)
    wrong = ((z >= upper) | (z <= lower)).any(axis=1).mean()
    assert abs(wrong - 0.05) < 4 * math.sqrt(0.05 * 0.95 / count)
    assert np.abs(upper - design("spending", 4, spending="obrien_fleming").bounds).max() > 0.1


def test_before_the_first_look_a_score_is_normal() -> None:
    start, z, time = Running.start(2, 16, drift=1.0), np.array([1.5, -2.0]), np.array([0.25, 0.5])
    np.testing.assert_allclose(start.above(z, time), ndtr(np.sqrt(time) - z), rtol=1e-12)
    for bound in (start.upper_bound, start.lower_bound):
        assert np.isfinite(bound(np.array([0.0, 1e-250]), time)).all()


def test_information_that_does_not_rise_is_refused_by_name() -> None:
    plan, looked = Plan(Spending("pocock", 0.025), 2), np.array([0.5])
    _, _, tests, _ = plan.look(Running.start(1, 16), None, looked, np.array([False]))
    with pytest.raises(InputError, match=r"time: must rise above the look before \(0\.5\), got 0\.5"):
        plan.look(tests, None, looked, np.array([True]))
