"""Sequential tests of rates: their error at any number of looks, and how soon they see what is broken."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest

from sim.policy.base import Finding, Guardrail
from sim.policy.columns import Above, Column, Moment
from sim.policy.guardrails import LatencyQuantile, RateIncrease
from sim.policy.setting import Metric
from sim.testing.guardrail_contract import PATHS, GuardrailContract, Ticks, ever
from sim.testing.settings import ANSWERS, ERRORS, look_at, make_setting

U, P, F = Finding.UNDECIDED, Finding.PASS, Finding.FAIL


def events(rates: list[float], column: Column = ERRORS, weights: tuple[int, ...] = (500, 50), ticks: int = 100) -> Ticks:
    """Ticks of answers and the events among them; the level doubles and the challengers' weight is ramped half-way."""
    rng = np.random.default_rng(4)
    found: Ticks = []
    for tick in range(ticks):
        late = tick >= ticks // 2
        answers = np.array([weights[0], *[weights[1] * (5 if late else 1)] * (len(rates) - 1)])
        level = np.array(rates) * (2 if late else 1)
        found.append({ANSWERS: answers, column: rng.binomial(answers, level, (PATHS, len(rates)))})
    return found


class TestErrors(GuardrailContract):
    error: ClassVar[tuple[float, float]] = (0.005, 0.05)

    @pytest.fixture
    def part(self) -> Guardrail:
        return RateIncrease(alpha=0.05)

    def well(self, arms: int) -> Ticks:
        return events([0.02] * arms)

    def unwell(self) -> Ticks:
        return events([0.02, 0.04])


class TestErrorsWithTolerance(TestErrors):
    @pytest.fixture
    def part(self) -> Guardrail:
        return RateIncrease(alpha=0.05, tolerance=0.5)

    def well(self, arms: int) -> Ticks:
        return events([0.02, *[0.03] * (arms - 1)])


class TestLatency(TestErrors):
    @pytest.fixture
    def part(self) -> Guardrail:
        return LatencyQuantile(limit="250ms", alpha=0.05)

    def well(self, arms: int) -> Ticks:
        return events([0.01] * arms, Above(0.25))

    def unwell(self) -> Ticks:
        return events([0.01, 0.03], Above(0.25))


def test_a_broken_canary_is_stopped_within_a_few_ticks() -> None:
    """The error rate of scenarios/broken-canary.yaml: 6% for 0.1%, 60 requests a minute at a weight of 5%."""
    ticks = events([0.001, 0.06], weights=(1140, 60), ticks=10)
    found = np.stack(look_at(RateIncrease(), make_setting(), ticks))[:, :, 1] == F
    assert found[2].mean() > 0.99


def test_a_better_arm_is_left_alone() -> None:
    assert ever(RateIncrease(alpha=0.05), events([0.04, 0.02])) < 0.001


def test_it_says_nothing_before_there_are_answers_enough() -> None:
    tick = {ANSWERS: [50, 50], ERRORS: [0, 20]}
    found = look_at(RateIncrease(min_requests=100), make_setting(), [tick, tick])
    assert [int(each[0, 1]) for each in found] == [U, F]


def test_a_bad_outcome_is_a_rate_too() -> None:
    bounce = Metric("bounce", -1, True, 1.0, 0.3, 0.46)
    setting = replace(make_setting(), metrics={"bounce": bounce})
    part = RateIncrease(metric="bounce")
    assert part.problems(setting) == []
    assert (
        look_at(part, setting, [{Moment("bounce", "count"): [2000, 2000], Moment("bounce", "sum"): [600, 900]}])[0][0, 1] == F
    )


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("clicks", "no metric 'clicks'; there are error_rate, conversion, revenue, cost"),
        ("cost", "is not binary, and has no rate"),
        ("conversion", "improves by rising; non_inferior"),
    ],
)
def test_what_has_no_bad_rate_is_refused(metric: str, words: str) -> None:
    ((key, message),) = RateIncrease(metric=metric).problems(make_setting())
    assert key == "metric"
    assert words in message


@pytest.mark.parametrize("said", [{"alpha": 0}, {"tolerance": -0.1}, {"min_requests": 0}])
def test_settings_out_of_range_are_refused(said: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(said))):
        RateIncrease.model_validate(said)
