"""A confidence sequence covers at every look, with and without a margin."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
from scipy.special import ndtr

from sim.policy.base import Evidence, Finding
from sim.policy.evidence import ConfidenceSequence
from sim.stats.sequential import asymptotic_confidence_sequence
from sim.testing.contract import EvidenceContract, view_of
from sim.testing.paths import declared, first_findings, gaussian_ticks, standard_error
from sim.testing.settings import make_setting

# In standard deviations of the paths: 10% of a mean of 2.
MARGIN = 0.2


class TestContract(EvidenceContract):
    error: ClassVar[tuple[float, float]] = (0.005, 0.05)

    @pytest.fixture
    def part(self) -> Evidence:
        return ConfidenceSequence(mde="10%")


class TestMargin(EvidenceContract):
    symmetric: ClassVar[bool] = False
    null: ClassVar[float] = -MARGIN
    wrong: ClassVar[tuple[Finding, ...]] = (Finding.PASS,)
    error: ClassVar[tuple[float, float]] = (0.001, 0.025)
    effect: ClassVar[float] = 0.0

    @pytest.fixture(params=["absolute", "relative"])
    def part(self, request: pytest.FixtureRequest) -> Evidence:
        return ConfidenceSequence(sample=500, margin="10%", effect=request.param)


@pytest.mark.parametrize("challengers", [1, 3])
def test_error_over_300_looks_is_below_alpha(challengers: int) -> None:
    rows = 4000
    found, _ = first_findings(ConfidenceSequence(mde="10%"), gaussian_ticks(rows, [60] * 300, (0.0,) * challengers))
    assert 0.015 < declared(found) < 0.05 + 4 * standard_error(0.05, rows)
    assert not (found == Finding.NULL).any()


def test_one_look_declares_as_often_as_the_interval_says() -> None:
    rows, count, effect = 40_000, 400, 0.2
    part = ConfidenceSequence(sample=400)
    found, _ = first_findings(part, gaussian_ticks(rows, [count], (effect,)))
    error = np.sqrt(2 / count)
    half = asymptotic_confidence_sequence(0.0, error, 2 * count, planned_n=2 * count).upper
    theory = float(ndtr((effect - half) / error))
    assert 0.1 < theory < 0.9
    assert abs((found == Finding.PASS).mean() - theory) < 4 * standard_error(theory, rows) + 0.002


def test_an_uneven_split_is_as_wide_as_it_knows() -> None:
    """1250 against 312 outcomes know what 500 against 500 do."""
    part, rows = ConfidenceSequence(sample=500), np.array([[[500, 100], [500, 137]], [[1250, 250], [312, 85]]])
    found = part.judge(view_of(part, make_setting(), rows, np.ones((2, 2), bool)))[:, 1]
    assert found[0] == found[1]


def test_a_worse_challenger_fails_and_the_margin_forgives() -> None:
    ticks = gaussian_ticks(500, [250] * 20, (-0.1,))
    plain, _ = first_findings(ConfidenceSequence(mde="10%"), ticks)
    forgiven, _ = first_findings(ConfidenceSequence(mde="10%", margin="10%"), ticks)
    assert (plain == Finding.FAIL).mean() > 0.95
    assert (forgiven == Finding.PASS).mean() > 0.95


@pytest.mark.parametrize(
    ("said", "key", "words"),
    [
        ({}, "mde", "is required"),
        ({"mde": "10%", "margin": "5%", "test": "z_pooled"}, "test", "for a margin, got z_pooled"),
        ({"sample": 100, "margin": "5%"}, None, ""),
    ],
)
def test_what_cannot_be_is_refused(said: dict[str, Any], key: str | None, words: str) -> None:
    found = ConfidenceSequence.model_validate(said).problems(make_setting())
    assert [each for each, _ in found] == ([key] if key else [])
    assert all(words in message for _, message in found)
    with pytest.raises(ValueError, match="margin"):
        ConfidenceSequence.model_validate({"mde": "10%", "margin": "-5%"})
