"""Wald's test keeps both of its errors, and needs as little as theory says."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest

from sim.policy.base import Evidence, Finding
from sim.policy.evidence import Sprt
from sim.stats.sprt import expected_sample_ratio
from sim.testing.contract import EvidenceContract
from sim.testing.paths import declared, first_findings, gaussian_ticks, standard_error
from sim.testing.settings import CONVERTED, KNOWN, look_at, make_setting
from tests.thorough import plays

ROWS = plays(3000, 5000)
# The effect that is looked for, in standard deviations of the paths: 10% of a mean of 2.
EFFECT = 0.2


class TestContract(EvidenceContract):
    error: ClassVar[tuple[float, float]] = (0.015, 0.05)

    @pytest.fixture
    def part(self) -> Evidence:
        return Sprt(mde="10%")


class TestOneSided(EvidenceContract):
    symmetric: ClassVar[bool] = False
    error: ClassVar[tuple[float, float]] = (0.02, 0.05)

    @pytest.fixture
    def part(self) -> Evidence:
        return Sprt(mde="10%", sides=1)


@pytest.mark.parametrize("sides", [1, 2])
def test_errors_are_a_little_below_walds(sides: int) -> None:
    """Looks at every 10 outcomes overshoot little; at most alpha / power and beta / (1 - alpha), Wald (1947) ch. 3."""
    part = Sprt(mde="10%", sides=sides, power="90%")
    none, _ = first_findings(part, gaussian_ticks(ROWS, [10] * 400))
    some, _ = first_findings(part, gaussian_ticks(ROWS, [10] * 400, (EFFECT,)))
    assert ((none != Finding.UNDECIDED) & (none != Finding.INCONCLUSIVE)).mean() > 0.999
    assert 0.03 < declared(none) < 0.05 / 0.9 + 4 * standard_error(0.05, ROWS)
    assert 0.06 < (some != Finding.PASS).mean() < 0.1 / 0.95 + 4 * standard_error(0.1, ROWS)
    # Whether it declares or not, it ends.
    assert set(np.unique(none)) <= {Finding.PASS, Finding.FAIL, Finding.NULL, Finding.UNDECIDED}
    assert sides == 2 or not (none == Finding.FAIL).any()


@pytest.mark.parametrize("multiple", [0.0, 1.0])
def test_it_needs_about_half_of_the_fixed_sample(multiple: float) -> None:
    """Wald (1947), ch. 7: looks at every 10 outcomes overshoot, by which it needs up to 20% more."""
    from scipy.special import ndtri

    part = Sprt(mde="10%", sides=1, power="95%", min_outcomes=10)
    _, ticks = first_findings(part, gaussian_ticks(4000, [10] * 400, (EFFECT * multiple,)))
    fixed = 2 * ((ndtri(0.95) + ndtri(0.95)) / EFFECT) ** 2
    ratio = 10 * ticks.mean() / fixed
    expected = float(expected_sample_ratio(multiple, alpha=0.05, beta=0.05))
    assert expected < ratio < 1.2 * expected


def test_a_test_that_has_accepted_does_not_come_back() -> None:
    """With two sides, the one against a better challenger accepts first; later outcomes cannot undo it."""
    part = Sprt(mde="50%", min_outcomes=2)
    low = {KNOWN: np.array([400, 400]), CONVERTED: np.array([80, 40])}
    high = {KNOWN: np.array([4000, 4000]), CONVERTED: np.array([800, 1300])}
    (found,) = look_at(part, make_setting(), [high])
    assert found[0, 1] == Finding.PASS
    first, second = (each[0, 1] for each in look_at(part, make_setting(), [low, high]))
    assert first == Finding.FAIL
    middle = {KNOWN: np.array([60, 60]), CONVERTED: np.array([16, 8])}
    first, second = (each[0, 1] for each in look_at(part, make_setting(), [middle, high]))
    assert (first, second) == (Finding.UNDECIDED, Finding.NULL)


@pytest.mark.parametrize(
    ("said", "key", "words"),
    [({"power": "4%"}, "power", "must exceed alpha, got power 0.04 and alpha 0.05"), ({}, None, "")],
)
def test_what_is_no_test_is_refused(said: dict[str, object], key: str | None, words: str) -> None:
    found = Sprt.model_validate({"mde": "10%", **said}).problems(make_setting())
    assert [each for each, _ in found] == ([key] if key else [])
    assert all(words in message for _, message in found)


def test_a_relative_effect_on_a_mean_of_0_is_refused() -> None:
    setting = make_setting(primary="revenue")
    nothing = replace(setting, metrics={"revenue": replace(setting.metrics["revenue"], nominal_mean=0.0)})
    ((key, message),) = Sprt(mde="10%").problems(nothing)
    assert (key, "is 0" in message) == ("mde", True)
