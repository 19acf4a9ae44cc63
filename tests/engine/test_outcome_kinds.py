"""Counts, scores, power laws and measured amounts on every engine, with effects, a drift and segments that move their means."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.stats
from numpy.typing import NDArray

from sim.engine.aggregate.engine import AggregateEngine
from sim.engine.base import Maker
from sim.engine.compiled.engine import CompiledEngine
from sim.engine.reference.engine import SimpyEngine
from sim.errors import InputError
from sim.policy.base import Routing
from sim.policy.columns import MOMENTS, Column, Moment
from sim.world.world import World
from tests.engine.side_by_side import apart, spread_apart
from tests.worlds import behaves, make_scenario, make_world

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

KINDS: dict[str, Any] = {
    "items": {"poisson": 1.3},
    "rounds": {"negative_binomial": {"mean": 2, "dispersion": 1.5}},
    "stars": {"categorical": {1: "30%", 3: "30%", 5: "40%"}},
    "score": {"beta": {"mean": 0.4, "sd": 0.2}},
    "revenue": {"pareto": {"minimum": 5, "tail": 1.5, "maximum": 5000}},
    "spent": {"quantiles": {"0%": 0, "60%": 0, "90%": 20, "100%": 900}},
}
EFFECT, DRIFT = 0.1, -0.2
NEEDS = tuple(Moment(name, moment) for name in KINDS for moment in MOMENTS)


def world(effect: Any = EFFECT, **changes: Any) -> World:
    """A champion and a challenger of the same kinds, with an effect on every metric; from the second tick on they drift."""
    said: dict[str, Any] = {
        "metrics": [{"name": name, **({"role": "primary"} if name == "items" else {})} for name in KINDS],
        "tick": "10s", "horizon": "30s", "traffic": {"rate": "3/s"},
        "truth": {"challenger": {name: {"relative_effect": effect} for name in KINDS}},
        "timeline": [{"kind": "drift", "arm": "challenger", "metric": name, "at": "10s", "to": DRIFT} for name in KINDS],
        "segments": [
            {"name": "most", "share": "75%", "relative": dict.fromkeys(KINDS, "+20%")}, {"name": "few", "share": "25%"},
        ],
    }  # fmt: skip
    behaviour = behaves(outcomes=KINDS, latency={"mixture": [{"constant": "20ms"}, {"constant": "2s"}]})
    return make_world(make_scenario(**{**said, **changes}), [behaviour] * 2)


def played(make: Maker, of: World, replications: Ints, needs: tuple[Column, ...] = NEEDS) -> Ints:
    """(R, T, 2, C) telemetry where either arm has half of the traffic."""
    rows = np.arange(replications.size)
    engine = make(of.realise(replications), needs, False)
    half, nothing = np.full((rows.size, 2), 0.5), np.zeros((rows.size, 2))
    shown = [engine.step(Routing(rows, half, nothing, np.zeros_like(rows))).counts for _ in range(of.ticks)]
    return np.stack(shown, axis=1)


@pytest.fixture(scope="module")
def compiled() -> Ints:
    return played(CompiledEngine, world(), np.arange(4000))


@pytest.fixture(scope="module")
def aggregate() -> Ints:
    return played(AggregateEngine, world(), np.arange(10_000, 14_000))


def test_the_simpy_engine_draws_the_same_values(compiled: Ints) -> None:
    assert np.array_equal(played(SimpyEngine, world(), np.arange(20)), compiled[:20])
    random = world(effect={"normal": {"mean": "5%", "sd": "2%"}})
    few = np.arange(100, 110)
    assert np.array_equal(played(SimpyEngine, random, few), played(CompiledEngine, random, few))


@pytest.mark.parametrize("engine", ["compiled", "aggregate"])
@pytest.mark.parametrize("name", KINDS)
def test_means_are_those_that_are_registered_times_every_factor(name: str, engine: str, request: Any) -> None:
    shown, of = request.getfixturevalue(engine), world()
    place, outcome = NEEDS.index(Moment(name, "count")), next(each for each in of.outcomes if each.spec.name == name)
    for tick, factor in ((0, 1 + EFFECT), (2, (1 + EFFECT) * (1 + DRIFT))):
        for arm, by in ((0, 1.0), (1, factor)):
            count, total = shown[:, tick, arm, place].astype(float), shown[:, tick, arm, place + 1] * outcome.grid
            # A few calls come from the tick before: those of the third tick from one with the same drift.
            away = total - count * outcome.mean[0] * by
            assert abs(away.mean()) < 4.5 * away.std() / np.sqrt(len(away))


def test_the_aggregate_engine_agrees_in_means_variances_and_covariances(compiled: Ints, aggregate: Ints) -> None:
    for tick in range(3):
        one, other = (shown[:, tick].reshape(len(shown), -1).astype(float) for shown in (compiled, aggregate))
        # 108 and 1,998 comparisons.
        assert np.abs(apart(one, other)).max() < 4.3
        within = [place for place in range(one.shape[1]) if place % 18 // 3 not in (4, 5)]
        # Power laws have no fourth moments that so few replications show.
        assert np.abs(spread_apart(one[:, within], other[:, within])).max() < 5


@pytest.mark.parametrize("name", KINDS)
def test_sums_of_a_tick_have_the_same_distribution(name: str, compiled: Ints, aggregate: Ints) -> None:
    for moment in MOMENTS[1:]:
        place = NEEDS.index(Moment(name, moment))
        for arm in (0, 1):
            assert scipy.stats.ks_2samp(compiled[:, 2, arm, place], aggregate[:, 2, arm, place]).pvalue > 2e-4


def test_single_requests_take_the_registered_values_whatever_the_effect_is() -> None:
    # A failed request counts as 0, which no star is.
    of = world(traffic={"rate": "0.02/s"}, horizon="1m", analysis="successes")
    shown = played(CompiledEngine, of, np.arange(2000))
    for name, values in (("items", range(40)), ("stars", (1, 3, 5))):
        place, outcome = NEEDS.index(Moment(name, "count")), next(each for each in of.outcomes if each.spec.name == name)
        alone = shown[shown[..., place] == 1]
        seen = set((alone[:, place + 1] * outcome.grid).tolist())
        assert seen <= set(values)
        assert outcome.grid == 1.0


def test_a_poisson_count_is_one_in_every_segment_and_under_every_factor() -> None:
    """A tick of single requests against the mixture of two Poisson laws, by chi-square."""
    of = world(traffic={"rate": "0.02/s"}, horizon="1m")
    expected = np.zeros(9)
    segments = of.segments
    assert segments is not None
    for share, factor in zip(segments.share, segments.factors["items"], strict=True):
        law = scipy.stats.poisson(1.3 * (1 + EFFECT) * (1 + DRIFT) * factor)
        expected += share * np.append(law.pmf(np.arange(8)), law.sf(7))
    for make, first in ((CompiledEngine, 0), (AggregateEngine, 50_000)):
        shown = played(make, of, np.arange(first, first + 20_000), (Moment("items", "count"), Moment("items", "sum")))[:, 2:, 1]
        values = np.minimum(shown[shown[..., 0] == 1][:, 1], 8)
        counted = np.bincount(values, minlength=9)
        assert scipy.stats.chisquare(counted, expected * counted.sum()).pvalue > 1e-4


def refused(**changes: Any) -> str:
    with pytest.raises(InputError) as caught:
        world(**changes)
    return str(caught.value)


def test_an_effect_that_no_chances_of_the_values_have_is_refused_at_its_key() -> None:
    found = refused(truth={"challenger": {"score": {"relative_effect": "200%"}, "items": {"relative_effect": "900%"}}})
    where = "truth.challenger.score: takes score of challenger to 1.2 in every replication; its mean must stay between 0.0"
    assert where in found
    assert "items" not in found
    drift = [{"kind": "drift", "arm": "challenger", "metric": "stars", "at": "0s", "to": "-80%"}]
    assert "timeline: takes stars of challenger to 0.6" in refused(truth={}, timeline=drift, segments=[])
    segments = [{"name": "all", "share": "99%", "relative": {"stars": "-75%"}}, {"name": "few", "share": "1%"}]
    assert "segments: takes stars of champion to" in refused(truth={}, timeline=[], segments=segments)
    assert "more than 10,000 different values" in refused(truth={"challenger": {"rounds": {"relative_effect": 300.0}}})


def test_a_grid_must_hold_the_values_of_a_count_and_need_not_be_given() -> None:
    metrics = [
        {"name": "items", "role": "primary", "grid": 2.0},
        {"name": "stars", "grid": 0.5},
        {"name": "score", "grid": 1.0},
    ]
    found = refused(metrics=metrics, truth={}, timeline=[], segments=[])
    assert "metrics[0].grid: must divide every value of items, as 1 does, got 2" in found
    assert "metrics[1]" not in found
    assert "metrics[2].grid: must not exceed the least sd of score" in found


def test_kinds_that_a_factor_moves_differently_are_not_mixed() -> None:
    scenario = make_scenario(metrics=[{"name": "items", "role": "primary"}])
    for other, rule in (
        ({"gamma": {"mean": 1, "sd": 1}}, "cannot be mixed with counts and scores, whose values stay, got poisson, gamma"),
        ({"normal": {"mean": 1, "sd": 1}}, "normal outcomes cannot be mixed with others, got poisson, normal"),
    ):
        with pytest.raises(InputError, match=rule):
            make_world(scenario, [behaves(outcomes={"items": {"poisson": 1.3}}), behaves(outcomes={"items": other})])
    mixed = make_world(
        scenario, [behaves(outcomes={"items": {"poisson": 1.3}}), behaves(outcomes={"items": {"bernoulli": 0.5}})]
    )
    assert mixed.outcomes[0].kind == "tilted"
    assert mixed.outcomes[0].mean.tolist() == pytest.approx([1.3, 0.5])


def test_a_power_law_without_a_variance_is_refused_where_it_is_compared() -> None:
    scenario = make_scenario(metrics=[{"name": "conversion", "role": "primary"}])
    outcomes = {"conversion": {"bernoulli": 0.1}, "revenue": {"pareto": {"minimum": 5, "tail": 1.5}}}
    make_world(scenario, [behaves(outcomes=outcomes)] * 2)
    scenario = make_scenario(metrics=[{"name": "conversion", "role": "primary"}, {"name": "revenue"}])
    with pytest.raises(InputError, match=r"metrics\[1\].name: revenue of champion cannot be compared: .* has no variance"):
        make_world(scenario, [behaves(outcomes=outcomes)] * 2)


def test_a_mixture_delay_is_played_by_every_engine() -> None:
    metrics = [{"name": "items", "role": "primary", "delay": {"mixture": [{"constant": "1s"}, {"exponential": "20s"}]}}]
    of = world(metrics=metrics, truth={}, timeline=[], segments=[])
    from sim.engine.aggregate import refusals

    assert not list(refusals(of))
    few, needs = np.arange(10), (Moment("items", "count"), Moment("items", "sum"))
    assert np.array_equal(played(SimpyEngine, of, few, needs), played(CompiledEngine, of, few, needs))
