"""Peeking inflates the error by as much as theory says, and the sequential rules do not."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

from sim.policy.base import Evidence, Finding, Verdict
from sim.policy.evidence import Peeking
from sim.stats.peeking import false_positive_rate
from sim.testing.contract import EvidenceContract
from sim.testing.paths import declared, first_findings, gaussian_ticks, standard_error
from sim.testing.settings import CONVERTED, KNOWN, look_at, make_setting
from tests.policy.test_figures import converts, rehearse
from tests.thorough import plays

ROWS = plays(15_000, 40_000)


class TestContract(EvidenceContract):
    error: ClassVar[tuple[float, float]] = (false_positive_rate(16), false_positive_rate(16))

    @pytest.fixture
    def part(self) -> Evidence:
        return Peeking(every="10m", sample=5000)


@pytest.mark.parametrize("looks", [1, 2, 5, 10])
def test_error_is_that_of_so_many_peeks(looks: int) -> None:
    """Armitage, McPherson & Rowe (1969): 5.0, 8.3, 14.2 and 19.3%."""
    part = Peeking(every="20m", sample=400 * looks)
    found, ticks = first_findings(part, gaussian_ticks(ROWS, [200] * 2 * looks))
    theory = false_positive_rate(looks)
    assert abs(declared(found) - theory) < 4 * standard_error(theory, ROWS)
    assert (ticks % 2 == 0).all()
    assert (ticks[found == Finding.NULL] == 2 * looks).all()


def test_the_planned_end_is_a_look_whenever_it_comes() -> None:
    tick = {KNOWN: np.array([100, 100]), CONVERTED: np.array([20, 20])}
    found = [each[0, 1] for each in look_at(Peeking(every="40m", sample=600), make_setting(), [tick] * 6)]
    assert found == [Finding.UNDECIDED] * 5 + [Finding.NULL]
    lucky = tick | {CONVERTED: np.array([20, 60])}
    found = [each[0, 1] for each in look_at(Peeking(every="20m", sample=600), make_setting(), [lucky] * 2)]
    assert found == [Finding.UNDECIDED, Finding.PASS]


def test_an_interval_is_a_whole_number_of_ticks() -> None:
    assert Peeking(every="15m", sample=100).problems(make_setting()) == [
        ("every", "must be a whole number of ticks of 10m, got 15m")
    ]
    assert [key for key, _ in Peeking(every="10m").problems(make_setting())] == ["mde"]


SIZE = {"mde": "20%"}
RULES = {
    "once": {"kind": "fixed_horizon", **SIZE},
    "peeking": {"kind": "peeking", "every": "10m", **SIZE},
    "sequential": {"kind": "group_sequential", "design": "obrien_fleming", **SIZE},
    "always_valid": {"kind": "mixture_sprt", **SIZE},
}
POLICIES = [{"name": name, "kind": "ab", "evidence": evidence} for name, evidence in RULES.items()]


def test_whole_rollouts_of_no_effect() -> None:
    count = 3000
    _, trials = rehearse(POLICIES, converts(0.2, 0.2), replications=count, ticks=120, requests=40)
    four = 4 * standard_error(0.05, count)
    for name in ("once", "sequential"):
        assert (trials[name].verdicts.decided_tick > 0).all()
        assert abs(trials[name].declared - 0.05) < four
    assert trials["always_valid"].declared < 0.05 + four
    # 3,360 outcomes at 40 a tick: eight peeks, and the planned end.
    few, many = false_positive_rate(8), false_positive_rate(9)
    assert few - 4 * standard_error(few, count) < trials["peeking"].declared < many + 4 * standard_error(many, count)


def test_whole_rollouts_of_the_planned_effect() -> None:
    """The looks cost a little more traffic at the most, and much less when they stop early."""
    count = 3000
    _, trials = rehearse(POLICIES, converts(0.2, 0.24), replications=count, ticks=400, requests=40)
    for name in ("once", "sequential"):
        assert abs(trials[name].share(Verdict.SHIP) - 0.8) < 4 * standard_error(0.8, count)
    assert trials["always_valid"].share(Verdict.SHIP) > 0.99
    assert trials["sequential"].verdicts.decided_tick.mean() < 0.85 * trials["once"].verdicts.decided_tick.mean()
