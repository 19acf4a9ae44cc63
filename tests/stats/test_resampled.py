"""Intervals by resampling, against SciPy, statsmodels, closed forms and their own coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from statsmodels.stats.contingency_tables import mcnemar as mcnemar_of_statsmodels
from statsmodels.stats.proportion import proportion_confint

from sim.errors import InputError
from sim.stats.intervals import exact_proportion_interval
from sim.stats.resampled import _ends, bootstrap, corrected_interval, mcnemar


@pytest.mark.parametrize("n", [1, 7, 200])
def test_the_exact_interval_is_statsmodels_s(n: int) -> None:
    for successes in range(0, n + 1, max(1, n // 9)):
        found = exact_proportion_interval(successes, n)
        assert (found.lower, found.upper) == pytest.approx(proportion_confint(successes, n, method="beta"), abs=1e-12)


def test_the_exact_interval_covers_at_least_as_often_as_it_says() -> None:
    n = 40
    intervals = [exact_proportion_interval(successes, n) for successes in range(n + 1)]
    for share in np.linspace(0.01, 0.99, 50):
        covered = sum(
            scipy.stats.binom.pmf(at, n, share)
            for at, each in enumerate(intervals)
            if each.lower is not None and each.upper is not None and each.lower <= share <= each.upper
        )
        assert covered >= 0.95 - 1e-12


@pytest.mark.parametrize("statistic", [np.mean, np.median, lambda x: np.mean(np.exp(x))], ids=["mean", "median", "skewed"])
def test_both_bootstrap_intervals_are_scipy_s(statistic) -> None:  # type: ignore[no-untyped-def]
    values = np.random.default_rng(5).exponential(size=60)
    found = bootstrap(lambda at: float(statistic(values[at])), 60, seed=9, resamples=500)
    for method, ours in (("percentile", found.percentile), ("BCa", found.bca)):
        theirs = scipy.stats.bootstrap(
            (values,), statistic, n_resamples=500, method=method, rng=np.random.default_rng(9), vectorized=False, batch=1
        ).confidence_interval
        assert (ours.lower, ours.upper) == pytest.approx((theirs.low, theirs.high), rel=1e-9)


def test_bca_of_many_rows_is_near_that_of_the_whole_jackknife() -> None:
    """Over 1,000 rows the acceleration is by groups: the bounds differ by far less than the interval is wide."""
    values = np.random.default_rng(1).lognormal(sigma=1.0, size=2500)
    found = bootstrap(lambda at: float(values[at].mean()), values.size, seed=3, resamples=1000).bca
    theirs = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=1000, method="BCa", rng=np.random.default_rng(3), vectorized=True, batch=1
    ).confidence_interval  # fmt: skip
    assert found.lower is not None
    assert found.upper is not None
    width = theirs.high - theirs.low
    assert abs(found.lower - theirs.low) < 0.05 * width
    assert abs(found.upper - theirs.high) < 0.05 * width


@pytest.mark.parametrize(("rows", "count"), [(10, 10), (10, 3), (11, 4), (2500, 1000)])
def test_groups_are_where_they_are(rows: int, count: int) -> None:
    groups = np.array_split(np.arange(rows), count)
    assert [_ends(groups, at) for at in range(count)] == [(int(each[0]), int(each[-1]) + 1) for each in groups]


def test_the_bootstrap_covers_as_often_as_it_says() -> None:
    """BCa of the mean of 40 exponential values: 95% within three standard errors of 300 trials, less a known lack of 2%."""
    draws, hits = np.random.default_rng(2), 0
    for trial in range(300):
        values = draws.exponential(size=40)
        found = bootstrap(lambda at, values=values: float(values[at].mean()), 40, seed=trial, resamples=400).bca  # type: ignore[misc]
        assert found.lower is not None
        assert found.upper is not None
        hits += found.lower <= 1 <= found.upper
    assert hits / 300 > 0.95 - 0.02 - 3 * math.sqrt(0.95 * 0.05 / 300)


def test_resamples_without_a_value_are_counted_and_too_many_leave_no_interval() -> None:
    labels = np.array([1] * 2 + [0] * 18)

    def share(at: np.ndarray) -> float:
        return float(labels[at].mean()) if labels[at].any() else math.nan

    found = bootstrap(share, 20, seed=0, resamples=1000)
    # Both ones are absent with chance 0.9^20 = 0.122.
    assert found.undefined / 1000 == pytest.approx(0.9**20, abs=4 * math.sqrt(0.122 * 0.878 / 1000))
    assert (found.percentile.lower, found.bca.upper, found.percentile.estimate) == (None, None, 0.1)


def test_resamples_that_are_all_alike_have_no_bca_interval() -> None:
    found = bootstrap(lambda at: 1.0, 20, seed=0)
    assert (found.percentile.lower, found.percentile.upper) == (1.0, 1.0)
    assert found.bca.lower is None


def test_the_corrected_interval_is_the_closed_form() -> None:
    scores = [0.81, 0.85, 0.79, 0.88, 0.83, 0.80, 0.84, 0.86, 0.82, 0.87]
    half = scipy.stats.t.ppf(0.975, 9) * math.sqrt((1 / 10 + 1 / 9) * np.var(scores, ddof=1))
    found = corrected_interval(scores, 1 / 9)
    assert (found.lower, found.upper) == pytest.approx((np.mean(scores) - half, np.mean(scores) + half))
    assert corrected_interval([0.5, 0.5, 0.5], 1 / 2).lower is None


@pytest.mark.parametrize(("first", "second"), [(0, 0), (1, 0), (5, 5), (12, 3), (0, 9), (400, 350)])
def test_mcnemar_is_statsmodels_s(first: int, second: int) -> None:
    theirs = mcnemar_of_statsmodels([[7, first], [second, 5]], exact=True).pvalue if first + second else 1.0
    assert mcnemar(first, second) == pytest.approx(theirs)


@pytest.mark.parametrize(
    "call",
    [
        lambda: bootstrap(lambda at: 1.0, 1, seed=0),
        lambda: bootstrap(lambda at: 1.0, 9, seed=0, resamples=99),
        lambda: bootstrap(lambda at: math.nan, 9, seed=0),
        lambda: corrected_interval([1.0], 0.5),
        lambda: corrected_interval([1.0, 2.0], 0.0),
        lambda: mcnemar(-1, 2),
        lambda: exact_proportion_interval(3, 2),
    ],
)
def test_what_is_no_input_is_refused(call) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError):
        call()
