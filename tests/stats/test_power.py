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
from sim.stats.two_sample import two_sample


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
        ({"comparisons": 0}, "comparisons: must be a whole number of at least 1, got 0"),
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


@pytest.mark.parametrize("scale", ["absolute", "relative"])
@pytest.mark.parametrize(
    "goal", [{"hypothesis": "non_inferiority"}, {"hypothesis": "equivalence"}, {"hypothesis": "non_inferiority", "sides": 2}]
)
@pytest.mark.parametrize("effect", [0.0, 0.004, -0.004])
def test_margins_have_sizes_and_powers_that_are_inverses(scale: Any, goal: dict[str, Any], effect: float) -> None:
    said = {"baseline": 0.2, "scale": scale, "margin": 0.01, "effect": effect, **goal}
    n = sample_size("proportions", power=0.85, **said)
    assert power(n, "proportions", **said) == pytest.approx(0.85)
    turned = {"direction": "decrease", "effect": -effect}
    if scale == "absolute" and effect == 0:
        assert sample_size("proportions", power=0.85, **(said | turned)) == pytest.approx(n)
    means = {key: value for key, value in said.items() if key != "baseline"} | {"sd": 0.4, "baseline": 0.2}
    assert power(sample_size("means", power=0.85, **means), "means", **means) == pytest.approx(0.85)


def test_sizes_of_margins_against_closed_forms() -> None:
    """Chow, Shao, Wang & Lokhnygina (2018), 3.2.1: (z.95 + z.80)² and, for equivalence of equal means, (z.95 + z.90)²."""
    found = [sample_size("means", sd=1, margin=0.5, hypothesis=each) for each in ("non_inferiority", "equivalence")]
    assert found == pytest.approx([2 * (1.644854 + 0.841621) ** 2 / 0.25, 2 * (1.644854 + 1.281552) ** 2 / 0.25], rel=1e-5)
    assert sample_size("means", sd=1, margin=0.5, hypothesis="non_inferiority", sides=2) == pytest.approx(
        sample_size("means", sd=1, effect=0.5)
    )
    assert power(5, "means", sd=1, margin=0.1, hypothesis="equivalence") == 0


def test_relative_effects_need_the_champions_own_error_too() -> None:
    """Of 10% more: 1.1² for the champion's part; without a mean there is no such effect."""
    absolute = sample_size("means", sd=5, effect=1.0)
    assert sample_size("means", sd=5, baseline=10, effect=0.1, scale="relative") == pytest.approx(absolute * (1.21 + 1) / 2)
    assert sample_size("means", sd=5, baseline=-10, effect=-0.1, scale="relative") == pytest.approx(absolute * (1.21 + 1) / 2)
    with pytest.raises(InputError, match="baseline: must be finite and not 0 on the relative scale, got 0"):
        sample_size("means", sd=5, baseline=0, effect=0.1, scale="relative")


def test_dunnett_needs_less_than_bonferroni() -> None:
    sizes = [sample_size("means", sd=1, effect=1, comparisons=3, correction=each) for each in ("dunnett", "bonferroni")]
    assert sizes[0] < sizes[1]
    assert sizes[0] == pytest.approx(2 * (2.3490 + 0.841621) ** 2, rel=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hypothesis": "equivalence"}, "margin: must be positive and finite for equivalence, got None"),
        ({"hypothesis": "non_inferiority", "margin": -0.01}, "margin: must be positive .* got -0.01"),
        (
            {"hypothesis": "non_inferiority", "margin": 0.01, "effect": -0.02},
            r"effect: must be nearer to 0 than the margin \(0.01\)",
        ),
        ({"hypothesis": "equivalence", "margin": 0.01, "effect": 0.01}, "effect: must be nearer .* got 0.01"),
        ({"effect": 0.01, "margin": 0.01}, "margin: must be given for non_inferiority and equivalence only, got 0.01"),
        ({"hypothesis": "better"}, "hypothesis: must be one of"),
        ({"effect": 0.01, "correction": "holm"}, "correction: must be bonferroni or dunnett, got holm"),
        ({"effect": 0.01, "scale": "log"}, "scale: must be absolute or relative, got log"),
        ({"effect": 0.01, "direction": "up"}, "direction: must be increase or decrease, got up"),
    ],
)
def test_a_wrong_goal_is_refused_by_name(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        sample_size("proportions", baseline=0.1, **change)
