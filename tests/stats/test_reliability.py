"""Budgets and failing checks, against published values and a walk through every sequence of checks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import InputError
from sim.stats.reliability import aborts, at_least, budget_spent, rolls_back


def given_up(threshold: int, advances: int, share: float) -> float:
    """P(threshold failures come before so many good checks), check by check."""
    if threshold == 0:
        return 1.0
    if advances == 0:
        return 0.0
    return share * given_up(threshold - 1, advances, share) + (1 - share) * given_up(threshold, advances - 1, share)


@given(st.integers(1, 5), st.integers(1, 6), st.floats(0, 1))
def test_a_rollback_is_a_race_of_failures_against_advances(threshold: int, advances: int, share: float) -> None:
    assert rolls_back(threshold, advances, share) == pytest.approx(given_up(threshold, advances, share), abs=1e-12)


@given(st.integers(0, 12), st.floats(0, 1))
def test_counts_that_are_never_and_always_reached(trials: int, share: float) -> None:
    assert at_least(0, trials, share) == 1
    assert at_least(trials + 1, trials, share) == 0
    assert at_least(trials, trials, share) == pytest.approx(share**trials)


def test_published_values() -> None:
    assert [aborts(limit, 12, 0.1) for limit in (0, 1, 3)] == pytest.approx([0.7176, 0.3410, 0.0256], abs=1e-4)
    spent = [budget_spent(rate, hours, 720) for rate, hours in ((14.4, 1), (6, 6), (1, 72))]
    assert spent == pytest.approx([0.02, 0.05, 0.1])


@pytest.mark.parametrize(
    ("call", "rule"),
    [
        (lambda: budget_spent(1, 0, 1), "window: must be positive"),
        (lambda: at_least(-1, 5, 0.1), "count: must not be negative"),
        (lambda: at_least(1, 5, 1.1), "share: must lie between 0 and 1, got 1.1"),
        (lambda: rolls_back(0, 5, 0.1), "threshold: must be at least 1"),
    ],
)
def test_counts_that_cannot_be_are_refused(call: object, rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        call()  # type: ignore[operator]
