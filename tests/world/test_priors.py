"""Effects that vary between replications."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from pydantic import ValidationError

from sim.scenario.priors import Prior, prior_told
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


@pytest.mark.parametrize("df", [1.5, 2, 3, 30])
def test_fat_tails_are_those_of_student(df: float) -> None:
    drawn_ones = drawn({"student_t": {"mean": "-1%", "scale": "2%", "df": df}})
    assert scipy.stats.kstest(drawn_ones, scipy.stats.t(df, -0.01, 0.02).cdf).pvalue > 1e-3
    # What the tails are for: as many beyond ten scales as the law says, where a normal prior has none.
    beyond = 2 * scipy.stats.t(df).sf(10)
    assert abs((abs(drawn_ones + 0.01) > 0.2).mean() - beyond) <= 4 * np.sqrt(beyond / N) + 1e-12


@pytest.mark.parametrize(
    ("said", "rule"),
    [
        ({"mean": "0%", "scale": "2%", "df": 1}, "df"),
        ({"mean": "0%", "scale": "-2%", "df": 3}, "scale"),
        ({"mean": "0%", "sd": "2%", "df": 3}, "sd"),
        ({"mean": "0%", "scale": "2%"}, "df"),
    ],
)
def test_a_fat_tailed_prior_has_a_mean_a_scale_and_degrees_of_freedom(said: dict[str, object], rule: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Effects.model_validate({"relative_effect": {"student_t": said}})
    assert rule in {error["loc"][-1] for error in raised.value.errors()}


def test_a_prior_is_told_in_words() -> None:
    prior = Effects.model_validate({"relative_effect": {"student_t": {"mean": "-1%", "scale": "2%", "df": 3}}}).relative_effect
    assert prior_told(prior) == "Student's t with 3 degrees of freedom, mean -1%, scale 2%"


@pytest.mark.parametrize("weights", [None, ["20%", "0%", "80%"]])
def test_choices_come_as_often_as_they_weigh(weights: list[str] | None) -> None:
    said = {"values": ["-5%", "0%", "5%"]} | ({"weights": weights} if weights else {})
    values = drawn({"choice": said})
    for value, share in zip((-0.05, 0.0, 0.05), (0.2, 0.0, 0.8) if weights else (1 / 3,) * 3, strict=True):
        assert abs((values == value).mean() - share) <= 4 * np.sqrt(share * (1 - share) / N)


def test_an_effect_belongs_to_its_replication() -> None:
    said = {"normal": {"mean": "0%", "sd": "2%"}}
    assert np.array_equal(drawn(said)[[5, 900]], drawn(said, np.array([5, 900])))
