"""Forecasts against closed forms: the normal posterior, and the predictive power of a test of one look."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from scipy.stats import norm

from sim.forecast.forecasting import Forecast, forecast
from tests.forecast.scenarios import MODEL, scenario

P, PRIOR_SD = 0.3, 0.04
SIGMA2 = P * (1 - P)


def table(file: Path, champion: tuple[int, int], challenger: tuple[int, int]) -> Path:
    """A look after five days: requests and conversions of both arms."""
    rows = [f"5d,{arm},{n},{k}" for arm, (n, k) in (("champion", champion), ("challenger", challenger))]
    file.write_text("\n".join(["time,arm,requests,conversion", *rows]) + "\n", encoding="utf-8")
    return file


def forecast_of(tmp_path: Path, champion: tuple[int, int], challenger: tuple[int, int], replications: int = 2000) -> Forecast:
    seen = table(tmp_path / "seen.csv", champion, challenger)
    return forecast(scenario(), "ab", seen, [MODEL, MODEL], replications=replications)


def believed(n: int, k: int) -> tuple[float, float]:
    """Mean and sd of the absolute effect: a normal prior, and the mean of n outcomes, normal about it."""
    data, prior = n / SIGMA2, 1 / (P * PRIOR_SD) ** 2
    return (k / n - P) * data / (data + prior), math.sqrt(1 / (data + prior))


@pytest.mark.parametrize("lift", [-0.04, 0.0, 0.03, 0.06])
def test_the_posterior_of_a_normal_prior_is_normal(tmp_path: Path, lift: float) -> None:
    n = 6000
    k = round(n * P * (1 + lift))
    found = forecast_of(tmp_path, (n, round(n * P)), (n, k), 200).believed[0]
    mean, sd = (each / P for each in believed(n, k))
    # Weighted candidates stratify the prior, so that their error is far below 1 / sqrt(size); the binomial is not quite normal.
    assert found.mean == pytest.approx(mean, abs=0.03 * sd)
    assert found.sd == pytest.approx(sd, rel=0.03)
    assert (found.lower, found.upper) == pytest.approx((mean - 1.96 * sd, mean + 1.96 * sd), abs=0.1 * sd)


@pytest.mark.parametrize("lift", [-0.02, 0.02, 0.035, 0.05])
def test_predictive_power_is_that_of_spiegelhalter(tmp_path: Path, lift: float) -> None:
    """Spiegelhalter, Freedman & Blackburn, Controlled Clinical Trials 7 (1986) 8, of a champion whose rate is known.

    The final difference is the mean of what was seen and of what is to come, which is normal about the effect; the effect is
    normal given what was seen. So the chance that it is beyond the bound of the test is a normal one.
    """
    n, sample = 6000, 12_000
    k = round(n * P * (1 + lift))
    found = forecast_of(tmp_path, (n, round(n * P)), (n, k))
    assert found.predictive_power is not None
    mean, sd = believed(n, k)
    # The test looks at the end of the first tick with the sample: 1,200 requests a tick, so half a tick later on average.
    final = sample + 300
    part, rest = n / final, final - n
    centre = part * (k / n - round(n * P) / n) + (1 - part) * mean
    spread = (1 - part) * math.sqrt(sd**2 + 2 * SIGMA2 / rest)
    expected = norm.sf((norm.isf(0.025) * math.sqrt(2 * SIGMA2 / final) - centre) / spread)
    se = math.sqrt(expected * (1 - expected) / 2000)
    assert abs(found.predictive_power.value - expected) < 4 * se + 0.005


def test_conditional_power_where_the_effect_is_known(tmp_path: Path) -> None:
    """Lan & Wittes, Biometrics 44 (1988) 579: the chance to declare given the effect, which here is stated."""
    n, k, final, effect = 6000, 1880, 12_300, 0.04
    said = scenario(truth={"challenger": {"conversion": {"relative_effect": "4%"}}})
    seen = table(tmp_path / "seen.csv", (n, 1800), (n, k))
    found = forecast(said, "ab", seen, [MODEL, MODEL], replications=2000)
    assert found.predictive_power is not None
    part, rest = n / final, final - n
    centre = part * (k - 1800) / n + (1 - part) * P * effect
    spread = (1 - part) * math.sqrt(2 * SIGMA2 / rest)
    expected = norm.sf((norm.isf(0.025) * math.sqrt(2 * SIGMA2 / final) - centre) / spread)
    assert abs(found.predictive_power.value - expected) < 4 * math.sqrt(expected * (1 - expected) / 2000) + 0.005


def test_the_value_of_stopping_is_the_mean_effect_times_what_is_to_come(tmp_path: Path) -> None:
    n, k = 6000, 1860
    found = forecast_of(tmp_path, (n, 1800), (n, k), 400)
    ways = {way.name: way for way in found.ways}
    mean, _ = believed(n, k)
    # 100 an hour from day 5 to the end of the lifetime, which is that of the prolonged rollout.
    to_come = 100 * 24 * (27 - 5)
    stopped = ways["ship challenger"].value
    assert abs(stopped.value - mean * to_come) < 4 * stopped.se
    assert ways["keep"].value.value == 0
    assert found.waiting.value == pytest.approx(ways["as planned"].value.value - max(stopped.value, 0), abs=1e-6)
