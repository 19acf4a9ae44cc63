"""What is true in a replication: values, limits, the best arm, and what is refused; by hand-computed examples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.engine import aggregate
from sim.engine.aggregate.engine import AggregateEngine
from sim.engine.catalogue import choose
from sim.errors import InputError
from sim.policy.base import Routing
from sim.policy.columns import Moment
from sim.world.metric import finest_grid
from sim.world.priors import effects
from sim.world.world import Truth
from tests.worlds import behaves, make_replayed_world, make_scenario, make_world

ARMS = ("champion", "a", "b")


def truth(rates: list[float], replications: int = 3, **changes: Any) -> Truth:
    behaviours = [
        behaves(outcomes={"conversion": {"bernoulli": rate}}, **changes.pop(f"of_{i}", {})) for i, rate in enumerate(rates)
    ]
    arms = ("champion", "a", "b")[: len(rates)]
    return make_world(make_scenario(arms=arms, **changes), behaviours).realise(np.arange(replications))


def test_the_best_arm_is_the_one_that_earns_most_and_the_champion_on_a_tie() -> None:
    assert truth([0.05, 0.06, 0.055]).worths.overall.best.tolist() == [1, 1, 1]
    assert truth([0.05, 0.04, 0.03]).worths.overall.best.tolist() == [0, 0, 0]
    tie = truth([0.05, 0.05])
    assert tie.worths.overall.best.tolist() == [0, 0, 0]
    assert not tie.worths.overall.better.any()
    assert not tie.worths.overall.worse.any()


def test_an_errored_request_earns_nothing() -> None:
    some = truth([0.05, 0.052], of_0={"error_rate": "0%"}, of_1={"error_rate": "10%"})
    assert some.worths.overall.value[0] == pytest.approx([0.05, 0.052 * 0.9])
    assert some.worths.overall.best[0] == 0
    assert some.worths.overall.worse[0].tolist() == [False, True]


def test_where_less_is_better_values_change_sign() -> None:
    metrics = [{"name": "conversion", "role": "primary", "direction": "decrease"}]
    some = truth([0.05, 0.04], metrics=metrics)
    # A request that fails counts as the worst outcome: 1.
    assert some.worths.overall.value[0] == pytest.approx([-0.05 * 0.999 - 0.001, -0.04 * 0.999 - 0.001])
    assert some.worths.overall.best[0] == 1


def test_an_arm_above_a_declared_limit_is_not_acceptable_whatever_it_earns() -> None:
    metrics = [{"name": "conversion", "role": "primary"}, {"name": "error_rate", "role": "guardrail", "max": "1%"}]
    some = truth(
        [0.05, 0.2, 0.06], metrics=metrics, of_0={"error_rate": "5%"}, of_1={"error_rate": "1.1%"}, of_2={"error_rate": "1%"}
    )
    # The champion serves already: its own breach does not make shipping anything else right.
    assert some.worths.overall.acceptable[0].tolist() == [True, False, True]
    assert some.worths.overall.best[0] == 2
    assert some.worths.overall.better[0].tolist() == [False, False, True]


def test_a_latency_limit_is_about_its_quantile() -> None:
    metrics = [
        {"name": "conversion", "role": "primary"},
        {"name": "latency", "role": "guardrail", "quantile": "90%", "max": "200ms"},
    ]
    slow = {"latency": {"exponential": "100ms"}}  # P(L > 200 ms) = e^-2 = 13.5%
    quick = {"latency": {"exponential": "80ms"}}  # e^-2.5 = 8.2%
    some = truth([0.05, 0.06, 0.06], metrics=metrics, of_0=quick, of_1=slow, of_2=quick)
    assert some.worths.overall.acceptable[0].tolist() == [True, False, True]
    assert some.latency_above(0.2)[0] == pytest.approx(np.exp([-2.5, -2.0, -2.5]))
    assert some.mean_latency_s()[0] == pytest.approx([0.08, 0.1, 0.08])


@pytest.mark.parametrize(("rate", "matters"), [(0.0509, False), (0.051, True), (0.052, True), (0.049, False)])
def test_what_matters_is_at_least_the_smallest_effect(rate: float, matters: bool) -> None:
    metrics = [{"name": "conversion", "role": "primary", "smallest_effect": "2%"}]
    assert truth([0.05, rate], metrics=metrics).worths.overall.matters[0].tolist() == [False, matters]


def test_effects_are_relative_to_the_champion_whatever_the_challenger_registered() -> None:
    said = {
        "a": {
            "conversion": {"relative_effect": "10%"},
            "error_rate": {"relative_effect": "50%"},
            "latency": {"relative_effect": "100%"},
        }
    }
    metrics = [
        {"name": "conversion", "role": "primary"},
        {"name": "error_rate", "role": "guardrail"},
        {"name": "latency", "role": "guardrail"},
    ]
    some = truth(
        [0.05, 0.5], metrics=metrics, truth=said, of_0={"error_rate": "2%", "latency": {"exponential": "100ms"}},
        of_1={"error_rate": "20%", "latency": {"constant": "9s"}},
    )  # fmt: skip
    assert some.outcomes["conversion"].mean[0] == pytest.approx([0.05, 0.055])
    assert some.error_rate[0] == pytest.approx([0.02, 0.03])
    assert some.mean_latency_s()[0] == pytest.approx([0.1, 0.2])
    assert some.latency_above(0.4)[0] == pytest.approx([np.exp(-4), np.exp(-2)])


def test_an_effect_scales_amounts_and_keeps_the_spread_of_a_normal() -> None:
    metrics = [{"name": "revenue", "role": "primary"}, {"name": "score"}]
    outcomes = {
        "revenue": {"zero_inflated": {"rate": 0.3, "amount": {"gamma": {"mean": 30.0, "sd": 15.0}}}},
        "score": {"normal": {"mean": 10.0, "sd": 2.0}},
    }
    said = {"challenger": {"revenue": {"relative_effect": "20%"}, "score": {"relative_effect": "-10%"}}}
    world = make_world(make_scenario(metrics=metrics, truth=said), [behaves(outcomes=outcomes)] * 2)
    some = world.realise(np.arange(2))
    # Atoms lie on the grid, a thousandth of the spread.
    assert some.outcomes["revenue"].mean[0] == pytest.approx([9.0, 10.8], rel=1e-3)
    assert some.outcomes["score"].mean[0] == pytest.approx([10.0, 9.0])
    assert some.outcomes["score"].sd[0] == pytest.approx([2.0, 2.0])  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("metric", "effect", "rule"),
    [
        ("conversion", {"normal": {"mean": "0%", "sd": "60%"}}, "must stay above -100%"),
        ("latency", {"normal": {"mean": "0%", "sd": "90%"}}, "must stay above -100%"),
        ("error_rate", "120000%", "outside 0 to 1"),
        ("conversion", "2000%", "outside 0 to 1"),
    ],
)
def test_an_effect_that_leaves_the_possible_is_refused_by_name(metric: str, effect: Any, rule: str) -> None:
    metrics = [
        {"name": "conversion", "role": "primary"},
        {"name": "error_rate", "role": "guardrail"},
        {"name": "latency", "role": "guardrail"},
    ]
    said = {"challenger": {metric: {"relative_effect": effect}}}
    with pytest.raises(InputError, match=rule) as raised:
        make_world(make_scenario(metrics=metrics, truth=said, replications=1000))
    assert [problem.path for problem in raised.value.problems] == [f"truth.challenger.{metric}"]


def test_an_effect_that_only_a_late_replication_draws_is_refused_before_anything_is_played() -> None:
    said = {"challenger": {"conversion": {"relative_effect": {"normal": {"mean": "0%", "sd": "32%"}}}}}
    ((_, _, prior),) = make_world(make_scenario(truth=said, replications=1)).effects
    first = int(np.flatnonzero(effects(prior, 7, np.arange(10_000), "challenger.conversion") <= -1)[0])
    assert first > 1000
    make_world(make_scenario(truth=said, replications=first))
    with pytest.raises(InputError, match=f"in 1 of {first + 1:,} replications; it must stay above -100%"):
        make_world(make_scenario(truth=said, replications=first + 1))


def test_truth_belongs_to_its_replication_and_not_to_its_block() -> None:
    said = {"a": {"conversion": {"relative_effect": {"normal": {"mean": "0%", "sd": "5%"}}}}}
    world = make_world(make_scenario(arms=ARMS, truth=said))
    whole, part = world.realise(np.arange(20)), world.realise(np.array([4, 17]))
    assert np.array_equal(whole.worths.overall.value[[4, 17]], part.worths.overall.value)
    assert np.array_equal(whole.arrivals[[4, 17]], part.arrivals)
    assert np.unique(whole.worths.overall.value[:, 1]).size == 20


def test_replayed_values_are_those_of_the_table() -> None:
    metrics = [{"name": "right", "role": "primary", "reward": "correct"}]
    scenario = make_scenario(metrics=metrics, data={"sklearn": "digits", "population": "rows"})
    world = make_replayed_world(scenario, {"right": [[1, 1], [0, 1], [1, 1], [0, 0]]}, [[1, 1], [1, 0], [1, 1], [1, 1]])
    some = world.realise(np.arange(2))
    assert some.outcomes["right"].mean[0] == pytest.approx([0.5, 0.75])
    assert world.agreement == pytest.approx([1.0, 0.75])
    assert some.worths.overall.best.tolist() == [1, 1]


def test_the_aggregate_engine_refuses_calls_that_outlast_a_tick() -> None:
    long = behaves(latency={"exponential": "30s"})
    world = make_world(make_scenario(tick="1m"), [behaves(), long])
    assert list(aggregate.refusals(world)) == ["calls of challenger outlast a tick of 60 s"]
    assert not list(aggregate.refusals(make_world(make_scenario())))


def test_auto_does_not_take_aggregate_where_an_effect_makes_calls_outlast_a_tick() -> None:
    said = {"challenger": {"latency": {"relative_effect": {"choice": {"values": ["0%", "900%"]}}}}}
    metrics = [{"name": "conversion", "role": "primary"}, {"name": "latency", "role": "guardrail"}]
    # What the challenger registered does not matter: its latency is the champion's, varied.
    behaviours = [behaves(latency={"constant": "10s"}), behaves(latency={"constant": "1h"})]
    world = make_world(make_scenario(tick="1m", metrics=metrics, truth=said), behaviours)
    assert list(aggregate.refusals(world)) == ["a latency varied up to 10 times: calls of challenger outlast a tick of 60 s"]
    assert choose("auto", world).name == "compiled"
    assert not list(aggregate.refusals(make_world(make_scenario(tick="2m", metrics=metrics, truth=said), behaviours)))


def squares(**changes: Any) -> int:
    """The sum of squares of a day of amounts near 100, sent to the challenger alone."""
    metrics = [{"name": "amount", "role": "primary", **changes.pop("of", {})}]
    said = [behaves(outcomes={"amount": {"normal": {"mean": 100, "sd": 1}}})] * 2
    world = make_world(make_scenario(metrics=metrics, traffic={"rate": "290/s"}, horizon="14d", tick="2h", **changes), said)
    engine = AggregateEngine(world.realise(np.arange(1)), (Moment("amount", "square"),), False)
    all_to_one = Routing(np.zeros(1, np.int64), np.array([[0.0, 1.0]]), np.zeros((1, 2)), np.zeros(1, np.int64))
    total = np.int64(0)
    for _ in range(world.ticks):
        total += engine.step(all_to_one).counts[0, 1, 0]
    return int(total) * world.outcomes[0].grid ** 2 / (290 * 14 * 86400)


DOUBLE: dict[str, dict[str, Any]] = {
    "truth": {"truth": {"challenger": {"amount": {"relative_effect": "100%"}}}},
    "timeline": {"timeline": [{"kind": "drift", "arm": "challenger", "metric": "amount", "to": "100%"}]},
    "segments": {"segments": [{"name": "a", "share": "50%", "relative": {"amount": "200%"}}, {"name": "b", "share": "50%"}]},
}


@pytest.mark.parametrize("key", DOUBLE)
def test_a_grid_holds_what_effects_segments_and_the_timeline_make_of_an_amount(key: str) -> None:
    mean_square = {"truth": 200**2 + 1, "timeline": 200**2 + 1, "segments": (150**2 + 50**2) / 2 + 1}[key]
    assert squares(**DOUBLE[key]) == pytest.approx(mean_square, rel=1e-3)
    with pytest.raises(InputError, match=r"sums of squares of amount, which reaches \d+, .* got a grid of 0\.001") as raised:
        squares(of={"grid": 0.001}, **DOUBLE[key])
    assert raised.value.problems[0].path == "metrics[0].grid"
    assert squares(of={"grid": 0.001}) == pytest.approx(100**2 + 1, rel=1e-3)


def test_a_grid_is_no_coarser_than_the_least_spread_of_a_normal_amount() -> None:
    """Or each rounded alone would have another mean than the sum."""
    said = [behaves(outcomes={"amount": {"normal": {"mean": 100, "sd": sd}}}) for sd in (0.01, 2)]

    def grid(**chosen: Any) -> float:
        metrics = [{"name": "amount", "role": "primary", **chosen}]
        return make_world(make_scenario(metrics=metrics), said).outcomes[0].grid

    assert grid(grid=0.01) == 0.01
    assert grid() <= 0.001
    with pytest.raises(InputError, match=r"must not exceed the least sd of amount \(0\.01\), got 0\.02") as raised:
        grid(grid=0.02)
    assert raised.value.problems[0].path == "metrics[0].grid"


@given(st.floats(0, 1e9), st.floats(-1e9, 1e9), st.floats(0, 1e15))
def test_a_grid_is_fine_enough_and_never_overflows(spread: float, largest: float, requests: float) -> None:
    grid = finest_grid(spread, abs(largest), requests)
    if grid is not None:
        assert (abs(largest) / grid) ** 2 * requests < 2.0**62
        assert grid <= (spread if spread > 0 else max(abs(largest), 1.0)) / 10 * (1 + 1e-9)
