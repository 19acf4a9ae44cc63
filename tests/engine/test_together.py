"""Several delays of any law in the aggregate engine: what the metrics of a request have in common, and what monitoring sees."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats

from sim import ways
from sim.engine.aggregate import feedback
from sim.engine.aggregate.engine import AggregateEngine
from sim.engine.aggregate.refusals import refusals
from sim.engine.aggregate.shared import bins_of, shared
from sim.engine.catalogue import choose
from sim.engine.compiled.engine import CompiledEngine
from sim.policy.columns import MOMENTS, Count
from sim.world.by_position import nodes
from sim.world.by_tick import Late, by_class, chances_at, known_by
from sim.world.latency import Constant, Exponential, Gamma, LogNormal, Mixture, Weibull
from sim.world.world import World
from tests.columns import mirrored, moments
from tests.engine.side_by_side import (
    MOST,
    assert_same_law,
    assert_same_law_of_many_ticks,
    observed,
    spread_apart,
    three_families,
)
from tests.engine.test_aggregate_features import FACTORS, SEGMENTS
from tests.engine.test_by_age import BY_ARM, GAM, LATENCIES, LOG, MIX, QUA, TICK_S, WEI
from tests.engine.test_late_feedback import FAILURE, FIXED, MANY, NEEDS, OTHERS, SLOW, WINDOW, apart_by, late
from tests.worlds import behaves, make_scenario, make_world

NARROW = {"lognormal": {"median": "5s", "p99": "6s"}}, {"lognormal": {"median": "7s", "p99": "8s"}}
SHORT = {"gamma": {"mean": "2s", "sd": "4s"}}


def test_two_outcomes_are_known_together_as_the_integral_of_scipy_says() -> None:
    delays = LogNormal(math.log(12.0), 0.3), Gamma(2.0, 5.0)
    scipys = stats.lognorm(0.3, scale=12.0), stats.gamma(2.0, scale=5.0)
    lates = tuple(Late(delay, TICK_S, 5) for delay in delays)
    found = nodes(lates, Constant(4.0), 1.0)
    one, other = (chances_at(late, found.at_s) for late in lates)
    made = (found.fate[:, 0, 0, :, None] * one).swapaxes(1, 2) @ other
    # A call of 4 s ends in its tick if it arrives in the first 6 s.
    for when, (low, high) in enumerate(((4.0, 10.0), (0.0, 4.0))):
        for first, second in ((0, 0), (1, 0), (1, 1), (2, 1), (0, 3)):

            def both(x: float, first: int = first, second: int = second) -> float:
                within = [
                    of.cdf((tick + 1) * TICK_S - x) - of.cdf(tick * TICK_S - x)
                    for of, tick in zip(scipys, (first, second), strict=True)
                ]
                return float(within[0] * within[1])

            expected = integrate.quad(both, low, high, epsabs=1e-13)[0] / TICK_S
            assert made[when, first, second] == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("window", [None, 2])
@pytest.mark.parametrize("delay", [LogNormal(math.log(12.0), 0.5), Constant(17.0), Gamma(0.4, 20.0)])
def test_the_chance_of_being_known_by_a_tick_adds_up_that_of_each(delay: Any, window: int | None) -> None:
    watched = Late(delay, TICK_S, 6, window)
    x = np.array([0.5, 3.0, 4.0, 9.9])
    up_to = chances_at(watched, x).cumsum(axis=1)
    for place in range(watched.places):
        assert known_by(watched, x, np.full(4, place)) == pytest.approx(up_to[:, place], abs=1e-12)


PAIRS = {
    "lognormal, weibull": (LogNormal(math.log(40.0), 0.8), Weibull(0.7, 60.0)),
    "gamma, exponential": (Gamma(0.5, 30.0), Exponential(25.0)),
    "constant, lognormal": (Constant(17.0), LogNormal(math.log(12.0), 0.1)),
    "mixture, weibull": (Mixture((0.5, 0.5), (Constant(17.0), Exponential(20.0))), Weibull(1.5, 9.0)),
}


@pytest.mark.parametrize("calls", [5.0, 1e4, 1e9])
@pytest.mark.parametrize("window", [None, 4])
@pytest.mark.parametrize("delays", PAIRS.values(), ids=PAIRS.keys())
def test_the_pieces_of_the_joint_law_make_it_up_exactly(delays: tuple[Any, Any], window: int | None, calls: float) -> None:
    """Whatever the bins: by bin both, one or none go by the laws of the bin, and together that is the law of the pair."""
    lates = Late(delays[0], TICK_S, 8), Late(delays[1], TICK_S, 8, window)
    metrics, others = ((lates[0],), (lates[1],)), (Exponential(12.0),)
    found = shared(lates, LATENCIES[0], 1.3, (0.7,), others, metrics, calls)
    bins = bins_of(metrics, calls)
    positions = nodes(lates, LATENCIES[0], 1.3, (0.7,), others, bins.edges_s)
    fate = positions.fate.swapaxes(1, 2).reshape(2, -1, positions.at_s.size)
    total = fate.sum(axis=2)
    own = [chances_at(late, positions.at_s) for late in lates]
    exact = (fate[..., None] * own[0]).swapaxes(2, 3) @ own[1]
    chance = found.chance.reshape(*total.shape, -1, 4)
    made = np.zeros_like(exact)
    for number in range(len(bins.edges_s) - 1):
        law, other = (bins.laws[late][number].chance for late in lates)
        here = slice(found.of_bin[number], found.of_bin[number + 1])
        left = [
            each[here] - found.part[metric, here, None] * bins.laws[lates[metric]][number].chance
            for metric, each in enumerate(own)
        ]
        assert min(each.min(initial=0) for each in left) > -1e-14
        alone = np.zeros((2, *total.shape, lates[0].places))
        for (metric, when, cell, bin_), of in found.alone.items():
            if bin_ == number:
                alone[metric, when, cell] = of.chance
        made += chance[:, :, number, 0, None, None] * np.outer(law, other)
        made += chance[:, :, number, 1, None, None] * alone[0][..., None] * other
        made += chance[:, :, number, 2, None, None] * law[:, None] * alone[1][:, :, None]
        made += (fate[..., here, None] * left[0]).swapaxes(2, 3) @ left[1] / total[..., None, None]
    assert np.abs(made * total[..., None, None] - exact).max() < 1e-13
    for metric, watched in enumerate(lates):
        classes = by_class(watched, LATENCIES[0], 1.3, (0.7,), others).swapaxes(1, 2).reshape(2, -1, watched.places)
        assert np.abs(exact.sum(axis=3 - metric) - classes).max() < 1e-10


WORLDS: dict[str, dict[str, Any]] = {
    "lognormal and gamma": {"metrics": late(conversion={"delay": LOG}, revenue={"delay": GAM})},
    "three that hang together closely": {
        "metrics": late(
            conversion={"delay": NARROW[0]}, score={"delay": NARROW[1]}, revenue={"delay": SHORT}
        ),
    },
    "by arm, by outcome in one, in windows and segments": {
        "metrics": late(
            conversion={"delay": BY_ARM, "attribution_window": "30s"}, revenue={"delay": WEI, **WINDOW, **FAILURE},
            score={"delay": MIX},
        ),
        "segments": SEGMENTS,
    },
    "in a changing world, failures when the window closes": {
        "metrics": late(
            conversion={"delay": apart_by(LOG, "window"), **WINDOW}, revenue={"delay": GAM}, score={"delay": FIXED}
        ),
        "timeline": FACTORS[:2],
    },
    "beside others, with a limit of latency, while calls slow down": {
        "metrics": [
            *late(conversion={"delay": LOG}, score={"delay": SLOW}, revenue={"delay": QUA}),
            {"name": "latency", "role": "guardrail", "max": "2s"},
        ],
        "segments": SEGMENTS,
        "timeline": [{"kind": "slowdown", "arm": "a", "at": "10s", "duration": "20s", "factor": 1.4}],
    },
}  # fmt: skip


def spreads(world: World) -> tuple[Any, Any]:
    """What the compiled engine shows, and what this one does, in other replications."""
    found = [
        observed(engine, world, rows, (*NEEDS, Count("errors")))
        for engine, rows in ((CompiledEngine, MANY), (AggregateEngine, OTHERS))
    ]
    return found[0], found[1]


@pytest.mark.parametrize("name", WORLDS)
def test_aggregate_agrees_with_the_compiled_engine_in_distribution(name: str) -> None:
    world = three_families(**WORLDS[name])
    assert not list(refusals(world))
    assert len(feedback.together(world)) > 1
    one, other = spreads(world)
    assert_same_law(one, other)


def test_metrics_that_were_drawn_apart_would_not_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison above sees whether metrics of a request hang together."""
    world = three_families(**WORLDS["three that hang together closely"])
    monkeypatch.setattr("sim.engine.aggregate.engine.together", lambda world: ())
    monkeypatch.setattr(feedback, "together", lambda world: ())
    one, other = spreads(world)
    sides = (shown[:, [2, 3]].reshape(len(shown), -1) for shown, _ in (one, other))
    assert np.abs(spread_apart(*sides)).max() > 1.5 * MOST


