"""Adjusted tests keep the contract of their rule, and end as much sooner or later as their variance says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import numpy as np
import pytest

from sim.arrays import Floats, Ints
from sim.policy.adjust import Cluster, Cuped, Ratio, Stratify, Winsorise
from sim.policy.adjust.base import Adjust
from sim.policy.base import Evidence, Finding
from sim.policy.columns import Column
from sim.policy.evidence import ConfidenceSequence, FixedHorizon, GroupSequential, MixtureSprt, Peeking, Sprt
from sim.policy.inference.comparison import Tally, compare, resolved, tally_problems
from sim.policy.setting import Metric, Setting
from sim.stats.running_bounds import CLOSEST
from sim.stats.two_sample import two_sample
from sim.testing.contract import PATHS, EvidenceContract, view_of
from sim.testing.paths import declared, first_findings, standard_error
from sim.testing.settings import look_at, make_setting
from tests.policy import adjusted_paths as paths

TICKS = [125] * 16
BY_KIND: dict[str, Any] = {
    "cuped": paths.covariate_ticks, "cluster": paths.user_ticks, "ratio": paths.ratio_ticks, "stratify": paths.segment_ticks,
}  # fmt: skip


class AdjustedContract(EvidenceContract):
    adjust: ClassVar[dict[str, Any]]

    @pytest.fixture
    def part(self) -> Evidence:
        return FixedHorizon(mde="10%", adjust=self.adjust)

    def paths(self, rows: int, effects: tuple[float, ...]) -> list[dict[Column, Ints]]:
        return BY_KIND[self.adjust["kind"]](rows, TICKS, effects)


class TestCuped(AdjustedContract):
    adjust: ClassVar[dict[str, Any]] = {"kind": "cuped"}


class ClusterContract(AdjustedContract):
    adjust: ClassVar[dict[str, Any]] = {"kind": "cluster"}

    def alike(
        self, weigh: Callable[[int, Floats], Floats | float], shift: list[float]
    ) -> tuple[list[dict[Column, Ints]], list[Floats]]:
        return paths.alike_user_ticks(PATHS, weigh, shift)


class TestCluster(ClusterContract):
    @pytest.fixture(params=[{"mde": "10%"}, {"sample": 600}], ids=str)
    def part(self, request: pytest.FixtureRequest) -> Evidence:
        # The contract's ramp is well into its second part when so many have been seen.
        return FixedHorizon(adjust=self.adjust, **request.param)


class TestPooledCluster(ClusterContract):
    @pytest.fixture
    def part(self) -> Evidence:
        return FixedHorizon(mde="10%", adjust=self.adjust, tally="pooled")


@pytest.mark.parametrize(("tally", "least", "most"), [("within_ticks", 0.0, 0.065), ("pooled", 0.5, 1.0)])
def test_users_are_compared_at_the_same_times_only_within_ticks(tally: str, least: float, most: float) -> None:
    """A/A: 10% of traffic for 24 ticks and then half, while both arms rise by .3 standard deviations."""
    part = FixedHorizon(sample=600, adjust={"kind": "cluster"}, tally=tally)
    ticks, live = paths.alike_user_ticks(4000, lambda tick, means: 0.1 if tick < 24 else 0.5, [0.0] * 24 + [0.3] * 12)
    found, at = first_findings(part, ticks, live=live)
    assert (at > 24).all()
    # 6.5% is 4 standard errors above 5%.
    assert least < declared(found) < most


class TestStratify(AdjustedContract):
    adjust: ClassVar[dict[str, Any]] = {"kind": "stratify"}


class TestRatio(AdjustedContract):
    adjust: ClassVar[dict[str, Any]] = {"kind": "ratio", "over": "cost"}


class TestWinsorise(AdjustedContract):
    adjust: ClassVar[dict[str, Any]] = {"kind": "winsorise", "limit": 1e6}

    def paths(self, rows: int, effects: tuple[float, ...]) -> list[dict[Column, Ints]]:
        return paths.capped_ticks(rows, TICKS, effects, 1e6)


class TestGroupSequential(AdjustedContract):
    adjust: ClassVar[dict[str, Any]] = {"kind": "cuped"}

    @pytest.fixture(params=["obrien_fleming", "spending"])
    def part(self, request: pytest.FixtureRequest) -> Evidence:
        more = {"spending": "obrien_fleming"} if request.param == "spending" else {}
        return GroupSequential(design=request.param, mde="10%", adjust=self.adjust, **more)


class TestMixtureSprt(ClusterContract):
    error: ClassVar[tuple[float, float]] = (0.005, 0.05)
    power: ClassVar[tuple[float, float]] = (0.6, 1.0)

    @pytest.fixture
    def part(self) -> Evidence:
        return MixtureSprt(mde="10%", adjust=self.adjust)


@pytest.mark.parametrize(
    "part",
    [
        ConfidenceSequence(mde="10%", adjust={"kind": "cuped"}), Sprt(mde="10%", adjust={"kind": "cuped"}),
        ConfidenceSequence(mde="10%", adjust={"kind": "cluster"}), Sprt(mde="10%", adjust={"kind": "cluster"}),
    ],
)  # fmt: skip
def test_rules_for_any_time_keep_their_error(part: Evidence) -> None:
    rows = 4000
    found, _ = first_findings(part, BY_KIND[part.adjust.kind](rows, [60] * 60, (0.0,)))
    assert declared(found) < 0.05 + 4 * standard_error(0.05, rows)


@pytest.mark.parametrize(
    ("kind", "times"),
    [
        ("cuped", 1 - paths.CORRELATION**2),
        ("cluster", 1 + (paths.PER_USER - 1) * paths.ALIKE),
        ("stratify", 1 / (1 + 0.6 * 0.4 * paths.APART**2)),
    ],
)
def test_it_ends_when_its_information_is_that_of_the_planned_sample(kind: str, times: float) -> None:
    """With 20 outcomes a tick: within a tick, and four standard errors of a variance estimated from so many outcomes.

    The registered standard deviation is that within a segment, so that between segments is what stratifying gains.
    """
    part = FixedHorizon(sample=600, adjust={"kind": kind})
    found, at = first_findings(part, BY_KIND[kind](400, [20] * 120, (0.0,)))
    assert (found != Finding.UNDECIDED).all()
    assert abs(20 * at.mean() / (600 * times) - 1) < 0.04 + 4 * np.sqrt(1 / 600 / 400)


def test_peeking_at_an_adjusted_test_is_as_wrong_as_at_any_other() -> None:
    rows = 4000
    part = Peeking(sample=10_000, every="10m", adjust={"kind": "cuped"})
    found, _ = first_findings(part, paths.covariate_ticks(rows, [1000] * 5, (0.0,)))
    # Armitage, McPherson & Rowe (1969): five looks.
    assert abs(declared(found) - 0.142) < 4 * standard_error(0.142, rows)


@pytest.mark.parametrize("kind", ["ratio", "cuped", "cluster"])
def test_relative_effects_and_margins_are_those_of_what_is_compared(kind: str) -> None:
    rows = 4000
    adjust = {"kind": kind, **({"over": "cost"} if kind == "ratio" else {})}
    part = FixedHorizon(hypothesis="non_inferiority", margin="10%", effect="relative", adjust=adjust)
    # Worse by the margin: 10% of the mean is 0.2 standard deviations. With delta method at 3 to 5 standard errors of the mean.
    found, _ = first_findings(part, BY_KIND[kind](rows, TICKS, (-0.2,)))
    assert abs((found == Finding.PASS).mean() - 0.05) < 4 * standard_error(0.05, rows) + 0.01
    same, _ = first_findings(part, BY_KIND[kind](rows, TICKS, (0.0,)))
    assert (same == Finding.PASS).mean() > 0.77


SETTING = make_setting()
NEVER = Metric("n", 1, True, 1.0, 0.0, 0.0)
BARE = Setting(("a", "b"), 1, 10, 600.0, "m", {"m": Metric("m", 1, False, 1.0, 5.0, 2.0), "n": NEVER})


@pytest.mark.parametrize(
    ("adjust", "setting", "key", "message"),
    [
        (Cuped(), BARE, "kind", "give the metric m a `covariate`"),
        (Cluster(), BARE, "kind", "needs `users`"),
        (Stratify(), BARE, "kind", "needs `segments`"),
        (Ratio(over="m"), BARE, "over", "must be another metric than the primary one, got 'm'"),
        (Ratio(over="clicks"), BARE, "over", "no metric 'clicks' to divide by; there is n"),
        (Ratio(over="n"), BARE, "over", "must not have a mean of 0"),
        (Winsorise(), BARE, "limit", "is required"),
        (Winsorise(limit=3, at=0.99), BARE, "at", "say the same in two ways"),
        (Winsorise(limit=0.5), BARE, "limit", "at least a step of the metric's grid (1), got a cap of 0.5"),
        (Winsorise(limit=0.5), SETTING, "kind", "winsorise is for amounts: conversion is 0 or 1"),
    ],
)
def test_what_cannot_be_adjusted_is_refused(adjust: Any, setting: Setting, key: str, message: str) -> None:
    ((found, said),) = adjust.problems(setting)
    assert found == key
    assert message in said
    for rule in (FixedHorizon(sample=10, adjust=adjust), MixtureSprt(mixing_sd=1, adjust=adjust), Sprt(mde=0.1, adjust=adjust)):
        assert (f"adjust.{key}", said) in rule.problems(setting)


class OnlyTotals(Adjust):
    """An adjustment of one's own that has no `within_ticks`."""

    pools: ClassVar[bool] = True

    kind: Literal["only_totals"] = "only_totals"


