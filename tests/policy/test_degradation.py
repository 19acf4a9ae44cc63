"""A metric that is watched: how often a challenger that is no worse is ever stopped, and that one that is worse is."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from scipy.special import log_ndtr

from sim.policy.base import Finding, Guardrail
from sim.policy.columns import Moment
from sim.policy.guardrails import Degradation
from sim.testing.guardrail_contract import PATHS, GuardrailContract, Ticks, ever
from sim.testing.paths import binary_ticks, gaussian_ticks
from sim.testing.settings import CONVERTED, KNOWN, look_at, make_setting

U, P, F = Finding.UNDECIDED, Finding.PASS, Finding.FAIL


class TestMean(GuardrailContract):
    """10 at a standard deviation of 5, in a hundred looks."""

    error: ClassVar[tuple[float, float]] = (0.005, 0.05)

    @pytest.fixture
    def part(self) -> Guardrail:
        return Degradation(metric="revenue", mde="5%")

    def well(self, arms: int) -> Ticks:
        return list(gaussian_ticks(PATHS, [100] * 100, (0.0,) * (arms - 1)))

    def unwell(self) -> Ticks:
        return list(gaussian_ticks(PATHS, [100] * 100, (-0.1,)))


class TestRate(TestMean):
    @pytest.fixture
    def part(self) -> Guardrail:
        return Degradation(metric="conversion", mde="10%")

    def well(self, arms: int) -> Ticks:
        return list(binary_ticks(PATHS, [100] * 100, (0.0,) * (arms - 1)))

    def unwell(self) -> Ticks:
        return list(binary_ticks(PATHS, [100] * 100, (-0.04,)))


def test_an_arm_that_is_better_is_not_stopped() -> None:
    assert ever(Degradation(metric="revenue", mde="5%"), list(gaussian_ticks(PATHS, [100] * 100, (0.1,)))) < 0.005


def test_it_trips_where_the_likelihood_ratio_reaches_one_over_alpha() -> None:
    """By hand: with u = d τ / (s √(s² + τ²)), the ratio is 2 Φ(u) exp(u²/2) s / √(s² + τ²) (Howard and others 2021)."""
    n, mixing, alpha = 10_000, 0.01, 0.01
    setting = make_setting()
    found, said = [], []
    for loss in range(0, 400, 10):
        before, after = 0.2, 0.2 - loss / n
        pooled = (before + after) / 2
        s = np.sqrt(2 * pooled * (1 - pooled) / n)
        total = np.hypot(s, mixing)
        u = (before - after) / s * mixing / total
        said.append(np.log(2) + log_ndtr(u) + u * u / 2 + np.log(s / total) >= np.log(1 / alpha))
        tick = {KNOWN: [n, n], CONVERTED: [2000, 2000 - loss]}
        found.append(look_at(Degradation(metric="conversion", mixing_sd=mixing, alpha=alpha), setting, [tick])[0][0, 1] == F)
    assert found == said
    assert 5 < sum(found) < 35


def test_a_metric_that_improves_by_falling() -> None:
    """Cost: 10% more is worse, 10% less is not."""
    for change, expected in ((1100, F), (900, P)):
        means = np.array([1000, change])
        tick = {
            Moment("cost", "count"): [5000] * 2,
            Moment("cost", "sum"): 5000 * means,
            Moment("cost", "square"): 5000 * (means**2 + 500**2),
        }
        assert look_at(Degradation(metric="cost", mde="5%"), make_setting(), [tick])[0][0, 1] == expected


def test_it_says_nothing_of_an_arm_that_it_has_hardly_seen() -> None:
    part, setting = Degradation(metric="conversion", mde="5%", min_outcomes=500), make_setting(3)
    tick = {KNOWN: [1000, 499, 500], CONVERTED: [200, 0, 0]}
    assert look_at(part, setting, [tick])[0][0, 1:].tolist() == [U, F]


def test_what_is_wrong_is_told_by_key() -> None:
    setting = make_setting()
    said = Degradation.model_validate({"metric": "revenu", "mde": "5%", "mixing_sd": 1}).problems(setting)
    assert [key for key, _ in said] == ["mixing_sd", "metric"]
    assert "there are" in said[1][1]
    other = Degradation.model_validate({"metric": "revenue", "mde": "5%", "adjust": {"kind": "cluster"}})
    assert other.problems(setting) == [
        ("adjust", "only the primary metric, conversion, can be adjusted: leave it out for revenue")
    ]
    own = Degradation.model_validate({"metric": "conversion", "adjust": {"kind": "cluster"}})
    assert [key for key, _ in own.problems(replace(setting, users=False))] == ["adjust.kind", "mde"]
