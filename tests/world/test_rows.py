"""Populations drawn from the rows of the data: their spread, their pairing, shifts, chances, and what engines make of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import scipy.stats

from sim.arrays import Floats
from sim.engine.aggregate import AggregateEngine
from sim.engine.compiled import CompiledEngine
from sim.engine.reference import SimpyEngine
from sim.errors import InputError
from sim.policy.base import Routing
from sim.policy.columns import mean_of
from sim.world.alike import alike
from sim.world.left_open import left_open
from sim.world.outcomes import Replayed
from sim.world.potential import Potential
from sim.world.rows import RowWeights, search_table
from sim.world.world import Truth, World
from tests.columns import agreement, mirrored, moments
from tests.worlds import behaves, make_replayed_world, make_scenario

ROWS = 150
MANY = np.arange(4000)


def answers(rows: int = ROWS) -> Floats:
    """(rows, 3) whether three arms are right: .8, .84 and .7, as models are, on much the same rows."""
    rng = np.random.default_rng(3)
    hard = rng.random(rows)
    return np.stack([hard + 0.1 * rng.random(rows) < level for level in (0.83, 0.87, 0.74)], axis=1).astype(float)


RIGHT = answers()
WORTH = RIGHT * np.round(np.random.default_rng(4).gamma(2.0, 10.0, ROWS))[:, None]
LIKELY = np.random.default_rng(5).beta(0.5, 4.0, (ROWS, 3))
SAID = {
    "right": (RIGHT, "correct"),
    "worth": (WORTH, {"column": "price"}),
    "sold": (LIKELY, {"column": "ctr", "as": "chance"}),
}


def world_of(*names: str, weights: Floats | None = None, arms: int = 3, **changes: Any) -> World:
    """Replayed models with some of the metrics, the first of which is the primary one."""
    data = {"sklearn": "digits", **changes.pop("data", {})}
    metrics = [
        {
            "name": name,
            "role": "secondary" if place else "primary",
            "reward": SAID[name][1],
            "grid": 1.0 if name == "worth" else None,
        }
        for place, name in enumerate(names)
    ]
    scenario = make_scenario(arms=("champion", "a", "b")[:arms], data=data, metrics=metrics, **changes)
    measured = [behaves(outcomes={}, latency={"exponential": "200ms"}, error_rate=0.05)] * arms
    rewards = {name: SAID[name][0][:, :arms] for name in names}
    return make_replayed_world(scenario, rewards, RIGHT[:, :arms] == RIGHT[:, :1], measured, weights)


def effects(truth: Truth) -> Floats:
    """(R, K - 1) relative effects on the primary metric."""
    mean = truth.outcomes[truth.world.primary].mean
    return mean[:, 1:] / mean[:, :1] - 1


@pytest.mark.parametrize("name", SAID)
def test_effects_spread_as_in_an_independent_bayesian_bootstrap(name: str) -> None:
    found = effects(world_of(name).realise(MANY))
    share = np.random.default_rng(11).dirichlet(np.ones(ROWS), MANY.size)
    mean = share @ SAID[name][0]
    drawn = mean[:, 1:] / mean[:, :1] - 1
    for arm in (0, 1):
        assert scipy.stats.ks_2samp(found[:, arm], drawn[:, arm]).pvalue > 1e-3
    # Paired over arms: what two challengers gain goes together as it does there.
    apart = np.arctanh(np.corrcoef(found.T)[0, 1]) - np.arctanh(np.corrcoef(drawn.T)[0, 1])
    assert abs(apart) < 4 * np.sqrt(2 / MANY.size)


def test_weights_are_exchangeable_and_dirichlet() -> None:
    share = np.stack([*RowWeights(np.ones(20), bootstrap=True).shares(7, MANY)])
    assert share.sum(axis=1) == pytest.approx(np.ones(MANY.size))
    for row in (0, 1, 19):
        assert scipy.stats.kstest(share[:, row], scipy.stats.beta(1, 19).cdf).pvalue > 1e-3
    assert abs(np.corrcoef(share[:, 3], share[:, 4])[0, 1] + 1 / 19) < 4 / np.sqrt(MANY.size)


def test_a_population_depends_on_its_replication_only() -> None:
    alone, together = world_of("right").realise(np.array([17])), world_of("right", "worth", "sold").realise(np.arange(40))
    assert (alone.outcomes["right"].mean[0] == together.outcomes["right"].mean[17]).all()
    fewer = world_of("right", arms=2).realise(np.array([17]))
    assert (fewer.outcomes["right"].mean[0] == alone.outcomes["right"].mean[0, :2]).all()
    # One set of weights for all metrics: a row's worth and its right answer have the same share.
    share = np.stack([*RowWeights(np.ones(ROWS), bootstrap=True).shares(7, np.arange(40))])
    for name in ("right", "worth", "sold"):
        assert together.outcomes[name].mean == pytest.approx(share @ SAID[name][0])
    assert together.agreement is not None
    assert together.agreement == pytest.approx(share @ (RIGHT[:, :1] == RIGHT))


def test_rows_are_all_there_is_where_the_scenario_says_so() -> None:
    truth = world_of("right", "worth", data={"population": "rows"}).realise(np.arange(5))
    assert truth.outcomes["right"].mean == pytest.approx(np.repeat(RIGHT.mean(axis=0)[None], 5, axis=0))
    assert np.ptp(truth.worths.overall.value, axis=0) == pytest.approx(0)


def test_a_policy_knows_the_data_and_not_the_replication() -> None:
    for population in ("bootstrap", "rows"):
        world = world_of("sold", data={"population": population}, weights=np.arange(1.0, ROWS + 1))
        metric = world.setting(3).metrics["sold"]
        assert metric.binary
        assert metric.nominal_mean == pytest.approx(LIKELY[:, 0].mean() * (1 - world.error_rate[0]))
        assert metric.nominal_sd == pytest.approx(np.sqrt(metric.nominal_mean * (1 - metric.nominal_mean)))


def test_weights_of_a_column_shift_the_population() -> None:
    weights = np.where(RIGHT[:, 0] == RIGHT[:, 1], 0.25, 4.0)
    weights[:10] = 0.0
    rows = world_of("right", weights=weights, data={"population": "rows"}).realise(np.arange(3))
    expected = weights @ RIGHT / weights.sum()
    assert rows.outcomes["right"].mean == pytest.approx(np.repeat(expected[None], 3, axis=0))
    share = np.random.default_rng(12).exponential(size=(MANY.size, ROWS)) * weights
    drawn = (share @ RIGHT) / share.sum(axis=1, keepdims=True)
    found = world_of("right", weights=weights).realise(MANY).outcomes["right"].mean
    for arm in range(3):
        assert scipy.stats.ks_2samp(found[:, arm], drawn[:, arm]).pvalue > 1e-3


def test_the_gap_between_offline_and_online_spreads_every_challenger_on_its_own() -> None:
    gap = {"normal": {"mean": "-1%", "sd": "2%"}}
    plain = world_of("worth", "sold", data={"population": "rows"}).realise(MANY)
    found = world_of("worth", "sold", data={"population": "rows", "shift": {"gap": gap}}).realise(MANY)
    ratio = {name: found.outcomes[name].mean / plain.outcomes[name].mean for name in ("worth", "sold")}
    assert (ratio["worth"][:, 0] == 1).all()
    gaps = np.stack([ratio["sold"][:, 1], ratio["sold"][:, 2], ratio["worth"][:, 1]]) - 1
    assert abs(gaps[:2].mean(axis=1) + 0.01).max() < 4 * 0.02 / np.sqrt(MANY.size)
    assert gaps[:2].std(axis=1) == pytest.approx([0.02, 0.02], rel=4 / np.sqrt(2 * MANY.size))
    assert np.abs(np.corrcoef(gaps) - np.eye(3)).max() < 4 / np.sqrt(MANY.size)


def test_truth_is_a_relative_change_of_what_the_challenger_earns_in_the_data() -> None:
    plain = world_of("right", "worth", "sold").realise(np.arange(50))
    told = {"a": {name: {"relative_effect": effect} for name, effect in (("right", "4%"), ("worth", "50%"), ("sold", "-20%"))}}
    found = world_of("right", "worth", "sold", truth=told).realise(np.arange(50))
    for name, factor in (("right", 1.04), ("worth", 1.5), ("sold", 0.8)):
        ratio = found.outcomes[name].mean / plain.outcomes[name].mean
        assert ratio[:, [0, 2]] == pytest.approx(np.ones((50, 2)))
        # Amounts are rounded to a grid of 1, at about 20.
        assert ratio[:, 1] == pytest.approx(np.full(50, factor), rel=0.02 if name == "worth" else 1e-9)


@pytest.mark.parametrize(
    ("changes", "path", "says"),
    [
        ({"truth": {"a": {"right": {"relative_effect": "40%"}}}}, "truth.a.right", "takes right of a to 1.* above 1"),
        ({"data": {"shift": {"gap": "40%"}}}, "data.shift.gap", "takes right of a to 1.* above 1"),
        ({"data": {"shift": {"gap": {"normal": {"mean": "-90%", "sd": "50%"}}}}}, "data.shift.gap", "above -100%"),
    ],
)
def test_changes_that_leave_what_is_possible_are_refused(changes: Mapping[str, Any], path: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as raised:
        world_of("right", **changes)
    assert raised.value.problems[0].path == path


def test_a_row_is_drawn_with_its_share() -> None:
    share = np.random.default_rng(1).dirichlet(np.full(12, 0.3), 3)
    share[1, 4:6] = 0.0
    share[2, -2:] = 0.0
    share /= share.sum(axis=1, keepdims=True)
    up_to, guide = search_table(share)
    u = (np.arange(200_000) + 0.5) / 200_000
    for row in range(3):
        place = guide[row, np.minimum((u * 12).astype(int), 11)]
        while (behind := u >= up_to[row, place]).any():
            place = place + behind
        assert np.bincount(place, minlength=12) / u.size == pytest.approx(share[row], abs=2 / u.size)
        assert (share[row, np.unique(place)] > 0).all()


def test_requests_of_a_replication_come_from_its_population() -> None:
    world = world_of("right", "worth", "sold", traffic={"rate": "80/s"})
    truth = world.realise(np.array([3]))
    requests = Potential(truth, ("right", "worth", "sold"), False, True).draw(0, 0)
    n = requests.arrival_ns.size
    assert n > 40_000
    assert requests.agree is not None
    assert truth.agreement is not None
    for name in ("right", "sold"):
        mean = truth.outcomes[name].mean[0]
        error = np.sqrt(mean * (1 - mean) / n)
        assert (np.abs(requests.values[name].mean(axis=0) - mean) < 4 * error).all()
        # A chance of .12 is a conversion in telemetry, with its variance: every value is 0 or 1.
        assert np.isin(requests.values[name], (0, 1)).all()
    worth = requests.values["worth"]
    assert (np.abs(worth.mean(axis=0) - truth.outcomes["worth"].mean[0]) < 4 * worth.std(axis=0) / np.sqrt(n)).all()
    assert (np.abs(requests.agree.mean(axis=0) - truth.agreement[0]) <= 4 * 0.5 / np.sqrt(n)).all()
    # One row for all: worth something only where the answer is right.
    assert (worth[requests.values["right"] == 0] == 0).all()


NEEDS = (
    *mean_of("right"), *moments("worth", "sum", "square"), *moments("sold", "sum", "square"),
    *mirrored(*agreement("count", "sum")),
)  # fmt: skip
CHANGED = {
    "a": {"right": {"relative_effect": "5%"}, "worth": {"relative_effect": "-10%"}, "sold": {"relative_effect": "30%"}},
    "b": {"right": {"relative_effect": "-5%"}},
}


def counted(engine: Any, world: World, rows: Any, ticks: int = 2) -> Any:
    """(R, K, C) telemetry summed over some ticks, with everything mirrored."""
    made = engine(world.realise(rows), NEEDS, True)
    live = np.tile([0.4, 0.3, 0.3], (rows.size, 1))
    routing = Routing(np.arange(rows.size), live, np.ones((rows.size, 3)), np.zeros(rows.size, np.int64))
    return sum(made.step(routing).counts for _ in range(ticks))


@pytest.fixture(params=[{}, CHANGED], ids=["as in the data", "changed"])
def busy(request: pytest.FixtureRequest) -> World:
    return world_of("right", "worth", "sold", tick="10s", horizon="1m", traffic={"rate": "6/s"}, truth=request.param)


def test_the_event_engines_give_the_same_bits(busy: World) -> None:
    few = np.arange(3)
    assert (counted(CompiledEngine, busy, few) == counted(SimpyEngine, busy, few)).all()


def test_aggregate_agrees_with_them_in_every_population(busy: World) -> None:
    compiled, aggregate = counted(CompiledEngine, busy, MANY), counted(AggregateEngine, busy, MANY)
    # The same replications have the same populations, so differences have no spread of these in them.
    apart = (compiled - aggregate).mean(axis=0) / (np.sqrt(((compiled - aggregate).var(axis=0) + 1e-9) / MANY.size))
    assert np.abs(apart).max() < 4.2
    ratio = np.log(compiled.var(axis=0) + 1e-9) - np.log(aggregate.var(axis=0) + 1e-9)
    kurtosis = scipy.stats.kurtosis(compiled, axis=0, fisher=False, bias=True)
    kurtosis = np.where(np.isfinite(kurtosis), kurtosis, 3.0)
    assert (np.abs(ratio) < 4.5 * np.sqrt(2 * (kurtosis - 1 + 0.5) / MANY.size)).all()
    for arm in range(3):
        one, other = (np.corrcoef(each[:, arm, :6].T) for each in (compiled, aggregate))
        assert np.abs(one - other).max() < 4.5 * np.sqrt(2 / MANY.size)


@pytest.mark.parametrize("engine", [CompiledEngine, AggregateEngine])
def test_a_chance_varies_as_conversions_do(engine: Any) -> None:
    """A chance of .12 in every row: the variance of a request is p (1 - p), and not that of an amount of .12, which is 0."""
    metrics = [{"name": "sold", "role": "primary", "reward": {"column": "ctr", "as": "chance"}}]
    scenario = make_scenario(metrics=metrics, data={"sklearn": "digits"}, tick="10s", horizon="10s", traffic={"rate": "10/s"})
    world = make_replayed_world(scenario, {"sold": np.full((40, 2), 0.12)}, np.ones((40, 2)))
    made = engine(world.realise(MANY), mean_of("sold"), False)
    half = np.full((MANY.size, 2), 0.5)
    routing = Routing(np.arange(MANY.size), half, np.zeros_like(half), np.zeros(MANY.size, np.int64))
    count, total = np.moveaxis(made.step(routing).counts.astype(float), -1, 0)
    spread = (total - 0.12 * count) / np.sqrt(np.maximum(count, 1) * 0.12 * 0.88)
    assert spread.var() == pytest.approx(1.0, abs=4 * np.sqrt(2.2 / spread.size))


def test_a_warning_says_what_the_rows_leave_open() -> None:
    world = world_of("right", replications=3)
    (said,) = left_open(make_scenario(data={"sklearn": "digits"}), world)
    assert said.path == "data"
    share = np.random.default_rng(13).dirichlet(np.ones(ROWS), 20_000)
    mean = share @ RIGHT
    low, high = np.quantile(mean[:, 1:] / mean[:, :1] - 1, [0.025, 0.975], axis=0)
    effect = RIGHT.mean(axis=0)[1:] / RIGHT.mean(axis=0)[0] - 1
    numbers = [float(number) / 100 for number in re.findall(r"([+-][\d.]+)%", said.message)]
    expected = np.stack([effect, low, high], axis=1).ravel()
    assert numbers == pytest.approx(expected, abs=0.006)
    assert said.message.startswith("150 rows say this of the effect on right")
    (rows,) = left_open(make_scenario(data={"sklearn": "digits", "population": "rows"}), world)
    assert "as if it were known" in rows.message
    assert not [*left_open(make_scenario(), make_world_of_behaviour())]


def make_world_of_behaviour() -> World:
    from tests.worlds import make_world

    return make_world(make_scenario())


def test_factors_above_one_make_ones_of_zeros_evenly() -> None:
    reward = np.array([[1.0, 0.5], [0.0, 0.1], [1.0, 0.9], [0.0, 0.3]])
    mean = np.repeat(reward.mean(axis=0)[None], 2, axis=0)
    found = Replayed.ones(reward, mean, {1: np.array([1.5, 0.5])})
    chances = found.chances(reward.T)
    assert chances[:, 0].tolist() == [[1.0, 0.0, 1.0, 0.0]] * 2
    assert chances[:, 1].mean(axis=1) == pytest.approx([0.675, 0.225])
    assert chances[1, 1] == pytest.approx(reward[:, 1] / 2)
    # Of every zero the same part: (1 - chance) shrinks alike in all rows.
    assert (1 - chances[0, 1]) / (1 - reward[:, 1]) == pytest.approx(np.full(4, (1 - 0.675) / (1 - 0.45)))


def test_an_aa_test_keeps_the_populations_and_has_no_gap() -> None:
    world = world_of("right", "sold", truth={"a": {"sold": {"relative_effect": "30%"}}}, data={"shift": {"gap": "-2%"}})
    found, plain = alike(world).realise(np.arange(20)), world_of("right", "sold").realise(np.arange(20))
    for name in ("right", "sold"):
        assert (found.outcomes[name].mean == plain.outcomes[name].mean[:, :1]).all()
    assert (found.worths.overall.best == 0).all()
    assert found.agreement == pytest.approx(np.ones((20, 3)))
