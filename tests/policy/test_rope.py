"""A region of practical equivalence: what it decides on, and how often it is wrong where there is nothing to find."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
from scipy import stats

from sim.policy.base import Evidence, Finding
from sim.policy.evidence import Rope
from sim.policy.inference.posteriors import posterior_effect
from sim.stats.rope import masses
from sim.testing.contract import EvidenceContract, view_of
from sim.testing.paths import declared, first_findings, gaussian_ticks, standard_error
from sim.testing.settings import make_setting


class TestContract(EvidenceContract):
    # Promised is nothing; measured with 16 looks, 4,000 paths: .110, and .275 for three challengers.
    error: ClassVar[tuple[float, float]] = (0.11, 0.11)
    family_error: ClassVar[float | None] = 0.275

    @pytest.fixture
    def part(self) -> Evidence:
        return Rope(region="2%")


def judge(part: Rope, *conversions: int, trials: int = 10_000) -> list[int]:
    total = np.array([[[trials, count] for count in conversions]])
    arms = len(conversions)
    return part.judge(view_of(part, make_setting(arms), total, np.ones((1, arms), bool)))[0, 1:].tolist()


def test_above_below_inside_and_across() -> None:
    """The champion's registered conversion is 20%: the region is 19% to 21%."""
    found = judge(Rope(region="5%"), 20_000, 22_000, 18_000, 20_050, 20_950, trials=100_000)
    assert found == [Finding.PASS, Finding.FAIL, Finding.NULL, Finding.UNDECIDED]


def test_a_binary_metric_meets_the_exact_posterior_of_the_difference() -> None:
    """Of two Beta posteriors, by quadrature: at an even split the normal limit errs by less than 0.5% of mass."""
    rng = np.random.default_rng(8)
    x = (np.arange(20_000) + 0.5) / 20_000
    for _ in range(20):
        n = int(rng.integers(100, 2000))
        good = rng.binomial(n, rng.uniform(0.05, 0.3), 2)
        first, second = (stats.beta(1 + count, 1 + n - count) for count in good)
        exact = float(second.sf(first.ppf(x) + 0.02).mean())
        part = Rope(width=0.02)
        view = view_of(part, make_setting(), np.array([[[n, good[0]], [n, good[1]]]]), np.ones((1, 2), bool))
        effect = posterior_effect(view, np.ones(1, bool))
        found = masses(effect.estimate, effect.standard_error, width=0.02)
        assert float(found.above[0, 0]) == pytest.approx(exact, abs=5e-3)


@pytest.mark.parametrize(("region", "wrong", "equal"), [("2%", 0.142, 0.849), ("5%", 0.025, 0.975)])
def test_of_equals_few_are_told_apart_and_most_end_with_nothing_declared(region: str, wrong: float, equal: float) -> None:
    """The figures of docs/methods.md, measured with another seed on as many paths: 300 looks of 60 outcomes."""
    rows = 4000
    found, _ = first_findings(Rope(region=region), gaussian_ticks(rows, [60] * 300, seed=12))
    for share, measured in ((declared(found), wrong), (float((found == Finding.NULL).mean()), equal)):
        assert abs(share - measured) < 4 * np.sqrt(2) * standard_error(measured, rows)


def test_it_waits_for_outcomes() -> None:
    assert judge(Rope(region="5%"), 20, 80, trials=99) == [Finding.UNDECIDED]
    assert judge(Rope(region="5%"), 20, 80, trials=100) == [Finding.PASS]
