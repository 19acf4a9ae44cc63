"""What becomes of a tick's calls: chances against draws, against each other, and against SciPy's integrals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate

from sim.world.clock import NS
from sim.world.fates import Overtime, Positions, fates, reach, rest_s
from sim.world.latency import Constant, Exponential, Gamma, Latency, LogNormal, Mixture, Pareto, Quantiles, Weibull
from sim.world.traffic import Pieces
from tests.world.drawing import services_s

N = 400_000
TICK_S = 20.0
LAWS: dict[str, Latency] = {
    "lognormal": LogNormal(np.log(0.5), 0.6),
    "exponential": Exponential(0.7),
    "gamma": Gamma(2.5, 0.3),
    "weibull": Weibull(0.9, 0.4),
    "pareto": Pareto(0.2, 6.0),
    "constant": Constant(0.8),
    "quantiles": Quantiles((0.0, 0.4, 0.6, 0.9, 1.0), (0.1, 0.5, 0.5, 1.0, 3.0)),
    "mixture": Mixture((0.5, 0.3, 0.2), (Constant(0.8), Gamma(2.5, 0.3), Quantiles((0.0, 0.5, 1.0), (0.5, 0.5, 2.0)))),
}
law = pytest.mark.parametrize("latency", LAWS.values(), ids=LAWS.keys())
DELAYS: dict[str, Any] = {
    "none": (),
    "exponential": (Exponential(6.0),),
    "constant": (Constant(27.0),),
    "a window": (Exponential(6.0), Overtime(6.0)),
    "a window of long delays": (Constant(15.0), Exponential(400.0), Overtime(400.0), Exponential(0.5)),
    "a window of short delays": (Exponential(0.02), Overtime(0.02)),
    "three": (Exponential(50.0), Constant(15.0), Exponential(0.5)),
}


def check(chance: Any, service_s: Any, before_s: Any, limits_s: Any, delays: Any, rng: Any) -> None:
    """Compare the chances (2, P, B) of every fate with what happens to drawn calls."""
    late = service_s >= before_s
    end_s = (service_s - before_s) % TICK_S
    pattern = np.zeros(service_s.size, np.int64)
    for place, delay in enumerate(delays):
        if isinstance(delay, Overtime):
            # The window closes as long after an edge as the call ended after one.
            late_ = rng.exponential(delay.mean_s, service_s.size) > end_s
        else:
            exponential = isinstance(delay, Exponential)
            delay_s = rng.exponential(delay.mean_s, service_s.size) if exponential else rest_s(delay, TICK_S)
            late_ = end_s + delay_s >= TICK_S
        pattern |= late_.astype(np.int64) << place
    band = np.searchsorted(limits_s, service_s, side="left")
    fate = (late * chance.shape[1] + pattern) * chance.shape[2] + band
    counted = np.bincount(fate, minlength=chance.size).reshape(chance.shape)
    # Rare fates are compared as counts of a few.
    assert (np.abs(counted - N * chance) <= 4.5 * np.sqrt(N * chance * (1 - chance)) + 5).all()


@law
@pytest.mark.parametrize("delays", DELAYS.values(), ids=DELAYS.keys())
@pytest.mark.parametrize(("limits_s", "scale"), [((), 1.0), ((0.2, 0.8, 1.5), 1.7)])
def test_chances_are_those_of_calls_that_arrive_uniformly(
    latency: Latency, delays: Any, limits_s: tuple[float, ...], scale: float
) -> None:
    rng = np.random.default_rng(5)
    chance = fates(latency, np.array([1.0, scale]), limits_s, TICK_S, delays)[1]
    assert chance.sum() == pytest.approx(1.0, abs=1e-12)
    check(chance, scale * services_s(latency, N, seed=5), rng.random(N) * TICK_S, limits_s, delays, rng)


@law
def test_chances_are_those_of_calls_whose_arrivals_lie_unevenly(latency: Latency) -> None:
    """Half a second of silence before the edge, then a jump, and a rate that drops a second before."""
    rng = np.random.default_rng(6)
    offset_ns = np.array([0, 19, 19.5, 19.5, 20]) * NS
    level = np.array([0.0, 8.0, 9.0, 10.0, 10.0])
    pieces = Pieces(np.zeros(3, np.int64), np.full(3, 4), offset_ns.astype(np.int64), level, np.zeros(3), "poisson")
    positions = Positions.of(pieces, TICK_S, reach([latency], 1.0, TICK_S))
    chance = fates(latency, np.ones(1), (0.2, 0.8), TICK_S, (), positions)[0]
    reached = rng.random(N) * 10
    before_s = np.where(reached < 9, np.interp(reached, [0, 8, 9], [20.0, 1.0, 0.5]), 0.5)
    check(chance, services_s(latency, N, seed=6), before_s, (0.2, 0.8), (), rng)


@law
def test_even_pieces_are_no_pieces(latency: Latency) -> None:
    offset_ns, level = np.array([0, 5, 20]) * NS, np.array([0.0, 2.0, 8.0])
    pieces = Pieces(np.zeros(1, np.int64), np.full(1, 2), offset_ns, level, np.zeros(1), "poisson")
    positions = Positions.of(pieces, TICK_S, reach([latency], 2.0, TICK_S))
    said = latency, np.array([2.0]), (0.5, 1.5), TICK_S
    assert fates(*said, (), positions) == pytest.approx(fates(*said), abs=1e-11)


@law
@pytest.mark.parametrize("mean_s", [0.01, 1.0, 20.0, 1e5])
def test_exponential_delays_are_integrated_to_ten_digits(latency: Latency, mean_s: float) -> None:
    """The chance that feedback is not known at the edge, by SciPy's adaptive rule on the tail by parts."""
    rate = 1 / mean_s

    def slope(x: float) -> float:
        return float(np.exp(-rate * (TICK_S - x))) * float(latency.above(x)) / TICK_S

    # Steps to the left of the edge are those of the delay.
    points = sorted({0.1, 0.2, 0.5, 0.8, 1.0, 3.0, *(TICK_S - mean_s * np.array([1.0, 5.0, 30.0])).clip(0.05)})
    integral = sum(
        integrate.quad(slope, low, high, epsabs=1e-14, epsrel=1e-13, limit=500)[0]
        for low, high in zip([0.0, *points], [*points, TICK_S], strict=True)
    )
    chance = fates(latency, np.ones(1), (), TICK_S, (Exponential(mean_s),))[0, :, 1].sum(axis=1)
    ends_in = (1 - np.exp(-rate * TICK_S)) / (rate * TICK_S) - integral
    assert chance == pytest.approx([ends_in, integral], abs=1e-10)


