"""Effects that vary between replications."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from sim.scenario.priors import Prior
from sim.scenario.schema import Effects
from sim.world.priors import effects

N = 50_000


def drawn(said: object, replications: np.ndarray | None = None) -> np.ndarray:
    prior: Prior = Effects.model_validate({"relative_effect": said}).relative_effect
    return effects(prior, 7, np.arange(N) if replications is None else replications, "challenger.conversion")


def test_normal_uniform_and_constant_priors() -> None:
    normal = drawn({"normal": {"mean": "2%", "sd": "5%"}})
    assert scipy.stats.kstest(normal, scipy.stats.norm(0.02, 0.05).cdf).pvalue > 1e-3
    uniform = drawn({"uniform": {"low": "-10%", "high": "30%"}})
    assert scipy.stats.kstest(uniform, scipy.stats.uniform(-0.1, 0.4).cdf).pvalue > 1e-3
    assert set(drawn("-3%")) == {-0.03}


@pytest.mark.parametrize("weights", [None, ["20%", "0%", "80%"]])
def test_choices_come_as_often_as_they_weigh(weights: list[str] | None) -> None:
    said = {"values": ["-5%", "0%", "5%"]} | ({"weights": weights} if weights else {})
    values = drawn({"choice": said})
    for value, share in zip((-0.05, 0.0, 0.05), (0.2, 0.0, 0.8) if weights else (1 / 3,) * 3, strict=True):
        assert abs((values == value).mean() - share) <= 4 * np.sqrt(share * (1 - share) / N)


def test_an_effect_belongs_to_its_replication() -> None:
    said = {"normal": {"mean": "0%", "sd": "2%"}}
    assert np.array_equal(drawn(said)[[5, 900]], drawn(said, np.array([5, 900])))
