"""Monte-Carlo intervals against statsmodels and scipy, their coverage, and too little data."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats
from statsmodels.stats.proportion import proportion_confint

from sim.errors import InputError
from sim.stats.intervals import (
    Estimate,
    mean_interval,
    paired_difference,
    paired_proportion_difference,
    proportion_interval,
    quantile_interval,
)

NOTHING = Estimate(None, None, None, 0)


def covers(estimate: Estimate, truth: float) -> bool:
    assert estimate.lower is not None
    assert estimate.upper is not None
    return estimate.lower <= truth <= estimate.upper


@pytest.mark.parametrize("n", [8, 300])
def test_mean_interval_is_students_where_values_are_not_skewed(n: int) -> None:
    values = np.sort(np.random.default_rng(1).normal(size=n))
    values = values - values[::-1]
    found = mean_interval(values, 0.9)
    low, high = stats.t.interval(0.9, n - 1, values.mean(), stats.sem(values))
    assert (found.lower, found.upper) == pytest.approx((low, high))


@given(st.integers(0, 60), st.integers(0, 60), st.floats(0.5, 0.999))
def test_proportion_interval_is_wilsons_where_neither_side_is_rare(successes: int, failures: int, confidence: float) -> None:
    n = successes + failures
    found = proportion_interval(successes, n, confidence)
    if n == 0:
        assert found == NOTHING
        return
    low, high = proportion_confint(successes, n, 1 - confidence, method="wilson")

    def rare(count: int) -> float:
        # Poisson's bound by its own definition: so many or more have a chance of 1 - confidence.
        if not 1 <= count <= (2 if n <= 50 else 3):
            return 1.0
        return float(optimize.brentq(lambda mean: stats.poisson.sf(count - 1, mean) - (1 - confidence), 0, 50)) / n

    least, most = rare(successes), rare(failures)
    assert (found.lower, found.upper) == pytest.approx((min(low, least), max(high, 1 - most)), abs=1e-9)
    assert covers(found, successes / n)


@pytest.mark.parametrize("n", [20, 100, 1000])
def test_rare_proportions_are_covered(n: int) -> None:
    """By the binomial distribution, with no simulation: at worst .926, where Wilson's own interval has .852."""
    found = [proportion_interval(successes, n) for successes in range(n + 1)]
    lower, upper = (np.array([getattr(each, side) for each in found]) for side in ("lower", "upper"))
    shares = np.linspace(0.02, 8, 400) / n
    chance = stats.binom.pmf(np.arange(n + 1), n, shares[:, None])
    coverage = np.where((lower <= shares[:, None]) & (shares[:, None] <= upper), chance, 0).sum(axis=1)
    assert coverage.min() > (0.917 if n <= 50 else 0.926)
    assert coverage.mean() > 0.955


SKEWED: dict[str, tuple[Callable[[np.random.Generator, int], np.ndarray], float, float]] = {
    "lognormal": (lambda rng, n: np.exp(rng.normal(size=n)), np.exp(0.5), 0.934),
    "rare": (lambda rng, n: (rng.random(n) < 0.1) * rng.exponential(size=n), 0.1, 0.969),
}


@pytest.mark.parametrize("law", SKEWED)
def test_means_of_skewed_values_are_covered_as_is_said(law: str) -> None:
    draw, mean, said = SKEWED[law]
    rng, trials = np.random.default_rng(8), 4_000
    hits = students = 0
    for _ in range(trials):
        values = draw(rng, 100)
        hits += covers(mean_interval(values), mean)
        low, high = stats.t.interval(0.95, 99, values.mean(), stats.sem(values))
        students += low <= mean <= high
    assert abs(hits / trials - said) < 4 * np.sqrt(said * (1 - said) / trials) + 0.005
    assert hits > students


def test_halls_interval_inverts_his_transformation() -> None:
    values = np.random.default_rng(3).exponential(size=40) ** 2
    found = mean_interval(values)
    assert found.lower is not None
    assert found.upper is not None
    skewness, error, n = stats.skew(values), stats.sem(values), values.size
    assert n < 25 * skewness**2

    def transformed(t: float) -> float:
        root = np.sqrt(n)
        return float(t + skewness * t**2 / (3 * root) + skewness**2 * t**3 / (27 * n) + skewness / (6 * root))

    bounds = [transformed((values.mean() - bound) / error) for bound in (found.upper, found.lower)]
    assert bounds == pytest.approx([stats.t.ppf(0.025, n - 1), stats.t.ppf(0.975, n - 1)])
    assert found.upper - values.mean() > values.mean() - found.lower


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=40))
def test_a_mean_lies_within_its_interval(values: list[float]) -> None:
    found = mean_interval(values)
    assert found.estimate is not None
    assert found.lower is not None
    assert found.upper is not None
    assert found.lower <= found.estimate <= found.upper


