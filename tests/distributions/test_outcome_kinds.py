"""Kinds of outcome against the closed forms of SciPy: their moments, and the values that they are played with."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from sim.distributions.counts import TAIL
from sim.distributions.outcomes import Outcome

Floats = NDArray[np.float64]
ADAPTER: TypeAdapter[Any] = TypeAdapter(Outcome)


def read(**said: Any) -> Any:
    return ADAPTER.validate_python(said)


def values_of(outcome: Any) -> tuple[Floats, Floats]:
    """(values, chances) of any kind that has them."""
    if outcome.family == "tilted":
        values, log_chance = outcome.levels()
        return values, np.exp(log_chance)
    found: tuple[Floats, Floats] = outcome.atoms()
    return found


def moments(values: Floats, chance: Floats) -> tuple[float, float]:
    mean = float((values * chance).sum())
    return mean, math.sqrt(float(((values - mean) ** 2 * chance).sum()))


def law_of(a: float, low: float, high: float) -> Any:
    return scipy.stats.truncpareto(a, high / low, scale=low)


CLOSED: list[tuple[dict[str, Any], Any]] = [
    ({"poisson": 1.3}, scipy.stats.poisson(1.3)),
    ({"poisson": 4000}, scipy.stats.poisson(4000)),
    ({"negative_binomial": {"mean": 2, "dispersion": 1.5}}, scipy.stats.nbinom(1 / 1.5, 1 / 4)),
    ({"negative_binomial": {"mean": 50, "dispersion": 0.02}}, scipy.stats.nbinom(50, 0.5)),
    ({"categorical": {1: "10%", 3: "20%", 5: "70%"}}, scipy.stats.rv_discrete(values=([1, 3, 5], [0.1, 0.2, 0.7]))),
    ({"beta": {"mean": 0.4, "sd": 0.2}}, scipy.stats.beta(2, 3)),
    ({"beta": {"mean": 0.9, "sd": 0.1}}, scipy.stats.beta(7.2, 0.8)),
    ({"pareto": {"minimum": 5, "tail": 3}}, scipy.stats.pareto(3, scale=5)),
    ({"pareto": {"minimum": 5, "tail": 1.5, "maximum": 5000}}, law_of(1.5, 5, 5000)),
    ({"pareto": {"minimum": 5, "tail": 1, "maximum": 500}}, law_of(1, 5, 500)),
    ({"pareto": {"minimum": 5, "tail": 0.5, "maximum": 500}}, law_of(0.5, 5, 500)),
]
closed = pytest.mark.parametrize(("said", "law"), CLOSED, ids=[str(said) for said, _ in CLOSED])


@closed
def test_moments_are_those_of_scipy_and_the_mean_of_what_is_played_is_exact(said: dict[str, Any], law: Any) -> None:
    outcome = read(**said)
    assert outcome.mean == pytest.approx(law.mean(), rel=1e-9)
    assert outcome.sd == pytest.approx(law.std(), rel=1e-6)
    values, chance = values_of(outcome)
    assert (np.diff(values) > 0).all()
    assert (chance > 0).all()
    assert chance.sum() == pytest.approx(1, abs=1e-12)
    mean, sd = moments(values, chance)
    assert mean == pytest.approx(law.mean(), rel=1e-12)
    assert 0.985 <= (sd / law.std()) ** 2 <= 1 + 1e-9


@pytest.mark.parametrize(("said", "law"), CLOSED[:4], ids=[str(said) for said, _ in CLOSED[:4]])
def test_a_count_has_every_whole_number_but_what_comes_less_than_once_in_1e12(said: dict[str, Any], law: Any) -> None:
    values, chance = values_of(read(**said))
    assert np.array_equal(values, np.arange(values[0], values[-1] + 1))
    assert law.cdf(values[0] - 1) + law.sf(values[-1]) < TAIL
    # What gives the mean back moves chances by a few times as much.
    assert np.abs(chance - law.pmf(values)).max() < 10 * TAIL
    assert moments(values, chance)[1] == pytest.approx(law.std(), rel=1e-8)


@pytest.mark.parametrize(("said", "law"), CLOSED[5:], ids=[str(said) for said, _ in CLOSED[5:]])
def test_values_of_a_continuous_kind_are_conditional_means(said: dict[str, Any], law: Any) -> None:
    values, chance = values_of(read(**said))
    edges = law.ppf(np.concatenate([[0.0], np.cumsum(chance)]).clip(0, 1))
    for place in (1, 10, 30):
        part = law.expect(lambda x: x, lb=edges[place], ub=edges[place + 1], conditional=True)
        assert values[place] == pytest.approx(part, rel=1e-6)


MEASURED = {"quantiles": {"0%": 0, "60%": 0, "90%": 20, "99%": 100, "100%": 900}}


def test_a_measured_amount_is_a_line_between_its_levels_and_keeps_jumps() -> None:
    outcome = read(**MEASURED)
    levels, at = list(outcome.quantiles), list(outcome.quantiles.values())
    # The moments of the inverse distribution function, which is linear between the levels.
    u = np.concatenate([np.linspace(low, high, 100_001) for low, high in pairwise(levels)])
    x = np.interp(u, levels, at)
    mean, square = np.trapezoid(x, u), np.trapezoid(x**2, u)
    assert outcome.mean == pytest.approx(mean, rel=1e-9)
    assert outcome.sd == pytest.approx(math.sqrt(square - mean**2), rel=1e-6)
    values, chance = values_of(outcome)
    assert moments(values, chance)[0] == pytest.approx(outcome.mean, rel=1e-12)
    assert moments(values, chance)[1] == pytest.approx(outcome.sd, rel=1e-3)
    assert values[0] == 0
    assert chance[0] == pytest.approx(0.6)


def test_a_measured_amount_may_be_of_any_sign_and_of_one_value() -> None:
    values, chance = values_of(read(quantiles={"0%": -10, "100%": 10}))
    assert moments(values, chance)[0] == pytest.approx(0, abs=1e-9)
    assert values[0] < -9.9
    values, chance = values_of(read(quantiles={"0%": 3, "100%": 3}))
    assert values.tolist() == [3.0]
    assert chance.tolist() == [1.0]


@given(st.floats(1e-4, 1 - 1e-4), st.floats(0.001, 0.9))
def test_strata_of_a_score_keep_its_mean_and_stay_between_0_and_1(mean: float, part: float) -> None:
    sd = (part * (1 - 1e-9) + 1e-12) * math.sqrt(mean * (1 - mean))
    outcome = read(beta={"mean": mean, "sd": sd})
    values, chance = values_of(outcome)
    assert values[0] >= 0
    assert values[-1] <= 1
    found = moments(values, chance)
    assert found[0] == pytest.approx(mean, rel=1e-9)
    assert (0.98 if part <= 0.7 else 0.95) <= (found[1] / sd) ** 2 <= 1.01


@given(st.floats(0.001, 1e6), st.floats(1.01, 1e6), st.floats(0.05, 20))
def test_strata_of_a_power_law_keep_its_mean(minimum: float, times: float, tail: float) -> None:
    outcome = read(pareto={"minimum": minimum, "tail": tail, "maximum": minimum * times})
    values, chance = values_of(outcome)
    assert (values * chance).sum() == pytest.approx(outcome.mean, rel=1e-9)
    assert values[0] >= minimum * (1 - 1e-9)
    assert values[-1] <= minimum * times * (1 + 1e-9)


@given(st.floats(1e-3, 100), st.floats(1e-6, 1))
def test_counts_keep_their_mean(mean: float, dispersion: float) -> None:
    outcome = read(negative_binomial={"mean": mean, "dispersion": dispersion})
    values, chance = values_of(outcome)
    found = moments(values, chance)
    assert found[0] == pytest.approx(mean, rel=1e-10)
    assert found[1] == pytest.approx(outcome.sd, rel=1e-6)


def test_a_count_has_the_values_that_matter_wherever_a_factor_takes_its_mean() -> None:
    outcome = read(poisson=100)
    values, log_chance = outcome.levels(0.25, 4.0)
    for mean in (25, 400):
        law = scipy.stats.poisson(mean)
        assert law.cdf(values[0] - 1) + law.sf(values[-1]) < TAIL
    assert (np.exp(log_chance) * values).sum() == pytest.approx(100, rel=1e-12)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"pareto": {"minimum": 5, "tail": 1.5}}, "has no variance: give it a maximum"),
        ({"pareto": {"minimum": 5, "tail": 2.2}}, "19% of its variance"),
        ({"pareto": {"minimum": 5, "tail": 1.5, "maximum": 1e12}}, "of its variance"),
        (
            {"zero_inflated": {"rate": "5%", "amount": {"pareto": {"minimum": 5, "tail": 1.5}}}},
            "has no variance: give it a maximum",
        ),
        ({"pareto": {"minimum": 5, "tail": 3}}, None),
        ({"pareto": {"minimum": 5, "tail": 1.5, "maximum": 10_000}}, None),
        ({"poisson": 1.3}, None),
    ],
)
def test_a_power_law_without_a_variance_that_strata_can_tell_is_not_compared(said: Any, reason: str | None) -> None:
    found = read(**said).incomparable()
    assert found is None if reason is None else reason in str(found)


@pytest.mark.parametrize(
    ("said", "rule"),
    [
        ({"poisson": 0}, "greater than or equal to"),
        ({"poisson": -1.3}, "greater than or equal to"),
        ({"poisson": True}, "valid number"),
        ({"poisson": 1e7}, "more than 10,000 different values"),
        ({"negative_binomial": {"mean": -2, "dispersion": 1}}, "greater than or equal to"),
        ({"negative_binomial": {"mean": 2, "dispersion": 0}}, "greater than or equal to"),
        ({"negative_binomial": {"mean": 2, "sd": 1}}, "Field required"),
        ({"negative_binomial": {"mean": 3000, "dispersion": 5}}, "more than 10,000 different values"),
        ({"categorical": {}}, "at least 1 item"),
        ({"categorical": {1: "10%", 5: "80%"}}, "shares must sum to 100%; got 90%"),
        ({"categorical": {"1": "50%", "1.0": "50%"}}, "the same value is given twice"),
        ({"categorical": {"five": "100%"}}, "a category must be a number"),
        ({"categorical": {"nan": "100%"}}, "a category must be a number"),
        ({"categorical": {"1e13": "100%"}}, "a category must be a number"),
        ({"categorical": {True: "100%"}}, "a category must be a number"),
        ({"beta": {"mean": 0.4, "sd": 0.5}}, "0.9 times the square root of mean"),
        ({"beta": {"mean": 0.4, "sd": 1e-6}}, "0.001 to 0.9 times"),
        ({"beta": {"mean": 1, "sd": 0.1}}, "less than 1"),
        ({"pareto": {"minimum": 5, "tail": 1}}, "a tail up to 1 has no mean: give a maximum"),
        ({"pareto": {"minimum": 0, "tail": 3}}, "greater than or equal to"),
        ({"pareto": {"minimum": 5, "tail": 0}}, "greater than or equal to"),
        ({"pareto": {"minimum": 5, "tail": 3, "maximum": 5}}, "at least 1% above minimum"),
        ({"quantiles": {"0%": 0, "50%": 3}}, "end at 100%"),
        ({"quantiles": {"0%": 5, "50%": 3, "100%": 9}}, "values must not decrease; got 5 at 0% before 3"),
        ({"quantiles": {f"{level / 20}%": level for level in range(2001)}}, "at most 1000 items"),
        ({"poison": 1.3}, "poison"),
    ],
)
def test_what_is_no_distribution_is_refused(said: Any, rule: str) -> None:
    with pytest.raises(ValidationError, match=rule):
        ADAPTER.validate_python(said)


def test_the_canonical_form_does_not_depend_on_spelling() -> None:
    one = read(categorical={"5": 0.9, "1.0": "10%"})
    other = read(categorical={1: "10%", "5": "90%"})
    assert one == other
    assert hash(one) == hash(other)
    assert ADAPTER.dump_python(one, mode="json") == {"categorical": {"1": "10%", "5": "90%"}}
