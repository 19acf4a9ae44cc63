"""One look at a planned sample: of which hypothesis, on which scale, and how several challengers share alpha."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest

from sim.arrays import Ints
from sim.policy.base import Evidence, Finding
from sim.policy.columns import Column
from sim.policy.evidence import FixedHorizon, Peeking
from sim.stats.power import sample_size
from sim.testing.contract import EvidenceContract, view_of
from sim.testing.paths import declared, first_findings, gaussian_ticks, standard_error
from sim.testing.settings import make_setting
from tests.thorough import plays

ROWS = plays(15_000, 40_000)
# Margins and effects in standard deviations of the paths: 10% of a mean of 2.
MARGIN = 0.2


class OneTick(EvidenceContract):
    """All of the sample in one tick."""

    def paths(self, rows: int, effects: tuple[float, ...]) -> list[dict[Column, Ints]]:
        return gaussian_ticks(rows, [500], effects)


class TestRelative(OneTick):
    # Not symmetric: 25% more is 20% less.
    symmetric: ClassVar[bool] = False

    @pytest.fixture
    def part(self) -> Evidence:
        return FixedHorizon(sample=500, effect="relative")


class TestDunnett(OneTick):
    @pytest.fixture
    def part(self) -> Evidence:
        return FixedHorizon(sample=500, correction="dunnett")


class TestNonInferiority(OneTick):
    symmetric: ClassVar[bool] = False
    null: ClassVar[float] = -MARGIN
    wrong: ClassVar[tuple[Finding, ...]] = (Finding.PASS,)
    effect: ClassVar[float] = 0.0

    @pytest.fixture(params=["absolute", "relative"])
    def part(self, request: pytest.FixtureRequest) -> Evidence:
        return FixedHorizon(hypothesis="non_inferiority", margin="10%", sample=500, effect=request.param)


class TestEquivalence(OneTick):
    symmetric: ClassVar[bool] = False
    null: ClassVar[float] = MARGIN
    wrong: ClassVar[tuple[Finding, ...]] = (Finding.PASS,)
    effect: ClassVar[float] = 0.0

    @pytest.fixture(params=["absolute", "relative"])
    def part(self, request: pytest.FixtureRequest) -> Evidence:
        return FixedHorizon(hypothesis="equivalence", margin="10%", sample=500, effect=request.param)


@pytest.mark.parametrize("effect", ["absolute", "relative"])
@pytest.mark.parametrize(
    "said", [{"mde": "10%"}, *({"hypothesis": h, "margin": "10%"} for h in ("non_inferiority", "equivalence"))]
)
def test_the_planned_sample_has_the_planned_power(said: dict[str, Any], effect: str) -> None:
    part = FixedHorizon(effect=effect, **said)
    sample = part.planned_sample(make_setting(primary="revenue"))
    truth = MARGIN if "mde" in said else 0.0
    found, _ = first_findings(part, gaussian_ticks(ROWS, [sample], (truth,)))
    # As small a relative effect as 10% of which one standard error is 4%: see test_hypotheses.
    assert abs((found == Finding.PASS).mean() - 0.8) < 4 * standard_error(0.8, ROWS) + (0.02 if effect == "relative" else 0.003)


@pytest.mark.parametrize("correction", ["bonferroni", "holm", "dunnett"])
@pytest.mark.parametrize("counts", [(500, 500, 500, 500), (1200, 300, 300, 300)])
def test_three_challengers_share_alpha(correction: str, counts: tuple[int, ...]) -> None:
    rng = np.random.default_rng(3)
    n = np.array(counts)
    total = rng.binomial(n, 0.2, (ROWS, 4))
    part = FixedHorizon(sample=400, correction=correction)
    view = view_of(part, make_setting(4), np.stack([np.broadcast_to(n, total.shape), total], axis=2), np.ones((ROWS, 4), bool))
    wrong = declared(part.judge(view)[:, 1:])
    margin = 4 * standard_error(0.05, ROWS)
    # .002 for the normal limit of counts of sixty.
    assert wrong < 0.05 + margin + 0.002
    assert wrong > (0.05 if correction == "dunnett" else 0.038) - margin - 0.002


def test_dunnett_plans_for_less_than_bonferroni_and_finds_as_much() -> None:
    setting = make_setting(4, primary="revenue")
    sizes = {
        each: FixedHorizon(mde="10%", correction=each).planned_sample(setting) for each in ("dunnett", "bonferroni", "holm")
    }
    assert sizes["dunnett"] < sizes["bonferroni"] == sizes["holm"]
    expected = sample_size("means", sd=5.0, effect=1.0, comparisons=3, correction="dunnett")
    assert sizes["dunnett"] == int(np.ceil(expected))
    found, _ = first_findings(
        FixedHorizon(mde="10%", correction="dunnett"), gaussian_ticks(ROWS, [sizes["dunnett"]], (0.2, 0, 0))
    )
    assert abs((found[:, 0] == Finding.PASS).mean() - 0.8) < 4 * standard_error(0.8, ROWS) + 0.003


def test_a_removed_arm_does_not_count_in_any_correction() -> None:
    total = np.array([[[500, 100], [500, 129], [500, 100]]])
    for correction in ("bonferroni", "holm", "dunnett"):
        part = FixedHorizon(sample=500, correction=correction)
        found = [
            part.judge(view_of(part, make_setting(3), total, np.array([[True, True, here]])))[0, 1] for here in (False, True)
        ]
        assert found == [Finding.PASS, Finding.NULL]


@pytest.mark.parametrize(
    ("hypothesis", "effect", "finding"),
    [
        ("non_inferiority", 0.3, Finding.PASS),
        ("non_inferiority", -0.6, Finding.FAIL),
        ("equivalence", 0.6, Finding.FAIL),
        ("equivalence", -0.6, Finding.FAIL),
    ],
)
def test_what_is_beyond_the_margin_is_said(hypothesis: str, effect: float, finding: Finding) -> None:
    part = FixedHorizon(hypothesis=hypothesis, margin="10%", sample=500)
    found, _ = first_findings(part, gaussian_ticks(200, [500], (effect,)))
    assert (found == finding).mean() > 0.99


@pytest.mark.parametrize("hypothesis", ["non_inferiority", "equivalence"])
@pytest.mark.parametrize("truth", [0.0, -0.02])
def test_what_is_within_the_margin_rarely_fails(hypothesis: str, truth: float) -> None:
    """With a sample far too small for the margin, .02 standard deviations, so that chance may lead beyond it on either side."""
    part = FixedHorizon(hypothesis=hypothesis, margin="1%", sample=500)
    found, _ = first_findings(part, gaussian_ticks(ROWS, [500], (truth,)))
    assert (found == Finding.FAIL).mean() < 0.05 + 4 * standard_error(0.05, ROWS)


def test_less_is_better_where_the_metric_says_so() -> None:
    part = FixedHorizon(hypothesis="non_inferiority", margin="10%", sample=500)
    rows = np.array([[[500, 500 * mean, 500 * (mean**2 + 500**2)] for mean in (1000, other)] for other in (800, 1000, 1300)])
    for primary, expected in (
        ("revenue", [Finding.FAIL, Finding.PASS, Finding.PASS]),
        ("cost", [Finding.PASS, Finding.PASS, Finding.FAIL]),
    ):
        found = part.judge(view_of(part, make_setting(primary=primary), rows, np.ones((3, 2), bool)))
        assert found[:, 1].tolist() == expected


def test_peeking_peeks_at_any_of_them() -> None:
    part = Peeking(every="10m", hypothesis="non_inferiority", margin="10%", sample=4000)
    found, ticks = first_findings(part, gaussian_ticks(4000, [400] * 10, (-MARGIN,)))
    assert (found == Finding.PASS).mean() > 0.1
    assert ticks.max() == 10


@pytest.mark.parametrize(
    ("said", "key", "words"),
    [
        ({"hypothesis": "equivalence"}, "margin", "is required for equivalence"),
        ({"hypothesis": "equivalence", "margin": "2%"}, None, ""),
        ({"hypothesis": "non_inferiority", "margin": "2%", "mde": "2%"}, "mde", "is for superiority only, got 0.02"),
        ({"hypothesis": "non_inferiority", "margin": "2%", "power": "5%"}, "power", "must exceed alpha, got power 0.05"),
        ({"hypothesis": "non_inferiority", "margin": "2%", "test": "z_pooled"}, "test", "unpooled variances .* got z_pooled"),
        ({"hypothesis": "equivalence", "margin": "2%", "correction": "dunnett"}, "correction", "got dunnett"),
        ({"mde": "2%", "margin": "2%"}, "margin", "non_inferiority and equivalence only, got 0.02"),
        ({"mde": "2%", "effect": "relative", "test": "z_pooled"}, "test", "for a relative effect, got z_pooled"),
    ],
)
def test_what_cannot_be_tested_is_refused(said: dict[str, Any], key: str | None, words: str) -> None:
    import re

    found = FixedHorizon.model_validate(said).problems(make_setting())
    assert [each for each, _ in found] == ([key] if key else [])
    assert all(re.search(words, message) for _, message in found)


def test_a_margin_of_the_wrong_sign_is_refused() -> None:
    with pytest.raises(ValueError, match=r"margin\n.*must be a share from 0% to 100%.*got '-2%'"):
        FixedHorizon.model_validate({"hypothesis": "non_inferiority", "margin": "-2%"})