@pytest.mark.parametrize("q", [0.05, 0.5, 0.8])
@pytest.mark.parametrize("n", [20, 200])
def test_quantile_interval_covers_at_least_as_often_as_it_says(q: float, n: int) -> None:
    rng = np.random.default_rng(6)
    hits = 0
    for values in rng.exponential(size=(2_000, n)):
        found = quantile_interval(values, q)
        truth = -np.log1p(-q)
        hits += (found.lower or 0) <= truth <= (np.inf if found.upper is None else found.upper)
    assert hits / 2_000 > 0.95 - 3 * np.sqrt(0.05 * 0.95 / 2_000)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=80), st.floats(0.01, 0.99))
def test_quantile_lies_within_its_interval_and_among_the_values(values: list[float], q: float) -> None:
    found = quantile_interval(values, q)
    assert found.estimate in values
    assert np.mean(np.array(values) <= found.estimate) >= q - 1e-12
    assert found.lower is None or found.lower <= found.estimate
    assert found.upper is None or found.upper >= found.estimate


def test_pairing_gives_the_paired_t_interval() -> None:
    rng = np.random.default_rng(2)
    common = rng.normal(0, 10, 50)
    a, b = common + rng.normal(size=50), common + rng.normal(0.5, 1, 50)
    found = paired_difference(a, b)
    expected = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert (found.lower, found.upper) == pytest.approx(tuple(expected))


def test_paired_proportions_cover_and_never_collapse() -> None:
    same = paired_proportion_difference(np.zeros(1000), np.zeros(1000))
    assert same.estimate == 0
    assert same.upper == pytest.approx(1.96 / 1002, rel=1e-3)
    rng = np.random.default_rng(9)
    hits = 0
    for _ in range(2_000):
        u = rng.uniform(size=200)
        hits += covers(paired_proportion_difference(u < 0.08, (u + 0.01 * rng.normal(size=200)) < 0.05), 0.03)
    # The noise leaves the second proportion at .05; 4 standard errors below nominal.
    assert hits / 2_000 > 0.95 - 4 * np.sqrt(0.05 * 0.95 / 2_000)


@pytest.mark.parametrize("size", [0, 1])
def test_too_little_data_has_no_bounds(size: int) -> None:
    values = [7.0] * size
    expected = Estimate(7.0, None, None, 1) if size else NOTHING
    assert mean_interval(values) == expected
    assert quantile_interval(values, 0.5) == expected
    difference = paired_difference(values, [5.0] * size)
    assert difference == (Estimate(2.0, None, None, 1) if size else NOTHING)
    assert paired_proportion_difference([True] * size, [True] * size).n == size


def test_wrong_input_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="values: must be finite, got nan at index 1"):
        mean_interval([1.0, np.nan])
    with pytest.raises(InputError, match="values: must have one axis, got shape"):
        mean_interval(np.ones((2, 2)))
    with pytest.raises(InputError, match=r"b: must be as long as a \(2\), got 1"):
        paired_difference([1, 2], [1])
    with pytest.raises(InputError, match="a: must be 0 or 1, got 2"):
        paired_proportion_difference([2], [1])
    with pytest.raises(InputError, match=r"successes: must lie between 0 and n \(3\), got 4"):
        proportion_interval(4, 3)
    with pytest.raises(InputError, match="confidence: must lie strictly between 0 and 1, got 95"):
        mean_interval([1.0], confidence=95)
    with pytest.raises(InputError, match="q: must lie strictly"):
        quantile_interval([1.0], 1)


@pytest.mark.parametrize("n", [1, 2, 50, 51, 519, 523, 1000, 99_991])
def test_bounds_of_a_share_are_shares(n: int) -> None:
    """519 trials without a success once had a lower bound of -4.3e-19, which was printed as -0."""
    for successes in {0, min(1, n), n // 2, n - 1, n}:
        found = proportion_interval(successes, n)
        assert found.lower is not None
        assert found.upper is not None
        assert 0 <= found.lower <= successes / n <= found.upper <= 1
    assert proportion_interval(0, n).lower == 0
    assert proportion_interval(n, n).upper == 1
