"""What offline evaluations show: in closed form, on the same rows for all arms, and the same for whoever asks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sim.arrays import Floats
from sim.policy.offline import Evaluation
from sim.scenario.priors import NormalEffect, NormalPrior
from sim.world.alike import alike
from sim.world.offline import OfflineWorld, scores
from sim.world.world import World
from tests.worlds import behaves, make_replayed_world, make_scenario, make_world

ROWS, REPLICATIONS = 1500, 20_000
P, Q = 0.90, 0.91
ERRORS = 4


def two(first: Any, second: Any) -> World:
    """A champion and a challenger with distributions of `conversion` as in a models file."""
    said = [behaves(outcomes={"conversion": each}) for each in (first, second)]
    return make_world(make_scenario(), said)


def converts(p: float, q: float) -> World:
    return two({"bernoulli": p}, {"bernoulli": q})


def replayed_world(table: Floats) -> World:
    scenario = make_scenario(
        data={"sklearn": "digits"}, metrics=[{"name": "conversion", "role": "primary", "reward": "correct"}]
    )
    return make_replayed_world(scenario, {"conversion": table}, np.ones(table.shape))


def shown(world: World, evaluation: Evaluation, first: int = 0, count: int = REPLICATIONS) -> Floats:
    return scores(world.realise(np.arange(first, first + count)), [evaluation])[evaluation]


def near(values: Floats, mean: float, sd: float) -> None:
    """Mean and sd are as stated, within standard errors of normal values."""
    n = values.size
    assert abs(values.mean() - mean) < ERRORS * sd / np.sqrt(n) + 1e-12
    assert abs(values.std() - sd) < ERRORS * sd / np.sqrt(2 * n)


@pytest.mark.parametrize("similarity", [0.0, 0.6, 1.0])
def test_the_difference_of_two_shares_varies_as_mcnemar_says(similarity: float) -> None:
    """b and c are the chances of a row that only one of the two has right; the variance is (b + c - (b - c)^2) / n."""
    world = replace(converts(P, Q), offline=OfflineWorld(similarity=similarity))
    found = shown(world, Evaluation("conversion", ROWS))
    b = similarity * (Q - P) + (1 - similarity) * Q * (1 - P)
    c = (1 - similarity) * P * (1 - Q)
    near(found[:, 1] - found[:, 0], Q - P, np.sqrt((b + c - (b - c) ** 2) / ROWS))
    near(found[:, 0], P, np.sqrt(P * (1 - P) / ROWS))


def test_folds_are_worth_fewer_rows() -> None:
    """The variance of k correlated means of n / k rows, with the correlation 1 / k: p (1 - p) / n (1 + (k - 1) / k)."""
    found = shown(converts(P, Q), Evaluation("conversion", ROWS, "kfold", 5))
    near(found[:, 0], P, np.sqrt(P * (1 - P) / ROWS * (1 + 4 / 5)))


def test_a_gap_is_what_live_traffic_earns_less() -> None:
    gap = NormalEffect(normal=NormalPrior(mean=-0.02, sd=0.01))
    world = replace(converts(0.5, 0.5), offline=OfflineWorld(gap=gap))
    found = shown(world, Evaluation("conversion", ROWS))
    near(found[:, 0], 0.5, np.sqrt(0.25 / ROWS))
    # 1 / (1 + gap), to second order.
    assert found[:, 1].mean() == pytest.approx(
        0.5 / 0.98 * (1 + (0.01 / 0.98) ** 2), abs=ERRORS * 0.0145 / np.sqrt(REPLICATIONS)
    )
    assert found[:, 1].std() == pytest.approx(np.hypot(np.sqrt(0.25 / ROWS), 0.5 * 0.01 / 0.98**2), rel=0.03)


def test_the_same_scores_for_any_block_and_any_other_evaluation() -> None:
    world = replace(converts(P, Q), offline=OfflineWorld(similarity=0.5))
    one = Evaluation("conversion", ROWS)
    whole = shown(world, one, 0, 50)
    parts = [shown(world, one, first, 10) for first in range(0, 50, 10)]
    assert (np.concatenate(parts) == whole).all()
    other = Evaluation("conversion", 10)
    both = scores(world.realise(np.arange(50)), [other, one])
    assert (both[one] == whole).all()


class TestRowsOfTheData:
    """Replayed models: 40 rows, on which the challenger is right where the champion is, and on four more."""

    TABLE = np.stack([np.arange(40) < 30, np.arange(40) < 34], axis=1).astype(np.float64)

    def test_all_rows_are_what_the_table_says_in_every_replication(self) -> None:
        found = shown(replayed_world(self.TABLE), Evaluation("conversion", None), count=20)
        assert (found == [0.75, 0.85]).all()

    def test_a_part_of_them_is_held_out_for_all_arms_alike(self) -> None:
        found = shown(replayed_world(self.TABLE), Evaluation("conversion", 10), count=2000)
        assert (np.rint(found * 10) == found * 10).all()
        assert (found[:, 1] >= found[:, 0]).all()
        # Hypergeometric: without replacement.
        near(found[:, 0], 0.75, np.sqrt(0.75 * 0.25 / 10 * (40 - 10) / (40 - 1)))

    def test_a_bootstrap_draws_them_with_replacement(self) -> None:
        found = shown(replayed_world(self.TABLE), Evaluation("conversion", 40, "bootstrap"), count=4000)
        assert (found[:, 1] >= found[:, 0]).all()
        near(found[:, 1] - found[:, 0], 0.1, np.sqrt(0.1 * 0.9 / 40))

    def test_rows_that_were_lost_are_in_no_evaluation(self) -> None:
        world = replace(replayed_world(self.TABLE), offline=OfflineWorld(rows=np.arange(40) < 32))
        found = shown(world, Evaluation("conversion", None), count=5)
        assert (found == [30 / 32, 1.0]).all()
        assert world.setting(5).table_rows == 32

    def test_a_block_is_as_its_replications(self) -> None:
        world, one = replayed_world(self.TABLE), Evaluation("conversion", 11)
        whole = shown(world, one, 0, 30)
        assert (np.concatenate([shown(world, one, first, 6) for first in range(0, 30, 6)]) == whole).all()


FAMILIES = {
    "normal": ({"normal": {"mean": 10, "sd": 4}}, {"normal": {"mean": 10.5, "sd": 6}}),
    "amounts": ({"lognormal": {"median": 8, "p99": 60}}, {"gamma": {"mean": 11, "sd": 7}}),
    "counts": ({"poisson": 2}, {"poisson": 2.2}),
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("similarity", [0.0, 0.7])
def test_means_and_spreads_are_those_of_the_outcomes(family: str, similarity: float) -> None:
    plain = two(*FAMILIES[family])
    outcome = plain.primary_outcome
    found = shown(replace(plain, offline=OfflineWorld(similarity=similarity)), Evaluation("conversion", 300), count=4000)
    for arm in range(2):
        near(found[:, arm], outcome.mean[arm], outcome.sd[arm] / np.sqrt(300))
    correlation = np.corrcoef(found.T)[0, 1]
    # Of one law, rows that are as hard for both have a correlation of 1; of two, not much less.
    assert (0.6 < correlation < 0.74) if similarity else abs(correlation) < ERRORS / np.sqrt(4000)


@pytest.mark.parametrize("family", FAMILIES)
def test_models_that_are_alike_score_alike_where_all_rows_are_as_hard(family: str) -> None:
    same = replace(alike(two(*FAMILIES[family])), offline=OfflineWorld(similarity=1.0))
    found = shown(same, Evaluation("conversion", 50), count=200)
    assert (found[:, 0] == found[:, 1]).all()
    assert np.ptp(found[:, 0]) > 0
