"""A metric that must not get worse: both errors at the margin, and how a pass waits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest

from sim.policy.base import Finding, Guardrail, Verdict
from sim.policy.columns import Moment
from sim.policy.guardrails import NonInferior
from sim.policy.machine import StagedPolicy
from tests.policy.guardrail_contract import PATHS, GuardrailContract, Ticks, ever
from tests.policy.paths import binary_ticks, gaussian_ticks, standard_error
from tests.policy.scripted import CONVERTED, KNOWN, TOLD, look_at, make_setting, make_stage, play

U, P, F = Finding.UNDECIDED, Finding.PASS, Finding.FAIL


class TestMean(GuardrailContract):
    """All is well up to the margin: 5% of 10 is a tenth of a standard deviation."""

    error: ClassVar[tuple[float, float]] = (0.005, 0.05)

    @pytest.fixture
    def part(self) -> Guardrail:
        return NonInferior(metric="revenue", margin="5%")

    def well(self, arms: int) -> Ticks:
        return list(gaussian_ticks(PATHS, [100] * 100, (-0.1,) * (arms - 1)))

    def unwell(self) -> Ticks:
        return list(gaussian_ticks(PATHS, [100] * 100, (-0.2,)))


class TestRate(TestMean):
    @pytest.fixture
    def part(self) -> Guardrail:
        return NonInferior(metric="conversion", margin="10%")

    def well(self, arms: int) -> Ticks:
        return list(binary_ticks(PATHS, [100] * 100, (-0.02,) * (arms - 1)))

    def unwell(self) -> Ticks:
        return list(binary_ticks(PATHS, [100] * 100, (-0.05,)))


def test_an_arm_at_the_margin_is_rarely_held() -> None:
    held = ever(NonInferior(metric="revenue", margin="5%"), list(gaussian_ticks(PATHS, [100] * 100, (-0.1,))), finding=P)
    assert 0.005 < held < 0.05 + 4 * standard_error(0.05, PATHS)


def test_an_arm_that_is_as_good_is_held_and_not_stopped() -> None:
    ticks = list(gaussian_ticks(PATHS, [100] * 100, (0.0,)))
    assert ever(NonInferior(metric="revenue", margin="5%"), ticks, finding=P) > 0.99
    assert ever(NonInferior(metric="revenue", margin="5%"), ticks) < 0.001


def test_a_metric_that_improves_by_falling() -> None:
    """Cost: 10% more is worse than a margin of 5%, 10% less is not."""
    for change, expected in ((1100, F), (900, P)):
        means = np.array([1000, change])
        tick = {
            Moment("cost", "count"): [5000] * 2,
            Moment("cost", "sum"): 5000 * means,
            Moment("cost", "square"): 5000 * (means**2 + 500**2),
        }
        assert look_at(NonInferior(metric="cost", margin="5%"), make_setting(), [tick])[0][0, 1] == expected


def test_what_was_shown_stays_shown() -> None:
    part, setting = NonInferior(metric="conversion", margin="10%"), make_setting()
    good = {KNOWN: [10_000, 10_000], CONVERTED: [2000, 2000]}
    dip = {KNOWN: [2000, 2000], CONVERTED: [500, 300]}
    both = {name: np.add(good[name], dip[name]) for name in good}
    assert look_at(part, setting, [both])[0][0, 1] == U
    assert [int(each[0, 1]) for each in look_at(part, setting, [good, dip])] == [P, P]


def guarded(**said: Any) -> StagedPolicy:
    return StagedPolicy([make_stage(checks=(NonInferior(metric="conversion", margin="10%"),), **said)])


GOOD = {KNOWN: [1000, 1000], CONVERTED: [200, 202]}
BAD = {KNOWN: [1000, 1000], CONVERTED: [200, 120]}


def test_a_pass_waits_until_it_is_shown_and_the_evidence_is_not_asked_again() -> None:
    policy = guarded()
    routings = play(policy, make_setting(), [{TOLD: "P", **GOOD}, *[{TOLD: "F", **GOOD}] * 11])
    assert policy.verdicts.verdict[0] == Verdict.SHIP
    assert 2 < policy.verdicts.decided_tick[0] < 12
    assert policy.verdicts.significant_tick[0] == 1
    assert routings[1].rows.size == 1


def test_a_pass_that_waits_can_still_be_stopped() -> None:
    policy = guarded()
    play(policy, make_setting(), [{TOLD: "P", **GOOD}, {TOLD: ".", **BAD}, {TOLD: ".", **BAD}])
    assert policy.verdicts.verdict[0] == Verdict.KEEP


def test_a_pass_that_waits_too_long_is_inconclusive() -> None:
    policy = guarded(max_ticks=2)
    play(policy, make_setting(), [{TOLD: "P", **GOOD}, {TOLD: ".", **GOOD}])
    assert policy.verdicts.verdict[0] == Verdict.INCONCLUSIVE
    assert policy.verdicts.decided_tick[0] == 2


def test_a_null_does_not_wait() -> None:
    policy = guarded()
    play(policy, make_setting(), [{TOLD: "N", **GOOD}])
    assert policy.verdicts.verdict[0] == Verdict.KEEP


def test_what_cannot_be_guarded_is_refused() -> None:
    setting = make_setting()
    ((key, message),) = NonInferior(metric="error_rate", margin="5%").problems(setting)
    assert (key, message) == ("metric", "no outcome metric 'error_rate'; there are conversion, revenue, cost")
    nothing = replace(setting, metrics={"revenue": replace(setting.metrics["revenue"], nominal_mean=0.0)})
    ((key, message),) = NonInferior(metric="revenue", margin="5%").problems(nothing)
    assert key == "margin"
    assert "registered mean of revenue is 0" in message
