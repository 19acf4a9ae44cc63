"""Betting holds from the first outcome, for any bounded outcomes, and whatever the allocation does."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

from sim.arrays import Ints
from sim.errors import InputError
from sim.policy.base import Evidence, Finding
from sim.policy.columns import Column, Moment
from sim.policy.evidence import Betting
from tests.policy.contract import EvidenceContract
from tests.policy.paths import binary_ticks, declared, first_findings, gaussian_ticks
from tests.policy.scripted import look_at, make_setting


class Bets(EvidenceContract):
    primary: ClassVar[str] = "conversion"
    effect: ClassVar[float] = 0.06

    def paths(self, rows: int, effects: tuple[float, ...]) -> list[dict[Column, Ints]]:
        return binary_ticks(rows, [125] * 20, effects)


class TestCapital(Bets):
    error: ClassVar[tuple[float, float]] = (0.003, 0.05)

    @pytest.fixture
    def part(self) -> Evidence:
        return Betting()


class TestBernstein(Bets):
    error: ClassVar[tuple[float, float]] = (0.0, 0.05)
    effect: ClassVar[float] = 0.12

    @pytest.fixture
    def part(self) -> Evidence:
        return Betting(method="empirical_bernstein")


class TestBounded(EvidenceContract):
    error: ClassVar[tuple[float, float]] = (0.0, 0.05)
    effect: ClassVar[float] = 0.6

    @pytest.fixture(params=["capital", "empirical_bernstein"])
    def part(self, request: pytest.FixtureRequest) -> Evidence:
        return Betting(method=request.param, lowest=-100, highest=120)

    def paths(self, rows: int, effects: tuple[float, ...]) -> list[dict[Column, Ints]]:
        return gaussian_ticks(rows, [1500] * 20, effects)


def test_a_spread_that_is_small_within_its_bounds_is_bernsteins_case() -> None:
    ticks = gaussian_ticks(200, [1000] * 20, (0.5,))
    when = {}
    for method in ("capital", "empirical_bernstein"):
        found, at = first_findings(Betting(method=method, lowest=-100, highest=120), ticks)
        when[method] = np.where(found[:, 0] == Finding.PASS, at[:, 0], 99).mean()
    assert when["empirical_bernstein"] < 0.8 * when["capital"]


@pytest.mark.parametrize("rate", [0.002, 0.5])
def test_error_from_the_first_outcomes_on(rate: float) -> None:
    """Ticks of 5 outcomes, none of which is too few; at 0.2% most have nothing."""
    found, _ = first_findings(Betting(), binary_ticks(4000, [5] * 300, rate=rate), "conversion")
    assert declared(found) < 0.05


def test_outcomes_beyond_the_bounds_are_refused_by_name() -> None:
    tick = {
        Moment("revenue", "count"): np.array([10, 10]),
        Moment("revenue", "sum"): np.array([10_000, 60_000]),
        Moment("revenue", "square"): np.array([10_000_000, 360_000_000]),
    }
    part = Betting(highest=20)
    with pytest.raises(InputError, match=r"highest: of betting must bound revenue, .* got 0 to 20"):
        look_at(part, make_setting(primary="revenue"), [tick])
    assert look_at(Betting(highest=100), make_setting(primary="revenue"), [tick])[0][0, 1] == Finding.UNDECIDED
