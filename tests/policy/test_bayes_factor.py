"""The Bayes factor: what it decides on, how often it is wrong, and that it is the mixture test with an other side."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import pytest

from sim.policy.base import Evidence, Finding
from sim.policy.columns import Moment
from sim.policy.evidence import BayesFactor, MixtureSprt
from tests.policy.contract import EvidenceContract, view_of
from tests.policy.paths import declared, first_findings, gaussian_ticks, standard_error
from tests.policy.scripted import make_setting


class TestNormalPrior(EvidenceContract):
    error: ClassVar[tuple[float, float]] = (0.005, 0.1)
    # A tenth for each: there is no correction for their number.
    family_error: ClassVar[float | None] = 0.3

    @pytest.fixture
    def part(self) -> Evidence:
        return BayesFactor(expected_effect="10%")


class TestCauchyPrior(TestNormalPrior):
    @pytest.fixture
    def part(self) -> Evidence:
        return BayesFactor(expected_effect="10%", prior="cauchy")


@pytest.mark.parametrize(("factor", "wrong", "none"), [(10, 0.043, 0.894), (3, 0.127, 0.874)])
def test_error_and_acceptance_without_an_effect(factor: float, wrong: float, none: float) -> None:
    """The figures of docs/methods.md, measured with another seed on as many paths: 300 looks of 60 outcomes."""
    rows = 4000
    part = BayesFactor(factor=factor, expected_effect="10%")
    found, _ = first_findings(part, gaussian_ticks(rows, [60] * 300, seed=12))
    assert declared(found) < 1 / factor
    for share, measured in ((declared(found), wrong), (float((found == Finding.NULL).mean()), none)):
        assert abs(share - measured) < 4 * np.sqrt(2) * standard_error(measured, rows)


def test_with_a_normal_prior_it_declares_what_the_mixture_test_does_at_one_look() -> None:
    ticks = gaussian_ticks(2000, [800], (0.15,))
    ours, _ = first_findings(BayesFactor(factor=20, expected_effect="10%"), ticks)
    theirs, _ = first_findings(MixtureSprt(alpha=0.05, mde="10%"), ticks)
    assert ((ours == Finding.PASS) == (theirs == Finding.PASS)).all()
    assert 0.1 < (ours == Finding.PASS).mean() < 0.9


@pytest.mark.parametrize("prior", ["normal", "cauchy"])
def test_accepted_factors_are_right_as_often_as_they_say(prior: Literal["normal", "cauchy"]) -> None:
    """Deng, Lu & Chen (2016): half of the effects are none, the others follow the prior. However soon it stops,
    at a factor of 10 the odds of what it says are 10 or more."""
    rng = np.random.default_rng(9)
    rows = 4000
    drawn = rng.normal(0, 0.2, rows) if prior == "normal" else 0.2 * rng.standard_cauchy(rows)
    some = rng.random(rows) < 0.5
    effect = np.where(some, np.clip(drawn, -50, 50), 0.0)
    ticks = []
    for count in [100] * 60:
        total = rng.normal(count * (1000 + 500 * np.stack([0 * effect, effect], axis=1)), 500 * np.sqrt(count))
        square = total**2 / count + 500**2 * rng.chisquare(count - 1, (rows, 2))
        ticks.append(
            {
                Moment("revenue", "count"): np.full((rows, 2), count),
                Moment("revenue", "sum"): np.rint(total).astype(np.int64),
                Moment("revenue", "square"): np.rint(square).astype(np.int64),
            }
        )
    found = first_findings(BayesFactor(expected_effect="10%", prior=prior), ticks)[0][:, 0]
    for finding, right in ((np.isin(found, [Finding.PASS, Finding.FAIL]), some), (found == Finding.NULL, ~some)):
        count = int(finding.sum())
        assert count > 400
        assert (finding & right).sum() / count > 10 / 11 - 4 * standard_error(10 / 11, count)


def judge(part: BayesFactor, *conversions: int, trials: int = 10_000) -> list[int]:
    total = np.array([[[trials, count] for count in conversions]])
    arms = len(conversions)
    return part.judge(view_of(part, make_setting(arms), total, np.ones((1, arms), bool)))[0, 1:].tolist()


def test_better_worse_none_and_not_yet() -> None:
    found = judge(BayesFactor(expected_effect="20%"), 20_000, 21_000, 19_000, 20_010, 20_450, trials=100_000)
    assert found == [Finding.PASS, Finding.FAIL, Finding.NULL, Finding.UNDECIDED]


def test_it_waits_for_outcomes() -> None:
    assert judge(BayesFactor(expected_effect="20%"), 10, 90, trials=99) == [Finding.UNDECIDED]
