"""Designs against published constants, statsmodels and simulation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.power import NormalIndPower

from sim.errors import InputError
from sim.stats.power import minimum_detectable_effect, power, sample_size
from sim.stats.tests import two_sample


@pytest.mark.parametrize(("goal", "constant"), [(0.8, 15.70), (0.9, 21.01)])
def test_the_published_constants(goal: float, constant: float) -> None:
    assert sample_size("means", sd=3, effect=-0.5, power=goal) * 0.25 / 9 == pytest.approx(constant, abs=0.005)


def test_means_agree_with_statsmodels() -> None:
    design = NormalIndPower()
    for ratio, goal, alpha in ((1, 0.8, 0.05), (0.25, 0.9, 0.01), (3, 0.75, 0.1)):
        expected = design.solve_power(effect_size=0.2, alpha=alpha, power=goal, ratio=ratio)
        found = sample_size("means", sd=1, effect=0.2, alpha=alpha, power=goal, ratio=ratio)
        # statsmodels counts declarations in the wrong direction as power.
        assert found == pytest.approx(expected, rel=1e-4)
    expected = design.solve_power(effect_size=0.2, alpha=0.05, power=0.8, alternative="larger")
    assert sample_size("means", sd=1, effect=0.2, sides=1) == pytest.approx(expected, rel=1e-9)


def test_an_ab_test_of_the_designed_size_has_the_designed_power() -> None:
    baseline, effect, replications = 0.1, -0.02, 20_000
    n = math.ceil(sample_size("proportions", baseline=baseline, effect=effect))
    rng = np.random.default_rng(4)
    s0, s1 = rng.binomial(n, baseline, replications), rng.binomial(n, baseline + effect, replications)
    reached = (two_sample("z_unpooled", n, s0, s0, n, s1, s1).p_value < 0.05).mean()
    # 4 standard errors, and .002 for the normal approximation of counts of 300.
    assert abs(reached - 0.8) < 4 * math.sqrt(0.16 / replications) + 0.002


def test_more_challengers_share_alpha() -> None:
    shared = sample_size("means", sd=1, effect=1, comparisons=4)
    assert shared == pytest.approx(sample_size("means", sd=1, effect=1, alpha=0.0125))


DESIGNS = st.fixed_dictionaries(
    {
        "alpha": st.floats(0.001, 0.2),
        "sides": st.sampled_from([1, 2]),
        "ratio": st.floats(0.1, 10),
        "comparisons": st.integers(1, 5),
    }
)


@given(DESIGNS, st.floats(0.3, 0.99), st.floats(0.02, 0.9), st.floats(0.001, 0.05), st.booleans())
def test_the_three_questions_are_inverses(
    design: dict[str, Any], goal: float, baseline: float, size: float, falls: bool
) -> None:
    effect = -min(size, baseline / 2) if falls else size
    n = sample_size("proportions", baseline=baseline, effect=effect, power=goal, **design)
    assert power(n, "proportions", baseline=baseline, effect=effect, **design) == pytest.approx(goal)
    direction = "decrease" if falls else "increase"
    smallest = minimum_detectable_effect(n, "proportions", baseline=baseline, power=goal, direction=direction, **design)
    assert smallest == pytest.approx(effect, rel=1e-6)
    n = sample_size("means", sd=2, effect=effect, power=goal, **design)
    smallest = minimum_detectable_effect(n, "means", sd=2, power=goal, direction=direction, **design)
    assert smallest == pytest.approx(effect)
    assert power(n, "means", sd=2, effect=effect, **design) == pytest.approx(goal)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"power": 0.05}, r"power: must lie strictly between alpha \(0.05\) and 1, got 0.05"),
        ({"power": 1}, "power: .* got 1"),
        ({"effect": 0}, "effect: must be finite and not 0, got 0"),
        ({"alpha": 5}, "alpha: must lie strictly between 0 and 1, got 5"),
        ({"baseline": 0}, "baseline: must lie strictly between 0 and 1 for proportions, got 0"),
        ({"baseline": None}, "baseline: .* got None"),
        ({"effect": 0.95}, "effect: must leave the challenger's proportion .* got 0.95 on a baseline of 0.1"),
        ({"sides": 3}, "sides: must be 1 or 2, got 3"),
        ({"ratio": 0}, "ratio: must be positive and finite, got 0"),
        ({"comparisons": 0}, "comparisons: must be at least 1, got 0"),
        ({"kind": "counts"}, "kind: must be proportions or means, got counts"),
        ({"kind": "means"}, "sd: must be positive and finite for means, got None"),
    ],
)
def test_a_wrong_design_is_refused_by_name(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        sample_size(**({"kind": "proportions", "baseline": 0.1, "effect": 0.01} | change))


def test_every_problem_is_named_at_once() -> None:
    with pytest.raises(InputError) as caught:
        sample_size("proportions", baseline=2, effect=0, alpha=0.1, power=0.1)
    assert [problem.path for problem in caught.value.problems] == ["baseline", "effect", "power"]


def test_too_few_outcomes_detect_nothing() -> None:
    with pytest.raises(InputError, match=r"n: too few to find any increase from 0\.9, got 20"):
        minimum_detectable_effect(20, "proportions", baseline=0.9)
    with pytest.raises(InputError, match="n: must be positive and finite, got 0"):
        power(0, "means", sd=1, effect=1)
    with pytest.raises(InputError, match="direction: must be increase or decrease, got up"):
        minimum_detectable_effect(9, "means", sd=1, direction="up")  # type: ignore[arg-type]
