"""Intervals without a distribution: how often a rehearsal like the simulated ones is out, and what is not known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sim.live.compared import ERROR, compared, decided_alike, interval, like, replications
from sim.live.watched import Unit

WHAT: tuple[str, str, bool, Unit] = ("requests", "", False, "count")


@pytest.mark.parametrize("draw", ["normal", "poisson", "never", "sometimes none"])
def test_one_more_replication_is_out_as_rarely_as_is_said(draw: str) -> None:
    """Of one quantity, at 399 replications, two at either end are out: 4 of 400. With ties, or one value only, in fewer."""
    draws, tries, size = np.random.default_rng(0), 20_000, 399
    sample = {
        "normal": lambda count: draws.normal(size=count),
        "poisson": lambda count: draws.poisson(3.0, count).astype(float),
        "never": np.zeros,
        "sometimes none": lambda count: np.where(draws.random(count) < 0.3, np.nan, draws.normal(size=count)),
    }[draw]
    out = seen = 0
    for _ in range(tries):
        values = sample(size + 1)
        lower, upper = interval(values[1:], 1)
        seen += not math.isnan(values[0])
        out += values[0] < lower or values[0] > upper
    four_errors = 4 * math.sqrt(ERROR * (1 - ERROR) / seen)
    assert out / seen <= ERROR + four_errors
    if draw == "normal":
        assert out / seen >= ERROR - four_errors


def test_so_many_replications_hold_the_error_together() -> None:
    for comparisons in (1, 13, 40):
        assert comparisons * 4 / (replications(comparisons) + 1) <= ERROR


def test_either_model_of_the_servers_may_be_right() -> None:
    low, high = np.arange(399.0), np.arange(1000.0, 1399.0)
    found = {seen: compared(WHAT, seen, [low, high], 1).agrees for seen in (0.0, 1.0, 700.0, 1397.0, 1398.0)}
    assert found == {0.0: False, 1.0: True, 700.0: True, 1397.0: True, 1398.0: False}


def test_replications_that_tell_nothing_do_not_widen_what_others_tell() -> None:
    known = np.arange(399.0)
    assert compared(WHAT, math.nan, [known], 1).agrees
    few = np.where(np.arange(399) < 5, np.nan, known)
    assert (compared(WHAT, 398.0, [few], 1).agrees, compared(WHAT, 399.0, [few], 1).agrees) == (True, False)
    # Too few to say anything.
    assert compared(WHAT, 1e9, [known[:100]], 1).agrees


def test_a_rehearsal_is_compared_with_those_that_ended_as_it_did() -> None:
    verdicts, arms = np.repeat([0, 2, 1], [60, 30, 10]), np.repeat([0, 0, 1], [60, 30, 10])
    assert like(0, 0, verdicts, arms).sum() == 60
    assert like(2, 0, verdicts, arms).sum() == 40
    assert like(3, 0, verdicts, arms).sum() == 40
    # Where no ending is the usual one, with all.
    assert like(0, 0, np.arange(100) % 3, np.zeros(100, np.int64)).all()


def test_a_verdict_is_out_where_hardly_any_replication_ends_so() -> None:
    verdicts, arms = np.repeat([1, 2, 0], [90, 7, 3]), np.repeat([1, 0, 0], [90, 7, 3])
    found = {verdict: decided_alike(verdict, arm, [(verdicts, arms)]) for verdict, arm in ((1, 1), (2, 0), (0, 0), (3, 0))}
    assert {verdict: alike for verdict, (_, alike) in found.items()} == {1: True, 2: True, 0: False, 3: False}
    assert found[2][0] == 0.07