def test_many_ticks_agree_with_the_compiled_engine() -> None:
    """40 ticks, so that blocks are split, at 300 requests a tick."""
    delays = {"lognormal": {"median": "150s", "p99": "1000s"}}, {"weibull": {"mean": "200s", "shape": 1.5}}
    metrics = late(conversion={"delay": delays[0]}, score={"delay": delays[1]})
    world = three_families(horizon="400s", traffic={"rate": "30/s"}, metrics=metrics)
    # 120 means, and 7,260 variances and covariances.
    assert_same_law_of_many_ticks(world, (*moments("conversion", "count", "sum"), *moments("score", "count")))


@pytest.mark.parametrize("name", ["by arm, by outcome in one, in windows and segments", "lognormal and gamma"])
def test_neither_the_block_nor_what_else_is_read_nor_the_way_of_drawing_changes_a_bit(name: str) -> None:
    world = three_families(**WORLDS[name])
    needs = (*moments("conversion", *MOMENTS), *moments("revenue", *MOMENTS))
    whole = observed(AggregateEngine, world, np.arange(8), needs)[0]
    assert whole.any()
    part = observed(AggregateEngine, world, np.arange(4, 8), needs)[0]
    assert np.array_equal(whole[4:], part)
    fewer = observed(AggregateEngine, world, np.arange(8), moments("revenue", *MOMENTS))[0]
    assert np.array_equal(whole.reshape(8, 6, 3, -1)[..., 3:], fewer.reshape(8, 6, 3, -1))
    more = observed(AggregateEngine, world, np.arange(8), (*needs, *mirrored(*moments("conversion", "sum"))))[0]
    assert np.array_equal(more.reshape(8, 6, 3, -1)[..., : len(needs)], whole.reshape(8, 6, 3, -1))
    with ways.only("numpy"):
        assert np.array_equal(observed(AggregateEngine, world, np.arange(8), needs)[0], whole)


