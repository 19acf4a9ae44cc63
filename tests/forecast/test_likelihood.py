"""What tallies of each kind say of an effect, against normal posteriors; and worlds whose tallies say too little."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pytest
from scipy.stats import norm

from sim.errors import InputError
from sim.forecast.forecasting import Forecast, forecast
from tests.forecast.scenarios import scenario

N = 200_000
MODEL = {
    "outcomes": {"conversion": {"bernoulli": 0.3}, "revenue": {"normal": {"mean": 20, "sd": 8}}},
    "latency": {"lognormal": {"median": "50ms", "p99": "200ms"}},
    "error_rate": "2%",
}
METRICS = [
    {"name": "conversion", "role": "primary"},
    {"name": "revenue", "role": "secondary"},
    {"name": "error_rate", "role": "guardrail", "max": "10%"},
    {"name": "latency", "role": "guardrail", "quantile": "99%", "max": "400ms"},
]
PRIOR = {"relative_effect": {"normal": {"mean": "0%", "sd": "5%"}}}


def found(metric: str, challenger: dict[str, float], **changes: Any) -> Forecast:
    """The forecast of two alike arms, but for columns of the challenger; of what is expected of the champion."""
    errors = round(0.02 * N)
    good = N - errors
    limit = 1 - norm.cdf(math.log(2) / (math.log(4) / norm.ppf(0.99)))
    champion: dict[str, float] = {
        "requests": N,
        "errors": errors,
        "conversion.sum": round(0.3 * good),
        "revenue.sum": 20.0 * good,
        "revenue.square": (20.0**2 + 8.0**2) * good,
        "latency.above.100ms": round(limit * N),
    }
    rows = [champion, champion | challenger]
    table = pa.table(
        {"time": ["10d"] * 2, "arm": ["champion", "challenger"]} | {name: [row[name] for row in rows] for name in champion}
    )
    said = scenario(metrics=METRICS, traffic={"rate": "0.5/s"}, truth={"challenger": {metric: PRIOR}}, **changes)
    said["policies"][0]["evidence"]["sample"] = 250_000
    return forecast(said, "ab", table, [MODEL] * 2, replications=200)


@pytest.mark.parametrize(
    ("metric", "column", "at", "relative_sd"),
    [
        # The sd of a relative effect by n outcomes: sd / (mean sqrt(n)).
        ("conversion", "conversion.sum", lambda e: round(0.3 * 0.98 * N * (1 + e)), math.sqrt(0.7 / 0.3 / (0.98 * N))),
        ("error_rate", "errors", lambda e: round(0.02 * N * (1 + e)), math.sqrt(0.98 / 0.02 / N)),
        ("revenue", "revenue.sum", lambda e: 20.0 * 0.98 * N * (1 + e), 8 / 20 / math.sqrt(0.98 * N)),
    ],
)
def test_each_kind_of_tally_is_weighed_as_its_law_says(metric: str, column: str, at: Any, relative_sd: float) -> None:
    effect = 0.03
    more = {column: at(effect)}
    if metric == "error_rate":
        # Fewer answers convert and earn.
        good = N - more["errors"]
        more |= {"conversion.sum": round(0.3 * good), "revenue.sum": 20.0 * good, "revenue.square": 464.0 * good}
    if metric == "revenue":
        good = 0.98 * N
        more["revenue.square"] = ((20 * (1 + effect)) ** 2 + 64) * good
    believed = found(metric, more).believed[0]
    weight = 0.05**2 / (0.05**2 + relative_sd**2)
    sd = math.sqrt(weight) * relative_sd
    assert believed.informed
    assert believed.mean == pytest.approx(weight * effect, abs=0.1 * sd)
    assert believed.sd == pytest.approx(sd, rel=0.06)


def test_slow_responses_tell_of_the_latency() -> None:
    """P(latency > 100 ms) of a lognormal falls as the normal tail of (log 100 - log median - log factor) / sigma."""
    sigma, effect = math.log(4) / norm.ppf(0.99), 0.03
    slow = norm.sf((math.log(2) - math.log(1 + effect)) / sigma)
    believed = found("latency", {"latency.above.100ms": round(slow * N)}).believed[0]
    slope = norm.pdf((math.log(2) - math.log(1 + effect)) / sigma) / sigma / (1 + effect)
    by_data = math.sqrt(slow * (1 - slow) / N) / slope
    weight = 0.05**2 / (0.05**2 + by_data**2)
    assert believed.mean == pytest.approx(weight * effect, abs=0.15 * math.sqrt(weight) * by_data)
    assert believed.sd == pytest.approx(math.sqrt(weight) * by_data, rel=0.08)


def test_what_changes_with_time_is_not_taken_for_an_effect() -> None:
    """A daily cycle of conversion: half a day of the high half, and the effect is still none."""
    cycle = {"peak": "06:00", "amplitude": "20%"}
    metrics = [{"name": "conversion", "role": "primary", "daily": cycle}]
    said = scenario(tick="6h", metrics=metrics)
    from tests.forecast.scenarios import MODEL as BINARY
    from tests.forecast.scenarios import point

    world = point(said).world
    assert world.change is not None
    factors = world.change.factors["conversion"][:2, 0]
    requests = world.requests[:2]
    expected = float((requests * factors).sum() * 0.3 / 2)
    assert expected != pytest.approx(requests.sum() * 0.3 / 2, rel=0.01)
    rows = [round(requests.sum() / 2)] * 2, [round(expected)] * 2
    table = pa.table({"time": ["12h"] * 2, "arm": ["champion", "challenger"], "requests": rows[0], "conversion": rows[1]})
    said["policies"][0]["evidence"]["sample"] = 5000
    believed = forecast(said, "ab", table, [BINARY] * 2, replications=100).believed[0]
    assert abs(believed.mean) < 0.1 * believed.sd


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"users": {"count": 1000, "similarity": "5%"}}, "users"),
        ({"retries": {"attempts": 2, "backoff": "1s"}}, "capacity"),
        ({"metrics": [{"name": "conversion", "role": "primary", "delay": {"success": {"exponential": "1d"}}}]}, "delay"),
    ],
)
def test_worlds_that_tallies_do_not_tell(changes: dict[str, Any], where: str) -> None:
    table = pa.table({"time": ["1d"] * 2, "arm": ["champion", "challenger"], "requests": [9, 9], "conversion": [3, 3]})
    with pytest.raises(InputError, match=where):
        forecast(scenario(**changes), "ab", table, [{**MODEL, "outcomes": {"conversion": {"bernoulli": 0.3}}}] * 2)


def test_a_surprise_is_a_doubt() -> None:
    table = pa.table(
        {"time": ["5d"] * 2, "arm": ["champion", "challenger"], "requests": [6000] * 2, "conversion": [1800, 3000]}
    )
    model = {"outcomes": {"conversion": {"bernoulli": 0.3}}, "latency": {"constant": "50ms"}}
    doubts = forecast(scenario(), "ab", table, [model] * 2, replications=100).doubts
    assert any("its prior gives so much, or more, a chance of" in doubt for doubt in doubts)