@given(
    st.sampled_from(list(LAWS.values())),
    st.floats(0.1, 3.0),
    st.lists(st.one_of(st.floats(0.01, 1e4).map(Exponential), st.floats(0.001, 90.0).map(Constant)), max_size=3),
)
@settings(max_examples=60, deadline=None)
def test_a_delay_and_a_limit_more_only_split_fates(latency: Latency, scale: float, delays: list[Any]) -> None:
    scales = np.array([scale])
    plain = fates(latency, scales, (0.7,), TICK_S)
    split = fates(latency, scales, (0.3, 0.7, 30.0), TICK_S, delays)
    assert (split >= 0).all()
    by_band = split.sum(axis=2, keepdims=True)
    assert np.stack([by_band[..., :2].sum(axis=3), by_band[..., 2:].sum(axis=3)], axis=3) == pytest.approx(plain, abs=1e-10)
    if delays:
        fewer = fates(latency, scales, (0.3, 0.7, 30.0), TICK_S, delays[:-1])
        half = fewer.shape[2]
        assert split[:, :, :half] + split[:, :, half:] == pytest.approx(fewer, abs=1e-10)


def test_calls_as_long_as_a_tick_all_end_after_it() -> None:
    chance = fates(Constant(10.0), np.ones(1), (1.0,), 10.0)
    assert chance.tolist() == [[[[0.0, 0.0]], [[0.0, 1.0]]]]


def test_a_latency_of_just_a_limit_is_not_above_it_whatever_slows_it_down() -> None:
    for factor in (1.1, 3.0, 0.7, 1.3):
        chance = fates(Constant(0.1), np.array([factor]), (round(0.1 * factor, 9),), 10.0)
        assert not chance[..., 1].any()
