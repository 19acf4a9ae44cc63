"""Group sequential tests that spend: at the information that arrived, with futility, and where they end early or late."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest

from sim.policy.base import Evidence, Finding
from sim.policy.evidence import GroupSequential
from sim.stats.group_sequential import design
from sim.testing.contract import EvidenceContract
from sim.testing.paths import declared, first_findings, gaussian_ticks, standard_error
from sim.testing.settings import CONVERTED, KNOWN, look_at, make_setting
from tests.thorough import plays

# Errors that are off by a third are found nine times in ten, and by a fifth in `scripts/verify`.
ROWS = plays(4_000, 8_000)
SPENDS: dict[str, Any] = {"design": "spending", "spending": "obrien_fleming"}
FUTILE: dict[str, Any] = {"sides": 1, "futility": "pocock"}


class TestSpending(EvidenceContract):
    @pytest.fixture(params=["obrien_fleming", "pocock", "power", "kim_demets"])
    def part(self, request: pytest.FixtureRequest) -> Evidence:
        rho = 2 if request.param in ("power", "kim_demets") else None
        return GroupSequential(sample=500, looks=3, design="spending", spending=request.param, rho=rho)


class TestFutility(EvidenceContract):
    symmetric: ClassVar[bool] = False
    error: ClassVar[tuple[float, float]] = (0.04, 0.05)

    @pytest.fixture
    def part(self) -> Evidence:
        return GroupSequential(sample=500, looks=3, **SPENDS, **FUTILE)


class TestBinding(EvidenceContract):
    symmetric: ClassVar[bool] = False

    @pytest.fixture
    def part(self) -> Evidence:
        return GroupSequential(sample=500, looks=3, binding=True, **SPENDS, **FUTILE)


# Outcomes of 1,000 planned: as planned, late, three looks in one tick, two late ones in turn, and past the end.
PATHS = [[200] * 5, [230] * 5, [650, 120, 400], [395, 20, 300, 300], [90] * 12]


@pytest.mark.parametrize("outcomes", PATHS, ids=str)
@pytest.mark.parametrize("family", ["obrien_fleming", "pocock"])
def test_error_is_alpha_whenever_the_looks_come(outcomes: list[int], family: str) -> None:
    part = GroupSequential(sample=1000, design="spending", spending=family)
    found, _ = first_findings(part, gaussian_ticks(ROWS, outcomes))
    assert abs(declared(found) - 0.05) < 4 * standard_error(0.05, ROWS)
    assert (found != Finding.UNDECIDED).all()


@pytest.mark.parametrize("family", ["obrien_fleming", "pocock"])
def test_a_look_that_waits_for_outcomes_leaves_its_alpha_to_the_next(family: str) -> None:
    part = GroupSequential(sample=1000, design="spending", spending=family, min_outcomes=500)
    found, ticks = first_findings(part, gaussian_ticks(ROWS, [200] * 5))
    assert abs(declared(found) - 0.05) < 4 * standard_error(0.05, ROWS)
    assert ticks.min() == 3


@pytest.mark.parametrize("said", [FUTILE, {**FUTILE, "binding": True}, {"sides": 1}], ids=["free", "binding", "none"])
def test_power_and_error_with_one_side(said: dict[str, Any]) -> None:
    part = GroupSequential(mde="10%", min_outcomes=2, **SPENDS, **said)  # 0.2 standard deviations
    plan = part.plan(make_setting(primary="revenue"))
    sample = part.planned_sample(make_setting(primary="revenue"))
    keys = {key: value for key, value in {**SPENDS, **said}.items() if key not in ("design", "sides")}
    assert plan.maximum_information == pytest.approx(design("spending", 5, power=0.8, sides=1, **keys).maximum_information)
    step = -(-sample // 5)
    some, ticks = first_findings(part, gaussian_ticks(ROWS, [step] * 5, (0.2,)))
    none, ended = first_findings(part, gaussian_ticks(ROWS, [step] * 5, seed=12))
    # Rounding a look up to whole outcomes adds less than 5 / sample of information: 0.3% of power at most.
    assert abs((some == Finding.PASS).mean() - 0.8) < 4 * standard_error(0.8, ROWS) + 0.003
    assert abs((none == Finding.PASS).mean() - plan.power_at(0)) < 4 * standard_error(0.05, ROWS)
    assert not (none == Finding.FAIL).any()
    for at, multiple in ((ticks, 1.0), (ended, 0.0)):
        share = np.bincount(at[:, 0], minlength=6)[1:] / ROWS
        assert np.abs(share - plan.stop_probabilities(multiple)).max() < 4 * standard_error(0.5, ROWS) + 0.003


def test_bounds_of_other_designs_have_futility_too() -> None:
    part = GroupSequential(design="pocock", mde="10%", sides=1, futility="obrien_fleming")
    step = -(-part.planned_sample(make_setting(primary="revenue")) // 5)
    some, _ = first_findings(part, gaussian_ticks(ROWS, [step] * 5, (0.2,)))
    none, ticks = first_findings(part, gaussian_ticks(ROWS, [step] * 5))
    assert abs((some == Finding.PASS).mean() - 0.8) < 4 * standard_error(0.8, ROWS) + 0.003
    assert (none == Finding.PASS).mean() < 0.05 + 4 * standard_error(0.05, ROWS)
    assert (ticks < 5).mean() > 0.5


def test_planned_fractions_need_not_be_equal() -> None:
    part = GroupSequential(design="pocock", sample=1000, information=("20%", "50%", "100%"))
    found, ticks = first_findings(part, gaussian_ticks(ROWS, [100] * 10))
    assert abs(declared(found) - 0.05) < 4 * standard_error(0.05, ROWS)
    assert set(np.unique(ticks)) == {2, 5, 10}


def test_an_end_that_comes_early_spends_all_that_is_left() -> None:
    """700 of 1,000 outcomes after seven ticks of ten minutes."""
    part = GroupSequential(sample=1000, ends="70m", **SPENDS)
    found, ticks = first_findings(part, gaussian_ticks(ROWS, [100] * 9))
    assert abs(declared(found) - 0.05) < 4 * standard_error(0.05, ROWS)
    assert (ticks[found == Finding.NULL] == 7).all()
    some, _ = first_findings(part, gaussian_ticks(ROWS, [100] * 9, (0.15,)))
    ended = design("spending", 4, spending="obrien_fleming", information=[0.2, 0.4, 0.6, 0.7])
    power = float(ended.exits(0.15 * np.sqrt(700 / 2)).upper.sum())
    assert abs((some == Finding.PASS).mean() - power) < 4 * standard_error(0.5, ROWS)


def test_an_end_with_too_little_to_say_anything() -> None:
    tick = {KNOWN: np.array([100, 100]), CONVERTED: np.array([20, 20])}
    few = {name: counts // 20 for name, counts in tick.items()}
    part = GroupSequential(sample=500, ends="30m", **SPENDS)
    assert [each[0, 1] for each in look_at(part, make_setting(), [few] * 3)][-1] == Finding.INCONCLUSIVE
    # 90 are a look of a planned 500, and fewer than a look needs.
    short = {name: counts * 9 // 10 for name, counts in tick.items()}
    assert [each[0, 1] for each in look_at(part, make_setting(), [short, {}, {}])][-1] == Finding.INCONCLUSIVE
    # One look was taken, and what came since is too little for another.
    assert [each[0, 1] for each in look_at(part, make_setting(), [tick, few, {}])][-1] == Finding.NULL


def test_looks_that_come_too_close_wait_for_a_little_more() -> None:
    """A first look at 39.9% of the maximum, and the second is due 0.1% later: it comes at 45%."""
    part = GroupSequential(sample=1000, **SPENDS)
    counts = [399, 2, 10, 40, 100]
    ticks = [{KNOWN: np.array([n, n]), CONVERTED: np.array([n // 5, n // 5])} for n in counts]
    setting = make_setting()
    memory = part.memory(setting)
    assert memory["null_mass"].shape[0] == 1
    look_at(part, setting, ticks[:1])
    found = look_at(part, setting, [*ticks[:3], {KNOWN: np.array([40, 40]), CONVERTED: np.array([0, 40])}])
    assert [each[0, 1] for each in found] == [Finding.UNDECIDED] * 3 + [Finding.PASS]


@pytest.mark.parametrize(
    ("said", "key", "words"),
    [
        ({"futility": "pocock"}, "sides", "must be 1 with futility, got 2"),
        ({"futility": "kim_demets", "sides": 1}, "futility_rho", "is required for futility kim_demets"),
        ({"futility_rho": 1}, "futility_rho", "is for futility kim_demets or power only, got 1"),
        (
            {"binding": True, "sides": 1, "futility": "pocock"},
            "binding",
            "spending with futility only, got design obrien_fleming",
        ),
        ({"ends": "10m"}, "ends", "is for design spending only, got 10m"),
        ({**SPENDS, "ends": "15m"}, "ends", "whole number of ticks of 10m, got 15m"),
        ({"information": ("50%", "50%", "100%")}, "information", "must rise .* got 0.5, 0.5, 1"),
        ({"information": ("50%", "90%")}, "information", "to 100%.* got 0.5, 0.9"),
        ({"information": ("50%", "100%"), "looks": 2}, "information", "give one, got 2 and 2"),
        ({"spending": "pocock"}, "spending", "is for design spending only, got pocock"),
        (
            {"sample": 500, "mde": None, "sides": 1, "futility": "pocock", "power": "5%"},
            "power",
            "must exceed alpha, got power 0.05",
        ),
        ({**SPENDS, "spending": "power"}, "rho", "is required for spending power"),
    ],
)
def test_what_is_no_design_is_refused(said: dict[str, Any], key: str, words: str) -> None:
    import re

    found = GroupSequential.model_validate({"mde": 0.1, **said}).problems(make_setting())
    assert [each for each, _ in found] == [key]
    assert re.search(words, found[0][1])


def test_no_looks_are_refused() -> None:
    for said in ({"looks": 0}, {"information": ()}):
        with pytest.raises(ValueError, match=next(iter(said))):
            GroupSequential.model_validate({"mde": 0.1, **said})
