"""Group sequential tests keep their error and reach their power, at looks that information triggers."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri

from sim.policy.base import Evidence, Finding
from sim.policy.evidence import GroupSequential
from sim.policy.evidence.group_sequential import _design
from sim.stats.group_sequential import design
from sim.testing.contract import EvidenceContract, view_of
from sim.testing.paths import declared, first_findings, gaussian_ticks, standard_error
from sim.testing.settings import CONVERTED, KNOWN, look_at, make_setting
from tests.thorough import plays

ROWS = plays(15_000, 40_000)
DESIGNS: list[dict[str, Any]] = [
    {"design": "pocock"},
    {"design": "obrien_fleming"},
    {"design": "wang_tsiatis", "shape": 0.25},
    {"design": "haybittle_peto"},
    {"design": "spending", "spending": "hwang_shih_decani", "gamma": -4},
]
names = [each["design"] for each in DESIGNS]


def binary(*pairs: tuple[int, int]) -> list[dict[str, np.ndarray]]:
    """Ticks of one replication: conversions of champion and challenger of 100 outcomes each."""
    return [{KNOWN: np.array([100, 100]), CONVERTED: np.array(pair)} for pair in pairs]


class TestContract(EvidenceContract):
    @pytest.fixture(params=DESIGNS, ids=names)
    def part(self, request: pytest.FixtureRequest) -> Evidence:
        return GroupSequential(sample=500, looks=3, **request.param)


@pytest.mark.parametrize("said", DESIGNS, ids=names)
def test_error_over_all_looks_is_alpha(said: dict[str, Any]) -> None:
    found, _ = first_findings(GroupSequential(sample=1000, **said), gaussian_ticks(ROWS, [200] * 5))
    assert abs(declared(found) - 0.05) < 4 * standard_error(0.05, ROWS)
    assert abs((found == Finding.PASS).mean() - 0.025) < 4 * standard_error(0.025, ROWS)
    assert ((found != Finding.UNDECIDED).all(axis=1)).all()


@pytest.mark.parametrize("said", DESIGNS, ids=names)
@pytest.mark.parametrize("sign", [1, -1])
def test_power_is_as_designed_and_the_sample_pays_for_the_looks(said: dict[str, Any], sign: int) -> None:
    part = GroupSequential(mde="10%", min_outcomes=2, **said)  # 0.2 standard deviations
    sample = part.planned_sample(make_setting(primary="revenue"))
    planned = design(**{"kind": said["design"], "looks": 5, "power": 0.8, **{k: v for k, v in said.items() if k != "design"}})
    one_look = 2 * ((ndtri(0.975) + ndtri(0.8)) / 0.2) ** 2
    assert sample == int(np.ceil(one_look * planned.maximum_information))
    step = -(-sample // 5)
    found, ticks = first_findings(part, gaussian_ticks(ROWS, [step] * 5, (0.2 * sign,)))
    finding = Finding.PASS if sign > 0 else Finding.FAIL
    # Rounding a look up to whole outcomes adds less than 5 / sample of information: 0.3% of power at most.
    assert abs((found == finding).mean() - 0.8) < 4 * standard_error(0.8, ROWS) + 0.003
    share = np.bincount(ticks[:, 0], minlength=6)[1:] / ROWS
    assert np.abs(share - planned.stop_probabilities()).max() < 4 * standard_error(0.5, ROWS) + 0.003


@pytest.mark.parametrize("said", DESIGNS, ids=names)
def test_looks_that_a_coarse_tick_skips_do_not_add_to_the_error(said: dict[str, Any]) -> None:
    found, ticks = first_findings(GroupSequential(sample=1000, looks=10, **said), gaussian_ticks(ROWS, [250] * 4))
    assert declared(found) < 0.05 + 4 * standard_error(0.05, ROWS)
    assert ticks.max() == 4


@pytest.mark.parametrize("arms", [2, 4])
def test_a_rare_outcome_at_an_uneven_split_does_not_add_to_the_error(arms: int) -> None:
    """1% convert and a challenger gets a twentieth: at the first planned look it would have had one conversion."""
    part = GroupSequential(design="pocock", sample=1000, sides=1)
    setting = make_setting(arms, ROWS)
    conversion = replace(setting.metrics["conversion"], nominal_mean=0.01, nominal_sd=math.sqrt(0.01 * 0.99))
    counts, rng = np.array([2000] + [105] * (arms - 1)), np.random.default_rng(5)
    ticks = [{KNOWN: counts, CONVERTED: rng.binomial(counts, 0.01, (ROWS, arms))} for _ in range(6)]
    found = np.stack(look_at(part, replace(setting, metrics={"conversion": conversion}), ticks))
    assert (found == Finding.PASS).any(axis=(0, 2)).mean() < 0.05 + 4 * standard_error(0.05, ROWS)
    assert (found[:, :, 1:] != Finding.UNDECIDED).any(axis=0).all()


@pytest.mark.parametrize(("least", "waits"), [(100, 0), (300, 2), (500, 3)])
def test_looks_wait_for_enough_outcomes_and_the_last_one_does_not(least: int, waits: int) -> None:
    part = GroupSequential(design="pocock", sample=400, looks=4, min_outcomes=least)
    found = [each[0, 1] for each in look_at(part, make_setting(), binary(*[(60, 20)] * (waits + 1)))]
    assert found == [Finding.UNDECIDED] * waits + [Finding.FAIL]


def test_the_power_of_a_design_whose_first_look_waits_is_as_planned() -> None:
    part = GroupSequential(design="pocock", mde="10%")
    step = -(-part.planned_sample(make_setting(primary="revenue")) // 5)
    assert step < 100
    found, ticks = first_findings(part, gaussian_ticks(40_000, [step] * 5, (0.2,)))
    assert ticks.min() == 2
    # Five standard errors of 40,000 trials are 1%.
    assert abs((found == Finding.PASS).mean() - 0.8) < 0.01


def test_the_family_of_three_challengers_keeps_its_error() -> None:
    part = GroupSequential(design="pocock", sample=1000)
    found, _ = first_findings(part, gaussian_ticks(ROWS, [200] * 5, (0.0, 0.0, 0.0)))
    assert 0.04 < declared(found) < 0.05 + 4 * standard_error(0.05, ROWS)


def test_a_look_is_one_look_and_a_tick_that_crosses_several_takes_the_latest() -> None:
    part = GroupSequential(design="obrien_fleming", sample=500, looks=5)
    bounds = design("obrien_fleming", 5).bounds
    assert bounds[1] > 2.9 > bounds[2] > 2.5
    three = {KNOWN: np.array([300, 300]), CONVERTED: np.array([60, 92])}
    (found,) = look_at(part, make_setting(), [three])
    assert found[0, 1] == Finding.PASS
    # Not enough at the third look; overwhelming between looks, when nobody looks; and so at the fourth.
    weak = three | {CONVERTED: np.array([60, 60])}
    half = {KNOWN: np.array([50, 50]), CONVERTED: np.array([0, 50])}
    found = [each[0, 1] for each in look_at(part, make_setting(), [weak, half, half])]
    assert found == [Finding.UNDECIDED, Finding.UNDECIDED, Finding.PASS]


def test_the_last_look_ends_it() -> None:
    found = [each[0, 1] for each in look_at(GroupSequential(sample=300, looks=3), make_setting(), binary(*[(20, 21)] * 3))]
    assert found == [Finding.UNDECIDED, Finding.UNDECIDED, Finding.NULL]
    worse = [each[0, 1] for each in look_at(GroupSequential(sample=300, looks=3), make_setting(), binary(*[(40, 15)] * 3))]
    assert worse[-1] == Finding.FAIL


def test_an_uneven_split_looks_at_the_same_information() -> None:
    """1 / (1/n0 + 1/nk) = 250, the same as 500 against 500."""
    total = np.array([[[1250, 250], [312, 62]], [[1250, 250], [313, 62]]])
    found = GroupSequential(sample=500).judge(view_of(GroupSequential(), make_setting(), total, np.ones((2, 2), bool)))
    assert found[:, 1].tolist() == [Finding.UNDECIDED, Finding.NULL]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=8, max_size=8))
def test_when_the_feedback_arrives_does_not_matter(gaps: list[int]) -> None:
    part = GroupSequential(design="pocock", sample=1000, looks=5)
    ticks = gaussian_ticks(50, [125] * 8, (0.15,))
    empty = {name: np.zeros_like(counts) for name, counts in ticks[0].items()}
    late = [each for gap, tick in zip(gaps, ticks, strict=True) for each in (*[empty] * gap, tick)]
    assert (first_findings(part, late)[0] == first_findings(part, ticks)[0]).all()


def test_a_design_is_computed_once() -> None:
    _design.cache_clear()
    look_at(GroupSequential(design="pocock", mde="10%", looks=7), make_setting(), binary(*[(20, 20)] * 30))
    assert _design.cache_info().misses == 1


@pytest.mark.parametrize(
    ("said", "key", "words"),
    [
        ({}, "mde", "is required"),
        ({"mde": 0.1, "design": "wang_tsiatis"}, "shape", "is required for design wang_tsiatis"),
        ({"mde": 0.1, "shape": 0.2}, "shape", "is for design wang_tsiatis only, got 0.2"),
        ({"mde": 0.1, "interim": 3}, "interim", "is for design haybittle_peto only, got 3"),
        ({"mde": 0.1, "design": "spending"}, "spending", "is required for design spending"),
        ({"mde": 0.1, "design": "spending", "spending": "kim_demets"}, "rho", "is required for spending kim_demets"),
        ({"mde": 0.1, "design": "spending", "spending": "pocock", "gamma": 1}, "gamma", "hwang_shih_decani only, got 1"),
        ({"mde": 0.1, "design": "haybittle_peto", "interim": 1.5}, "interim", "must leave some of alpha"),
        ({"mde": 0.1, "design": "haybittle_peto", "looks": 30}, None, ""),
        ({"mde": 0.1, "design": "spending", "spending": "kim_demets", "rho": 2}, None, ""),
    ],
)
def test_what_is_no_design_is_refused(said: dict[str, Any], key: str | None, words: str) -> None:
    found = GroupSequential.model_validate(said).problems(make_setting())
    assert [each for each, _ in found] == ([key] if key else [])
    assert all(words in message for _, message in found)
