"""Latency: tails and limited means, against draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter
from scipy import integrate, stats

from sim.distributions import latency as written
from sim.world.latency import Constant, Exponential, Gamma, Latency, LogNormal, Mixture, Pareto, Quantiles, Weibull, of
from tests.world.drawing import services_s

N = 200_000
LAWS: dict[str, Latency] = {
    "lognormal": LogNormal(np.log(0.5), 0.6),
    "exponential": Exponential(0.7),
    "gamma": Gamma(2.5, 0.3),
    "weibull": Weibull(0.7, 0.4),
    "pareto": Pareto(0.2, 2.5),
    "constant": Constant(0.8),
    "quantiles": Quantiles((0.0, 0.4, 0.6, 0.9, 1.0), (0.1, 0.5, 0.5, 1.0, 3.0)),
    "mixture": Mixture((0.5, 0.3, 0.2), (Constant(0.1), Gamma(2.5, 0.3), Quantiles((0.0, 0.5, 1.0), (0.5, 0.8, 2.0)))),
}
law = pytest.mark.parametrize("latency", LAWS.values(), ids=LAWS.keys())


@law
def test_above_and_limited_mean_are_those_of_the_draws(latency: Latency) -> None:
    drawn = services_s(latency, N, seed=3)
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


@pytest.mark.parametrize(
    ("said", "reference"),
    [
        ({"weibull": {"scale": "400ms", "shape": 0.7}}, stats.weibull_min(0.7, scale=0.4)),
        ({"weibull": {"mean": "400ms", "shape": 3}}, stats.weibull_min(3, scale=0.4 / stats.weibull_min(3).mean())),
        ({"pareto": {"minimum": "200ms", "tail": 2.5}}, stats.pareto(2.5, scale=0.2)),
        ({"pareto": {"minimum": "200ms", "tail": 1.1}}, stats.pareto(1.1, scale=0.2)),
    ],
)
def test_weibull_and_pareto_are_those_of_scipy(said: dict[str, Any], reference: Any) -> None:
    latency = of(TypeAdapter(written.Latency).validate_python(said))
    assert latency.mean_s == pytest.approx(reference.mean())
    limits_s = np.array([0.0, 0.05, 0.2, 0.3, 1.0, 20.0])
    assert latency.above(limits_s) == pytest.approx(reference.sf(limits_s))
    # E[min(L, limit)] is the integral of the tail.
    integrals = [integrate.quad(reference.sf, 0, limit, points=[0.2], limit=200)[0] for limit in limits_s]
    assert latency.limited_mean(limits_s) == pytest.approx(integrals, rel=1e-6)
    assert float(latency.limited_mean(1e300)) == pytest.approx(latency.mean_s)
    assert latency.limited_mean(limits_s[:, None]).shape == (6, 1)
