"""One decision from several metrics: its errors, its power, and what stands in its way."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest

from sim.arrays import Ints
from sim.policy.base import Evidence, Finding
from sim.policy.columns import Column, Moment
from sim.policy.evidence import Decision
from sim.policy.setting import Setting
from sim.stats.power import sample_size
from sim.testing.contract import EvidenceContract, view_of
from sim.testing.paths import binary_ticks, first_findings, gaussian_ticks, standard_error
from sim.testing.settings import CONVERTED, KNOWN, look_at, make_setting

ROWS = 20_000
PLAN: dict[str, Any] = {
    "success": [{"metric": "revenue", "mde": "5%"}],
    "guardrails": [{"metric": "conversion", "margin": "20%"}],
}


def both(rows: int, count: int, revenue: float, conversion: float, looks: int = 1) -> list[dict[Column, Ints]]:
    """Ticks of one challenger: its effect on revenue in standard deviations, on conversion as a difference of rates."""
    pairs = zip(
        gaussian_ticks(rows, [count] * looks, (revenue,)), binary_ticks(rows, [count] * looks, (conversion,)), strict=True
    )
    return [first | second for first, second in pairs]


class TestContract(EvidenceContract):
    symmetric: ClassVar[bool] = False
    wrong: ClassVar[tuple[Finding, ...]] = (Finding.PASS,)
    error: ClassVar[tuple[float, float]] = (0.0, 0.025)
    # 1,000 outcomes: the guardrail is what holds it back, with a power of 72% at a margin of 20% of .2.
    power: ClassVar[tuple[float, float]] = (0.6, 0.8)

    @pytest.fixture
    def part(self) -> Evidence:
        return Decision.model_validate(
            {"success": [{"metric": "revenue"}], "guardrails": [{"metric": "conversion", "margin": "20%"}], "sample": 1000}
        )

    def paths(self, rows: int, effects: tuple[float, ...]) -> list[dict[Column, Ints]]:
        pairs = zip(gaussian_ticks(rows, [125] * 8, effects), binary_ticks(rows, [125] * 8, (0.0,) * len(effects)), strict=True)
        return [first | second for first, second in pairs]


def shares(part: Decision, revenue: float, conversion: float) -> dict[Finding, float]:
    setting = make_setting(primary="revenue")
    found, _ = first_findings(part, both(ROWS, part.planned_sample(setting), revenue, conversion))
    return {finding: float((found == finding).mean()) for finding in Finding}


def test_it_ships_with_the_planned_power_and_no_more_than_it_must() -> None:
    """Revenue is better by `mde`, a tenth of its standard deviation, and conversion as it was: both need about as much."""
    passed = shares(Decision.model_validate(PLAN), 0.1, 0.0)[Finding.PASS]
    assert 0.8 - 4 * standard_error(0.8, ROWS) < passed < 0.92


def guarded(rate: float, margin: str) -> tuple[Decision, Setting]:
    """A decision whose sample the guardrail needs, a binary metric that is registered at `rate`."""
    setting = make_setting(primary="revenue")
    conversion = replace(setting.metrics["conversion"], nominal_mean=rate, nominal_sd=math.sqrt(rate * (1 - rate)))
    plan = {"success": [{"metric": "revenue", "mde": "50%"}], "guardrails": [{"metric": "conversion", "margin": margin}]}
    return Decision.model_validate(plan), replace(setting, metrics={**setting.metrics, "conversion": conversion})


def test_a_guardrail_near_100_percent_leaves_the_planned_power() -> None:
    """It is sized for a challenger that is as good as the champion, not for one that is better by the margin."""
    part, setting = guarded(0.9, "10%")
    sample = part.planned_sample(setting)
    ticks = gaussian_ticks(ROWS, [sample], (1.0,)), binary_ticks(ROWS, [sample], (0.0,), rate=0.9)
    found = look_at(part, setting, [ticks[0][0] | ticks[1][0]])[0][:, 1]
    assert (found == Finding.PASS).mean() > 0.8 - 4 * standard_error(0.8, ROWS)


def test_a_margin_may_be_wider_than_the_room_above_the_champion() -> None:
    part, setting = guarded(0.95, "10%")
    assert part.problems(setting) == []
    assert part.planned_sample(setting) > 0


@pytest.mark.parametrize("sample", [None, 1000])
def test_a_relative_margin_of_a_mean_of_0_is_refused(sample: int | None) -> None:
    part, setting = guarded(0.0, "10%")
    success = ({"metric": "revenue", "mde": None if sample else "50%"},)
    part = Decision.model_validate({**part.model_dump(), "success": success, "sample": sample})
    ((key, message),) = part.problems(setting)
    assert key == "guardrails[0].margin"
    assert message == "is relative, and the champion's registered mean of conversion is 0"


@pytest.mark.parametrize(
    ("revenue", "conversion"), [(0.0, 0.0), (0.2, -0.04), (0.0, 0.04)], ids=["nothing", "at the margin", "only the guardrail"]
)
def test_it_rarely_ships_what_should_not_be(revenue: float, conversion: float) -> None:
    passed = shares(Decision.model_validate(PLAN), revenue, conversion)[Finding.PASS]
    assert passed < 0.025 + 4 * standard_error(0.025, ROWS)


def test_it_rarely_fails_what_is_no_worse() -> None:
    failed = shares(Decision.model_validate(PLAN), 0.0, -0.04)[Finding.FAIL]
    assert failed < 0.025 + 4 * standard_error(0.025, ROWS)
    assert shares(Decision.model_validate(PLAN), -0.3, 0.0)[Finding.FAIL] > 0.95


def test_alpha_is_divided_among_the_success_metrics_and_not_among_the_guardrails() -> None:
    setting = make_setting(primary="revenue")
    power = 1 - (0.2 - 0.025) / 3
    part = Decision.model_validate(
        {
            "success": [{"metric": "revenue", "mde": "5%"}, {"metric": "cost", "mde": "50%"}],
            "guardrails": [{"metric": "conversion", "margin": "50%"}, {"metric": "cost", "margin": "50%"}],
        }
    )
    assert part.test_power == pytest.approx(power)
    expected = sample_size("means", sd=5.0, effect=0.5, alpha=0.025 / 2, sides=1, power=power)
    assert part.planned_sample(setting) == math.ceil(expected)
    part = Decision.model_validate({"success": [{"metric": "revenue", "mde": "50%"}], "guardrails": PLAN["guardrails"]})
    goal: dict[str, Any] = {"hypothesis": "non_inferiority", "margin": 0.04}
    expected = sample_size("proportions", baseline=0.2, alpha=0.025 / 3, power=1 - 0.175 / 2, **goal)
    assert part.planned_sample(make_setting(4, primary="revenue")) == math.ceil(expected)


def judge(part: Decision, revenue: tuple[int, int], conversion: tuple[int, int], count: int = 1000) -> int:
    setting = make_setting(primary="revenue")
    columns = {
        Moment("revenue", "count"): (count, count),
        Moment("revenue", "sum"): [count * each for each in revenue],
        Moment("revenue", "square"): [count * (each**2 + 500**2) for each in revenue],
        KNOWN: (1000, 1000),
        CONVERTED: conversion,
    }
    total = np.array([[columns[name] for name in part.needs(setting)]]).swapaxes(1, 2)
    return int(part.judge(view_of(part, setting, total, np.ones((1, 2), bool)))[0, 1])


@pytest.mark.parametrize(
    ("revenue", "conversion", "finding"),
    [
        ((1000, 1100), (200, 200), Finding.PASS),
        ((1000, 1100), (200, 180), Finding.NULL),  # not shown to be within the margin
        ((1000, 1000), (200, 220), Finding.NULL),  # nothing improved
        ((1000, 900), (200, 200), Finding.FAIL),
        ((1000, 1100), (200, 100), Finding.FAIL),
    ],
)
def test_the_rule(revenue: tuple[int, int], conversion: tuple[int, int], finding: Finding) -> None:
    part = Decision.model_validate(
        {"success": [{"metric": "revenue"}], "guardrails": [{"metric": "conversion", "margin": "20%"}], "sample": 1000}
    )
    assert judge(part, revenue, conversion) == finding
    assert judge(part, revenue, conversion, count=999) == Finding.UNDECIDED


@pytest.mark.parametrize(
    ("said", "key", "words"),
    [
        ({"success": [{"metric": "revenue"}]}, "success[0].mde", "is required"),
        ({"success": [{"metric": "revenue", "mde": "1%"}], "sample": 100}, "success[0].mde", "give one, got 0.01 and 100"),
        (
            {"success": [{"metric": "clicks", "mde": "1%"}]},
            "success[0].metric",
            "no metric 'clicks'; there are conversion, revenue",
        ),
        ({"success": [{"metric": "cost", "mde": "1%"}]}, "success", "must name the primary metric 'revenue'"),
        ({**PLAN, "guardrails": [*PLAN["guardrails"]] * 2}, "guardrails[1].metric", "'conversion' stands there twice"),
        ({**PLAN, "power": "98%"}, "power", "must leave more than alpha to miss, got power 0.98 and alpha 0.025"),
        ({**PLAN, "power": "2%"}, "power", "must exceed alpha, got power 0.02 and alpha 0.025"),
        (PLAN, None, ""),
    ],
)
def test_what_cannot_be_planned_is_refused(said: dict[str, Any], key: str | None, words: str) -> None:
    found = Decision.model_validate(said).problems(make_setting(primary="revenue"))
    assert [each for each, _ in found][:1] == ([key] if key else [])
    assert all(words in message for _, message in found[:1])


def test_a_metric_that_leaves_no_plan_is_refused() -> None:
    setting = make_setting(primary="revenue")
    for change, words in (({"nominal_mean": 0.0}, "is 0"), ({"nominal_sd": 0.0}, "never varies")):
        changed = replace(setting.metrics["revenue"], **change)
        ((key, message),) = Decision.model_validate(PLAN).problems(
            replace(setting, metrics={**setting.metrics, "revenue": changed})
        )
        assert key == "success[0].mde"
        assert words in message
    wide = {**PLAN, "guardrails": [{"metric": "conversion", "margin": "99%"}]}
    assert Decision.model_validate(wide).problems(setting) == []
