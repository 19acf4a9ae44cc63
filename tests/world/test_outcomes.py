"""Outcome families: what one request earns and what n earn together are the same distribution."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from sim.distributions import outcomes as written
from sim.distributions.strata import strata
from sim.world.outcomes import Binary, Discrete, Joint, NormalAmount, Outcomes, Replayed, Tilted
from sim.world.streams import keys
from tests.world.drawing import values

N, EACH = 4000, 25

REVENUE = written.ZeroInflated.model_validate({"zero_inflated": {"rate": 0.3, "amount": {"gamma": {"mean": 30, "sd": 15}}}})


def revenue() -> Discrete:
    value, chance = REVENUE.atoms()
    on_grid = np.rint(value / 0.01).astype(np.int64)
    both = np.stack([on_grid, on_grid])
    return Discrete((both * chance).sum(axis=1)[None] * 0.01, both[None], np.stack([chance, chance]))


def tilted(*said: dict[str, Any], grid: float = 1.0) -> Tilted:
    """A count or a score of two arms, whose means may be halved or doubled."""
    levels = [TypeAdapter(written.Outcome).validate_python(each).levels(0.5, 2.0) for each in said]
    atoms = np.zeros((2, max(len(logs) for _, logs in levels)), np.int64)
    log_chance = np.full(atoms.shape, -np.inf)
    for arm, (value, logs) in enumerate(levels):
        atoms[arm, : value.size], log_chance[arm, : value.size] = np.rint(value / grid), logs
    return Tilted.of(atoms, log_chance, grid, {}, 1)


def replayed() -> Replayed:
    reward = np.array([[1, 0], [1, 1], [0, 0], [0, 1], [0, 1]])
    return Replayed(reward, Binary(reward.mean(axis=0)[None]))


FAMILIES: dict[str, Outcomes] = {
    "binary": Binary(np.array([[0.2, 0.97]])),
    "normal": NormalAmount(np.array([[3.0, -1.0]]), np.array([[1.0, 4.0]]), 0.01),
    "coarse normal": NormalAmount(np.array([[3.0, -1.0]]), np.array([[1.0, 4.0]]), 0.5),
    "revenue": revenue(),
    "counts": tilted({"poisson": 1.3}, {"negative_binomial": {"mean": 2, "dispersion": 1.5}}),
    "scores": tilted({"categorical": {1: "10%", 3: "20%", 5: "70%"}}, {"beta": {"mean": 0.4, "sd": 0.2}}, grid=1e-4),
    "replayed": replayed(),
}


GRIDS = {"revenue": 0.01, "scores": 1e-4}


@pytest.mark.parametrize("outcome", FAMILIES.values(), ids=FAMILIES.keys())
def test_sums_have_the_moments_of_summed_values(outcome: Outcomes) -> None:
    drawn = values(outcome, N * EACH, seed=1)
    for arm in (0, 1):
        value = drawn[:, arm].reshape(N, EACH)
        by_request = np.stack([value.sum(axis=1), (value**2).sum(axis=1)]).astype(float)
        key = keys(2, np.arange(8 * N), f"{arm}")[:, None]
        total, square = outcome.sums(np.full((8 * N, 2), EACH), np.zeros(8 * N, np.int64), key)
        at_once = np.stack([total[:, arm], square[:, arm]]).astype(float)
        error = np.sqrt(by_request.var(axis=1) / N + at_once.var(axis=1) / (8 * N))
        # Rounding every value to the grid, against once: less than a step in the sum.
        assert (np.abs(by_request.mean(axis=1) - at_once.mean(axis=1)) < 4 * error + 1).all()
        assert at_once.var(axis=1) == pytest.approx(by_request.var(axis=1), rel=4.5 * np.sqrt(3 / N))
        if by_request.std() and (by_request[0] != by_request[1]).any():
            apart = np.corrcoef(by_request)[0, 1] - np.corrcoef(at_once)[0, 1]
            assert abs(apart) < 4.5 / np.sqrt(N)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_mean_is_that_of_the_values(name: str) -> None:
    outcome = FAMILIES[name]
    grid = getattr(outcome, "grid", GRIDS.get(name, 1.0))
    value = values(outcome, N * EACH, seed=4) * grid
    assert (np.abs(value.mean(axis=0) - outcome.mean[0]) < 4 * value.std(axis=0) / np.sqrt(N * EACH)).all()


@pytest.mark.parametrize("factor", [0.6, 1.0, 1.1])
def test_sums_of_counts_and_scores_follow_a_factor_and_values_stay(factor: float) -> None:
    n, rows = np.full((8 * N, 2), EACH), np.zeros(8 * N, np.int64)
    for name in ("counts", "scores"):
        outcome = FAMILIES[name]
        assert isinstance(outcome, Tilted)
        total, square = outcome.sums(n, rows, keys(6, np.arange(8 * N), name)[:, None], factor)
        chance, atoms = outcome.chance(factor)[0], outcome.atoms
        for found, power in ((total, 1), (square, 2)):
            expected = EACH * (chance * atoms.astype(float) ** power).sum(axis=1)
            assert (np.abs(found.mean(axis=0) - expected) < 4 * found.std(axis=0) / np.sqrt(8 * N)).all()
        grid = GRIDS.get(name, 1.0)
        assert (chance * atoms).sum(axis=1) * grid == pytest.approx(outcome.mean[0] * factor, rel=1e-12)
        one, other = outcome.sums(np.ones((8 * N, 2), np.int64), rows, keys(7, np.arange(8 * N), name)[:, None], factor)
        assert np.array_equal(other, one**2)
        assert all(np.isin(one[:, arm], atoms[arm]).all() for arm in (0, 1))


def test_an_arm_with_an_effect_has_the_values_of_the_champion_and_another_mean() -> None:
    champion = FAMILIES["counts"]
    assert isinstance(champion, Tilted)
    effects = np.array([1.0, 1.2, 0.5])
    varied = Tilted.of(champion.atoms, champion.log_chance[0], 1.0, {1: effects}, 3)
    assert varied.mean.tolist() == pytest.approx(np.stack([np.full(3, 1.3), 1.3 * effects], axis=1))
    there = champion.log_chance[0, 0] > -np.inf
    for row, effect in enumerate(effects):
        law = scipy.stats.poisson(1.3 * effect)
        assert np.abs(varied.chance()[row, 1, there] - law.pmf(varied.atoms[1, there])).max() < 1e-11
        assert not varied.chance()[row, 1, ~there].any()
    assert np.array_equal(varied.log_chance[0, 1], champion.log_chance[0, 0])
    # Effects that are alike in all replications take no more room than none.
    assert len(Tilted.of(champion.atoms, champion.log_chance[0], 1.0, {1: np.full(3, 1.2)}, 3).log_chance) == 1


def test_nobody_earns_nothing_and_one_normal_value_is_its_own_square() -> None:
    key = keys(3, np.arange(6), "x").reshape(3, 2)
    rows = np.zeros(3, np.int64)
    for outcome in FAMILIES.values():
        total, square = outcome.sums(np.zeros((3, 2), np.int64), rows, key)
        assert not total.any()
        assert not square.any()
    total, square = FAMILIES["normal"].sums(np.ones((3, 2), np.int64), rows, key)
    assert np.array_equal(square, total**2)


@pytest.mark.parametrize("mean", [0.3, 2.5])
def test_sums_on_a_coarse_grid_are_those_of_some_values(mean: float) -> None:
    """n times the sum of squares is at least the squared sum, or tests would refuse them."""
    outcome, rows = NormalAmount(np.full((500, 2), mean), np.zeros((500, 2)), grid=1.0), np.arange(500)
    for n in (1, 2, 3, 7):
        total, square = outcome.sums(np.full((500, 2), n), rows, keys(3, np.arange(1000), f"{n}").reshape(500, 2))
        assert (n * square >= total**2).all()


def test_a_replayed_request_is_the_same_row_for_every_arm() -> None:
    answers = values(replayed(), 10_000, seed=0)
    counted = np.bincount(2 * answers[:, 0] + answers[:, 1], minlength=4)
    # Of five rows, two are (0, 1).
    assert scipy.stats.chisquare(counted, 2_000 * np.array([1, 2, 1, 1])).pvalue > 1e-4


def test_two_replayed_metrics_are_drawn_together() -> None:
    right = np.array([[1, 0], [1, 1], [0, 0], [0, 1], [0, 1]])
    worth = right * np.array([5, 7, 11, 13, 17])[:, None]
    chance = np.full((2, 5), 0.2)
    marginal = Discrete(worth.mean(axis=0)[None], worth.T[None], chance)
    joint = Joint.of({"worth": Replayed(worth, marginal), "right": Replayed(right, Binary(right.mean(axis=0)[None]))})
    assert joint is not None
    n = np.full((20_000, 2), EACH)
    sums = joint.sums(n, np.zeros(20_000, np.int64), keys(5, np.arange(40_000), "x").reshape(20_000, 2))
    for arm in (0, 1):
        drawn = np.stack([sums["right"][0][:, arm], sums["worth"][0][:, arm], sums["worth"][1][:, arm]])
        each = np.stack([right[:, arm], worth[:, arm], worth[:, arm] ** 2])
        error = drawn.std(axis=1) / np.sqrt(20_000)
        assert (np.abs(drawn.mean(axis=1) - EACH * each.mean(axis=1)) < 4 * error).all()
        assert np.cov(drawn) == pytest.approx(EACH * np.cov(each, bias=True), rel=4.5 * np.sqrt(2 / 20_000) * 2)
    assert Joint.of({"right": Replayed(right, Binary(right.mean(axis=0)[None])), "other": Binary(np.array([[0.1]]))}) is None


amounts = st.sampled_from(["lognormal", "gamma"])


@given(amounts, st.floats(0.01, 1e6), st.floats(0.05, 3.0))
def test_strata_keep_the_mean_and_lose_little_variance(kind: str, mean: float, cv: float) -> None:
    family = {"lognormal": written.LogNormal, "gamma": written.Gamma}[kind]
    amount = family.model_validate({kind: {"mean": mean, "sd": cv * mean}})
    value, chance = strata(amount)
    assert chance.sum() == pytest.approx(1.0)
    assert (np.diff(value) > 0).all()
    assert (value > 0).all()
    assert (value * chance).sum() == pytest.approx(mean, rel=1e-9)
    kept = (value**2 * chance).sum() - (value * chance).sum() ** 2
    assert 0.99 <= kept / (cv * mean) ** 2 <= 1 + 1e-9


def test_strata_are_the_conditional_means_of_the_distribution() -> None:
    amount = written.Gamma.model_validate({"gamma": {"mean": 30, "sd": 15}})
    value, chance = strata(amount)
    law = scipy.stats.gamma(amount.shape, scale=amount.scale)
    edges = law.ppf(np.concatenate([[0.0], np.cumsum(chance)]).clip(0, 1))
    for place in (0, 10, 39):
        part = law.expect(lambda x: x, lb=edges[place], ub=edges[place + 1], conditional=True)
        assert value[place] == pytest.approx(part, rel=1e-6)
