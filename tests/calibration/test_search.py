"""The search for a number: it meets roots that are known, and says where there are none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr

from sim.calibration.search import Look, NotFound, Scale, find

N = 20_000
ODDS = Scale("odds")


@given(st.floats(0.01, 0.3), st.floats(0.3, 3.0), st.floats(-1.5, 1.5), st.booleans())
def test_a_share_that_rises_or_falls_along_the_number_is_met(target: float, slope: float, shift: float, falls: bool) -> None:
    sign = -1 if falls else 1
    found = find(
        lambda value: Look(value, round(N * float(ndtr(sign * slope * (ODDS.of(value) + 3) + shift))), N), target, ODDS, 0.05
    )
    error = math.sqrt(target * (1 - target) / N)
    (best,) = (look for look in found.looks if look.value == found.value)
    # Shares are counted in whole trials, and numbers have four digits.
    assert abs(best.share - target) <= 0.1 * error or best.share <= target
    assert len(found.looks) <= 30
    if found.lower is not None and found.upper is not None:
        assert found.lower <= found.value <= found.upper


def test_the_numbers_that_chance_leaves_open_are_those_of_the_interval_of_the_share() -> None:
    found = find(lambda value: Look(value, round(N * 2.0 * value), N), 0.05, ODDS, 0.05)
    half = 1.96 * math.sqrt(0.05 * 0.95 / N) / 2.0
    assert found.value == pytest.approx(0.025, rel=0.01)
    assert (found.lower, found.upper) == (pytest.approx(0.025 - half, rel=0.02), pytest.approx(0.025 + half, rel=0.02))


def test_chance_moves_the_number_by_no_more_than_it_says() -> None:
    inside = 0
    for seed in range(200):
        drawn = np.random.default_rng(seed).random(2_000)
        # The same trials judge every number: an error comes where a draw is below twice the number.
        found = find(lambda value, drawn=drawn: Look(value, int((drawn < 2 * value).sum()), 2_000), 0.05, ODDS, 0.05)  # type: ignore[misc]
        inside += (found.lower or 0) <= 0.025 <= (found.upper or 1)
    # 95% of 200, within three standard errors.
    assert 180 <= inside <= 200


def test_of_a_share_that_jumps_the_side_that_holds_is_taken() -> None:
    found = find(lambda value: Look(value, 0 if value < 3 else 900, 1000), 0.05, Scale("linear", 1.0), 5.0, (1.0, 9.0))
    assert found.value == 2.0


@pytest.mark.parametrize("events", [0, 300])
def test_what_depends_on_no_number_is_not_found(events: int) -> None:
    with pytest.raises(NotFound) as caught:
        find(lambda value: Look(value, events, 1000), 0.05, ODDS, 0.05)
    assert len(caught.value.looks) >= 2


def test_numbers_that_cannot_stand_there_are_walked_around() -> None:
    # As of a posterior probability, which must be above a half; the start holds far too well.
    found = find(lambda value: Look(value, round(N * (1 - value) / 2), N) if value > 0.5 else None, 0.2, ODDS, 0.95)
    assert found.value == pytest.approx(0.6, rel=0.01)