def test_what_compares_totals_only_is_not_compared_within_ticks() -> None:
    adjust: Any = OnlyTotals()
    assert resolved(None, adjust) == "pooled"
    ((key, said),) = tally_problems("within_ticks", adjust)
    assert (key, said) == (
        "tally", "must be pooled, or left out, with adjust: only_totals, which compares totals only; got within_ticks"
    )  # fmt: skip
    assert resolved(None, Cluster()) == "within_ticks"
    assert tally_problems("within_ticks", Cluster()) == []


def test_a_delayed_metric_has_no_ratio() -> None:
    slow = {"m": Metric("m", 1, False, 1.0, 5.0, 2.0), "n": Metric("n", 1, False, 1.0, 5.0, 2.0, delayed=True)}
    ((key, said),) = Ratio(over="n").problems(Setting(("a", "b"), 1, 10, 600.0, "m", slow))
    assert (key, said) == ("over", "must be known together with m: the feedback of n has a delay")


def test_an_adjusted_test_has_its_own_standard_error() -> None:
    part = FixedHorizon(sample=10, test="welch", adjust={"kind": "cuped"})
    assert part.problems(SETTING) == [
        ("test", "must be left out with `adjust`, which has a standard error of its own; got welch")
    ]


def test_a_cap_may_be_a_quantile_of_what_is_registered() -> None:
    amounts = Metric("m", 1, False, 1.0, 14.5, 20.0, values=(0.0, 10.0, 100.0), chances=(0.5, 0.45, 0.05))
    setting = Setting(("a", "b"), 1, 10, 600.0, "m", {"m": amounts})
    assert Winsorise(at=0.95).cap(amounts) == 10
    assert Winsorise(at=0.96).cap(amounts) == 100
    assert Winsorise(at=0.95).nominal(setting) == pytest.approx((5.0, 5.0))
    bell = Metric("m", 1, False, 1.0, 10.0, 2.0)
    assert Winsorise(at=0.975).cap(bell) == pytest.approx(10 + 1.96 * 2, abs=1e-3)
    # The mean of a normal cut at its mean is lower by sd / sqrt(2 pi).
    mean, _ = Winsorise(limit=10).nominal(Setting(("a", "b"), 1, 10, 600.0, "m", {"m": bell}))
    assert mean == pytest.approx(10 - 2 / np.sqrt(2 * np.pi), abs=1e-3)


