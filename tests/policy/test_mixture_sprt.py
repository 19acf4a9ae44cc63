"""The mixture sequential probability ratio test holds at every look, and finds what is there."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from sim.policy.base import Evidence, Finding
from sim.policy.evidence import MixtureSprt
from sim.testing.contract import EvidenceContract, view_of
from sim.testing.paths import declared, first_findings, gaussian_ticks, standard_error
from sim.testing.settings import make_setting


class TestContract(EvidenceContract):
    error: ClassVar[tuple[float, float]] = (0.005, 0.05)

    @pytest.fixture
    def part(self) -> Evidence:
        return MixtureSprt(mde="20%")


@pytest.mark.parametrize("challengers", [1, 3])
def test_error_over_300_looks_is_below_alpha(challengers: int) -> None:
    rows = 4000
    ticks = gaussian_ticks(rows, [60] * 300, (0.0,) * challengers)
    found, _ = first_findings(MixtureSprt(mde="10%"), ticks)
    assert 0.02 < declared(found) < 0.05 + 4 * standard_error(0.05, rows)
    assert not (found == Finding.NULL).any()


def test_one_look_declares_as_often_as_the_confidence_sequence_says() -> None:
    """Howard and others (2021): |estimate| ≥ √(V(V + τ²)/τ² · log((V + τ²)/(V α²))), V = 2/n and τ = 0.2 in sd."""
    rows, count, effect = 40_000, 800, 0.15
    found, _ = first_findings(MixtureSprt(mde="10%"), gaussian_ticks(rows, [count], (effect,)))
    v, tau2 = 2 / count, 0.2**2
    z = np.sqrt((v + tau2) / tau2 * np.log((v + tau2) / v / 0.05**2))
    theory = float(ndtr(effect / np.sqrt(v) - z))
    assert 0.2 < theory < 0.8
    assert abs((found == Finding.PASS).mean() - theory) < 4 * standard_error(theory, rows)


@pytest.mark.parametrize(("effect", "finding"), [(0.2, Finding.PASS), (-0.2, Finding.FAIL)])
def test_a_difference_is_found_in_the_end(effect: float, finding: Finding) -> None:
    found, ticks = first_findings(MixtureSprt(mde="10%"), gaussian_ticks(500, [50] * 60, (effect,)))
    assert (found == finding).all()
    assert ticks.min() >= 2


def test_it_waits_for_outcomes_of_champion_and_challenger_only() -> None:
    total = np.array([[[1000, 100], [1000, 300], [99, 60]]])
    found = MixtureSprt(mde="20%").judge(view_of(MixtureSprt(), make_setting(3), total, np.ones((1, 3), bool)))
    assert found[0, 1:].tolist() == [Finding.PASS, Finding.UNDECIDED]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=8, max_size=8))
def test_when_the_feedback_arrives_does_not_matter(gaps: list[int]) -> None:
    ticks = gaussian_ticks(50, [125] * 8, (0.2,))
    empty = {name: np.zeros_like(counts) for name, counts in ticks[0].items()}
    late = [each for gap, tick in zip(gaps, ticks, strict=True) for each in (*[empty] * gap, tick)]
    assert (first_findings(MixtureSprt(mde="10%"), late)[0] == first_findings(MixtureSprt(mde="10%"), ticks)[0]).all()


def test_the_mixing_is_the_effect_that_is_looked_for() -> None:
    setting = make_setting(primary="revenue")
    assert MixtureSprt(mde="10%").effect_sd(setting) == 1.0
    assert MixtureSprt(mixing_sd=0.3).effect_sd(setting) == 0.3
    revenue = replace(setting.metrics["revenue"], nominal_mean=-10.0)
    assert MixtureSprt(mde="10%").effect_sd(replace(setting, metrics={"revenue": revenue})) == 1.0