def test_auto_takes_aggregate_and_what_it_cannot_carry_is_refused_by_name() -> None:
    both = late(conversion={"delay": LOG}, revenue={"delay": GAM})
    # 300 requests a tick are as quick by themselves, where two metrics are drawn tick by tick; 500 are not.
    for rate, engine in (("30/s", "compiled"), ("50/s", "aggregate")):
        world = three_families(metrics=both, traffic={"rate": rate})
        assert not list(refusals(world))
        assert choose("auto", world).name == engine
    outcomes = {f"m{number}": {"bernoulli": 0.1} for number in range(7)}
    metrics = [{"name": name, "delay": LOG, **({"role": "primary"} if name == "m0" else {})} for name in outcomes]
    seven = make_world(make_scenario(metrics=metrics), [behaves(outcomes=outcomes)] * 2)
    assert list(refusals(seven)) == [
        "metrics.m0.delay: at most 6 metrics can have a delay that is neither exponential nor constant, got 7"
    ]
    assert choose("auto", seven).name == "compiled"
    varied = {"a": {"latency": {"relative_effect": {"uniform": {"low": "0%", "high": "5%"}}}}}
    latency = {"name": "latency", "role": "guardrail", "max": "2s"}
    (reason,) = refusals(three_families(metrics=[*both, latency], tick="60s", truth=varied))
    assert reason.startswith("metrics.conversion.delay: when a lognormal delay ends depends on a latency that varies")
