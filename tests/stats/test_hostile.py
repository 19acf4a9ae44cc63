"""Arguments that no test, interval or bound can use: refused by an error that names the argument, its value and the rule."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from sim.errors import InputError
from sim.stats import (
    bandits,
    bayes_factor,
    betting,
    contrast,
    exaggeration,
    expected_loss,
    group_sequential,
    hypotheses,
    intervals,
    margin,
    peeking,
    posterior,
    power,
    rates,
    reliability,
    rope,
    sequential,
    sprt,
    srm,
    stratify,
    survival,
    two_sample_betting,
    winsor,
)
from sim.stats.moments import Estimates
from sim.stats.two_sample import two_sample

RESULT = two_sample("welch", 10, 5, 5, 10, 6, 6)
CURVE = survival.cumulative_incidence([1.0, 2.0], ["ship", "keep"], 5.0).overall


def estimates(estimate: float, standard_error: float) -> Estimates:
    return Estimates(np.array(estimate), np.array(standard_error))


def size(**changed: object) -> float:
    return power.sample_size("means", **{"sd": 1.0, "effect": 0.1} | changed)  # type: ignore[arg-type]


CALLS: list[tuple[Callable[[], object], str]] = [
    (lambda: two_sample("welch", 10, math.nan, 5, 10, 6, 6), "sum0: must be finite, got nan"),
    (lambda: two_sample("welch", 10, 5, 5, 10, math.inf, 6), "sum1: must be finite, got inf"),
    (lambda: two_sample("welch", math.inf, 5, 5, 10, 6, 6), "n0: must be finite and not negative, got inf"),
    (lambda: two_sample("welch", 10, 5, 5, 10, 100, 1), r"square1: must be at least sum1² / n1 \(1000\), got 1"),
    (lambda: two_sample("z_pooled", 10, 20, 20, 10, 5, 5), r"square0: must be at least sum0² / n0 \(40\), got 20"),
    (lambda: two_sample("welch", [10, 10], 5, 5, [10] * 3, 6, 6), r"n1: must broadcast with \(2,\), the shape of n0, got"),
    (lambda: two_sample("welch", 10, 5, 5, 10, 6, 6, "bigger"), "alternative: must be one of .*, got bigger"),  # type: ignore[arg-type]
    (lambda: contrast.z_test(estimates(0, 1), estimates(1, 1), alternative="bigger"), "alternative: .* got bigger"),  # type: ignore[arg-type]
    (lambda: contrast.z_test(estimates(math.nan, 1), estimates(1, 1)), "champion.estimate: must be finite, got nan"),
    (lambda: contrast.z_test(estimates(0, 1), estimates(1, -1)), "challenger.standard_error: must not be negative .* got -1"),
    (lambda: contrast.z_test(estimates(0, 1), estimates(1, 1), math.nan), "covariance: must be finite, got nan"),
    (lambda: hypotheses.against(RESULT, 0, "bigger"), "alternative: must be one of .*, got bigger"),  # type: ignore[arg-type]
    (lambda: hypotheses.against(RESULT, math.nan), "null: must be finite, got nan"),
    (lambda: margin.above_margin(10, math.nan, 1, 10, 1, 1, margin=0.1), "sum0: must be finite, got nan"),
    (lambda: margin.above_margin(10, 100, 1, 10, 1, 1, margin=0.1), "square0: must be at least sum0² / n0"),
    (lambda: stratify.difference([10], [100], [1], [10], [1], [1]), "square0: must be at least sum0² / n0"),
    (lambda: intervals.student_interval(0, 1, 1), "n: must be at least 2, got 1"),
    (lambda: intervals.student_interval(0, 1, 9, confidence=2), "confidence: must lie strictly between 0 and 1, got 2"),
    (lambda: intervals.student_interval(0, math.nan, 9), "standard_error: must be finite and not negative, got nan"),
    (lambda: CURVE.at(np.array([-1.0])), "grid: must not begin before the curve .0., got -1"),
    (lambda: reliability.budget_spent(math.nan, 1, 1), "burn_rate: must be finite and not negative, got nan"),
    (lambda: reliability.budget_spent(-1, 1, 1), "burn_rate: must be finite and not negative, got -1"),
    (lambda: reliability.aborts(-2, 5, 0.1), "failures: must not be negative, got -2"),
    (lambda: reliability.aborts(1, -5, 0.1), "checks: must not be negative, got -5"),
    (lambda: betting.bernstein_step(10, 20, 20, 100, 10, 10), "seen_total: must not exceed seen_n .10.0., .* got 20"),
    (lambda: betting.wealth_step(10, 5, 1, 100, 10, 10, mean=0.5), "seen_square: must lie between seen_total²/seen_n"),
    (lambda: betting.bernstein_step([1] * 2, 0, 0, [1] * 3, [1] * 2, 1), r"total: must broadcast with \(3,\), the shape of n"),
    (lambda: two_sample_betting.capital_step([1] * 2, [1] * 3, 0, 0, 0, 0, 0, 0), "seen_total0: must broadcast with"),
    (lambda: posterior.probability_best_normal([0.0, 1.0], [1.0, 1.0]), r"mean: must be \(r, K\), got shape \(2,\)"),
    (lambda: posterior.probability_best_normal([[0.0, 1.0]], [[1.0]]), r"sd: must be \(r, K\), like \(1, 2\), got \(1, 1\)"),
    (lambda: posterior.probability_exceeds_normal([0.0] * 2, 1, [0.0] * 3, 1), "mean1: must broadcast with"),
    (lambda: posterior.probability_exceeds_beta([1.0] * 2, 1, [1.0] * 3, 1), "alpha1: must broadcast with"),
    (lambda: expected_loss.expected_loss_beta([1.0], [1.0]), r"alpha: must be \(r, K\), got shape \(1,\)"),
    (lambda: peeking.false_positive_rate(True), "looks: must be a whole number, 1 to 1000, got True"),
    (lambda: group_sequential.design("pocock", 2.5), "looks: .* got 2.5"),  # type: ignore[arg-type]
    (lambda: power.minimum_detectable_effect(100, "means", sd=1, sides=None), "sides: must be 1 or 2, got None"),  # type: ignore[arg-type]
    (lambda: size(comparisons=1.5, correction="dunnett"), "comparisons: must be a whole number of at least 1, got 1.5"),
    (lambda: size(comparisons=1.5), "comparisons: must be a whole number of at least 1, got 1.5"),
    (lambda: size(effect=1e-200), "effect: must be larger: its sample exceeds .* got 1e-200"),
    (lambda: size(effect=0, margin=1e-200, hypothesis="equivalence"), "margin: must be larger: .* got 1e-200"),
    (lambda: size(comparisons=2, correction="dunnett", alpha=1e-14), "alpha: must be at least 1e-12 .* got 1e-14"),
    (lambda: srm.test([[1, 2]] * 3, [[0.5, 0.5]] * 2), "shares: must broadcast with"),
    (lambda: rates.log_ratios([1] * 2, 10, [1] * 3, 10), "events1: must broadcast with"),
    (lambda: bandits.kl_bernoulli([0.1] * 2, [0.1] * 3), "q: must broadcast with"),
    (lambda: winsor.winsorise([[1.0, 2.0]] * 3, [0.0] * 2), "low: must broadcast with"),
    (lambda: sequential.mixture_sprt([0.0] * 2, [1.0] * 3, mixing_sd=1), "standard_error: must broadcast with"),
    (lambda: sequential.confidence_sequence([0.0] * 2, 1, mixing_sd=[1.0] * 3), "mixing_sd: must broadcast with"),
    (lambda: sprt.log_ratio_normal([0.0] * 2, [1.0] * 3, effect=1), "standard_error: must broadcast with"),
    (lambda: rope.masses([0.0] * 2, [1.0] * 3, width=1), "standard_error: must broadcast with"),
    (lambda: exaggeration.exaggeration([1.0] * 2, [1.0] * 3), "standard_error: must broadcast with"),
    (lambda: bayes_factor.log_bayes_factor([1.0] * 2, [1.0] * 3, scale=1, prior="cauchy"), "standard_error: must broadcast"),
]


@pytest.mark.parametrize(("call", "message"), CALLS)
def test_an_argument_that_cannot_be_used_is_named_with_its_value_and_the_rule(call: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        call()


def test_far_more_evidence_than_a_float_squares_is_still_evidence() -> None:
    found = bayes_factor.log_bayes_factor([1e200, 0.0], [1e-200, 1e-200], scale=1, prior="cauchy")
    assert np.isfinite(found).all()
    assert found[0] > 1e100
    assert found[1] < 0
