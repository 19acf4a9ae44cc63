"""Latency: tails, limited means and the bands of a tick, against draws."""

from __future__ import annotations

import numpy as np
import pytest

from sim.world.latency import Constant, Exponential, Gamma, Latency, LogNormal, Quantiles, bands

N = 200_000
LAWS = {
    "lognormal": LogNormal(np.log(0.5), 0.6),
    "exponential": Exponential(0.7),
    "gamma": Gamma(2.5, 0.3),
    "constant": Constant(0.8),
    "quantiles": Quantiles((0.0, 0.4, 0.6, 0.9, 1.0), (0.1, 0.5, 0.5, 1.0, 3.0)),
}
law = pytest.mark.parametrize("latency", LAWS.values(), ids=LAWS.keys())


@law
def test_above_and_limited_mean_are_those_of_the_draws(latency: Latency) -> None:
    drawn = latency.draw(np.random.default_rng(3), N)
    assert abs(drawn.mean() - latency.mean_s) <= 4 * drawn.std() / np.sqrt(N) + 1e-12
    for limit_s in (0.05, 0.3, 0.5, 0.8, 1.0, 2.0, 5.0):
        share = (drawn > limit_s).mean()
        expected = float(latency.above(limit_s))
        assert abs(share - expected) <= 4 * np.sqrt(expected * (1 - expected) / N) + 1e-12
        limited = np.minimum(drawn, limit_s)
        assert abs(limited.mean() - float(latency.limited_mean(limit_s))) <= 4 * limited.std() / np.sqrt(N) + 1e-12


def test_an_atom_at_a_limit_is_not_above_it() -> None:
    assert float(Constant(0.8).above(0.8)) == 0.0
    jump = LAWS["quantiles"]
    assert float(jump.above(0.5)) == pytest.approx(0.4)
    assert float(jump.above(0.4999999)) == pytest.approx(0.6, abs=1e-6)


@law
@pytest.mark.parametrize("limits_s", [(), (0.5,), (0.2, 0.8, 1.5)])
@pytest.mark.parametrize("scale", [1.0, 1.7])
def test_bands_are_those_of_calls_that_arrive_uniformly_in_a_tick(
    latency: Latency, limits_s: tuple[float, ...], scale: float
) -> None:
    rng, tick_s = np.random.default_rng(5), 20.0
    service = scale * latency.draw(rng, N)
    after = rng.random(N) * tick_s + service >= tick_s
    cut = bands(latency, np.array([scale]), limits_s, tick_s)
    assert abs(after.mean() - cut.late[0]) < 4 * np.sqrt(cut.late[0] / N)
    band = np.searchsorted(limits_s, service, side="left")
    for which, expected in ((~after, cut.in_tick[0]), (after, cut.after[0])):
        assert expected.sum() == pytest.approx(1.0)
        count = which.sum()
        share = np.bincount(band[which], minlength=len(limits_s) + 1) / count
        assert (np.abs(share - expected) <= 4.5 * np.sqrt(expected * (1 - expected) / count) + 1e-9).all()


def test_calls_as_long_as_a_tick_all_end_after_it() -> None:
    cut = bands(Constant(10.0), np.array([1.0]), (1.0,), 10.0)
    assert cut.late.tolist() == [1.0]
    assert cut.after.tolist() == [[0.0, 1.0]]