PER_TICK = 558
PLANNED = 27_921
"""Sales an arm that a plain test of an effect of 12% needs, times what CUPED leaves of the variance."""
SHARE_LEFT = 1 - paths.TELLING**2
ENDS_AT = -(-PLANNED // PER_TICK)


def found_in_sales(part: Evidence, ticks: list[dict[Column, Ints]]) -> tuple[Ints, Ints]:
    """(r,) each: the first finding for the challenger, and the number of its tick."""
    needed = part.needs(SALES)
    findings = np.stack(look_at(part, SALES, [{key: tick[key] for key in needed} for tick in ticks]))[:, :, 1]
    at = (findings != Finding.UNDECIDED).argmax(axis=0)
    return findings[at, np.arange(at.size)], at + 1


SALES = paths.sale_setting()


@pytest.fixture(scope="module")
def sales() -> list[dict[Column, Ints]]:
    """Two sales in a hundred requests, of very unlike amounts; half as many again as planned."""
    return paths.sale_ticks(400, [PER_TICK] * (ENDS_AT + 25), 0.12)


@pytest.mark.parametrize("tally", ["within_ticks", "pooled"])
def test_a_test_does_not_end_because_it_takes_its_own_variance_for_too_small(sales: Any, tally: Tally) -> None:
    """Eleven sales an arm, in the first tick, can make the adjusted variance a thousandth of what it is."""
    part = FixedHorizon(mde="12%", adjust={"kind": "cuped"}, tally=tally)
    assert abs(part.planned_sample(SALES) * SHARE_LEFT - PLANNED) < 1
    found, at = found_in_sales(part, sales)
    decided = found != Finding.UNDECIDED
    assert (at[decided] >= ENDS_AT).all()
    assert decided.mean() > 0.85
    # Planned for 80% with the champion's variance; four standard errors.
    assert abs((found[decided] == Finding.PASS).mean() - 0.8) < 4 * standard_error(0.8, int(decided.sum()))


@pytest.mark.parametrize("more", [{}, {"design": "pocock"}, {"design": "spending", "spending": "pocock"}], ids=str)
def test_no_look_comes_before_its_information(sales: Any, more: dict[str, Any]) -> None:
    part = GroupSequential(mde="12%", looks=5, adjust={"kind": "cuped"}, **more)
    found, at = found_in_sales(part, sales)
    soonest = 0.2 * part.planned_sample(SALES) * SHARE_LEFT / PER_TICK
    if more.get("design") == "spending":
        # Its looks may come sooner than planned by what `CLOSEST` allows.
        soonest *= CLOSEST
    decided = found != Finding.UNDECIDED
    assert decided.mean() > 0.5
    assert at[decided].min() >= soonest


@pytest.mark.parametrize(
    ("adjust", "times"),
    [({"kind": "cuped"}, SHARE_LEFT), ({"kind": "winsorise", "limit": 1e6}, 1.0)],
    ids=["cuped", "winsorise"],
)
@pytest.mark.parametrize("tally", ["within_ticks", "pooled"])
def test_no_adjusted_error_is_smaller_than_the_plain_one_and_its_promise(
    sales: Any, adjust: dict[str, Any], times: float, tally: Tally
) -> None:
    """Rules that look at every tick take their standard error from `compare`; four ticks hold some 45 sales an arm."""
    part = MixtureSprt(mde="12%", adjust=adjust, tally=tally)
    seen = [tick | {column: tick[of] for column, of in zip(part.needs(SALES)[-2:], paths.REVENUE[1:], strict=True)
                    if adjust["kind"] == "winsorise"} for tick in sales[:4]]  # fmt: skip
    columns = part.needs(SALES)
    total = np.stack([sum(tick[column] for tick in seen) for column in columns], axis=2)
    view = view_of(part, SALES, total, np.ones((len(total), 2), bool))
    adjusted = compare(view, "auto", np.ones(len(total), bool), adjust=part.adjust, tally=tally)
    count, summed, squared = (moment.astype(float) for moment in totals_of(sales[:4]))
    plain = two_sample("welch", count[:, 0], summed[:, 0], squared[:, 0], count[:, 1], summed[:, 1], squared[:, 1])
    assert (adjusted.standard_error[:, 0] >= np.sqrt(times) * plain.standard_error * (1 - 0.05)).all()


def totals_of(ticks: list[dict[Column, Ints]]) -> list[Floats]:
    """(r, K) each: number, sum and sum of squares of all sales."""
    grid = SALES.metrics["revenue"].grid
    return [sum(tick[column] for tick in ticks) * grid**power for power, column in enumerate(paths.REVENUE)]


def test_a_gain_that_was_not_promised_counts_once_the_variance_is_known() -> None:
    """Segments promise nothing: 200 normal outcomes an arm tell a variance to a tenth, and then what they gain is counted."""
    part = FixedHorizon(sample=10**6, adjust={"kind": "stratify"})
    ticks = paths.segment_ticks(400, [100, 100], (0.0,))
    setting = make_setting(primary="revenue")
    shares = []
    for seen in (ticks[:1], ticks):
        total = np.stack([sum(tick[column] for tick in seen) for column in part.needs(setting)], axis=2)
        view = view_of(part, setting, total, np.ones((400, 2), bool))
        shares.append(part.planned_share(view)[:, 1] * 10**6 / (100 * len(seen)))
    assert shares[0].max() <= 1 + 1e-9
    assert shares[1].mean() > 1.15


def test_an_even_game_between_alike_arms_declares_no_more_than_it_promises() -> None:
    ticks = paths.sale_ticks(1000, [PER_TICK] * 16, 0.0, seed=27)
    for part in (
        FixedHorizon(mde="25%", adjust={"kind": "cuped"}), GroupSequential(mde="25%", adjust={"kind": "cuped"}),
        MixtureSprt(mde="25%", adjust={"kind": "cuped"}), Sprt(mde="25%", adjust={"kind": "cuped"}),
    ):  # fmt: skip
        found, _ = found_in_sales(part, ticks)
        assert declared(found[:, None]) < 0.05 + 4 * standard_error(0.05, 1000)


@pytest.mark.parametrize(
    ("metric", "kurtosis"),
    [
        (Metric("m", 1, True, 1.0, 0.05, 0.2179), 1 / (0.05 * 0.95) - 3),
        (Metric("m", 1, False, 1.0, 10.0, 2.0), 3.0),
        (Metric("m", 1, False, 1.0, 5.0, 5.0, values=(0.0, 10.0), chances=(0.5, 0.5)), 1.0),
        (NEVER, 1.0),
    ],
)
def test_the_kurtosis_is_that_of_what_is_registered(metric: Metric, kurtosis: float) -> None:
    assert metric.kurtosis == pytest.approx(kurtosis)
