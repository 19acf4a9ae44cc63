"""Sample-ratio mismatch: found where the router is at fault, rarely elsewhere, and the end of every hope to ship."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
from pydantic import ValidationError

from sim.engine.catalogue import make
from sim.policy.allocation import Fixed, Thompson
from sim.policy.base import Finding, Guardrail, Verdict
from sim.policy.columns import Count
from sim.policy.evidence import FixedHorizon
from sim.policy.forms import AB, build, declared_problems
from sim.policy.guardrails import SampleRatio
from sim.policy.machine import StagedPolicy
from sim.policy.stages import Stage
from sim.run import trial
from tests.policy.guardrail_contract import PATHS, GuardrailContract, Ticks, ever
from tests.policy.paths import standard_error
from tests.policy.scripted import TOLD, look_at, make_setting, make_stage, play
from tests.worlds import make_scenario, make_world

U, P, I = Finding.UNDECIDED, Finding.PASS, Finding.INCONCLUSIVE  # noqa: E741


def split(weights: list[float], ticks: int = 100, requests: int = 2000, rows: int = PATHS, seed: int = 3) -> Ticks:
    """Ticks of requests that are routed by weights; a twentieth of them is tried again."""
    rng = np.random.default_rng(seed)
    found: Ticks = []
    for _ in range(ticks):
        first = rng.multinomial(requests, weights, rows)
        again = rng.binomial(first, 0.05)
        found.append({Count("requests"): first + again, Count("retries"): again})
    return found


class TestSequential(GuardrailContract):
    trips: ClassVar[Finding] = I
    error: ClassVar[tuple[float, float]] = (0.005, 0.05)

    @pytest.fixture
    def part(self) -> Guardrail:
        return SampleRatio(alpha=0.05, min_requests=1)

    def well(self, arms: int) -> Ticks:
        return split([1 / arms] * arms)

    def unwell(self) -> Ticks:
        return split([0.51, 0.49])


class TestFixed(TestSequential):
    error: ClassVar[tuple[float, float]] = (0.04, 0.05)

    @pytest.fixture
    def part(self) -> Guardrail:
        return SampleRatio(alpha=0.05, looks=("1h", "10h"), min_requests=1)


def test_unequal_weights_are_what_is_meant() -> None:
    part = SampleRatio(alpha=0.05, split=("80%", "15%", "5%"))
    assert ever(part, split([0.8, 0.15, 0.05]), 3, I) < 0.05
    assert ever(SampleRatio(alpha=0.05), split([0.8, 0.15, 0.05], ticks=2), 3, I) == 1


def test_retries_are_no_traffic_of_their_own() -> None:
    """An arm that fails is tried again on the same arm."""
    tick = {Count("requests"): [10_000, 12_000], Count("retries"): [100, 2100]}
    assert look_at(SampleRatio(), make_setting(), [tick])[0][0, 1] == P


@pytest.mark.parametrize(("misrouted", "least", "most"), [("0%", 0.0, 0.05), ("10%", 0.99, 1.0)])
def test_of_users_who_keep_their_arm_it_counts_users(misrouted: str, least: float, most: float) -> None:
    """Eight requests a user, some with many more: of tests that count requests, 59% find a mismatch where there is none."""
    rows, check = 300, {"kind": "sample_ratio", "alpha": "5%", "looks": ["30m", "150m"]}
    evidence = {"kind": "survive", "duration": "160m"}
    scenario = make_scenario(
        horizon="3h", traffic={"rate": "90/m"}, users={"count": 2000, "activity": {"lognormal": 1.0}},
        router={"misrouted": {"challenger": misrouted}},
        policies=[{"name": "ab", "kind": "ab", "evidence": evidence, "checks": [check]}],
    )  # fmt: skip
    truth = make_world(scenario).realise(np.arange(rows))
    verdicts = trial.play(truth, build(scenario.policies[0], {}, scenario.arms), make("compiled"), 4).columns["verdict"]
    found = float((verdicts == Verdict.INCONCLUSIVE).mean())
    assert least <= found < most + 4 * standard_error(most, rows) + 1e-9


def test_users_who_keep_their_arm_leave_none_of_several_challengers() -> None:
    assert SampleRatio().problems(replace(make_setting(), sticky=True)) == []
    ((key, message),) = SampleRatio().problems(replace(make_setting(3), sticky=True))
    assert key == "kind"
    assert message.endswith("needs a single challenger there, got 2")


def test_one_arm_at_fault_makes_all_doubtful() -> None:
    tick = {Count("requests"): [10_000, 10_000, 9_000], Count("retries"): [0, 0, 0]}
    assert look_at(SampleRatio(), make_setting(3), [tick])[0][0, 1:].tolist() == [I, I]


def test_nothing_passes_before_the_first_look() -> None:
    tick = {Count("requests"): [1000, 1000], Count("retries"): [0, 0]}
    found = look_at(SampleRatio(looks=("20m", "40m")), make_setting(), [tick] * 5)
    assert [int(each[0, 1]) for each in found] == [U, P, P, P, P]


def chain(check: SampleRatio, weights: tuple[float, float] = (0.5, 0.5), **said: Any) -> StagedPolicy:
    return StagedPolicy([make_stage(checks=(check,), allocation=Fixed(weights=weights), **said)])


def test_an_invalid_test_is_inconclusive_whatever_the_evidence_says() -> None:
    policy, setting = chain(SampleRatio()), make_setting()
    play(policy, setting, [{TOLD: "P", Count("requests"): [10_000, 9_000]}])
    assert policy.verdicts.verdict[0] == Verdict.INCONCLUSIVE
    policy = chain(SampleRatio())
    play(policy, setting, [{TOLD: "P", Count("requests"): [10_000, 10_000]}])
    assert policy.verdicts.verdict[0] == Verdict.SHIP


def test_the_weights_of_the_stage_are_what_is_meant() -> None:
    policy = chain(SampleRatio(), (0.9, 0.1))
    play(policy, make_setting(), [{TOLD: "P", Count("requests"): [9_000, 1_000]}])
    assert policy.verdicts.verdict[0] == Verdict.SHIP


def test_an_arm_that_passed_before_is_taken_back() -> None:
    policy, setting = StagedPolicy([make_stage(checks=(SampleRatio(),))]), make_setting(3)
    play(
        policy, setting, [{TOLD: "P.", Count("requests"): [100] * 3}, {TOLD: "..", Count("requests"): [10_000, 9_000, 10_000]}]
    )
    assert policy.verdicts.verdict[0] == Verdict.INCONCLUSIVE


def test_a_pass_waits_for_the_first_look() -> None:
    policy, setting = chain(SampleRatio(looks=("30m",))), make_setting()
    even = {Count("requests"): [1000, 1000]}
    routings = play(policy, setting, [{TOLD: "P", **even}, {TOLD: "F", **even}, {TOLD: ".", **even}])
    assert [routing.rows.size for routing in routings] == [1, 1, 1, 0]
    assert policy.verdicts.verdict[0] == Verdict.SHIP
    assert policy.verdicts.significant_tick[0] == 1
    assert policy.verdicts.decided_tick[0] == 3


def of_ab(**said: Any) -> list[tuple[str, str]]:
    form = AB.model_validate({"name": "ab", "evidence": {"kind": "fixed_horizon", "sample": 100}, **said})
    return declared_problems(form, {}, make_setting())


@pytest.mark.parametrize(
    ("said", "key", "words"),
    [
        ({"checks": [{"kind": "sample_ratio"}], "split": ["100%", "0%"]}, "checks[0].split", "got 0 for a"),
        ({"checks": [{"kind": "sample_ratio", "split": ["50%", "30%"]}]}, "checks[0].split", "must sum to 100%, got 0.8"),
        ({"checks": [{"kind": "sample_ratio", "split": ["100%"]}]}, "checks[0].split", "each of the 2 arms, got 1"),
        ({"checks": [{"kind": "sample_ratio", "looks": ["15m"]}]}, "checks[0].looks[0]", "must be a whole number of ticks"),
        ({"checks": [{"kind": "sample_ratio", "looks": ["1h", "1h"]}]}, "checks[0].looks[1]", "1h stands there twice"),
        ({"checks": [{"kind": "sample_ratio", "looks": ["2h"]}], "max_duration": "1h"}, "checks[0].looks", "would never look"),
        ({"checks": [{"kind": "sample_ratio"}], "on": {"inconclusive": "ship"}}, "on.inconclusive", "must not be 'ship'"),
        ({"checks": [{"kind": "sample_ratio"}], "on": {"inconclusive": "next"}}, "on.inconclusive", "must not be 'next'"),
        ({"checks": [{"kind": "sample_ratio"}], "on": {"inconclusive": "keep"}}, None, ""),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(said: dict[str, Any], key: str | None, words: str) -> None:
    found = of_ab(**said)
    assert [each for each, _ in found] == ([key] if key else [])
    assert all(words in message for _, message in found)


def test_weights_that_change_are_refused() -> None:
    stage = Stage(allocation=Thompson(), evidence=FixedHorizon(sample=100), checks=(SampleRatio(),))
    ((key, message),) = stage.problems(make_setting())
    assert key == "checks[0].kind"
    assert "allocation fixed, got thompson" in message


def test_a_concentration_beyond_what_floats_carry_is_refused() -> None:
    with pytest.raises(ValidationError, match="concentration"):
        SampleRatio(concentration=1e16)
