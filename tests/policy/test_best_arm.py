"""Naming the best arm: which, when, and how often wrongly."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np
import pytest

from sim.arrays import Ints
from sim.policy.base import Evidence, Finding
from sim.policy.columns import Column
from sim.policy.evidence import BestArm
from tests.policy.contract import EvidenceContract, view_of
from tests.policy.paths import binary_ticks, declared, first_findings, standard_error
from tests.policy.scripted import METRICS, make_setting

Method = Literal["likelihood_ratio", "kl_bounds"]
METHODS = pytest.mark.parametrize("method", ["likelihood_ratio", "kl_bounds"])


class Names(EvidenceContract):
    primary: ClassVar[str] = "conversion"
    effect: ClassVar[float] = 0.08
    error: ClassVar[tuple[float, float]] = (0.0, 0.05)

    def paths(self, rows: int, effects: tuple[float, ...]) -> list[dict[Column, Ints]]:
        return binary_ticks(rows, [125] * 16, effects)


class TestRatio(Names):
    @pytest.fixture
    def part(self) -> Evidence:
        return BestArm()


class TestBounds(Names):
    @pytest.fixture
    def part(self) -> Evidence:
        return BestArm(method="kl_bounds")


class TestProvenRatio(Names):
    @pytest.fixture
    def part(self) -> Evidence:
        return BestArm(bound="proven")


class TestProvenBounds(Names):
    effect: ClassVar[float] = 0.16

    @pytest.fixture
    def part(self) -> Evidence:
        return BestArm(method="kl_bounds", bound="proven")


def judge(part: BestArm, *conversions: int, trials: int = 1000, primary: str = "conversion") -> list[int]:
    total = np.array([[[trials, count] for count in conversions]])
    arms = len(conversions)
    setting = make_setting(arms)
    if primary == "churn":
        churn = replace(METRICS["conversion"], name="churn", sign=-1)
        setting = replace(setting, primary="churn", metrics={"churn": churn})
    return part.judge(view_of(part, setting, total, np.ones((1, arms), bool)))[0, 1:].tolist()


@METHODS
def test_the_best_passes_and_the_others_end_with_nothing_declared(method: Method) -> None:
    assert judge(BestArm(method=method), 200, 320, 200) == [Finding.PASS, Finding.NULL]
    assert judge(BestArm(method=method), 200, 320, 320) == [Finding.UNDECIDED, Finding.UNDECIDED]


@METHODS
def test_every_challenger_fails_where_the_champion_is_best(method: Method) -> None:
    assert judge(BestArm(method=method), 320, 200, 200) == [Finding.FAIL, Finding.FAIL]


@METHODS
def test_one_that_is_as_good_keeps_the_others_waiting(method: Method) -> None:
    assert judge(BestArm(method=method), 320, 315, 100) == [Finding.UNDECIDED, Finding.UNDECIDED]


@METHODS
def test_less_is_better_where_the_metric_says_so(method: Method) -> None:
    assert judge(BestArm(method=method), 320, 200, primary="churn") == [Finding.PASS]


@METHODS
def test_a_removed_arm_is_not_compared(method: Method) -> None:
    part, setting = BestArm(method=method), make_setting(3)
    total = np.array([[[1000, 200], [1000, 320], [10, 5]]])
    assert not part.judge(view_of(part, setting, total, np.ones((1, 3), bool))).any()
    assert part.judge(view_of(part, setting, total, np.array([[True, True, False]])))[0, 1] == Finding.PASS


def test_what_is_proven_takes_longer_and_bounds_longer_than_the_ratio() -> None:
    ticks = binary_ticks(300, [100] * 100, (0.06,))
    when = []
    for part in (BestArm(), BestArm(method="kl_bounds"), BestArm(bound="proven"), BestArm(method="kl_bounds", bound="proven")):
        found, at = first_findings(part, ticks, "conversion")
        when.append(float(np.where(found[:, 0] == Finding.PASS, at[:, 0], 101).mean()))
    assert when == sorted(when)
    assert 2 * when[0] < when[2]


@METHODS
def test_error_from_the_first_outcomes_on(method: Method) -> None:
    """A look at every outcome, of a challenger that is hardly worse: it is named in fewer than alpha."""
    found, _ = first_findings(BestArm(method=method), binary_ticks(2000, [1] * 500, (-0.001,), rate=0.5), "conversion")
    named = float((found == Finding.PASS).mean())
    assert named < 0.05 + 3 * standard_error(0.05, 2000)
    assert declared(found) < 0.1 + 3 * standard_error(0.1, 2000)


def test_amounts_are_refused() -> None:
    assert BestArm().problems(make_setting(primary="revenue")) == [
        ("kind", "best_arm is for a binary metric, and revenue is an amount")
    ]
