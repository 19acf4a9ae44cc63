"""The fits of a log against generated data of known truth, and against another program where there is one."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest

from sim.arrays import Floats
from sim.fitting.contexts import fit_covariate, fit_daily, fit_segments
from sim.fitting.counts import Counts
from sim.fitting.delay import fit_delay
from sim.fitting.outcomes import fit_errors, fit_latency, fit_outcome
from sim.fitting.traffic import fit_traffic
from sim.fitting.users import fit_similarity, fit_users

MONDAY = datetime(2026, 1, 5)
DAY = 86_400


def counted(rate: Floats, seed: int) -> Counts:
    """Poisson counts of a rate (T,) a second, by the second."""
    counts = Counts()
    seen = np.random.default_rng(seed).poisson(rate)
    counts.add(np.repeat(np.arange(len(rate)), seen) * 1_000_000)
    return counts


def test_cycles_and_a_trend_of_three_weeks() -> None:
    time = np.arange(21 * DAY)
    week = np.array([1.1, 1.1, 1.1, 1.1, 1.1, 0.75, 0.75])
    rate = 0.5 * (1 + 0.3 * np.cos(2 * np.pi * (time - 20 * 3600) / DAY)) * week[time // DAY % 7] * (1 + 0.1 * time / (7 * DAY))
    found = {each.what: each for each in fit_traffic(counted(rate, 1), 21.0 * DAY, MONDAY)}
    assert found["daily cycle"].numbers["amplitude"].within(0.3)
    assert found["daily cycle"].numbers["peak_s"].within(20 * 3600)
    assert found["weekly cycle"].written == pytest.approx(week / week.mean(), abs=0.03)
    # A tenth a week of what it was at first is less of the mean.
    assert found["trend"].numbers["a_week"].within(0.1 / 1.15)
    assert found["trend"].written is None
    assert "which a scenario does not have" in found["trend"].told


def test_even_traffic_has_no_cycles_and_no_bursts() -> None:
    for seed in range(5):
        found = {each.what: each for each in fit_traffic(counted(np.full(15 * DAY, 0.1), seed), 15.0 * DAY, MONDAY)}
        assert [each for each, of in found.items() if of.written is not None] == ["rate"]
        assert found["rate"].numbers["rate"].within(0.1, 4)


def test_bursts_of_generated_paths() -> None:
    rng = np.random.default_rng(8)
    covered = []
    for seed in range(3):
        state, time, burst = np.zeros(2 * DAY, np.bool_), 0.0, False
        while time < len(state):
            length = rng.exponential(300 if burst else 1500)
            state[int(time) : int(time + length)] = burst
            time, burst = time + length, not burst
        bursts = next(
            each
            for each in fit_traffic(counted(np.where(state, 1.5, 0.5), seed), 2.0 * DAY, MONDAY)
            if each.what == "bursts"
        )  # fmt: skip
        assert bursts.written is not None
        truth = {"factor": 3.0, "every_s": 1500.0, "duration_s": 300.0}
        covered += [bursts.numbers[key].within(true, 1.96) for key, true in truth.items()]
    # Of 9 intervals of 95%, fewer than 6 hold the truth once in 1,500 times.
    assert sum(covered) >= 6


@pytest.mark.parametrize("kind", ["bernoulli", "lognormal", "gamma", "zero_inflated", "poisson", "negative_binomial", "normal",
                                  "beta", "categorical", "quantiles"])  # fmt: skip
def test_outcomes_are_told_by_their_family(kind: str) -> None:
    rng, n = np.random.default_rng(5), 40_000
    drawn = {
        "bernoulli": lambda: rng.random(n) < 0.05,
        "lognormal": lambda: rng.lognormal(3, 1, n),
        "gamma": lambda: rng.gamma(2, 3, n),
        "zero_inflated": lambda: np.where(rng.random(n) < 0.06, (rng.pareto(2.2, n) + 1) * 5, 0),
        "poisson": lambda: rng.poisson(1.3, n),
        "negative_binomial": lambda: rng.negative_binomial(1, 0.3, n),
        "normal": lambda: rng.normal(3, 2, n),
        "beta": lambda: rng.beta(2, 5, n),
        "categorical": lambda: rng.choice([1, 2, 3, 4, 5], n, p=[0.4, 0.1, 0.05, 0.05, 0.4]),
        "quantiles": lambda: np.concatenate([rng.normal(10, 1, n // 2), rng.normal(20, 1, n // 2)]),
    }[kind]()
    values = np.asarray(drawn, np.float64)
    found = fit_outcome("y", values)
    assert list(found.written) == [kind]
    assert found.numbers["mean"].estimate == pytest.approx(values.mean())
    assert found.numbers["mean"].error == pytest.approx(values.std() / np.sqrt(n), rel=0.01)
    expected = {
        "lognormal": {"median": np.exp(3), "p99": np.exp(3 + 2.3263)},
        "gamma": {"mean": 6, "sd": 18**0.5},
        "normal": {"mean": 3, "sd": 2},
        "negative_binomial": {"mean": 7 / 3, "dispersion": 1},
        "beta": {"mean": 2 / 7, "sd": (10 / 49 / 8) ** 0.5},
    }
    if kind in expected:
        assert found.written[kind] == pytest.approx(expected[kind], rel=0.04)
    if kind == "zero_inflated":
        assert found.written[kind]["amount"]["pareto"]["tail"] == pytest.approx(2.2, rel=0.1)


def test_errors_of_users_who_are_alike_are_larger() -> None:
    rng = np.random.default_rng(2)
    user = np.repeat(np.arange(2000), 10)
    values = np.repeat(rng.normal(size=2000), 10) + rng.normal(size=20_000)
    clustered, plain = (fit_outcome("y", values, of).numbers["mean"].error for of in (user, None))
    # Kish (1965): the design effect is 1 + (m - 1) rho.
    assert (clustered / plain) ** 2 == pytest.approx(1 + 9 * 0.5, rel=0.1)


def test_latency_and_errors() -> None:
    rng = np.random.default_rng(6)
    weibull = fit_latency(rng.weibull(0.7, 30_000) * 0.05).written["weibull"]
    assert weibull["shape"] == pytest.approx(0.7, rel=0.02)
    assert float(weibull["scale"].removesuffix("ms")) == pytest.approx(50, rel=0.03)
    mixed = fit_latency(np.concatenate([rng.normal(0.05, 0.005, 20_000), rng.normal(0.2, 0.01, 20_000)]))
    assert list(mixed.written) == ["quantiles"]
    assert fit_latency(np.full(300, 0.02)).written == {"constant": "20ms"}
    assert fit_errors(np.zeros(1000, np.bool_)).numbers["share"].error > 0
    assert fit_errors(rng.random(100_000) < 0.001).numbers["share"].within(0.001)


LAWS = {
    "exponential": (lambda rng, n: rng.exponential(1.0, n), 1.0),
    "lognormal": (lambda rng, n: rng.lognormal(np.log(0.7), 1.0, n), 0.7 * np.exp(0.5)),
    "weibull": (lambda rng, n: rng.weibull(0.6, n), 1.5045755),
}


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("until", ["failure", "unknown"])
def test_delays_of_a_log_that_is_cut_short(law: str, until: str) -> None:
    draw, mean = LAWS[law]
    rng, n = np.random.default_rng(4), 60_000
    age, delay = rng.random(n) * 4, draw(rng, n)
    success, known = rng.random(n) < 0.1, delay < age
    if until == "failure":
        seen = success & known
        outcome = seen.astype(np.float64)
    else:
        seen = known
        outcome = np.where(known, success.astype(np.float64), np.nan)
    micro = (np.where(seen, delay, 0) * DAY * 1e6).astype(np.int64)
    found = fit_delay(outcome, np.where(seen, micro, -1), (age * DAY * 1e6).astype(np.int64))
    # Of few outcomes a gamma law and a Weibull law look the same.
    alike = {"weibull", "gamma"} if law == "weibull" and until == "failure" else {law}
    assert set(found.found.written) <= alike
    assert found.found.numbers["mean_s"].within(mean * DAY)
    # What is known by now alone is too short, and too rare.
    assert delay[seen].mean() < 0.85 * mean
    rate = found.rate(outcome, np.where(seen, micro, -1), (age * DAY * 1e6).astype(np.int64))
    assert rate.within(0.1)
    assert rate.error < 0.003


def test_delays_as_lifelines_fits_them() -> None:
    lifelines = pytest.importorskip("lifelines")
    rng, n = np.random.default_rng(9), 20_000
    age, delay = rng.random(n) * 3, rng.lognormal(-0.3, 0.9, n)
    known = delay < age
    oracle = lifelines.LogNormalFitter().fit(np.where(known, delay, age), known)
    outcome = np.where(known, 1.0, np.nan)
    micro = np.where(known, delay * DAY * 1e6, -1).astype(np.int64)
    found = fit_delay(outcome, micro, (age * DAY * 1e6).astype(np.int64))
    mean = float(np.exp(oracle.mu_ + oracle.sigma_**2 / 2))
    assert found.found.numbers["mean_s"].estimate / DAY == pytest.approx(mean, rel=2e-3)


def test_too_few_delays_are_not_told() -> None:
    found = fit_delay(np.zeros(100), np.full(100, -1), np.full(100, 10**9))
    assert found.found.written is None
    assert "0 outcomes have a time, and 50 are needed" in found.found.told


@pytest.mark.parametrize("law", ["even", "lognormal", "pareto", "gamma"])
def test_users_and_those_who_did_not_come(law: str) -> None:
    rng, count = np.random.default_rng(7), 6000
    weight = {"even": lambda: np.ones(count), "lognormal": lambda: np.exp(rng.normal(size=count)),
              "pareto": lambda: rng.pareto(2, count) + 1, "gamma": lambda: rng.gamma(1.5, size=count)}[law]()  # fmt: skip
    user = rng.choice(count, 15_000, p=weight / weight.sum())
    seen = np.unique(user, return_inverse=True)[1]
    found = {each.what: each for each in fit_users(seen, np.zeros(15_000, np.int64))}
    assert seen.max() + 1 < count
    assert found["users.count"].numbers["count"].within(count, 3.5)
    assert (found["users.activity"].written or {"even": 0}).keys() == {"lognormal" if law == "gamma" else law}
    if law == "gamma":
        # A scenario has none: a log-normal law of the same variation.
        assert found["users.activity"].written["lognormal"] == pytest.approx(np.sqrt(np.log1p(1 / 1.5)), rel=0.1)
    elif law != "even":
        assert found["users.activity"].numbers[law].within({"lognormal": 1, "pareto": 2}[law], 3.5)
    chart = found["users.activity"].chart
    assert chart is not None
    often = np.bincount(seen)
    assert chart.data == tuple(float((often >= each).sum()) for each in chart.x)
    assert (chart.x[0], chart.data[0]) == (1.0, float(seen.max() + 1))
    if law != "gamma":
        # What the scenario says is what was seen, within the errors of counts and of the fit.
        assert np.abs(np.array(chart.fit) - chart.data).max() < 4 * np.sqrt(seen.max() + 1)
        assert all(abs(fit - data) < 5 * np.sqrt(fit) + 3 for fit, data in zip(chart.fit, chart.data, strict=True))


def test_users_who_are_alike() -> None:
    rng = np.random.default_rng(3)
    user = rng.integers(0, 3000, 12_000)
    values = rng.normal(size=3000)[user] * 0.5 + rng.normal(size=12_000)
    found = fit_similarity(user, values)
    assert found.numbers["similarity"].within(0.25 / 1.25)
    none = fit_similarity(user, rng.normal(size=12_000))
    assert none.written is None
    for each, shared in ((found, 0.25), (none, 0.0)):
        chart = each.chart
        assert chart is not None
        size, data, fit = (np.array(values) for values in (chart.x, chart.data, chart.fit))
        # Of n outcomes: what a user shares, and the luck of n. A squared deviation varies by the root of two of itself.
        expected = shared + 1 / size
        assert len(size) >= 5
        assert (np.abs(data / expected - 1) < 4 * np.sqrt(2 / 50)).all()
        assert (np.abs(fit / expected - 1) < 0.1).all()


def test_segments_hours_and_covariates() -> None:
    rng, n = np.random.default_rng(1), 60_000
    segment = rng.choice(3, n, p=[0.6, 0.3, 0.1])
    time = np.sort(rng.integers(0, 7 * DAY, n))
    before = rng.normal(size=n)
    mean = np.array([0.8, 1.2, 1.6])[segment] * (1 + 0.2 * np.cos(2 * np.pi * (time - 9 * 3600) / DAY))
    values = mean + 0.6 * before + 0.8 * rng.normal(size=n)
    found = fit_segments(segment, ["a", "b", "c"], {"y": values}, None, np.ones(n, np.bool_))
    assert found.numbers["b y"].within(0.2)
    assert [each["name"] for each in found.written] == ["a", "b", "c"]
    assert sum(float(each["share"].rstrip("%")) for each in found.written) == pytest.approx(100)
    daily = fit_daily(values, time * 1_000_000, 0.0, 7.0 * DAY)
    assert daily.numbers["amplitude"].within(0.2)
    assert daily.numbers["peak_s"].within(9 * 3600)
    assert fit_daily(rng.normal(1, 1, n), time * 1_000_000, 0.0, 7.0 * DAY).written is None
    covariate = fit_covariate(before, 0.6 * before + 0.8 * rng.normal(size=n), segment, 1.0)
    assert covariate.numbers["correlation"].within(0.6)
    assert fit_covariate(rng.normal(size=n), values, None, 1.0).written is None
