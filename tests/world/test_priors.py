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


@pytest.mark.parametrize("df", [1.05, 3])
def test_tails_may_be_cut(df: float) -> None:
    """What is left is drawn in proportion: the same law, given that it lies within."""
    law = scipy.stats.t(df, 0.01, 0.02)
    drawn_ones = drawn({"student_t": {"mean": "1%", "scale": "2%", "df": df, "within": "10%"}})
    assert abs(drawn_ones).max() <= 0.1
    low, high = law.cdf([-0.1, 0.1])
    assert scipy.stats.kstest(drawn_ones, lambda at: (law.cdf(at) - low) / (high - low)).pvalue > 1e-3
    assert set(drawn({"student_t": {"mean": "1%", "scale": "0%", "df": df, "within": "10%"}})) == {0.01}


def test_fat_tails_that_are_cut_cannot_be_impossible() -> None:
    said = {"student_t": {"mean": "0%", "scale": "5%", "df": 1.05, "within": "95%"}}
    whole = drawn({"student_t": {"mean": "0%", "scale": "5%", "df": 1.05}})
    assert whole.min() < -1 < -0.95 <= drawn(said).min()
    prior = Effects.model_validate({"relative_effect": said}).relative_effect
    assert prior_told(prior) == "Student's t with 1.05 degrees of freedom, mean 0%, scale 5%, none beyond ±95%"
    assert not isinstance(prior, float)
    assert prior.moved(1.5, -0.01)["student_t"] == {"mean": "-1%", "scale": "7.5%", "df": 1.05, "within": "95%"}
    with pytest.raises(ValidationError, match="mean must lie within ±2%"):
        Effects.model_validate({"relative_effect": {"student_t": {"mean": "3%", "scale": "1%", "df": 3, "within": "2%"}}})


@pytest.mark.parametrize(
    ("said", "rule"),
    [
        ({"mean": "0%", "scale": "2%", "df": 3, "within": "100%"}, "within"),
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


@pytest.mark.parametrize(
    ("zero", "mean", "sd"), [("70%", "1%", "2%"), ("20%", "-4%", "1%"), ("0%", "0%", "3%"), ("50%", "2%", "0%")]
)
def test_a_spike_and_slab_is_zero_in_its_share_and_else_normal(zero: str, mean: str, sd: str) -> None:
    drawn_ones = drawn({"spike_slab": {"zero": zero, "mean": mean, "sd": sd}})
    share, centre, spread = (float(text[:-1]) / 100 for text in (zero, mean, sd))
    assert abs((drawn_ones == 0).mean() - share) <= 4 * np.sqrt(share * (1 - share) / N)
    slab = drawn_ones[drawn_ones != 0]
    assert spread == 0 or scipy.stats.kstest(slab, scipy.stats.norm(centre, spread).cdf).pvalue > 1e-3
    assert spread > 0 or set(slab) == {centre}


def test_a_spike_and_slab_keeps_its_order_and_its_edges() -> None:
    """As the others, it is drawn by inversion: a replication that is better at one prior is better at any."""
    normal = drawn({"normal": {"mean": "0%", "sd": "2%"}})
    spiked = drawn({"spike_slab": {"zero": "60%", "mean": "1%", "sd": "2%"}})
    assert np.all(np.diff(spiked[np.argsort(normal)]) >= 0)
    assert np.array_equal(drawn({"spike_slab": {"zero": "0%", "mean": "0%", "sd": "2%"}}), normal)
    assert set(drawn({"spike_slab": {"zero": "100%", "mean": "1%", "sd": "2%"}})) == {0.0}


def test_the_sd_of_a_spike_and_slab_is_that_of_its_draws() -> None:
    said = {"spike_slab": {"zero": "60%", "mean": "3%", "sd": "2%"}}
    prior = Effects.model_validate({"relative_effect": said}).relative_effect
    assert not isinstance(prior, float)
    squared = (drawn(said) - 0.4 * 0.03) ** 2
    assert abs(squared.mean() - prior.sd**2) <= 4 * squared.std() / np.sqrt(N)
    assert prior_told(prior) == "0% in 60%, else normal, mean +3%, sd 2%"


@pytest.mark.parametrize(
    ("said", "rule"),
    [
        ({"zero": "110%", "mean": "0%", "sd": "2%"}, "zero"),
        ({"zero": "50%", "mean": "0%", "sd": "-2%"}, "sd"),
        ({"zero": "50%", "mean": "0%"}, "sd"),
        ({"zero": "50%", "mean": "0%", "sd": "2%", "df": 3}, "df"),
    ],
)
def test_a_spike_and_slab_has_a_share_a_mean_and_an_sd(said: dict[str, object], rule: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Effects.model_validate({"relative_effect": {"spike_slab": said}})
    assert rule in {error["loc"][-1] for error in raised.value.errors()}


def test_an_effect_belongs_to_its_replication() -> None:
    said = {"normal": {"mean": "0%", "sd": "2%"}}
    assert np.array_equal(drawn(said)[[5, 900]], drawn(said, np.array([5, 900])))
