"""Delays of any law in the aggregate engine: chances by tick, the few draws that stand for many, and what monitoring sees."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats

from sim import ways
from sim.engine.aggregate.by_age import Ages, common
from sim.engine.aggregate.engine import AggregateEngine
from sim.engine.aggregate.late import aged
from sim.engine.aggregate.refusals import refusals
from sim.engine.aggregate.smooth import LEAST_LEVEL, SHAPES, Fits, halves, places, shapes, slots
from sim.engine.compiled.engine import CompiledEngine
from sim.policy.columns import MOMENTS, Count
from sim.world.by_tick import Late, by_class, even
from sim.world.fates import fates
from sim.world.latency import Constant, Exponential, Gamma, Latency, LogNormal, Mixture, Pareto, Quantiles, Weibull
from sim.world.streams import keys
from tests.columns import moments
from tests.engine.side_by_side import assert_same_law, assert_same_law_of_many_ticks, observed, three_families
from tests.engine.test_aggregate_features import FACTORS, SEGMENTS
from tests.engine.test_late_feedback import FAILURE, FIXED, MANY, NEEDS, OTHERS, SLOW, SLOWER, WINDOW, apart_by, late

TICK_S = 10.0
# Of scipy the same delays, and where their densities bend or jump.
LAWS: dict[str, tuple[Latency, Any]] = {
    "lognormal": (LogNormal(math.log(30.0), 1.0), stats.lognorm(1.0, scale=30.0)),
    "lognormal, narrow": (LogNormal(math.log(25.0), 0.05), stats.lognorm(0.05, scale=25.0)),
    "gamma": (Gamma(0.3, 40.0), stats.gamma(0.3, scale=40.0)),
    "weibull": (Weibull(0.4, 20.0), stats.weibull_min(0.4, scale=20.0)),
    "pareto": (Pareto(4.0, 1.5), stats.pareto(1.5, scale=4.0)),
    "exponential": (Exponential(12.0), stats.expon(scale=12.0)),
}
MIXTURE = Mixture((0.5, 0.5), (Constant(17.0), Exponential(20.0)))
JUMPS = Quantiles((0.0, 0.3, 0.3001, 1.0), (0.0, 12.0, 25.0, 80.0))
LATENCIES = (LogNormal(math.log(0.8), 0.4), Quantiles((0.0, 0.5, 0.9, 1.0), (0.1, 0.7, 2.0, 6.0)), Constant(1.0))
OTHER = Exponential(12.0), Constant(17.0)


@pytest.mark.parametrize(("delay", "scipys"), LAWS.values(), ids=LAWS.keys())
def test_chances_by_tick_are_the_integrals_of_scipy(delay: Latency, scipys: Any) -> None:
    found = even(Late(delay, TICK_S, 6))
    for tick in range(6):

        def known(x: float, tick: int = tick) -> float:
            return float(scipys.cdf((tick + 1) * TICK_S - x) - scipys.cdf(tick * TICK_S - x))

        # In pieces that shrink towards the end of the tick, where some densities are infinite.
        cuts = [0.0, 2.5, 5.0, 7.5, *(TICK_S * (1 - 0.25**power) for power in range(2, 14)), TICK_S]
        parts = [integrate.quad(known, low, high, epsabs=1e-14, limit=200)[0] for low, high in pairwise(cuts)]
        assert found[tick] == pytest.approx(sum(parts) / TICK_S, abs=1e-10)
    assert found.sum() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("window", [None, 2])
@pytest.mark.parametrize("latency", LATENCIES)
@pytest.mark.parametrize("delay", [*(law for law, _ in LAWS.values()), MIXTURE, JUMPS], ids=[*LAWS, "mixture", "jumps"])
def test_classes_have_the_chances_of_fates_and_make_up_the_whole(delay: Latency, latency: Latency, window: int | None) -> None:
    watched = Late(delay, TICK_S, 6, window)
    found = by_class(watched, latency, 1.3, (0.7, 2.0), OTHER)
    expected = fates(latency, np.array([1.3]), (0.7, 2.0), TICK_S, OTHER)[0]
    assert np.abs(found.sum(axis=3) - expected).max() < 1e-10
    assert np.abs(found.sum(axis=(0, 1, 2)) - even(watched)).max() < 1e-10


@pytest.mark.parametrize("mean_s", [3.0, 25.0])
def test_an_exponential_delay_is_late_as_the_closed_form_of_fates_says(mean_s: float) -> None:
    """What is not known by the end of the tick, by class: another integral, another program."""
    found = by_class(Late(Exponential(mean_s), TICK_S, 6), LATENCIES[0], 1.0, (0.7,), ())
    expected = fates(LATENCIES[0], np.array([1.0]), (0.7,), TICK_S, (Exponential(mean_s),))[0]
    assert np.abs(found[:, 0, :, 0] - expected[:, 0]).max() < 1e-10
    assert np.abs(found[:, 0, :, 1:].sum(axis=2) - expected[:, 1]).max() < 1e-10


DAY = LogNormal(math.log(40.0), 0.83)
SMOOTH = {"lognormal": DAY, "gamma": Gamma(0.5, 120.0), "weibull": Weibull(0.7, 60.0), "pareto": Pareto(3.0, 1.5),
          "narrow": LogNormal(math.log(60.0), 0.1), "jumps": Quantiles((0.0, 0.5, 0.5001, 1.0), (0.0, 40.0, 90.0, 150.0)),
          "mixture": Mixture((0.4, 0.6), (Constant(33.5), Exponential(50.0)))}  # fmt: skip
INSTANT = Constant(0.01)


@pytest.mark.parametrize("window", [None, 100])
@pytest.mark.parametrize("delay", SMOOTH.values(), ids=SMOOTH.keys())
def test_the_pieces_of_every_tick_make_up_the_law_exactly(delay: Latency, window: int | None) -> None:
    """Whatever is drawn, and however blocks are split, the chance of each tick is that of the law, to rounding."""
    ticks = 300
    ages = Ages(Late(delay, 1.0, ticks, window), INSTANT, 1, 1e6)
    wheel, law = ages._wheel, ages._law
    begins = slots(ticks, window)[1]
    for tick in (0, 1, 17, 64, 100, 255, 299):
        plan = wheel.plan(tick, law)
        weight = np.zeros(wheel._store.shape[0])
        weight[plan.slots] = plan.chance[:-2]
        made = np.zeros(ticks + 2 * 2**9)
        made[:ticks] = weight[:ticks]
        for level in reversed(begins):
            for block in range((ticks >> level) + 1):
                of = weight[begins[level] + SHAPES * block :][:SHAPES]
                if level == LEAST_LEVEL:
                    made[block << level : block + 1 << level] += shapes(level) @ of
                    continue
                for half, shares in enumerate((of @ halves()).reshape(2, SHAPES)):
                    if (2 * block + half) << level - 1 < ticks:
                        weight[begins[level - 1] + SHAPES * (2 * block + half) :][:SHAPES] += shares
        made[tick:ticks] += plan.rest
        assert np.abs(made[tick:ticks] - law.chance[: ticks - tick]).max() < 1e-15
        assert (made[:tick] == 0).all()
        if window is not None and tick + window < ticks:
            assert weight[ticks + tick + window] == law.chance[ticks]


def test_a_smooth_delay_takes_far_fewer_draws_than_ticks() -> None:
    law = even(Late(LogNormal(math.log(60_000.0), 0.83), 600.0, 4032))[:-2]
    fits = Fits(np.where(law > 1e-9, law, 0.0), 1e6)
    pieces = list(fits.pieces(1))
    left = law.sum() - sum(float(piece.chance.sum()) for piece in pieces)
    assert sum(piece.chance.size for piece in pieces) < 150
    assert left < 1e-4
    begins = slots(4032, None)[1]
    of = np.concatenate([places(piece, 1, begins) for piece in pieces if piece.first < 4000])
    assert np.unique(of).size == of.size


@pytest.mark.parametrize("chance", [[[0.7, 0.2, 0.0], [0.01, 0.04, 0.05]], [[0.5, 0.5, 0.0], [0.0, 0.0, 0.0]], [[1.0], [0.0]]])
def test_what_classes_have_in_common_is_a_part_of_each(chance: list[list[float]]) -> None:
    classes = np.array(chance)
    law = common(classes)
    assert law.sum() == pytest.approx(1.0)
    own = classes[classes.sum(axis=1) > 0]
    own = own / own.sum(axis=1, keepdims=True)
    share = (own[:, law > 0] / law[law > 0]).min(axis=1)
    assert (share > 0).all()
    assert (own - share[:, None] * law >= -1e-15).all()


def waited(delay: Latency, calls: int, rows: int, window: int | None = None, sent: tuple[int, ...] = (0, 3, 40)) -> Any:
    """(2, R, T) what becomes known, and too late, of calls that end in some ticks."""
    ticks = 150
    ages = Ages(Late(delay, 1.0, ticks, window), INSTANT, rows, calls)
    who, key = np.arange(rows), keys(5, np.arange(rows), "waited")
    shown = np.zeros((2, rows, ticks))
    for tick in range(ticks):
        some = np.full((rows, 1), calls * (tick in sent))
        ends = some - some // 50, some // 50
        shown[:, :, tick] = ages.arrive(who, tick, ends, (1.0, 1.0), key + np.uint64(tick << 32))
    return shown


@pytest.mark.parametrize("calls", [20, 60, 100_000])
@pytest.mark.parametrize("window", [None, 70])
@pytest.mark.parametrize("name", ["lognormal", "weibull", "jumps", "mixture"])
def test_what_becomes_known_is_multinomial(name: str, window: int | None, calls: int) -> None:
    """Means, variances and covariances of counts by tick, against those of independent calls; 3 cohorts, 2,000 replications."""
    delay, rows, sent, ticks = SMOOTH[name], 2000, (0, 3, 40), 150
    shown = waited(delay, calls, rows, window, sent).swapaxes(0, 1).reshape(rows, -1)
    watched = Late(delay, 1.0, ticks, window)
    by_end = by_class(watched, INSTANT, 1.0)[:, 0, 0]
    expected, covariance = np.zeros(2 * ticks), np.zeros((2 * ticks, 2 * ticks))
    for tick in sent:
        for own, number in zip(by_end / by_end.sum(axis=1, keepdims=True), (calls - calls // 50, calls // 50), strict=True):
            chance = np.zeros(2 * ticks)
            chance[tick:ticks] = own[: ticks - tick]
            if window is not None:
                chance[ticks + tick + window] = own[ticks]
            expected += number * chance
            covariance += number * (np.diag(chance) - np.outer(chance, chance))
    sd = np.sqrt(np.diag(covariance))
    there = expected > 30 / rows
    z = (shown.mean(axis=0) - expected)[there] / sd[there] * math.sqrt(rows)
    # Up to 300 means, and some 20,000 covariances, of which neighbours are most at stake.
    assert np.abs(z).max() < 4.5
    assert not shown[:, expected < 1e-12].any()
    some = there & (expected > min(50 / math.sqrt(rows), 0.6 * expected.max()))
    centred = ((shown - expected) / np.where(sd > 0, sd, 1.0))[:, some]
    found, error = np.cov(centred, rowvar=False, bias=True), np.sqrt((np.var(centred**2, axis=0)) / rows)
    exact = (covariance / np.outer(np.where(sd > 0, sd, 1), np.where(sd > 0, sd, 1)))[np.ix_(some, some)]
    assert np.abs((np.diag(found) - np.diag(exact)) / error).max() < 5
    beside = ~np.eye(len(exact), dtype=bool)
    pairs = (found - exact)[beside] * math.sqrt(rows)
    spread = np.sqrt((centred**2).T @ centred**2 / rows - exact**2)[beside]
    assert np.abs(pairs / spread).max() < 5.5


def test_numpy_and_compiled_draws_place_every_call_alike() -> None:
    with ways.only("numpy"):
        one = waited(DAY, 100_000, 20, 70)
    with ways.only("compiled"):
        other = waited(DAY, 100_000, 20, 70)
    assert np.array_equal(one, other)


LOG = {"lognormal": {"median": "20s", "p99": "120s"}}
GAM = {"gamma": {"mean": "15s", "sd": "25s"}}
WEI = {"weibull": {"mean": "15s", "shape": 0.6}}
QUA = {"quantiles": {"0%": "0.5s", "40%": "12s", "40.01%": "22s", "100%": "50s"}}
MIX = {"mixture": [{"share": "50%", "constant": "17s"}, {"share": "50%", "exponential": "20s"}]}
BY_ARM = {"by_arm": {"champion": LOG, "a": FIXED, "b": apart_by(WEI, SLOW)}}
WORLDS: dict[str, dict[str, Any]] = {
    "lognormal, beside an exponential delay": {"metrics": late(conversion={"delay": LOG}, score={"delay": SLOW})},
    "gamma, in a window": {"metrics": late(conversion={"delay": GAM, **WINDOW})},
    "weibull, a failure until it is known, in a window": {"metrics": late(conversion={"delay": WEI, **FAILURE, **WINDOW})},
    "pareto": {"metrics": late(score={"delay": {"pareto": {"minimum": "6s", "tail": 1.6}}})},
    "quantiles, of an amount, in segments": {"metrics": late(revenue={"delay": QUA}), "segments": SEGMENTS},
    "mixture, in a changing world": {"metrics": late(conversion={"delay": MIX}), "timeline": FACTORS},
    "failures when the window closes": {
        "metrics": late(conversion={"delay": apart_by(LOG, "window"), **WINDOW}), "timeline": FACTORS,
    },
    "by arm, and by outcome in one": {"metrics": late(conversion={"delay": BY_ARM})},
    "lognormal, beside others, with a limit of latency, while calls slow down": {
        "metrics": [
            *late(conversion={"delay": LOG}, score={"delay": FIXED}, revenue={"delay": SLOWER, **WINDOW}),
            {"name": "latency", "role": "guardrail", "max": "2s"},
        ],
        "segments": SEGMENTS,
        "timeline": [{"kind": "slowdown", "arm": "a", "at": "10s", "duration": "20s", "factor": 1.4}],
    },
}  # fmt: skip


@pytest.mark.parametrize("said", WORLDS.values(), ids=WORLDS.keys())
def test_aggregate_agrees_with_the_compiled_engine_in_distribution(said: dict[str, Any]) -> None:
    world = three_families(**said)
    assert not list(refusals(world))
    assert any(aged(told) for told in world.feedback.values())
    one, other = (
        observed(engine, world, rows, (*NEEDS, Count("errors")))
        for engine, rows in ((CompiledEngine, MANY), (AggregateEngine, OTHERS))
    )
    assert_same_law(one, other)


def test_many_ticks_agree_with_the_compiled_engine() -> None:
    """40 ticks, so that blocks are split, at 300 requests a tick."""
    delay = {"lognormal": {"median": "150s", "p99": "1000s"}}
    world = three_families(horizon="400s", traffic={"rate": "30/s"}, metrics=late(conversion={"delay": delay}))
    # 240 means, and 28,920 variances and covariances.
    assert_same_law_of_many_ticks(world, moments("conversion", "count", "sum"))


@pytest.mark.parametrize("name", ["failures when the window closes", "quantiles, of an amount, in segments"])
def test_a_replication_is_the_same_in_whatever_block_it_is_played(name: str) -> None:
    world = three_families(**WORLDS[name])
    needs = (*moments("conversion", *MOMENTS), *moments("revenue", *MOMENTS))
    whole = observed(AggregateEngine, world, np.arange(8), needs)[0]
    part = observed(AggregateEngine, world, np.arange(4, 8), needs)[0]
    assert np.array_equal(whole[4:], part)
    more = observed(AggregateEngine, world, np.arange(8), (*needs, Count("errors", mirrored=True)))[0]
    assert np.array_equal(more.reshape(8, 6, 3, -1)[..., : len(needs)], whole.reshape(8, 6, 3, -1))
