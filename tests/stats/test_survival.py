"""Time to decision against lifelines, the binomial and the mean."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lifelines import AalenJohansenFitter, KaplanMeierFitter
from lifelines.utils import restricted_mean_survival_time
from numpy.testing import assert_allclose
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from sim.errors import InputError
from sim.stats.intervals import Estimate, proportion_interval, student_interval
from sim.stats.survival import cumulative_incidence, restricted_mean

CAUSES = np.array(["ship", "keep", "inconclusive"])
NAN = float("nan")


def trials(n: int, seed: int, censoring: bool = True) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    rates = np.array([1.0, 0.6, 0.3])
    latent = rng.exponential(1 / rates, (n, 3))
    times, causes = latent.min(axis=1), CAUSES[latent.argmin(axis=1)]
    if censoring:
        drop_out = rng.exponential(2.0, n)
        causes = np.where(drop_out < times, "undecided", causes)
        times = np.minimum(times, drop_out)
    return times, causes


def test_incidence_and_variance_agree_with_lifelines() -> None:
    times, causes = trials(300, seed=1)
    codes = np.select([causes == cause for cause in CAUSES], [1, 2, 3], 0)
    found = cumulative_incidence(times, causes, horizon=100.0, grid=np.linspace(0, 1.5, 16))
    for code, cause in enumerate(CAUSES, start=1):
        fitted = AalenJohansenFitter().fit(times, codes, event_of_interest=code)
        step = np.searchsorted(fitted.cumulative_density_.index, found.curves[cause].time, side="right") - 1
        assert_allclose(found.curves[cause].incidence, fitted.cumulative_density_.iloc[step, 0], atol=1e-12)
        expected = np.asarray(fitted.variance_)[step][1:]
        curve = found.curves[cause]
        share = curve.incidence[1:]
        for bound in (curve.lower[1:], curve.upper[1:]):
            # Wilson's bound solves (bound − F)² = z² bound (1 − bound) V / (F (1 − F)).
            solved = (bound - share) ** 2 * share * (1 - share) / (1.959963984540054**2 * bound * (1 - bound))
            assert_allclose(solved, expected, rtol=1e-6)


def test_without_censoring_the_interval_is_the_binomial_one() -> None:
    times, causes = trials(80, seed=2, censoring=False)
    found = cumulative_incidence(times, causes, horizon=1.0, grid=[0.0, 0.3, 1.0])
    for at, time in enumerate((0.0, 0.3, 1.0)):
        for cause, curve in [*found.curves.items(), (None, found.overall)]:
            ended = int(((times <= time) & ((causes == cause) | (cause is None))).sum())
            low, high = proportion_confint(ended, 80, method="wilson")
            one = Estimate(curve.incidence[at], curve.lower[at], curve.upper[at], 80)
            assert (one.estimate, one.lower, one.upper) == pytest.approx((ended / 80, low, high), abs=1e-9)


TRIALS = st.lists(
    st.tuples(
        st.one_of(st.just(NAN), st.integers(0, 12).map(float)),
        st.sampled_from([*CAUSES.tolist(), "undecided"]),
    ),
    min_size=1,
    max_size=40,
)


@given(TRIALS)
def test_causes_add_up_rise_and_stay_within_bounds(rows: list[tuple[float, str]]) -> None:
    times, causes = zip(*rows, strict=True)
    found = cumulative_incidence(times, causes, horizon=10, expected=CAUSES.tolist())
    assert set(found.curves) == set(CAUSES)
    assert_allclose(sum(curve.incidence for curve in found.curves.values()), found.overall.incidence, atol=1e-12)
    for curve in [*found.curves.values(), found.overall]:
        assert np.all(np.diff(curve.incidence) >= 0)
        assert np.all((curve.lower >= 0) & (curve.upper <= 1))
        assert np.all((curve.lower <= curve.incidence + 1e-12) & (curve.incidence <= curve.upper + 1e-12))
    for q in (0.2, 0.5, 0.8):
        reached = found.quantile_interval(q)
        assert reached.estimate == found.quantile(q)
        if reached.estimate is not None:
            assert reached.lower is not None
            assert reached.lower <= reached.estimate
            assert reached.upper is None or reached.upper >= reached.estimate


def test_overall_is_one_minus_kaplan_meier() -> None:
    times, causes = trials(200, seed=3)
    fitted = KaplanMeierFitter().fit(times, causes != "undecided")
    grid = np.linspace(0, 2, 9)
    found = cumulative_incidence(times, causes, horizon=100.0, grid=grid)
    assert_allclose(found.overall.incidence, 1 - fitted.predict(grid), atol=1e-12)


def test_half_of_the_trials_is_the_median_and_less_is_not_reached() -> None:
    times = np.where(np.arange(1000) < 500, np.arange(1000) + 1.0, NAN)
    found = cumulative_incidence(times, ["ship"] * 1000, horizon=1000)
    assert found.quantile(0.5) == 500
    assert found.quantile(0.501) is None
    assert found.quantile_interval(0.5).upper is None
    never = cumulative_incidence([NAN] * 1000, [""] * 1000, horizon=1, expected=["ship"])
    assert never.quantile(0.2, "ship") is None
    assert never.curves["ship"].upper[-1] == pytest.approx(proportion_interval(0, 1000).upper)


def test_median_interval_covers() -> None:
    rng = np.random.default_rng(8)
    hits = 0
    for _ in range(500):
        found = cumulative_incidence(rng.exponential(size=100), ["ship"] * 100, horizon=3).quantile_interval(0.5)
        assert found.lower is not None
        assert found.upper is not None
        hits += found.lower <= np.log(2) <= found.upper
    assert hits / 500 > 0.95 - 4 * np.sqrt(0.95 * 0.05 / 500)


def test_restricted_mean_agrees_with_lifelines_under_censoring() -> None:
    times, causes = trials(250, seed=4)
    observed = causes != "undecided"
    fitted = KaplanMeierFitter().fit(times, observed)
    found = restricted_mean(times, 1.2, observed=observed)
    assert found.estimate == pytest.approx(restricted_mean_survival_time(fitted, t=1.2), rel=1e-9)


def test_restricted_mean_covers_under_censoring() -> None:
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(1_000):
        times, drop_out = rng.exponential(size=150), rng.exponential(1.5, 150)
        found = restricted_mean(np.minimum(times, drop_out), 1.0, observed=times <= drop_out)
        assert found.lower is not None
        assert found.upper is not None
        hits += found.lower <= 1 - np.exp(-1) <= found.upper
    assert abs(hits / 1_000 - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 1_000)


@given(st.lists(st.one_of(st.just(NAN), st.floats(0, 20)), min_size=2, max_size=50))
def test_undecided_trials_count_for_the_whole_horizon(times: list[float]) -> None:
    ended = np.minimum(np.nan_to_num(times, nan=10.0), 10.0)
    expected = student_interval(float(ended.mean()), float(stats.sem(ended)), ended.size)
    found = restricted_mean(times, 10)
    assert found.estimate == pytest.approx(expected.estimate, abs=1e-9)
    assert found.lower == pytest.approx(max(expected.lower or 0.0, 0.0), abs=1e-6)
    assert found.upper == pytest.approx(min(expected.upper or 0.0, 10.0), abs=1e-6)


def test_too_little_data() -> None:
    assert restricted_mean([], 5) == Estimate(None, None, None, 0)
    assert restricted_mean([NAN], 5) == Estimate(5.0, None, None, 1)
    with pytest.raises(InputError, match="times: must not be empty, got 0"):
        cumulative_incidence([], [], horizon=1)


def test_wrong_input_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"times: must not be negative, got -1\.0"):
        restricted_mean([-1], 5)
    with pytest.raises(InputError, match="horizon: must be positive and finite, got 0"):
        cumulative_incidence([1], ["ship"], horizon=0)
    with pytest.raises(InputError, match=r"causes: must be as long as times \(2\)"):
        cumulative_incidence([1, 2], ["ship"], horizon=5)
    with pytest.raises(InputError, match=r"grid: must be ascending in \[0, 5\]"):
        cumulative_incidence([1], ["ship"], horizon=5, grid=[6])
    with pytest.raises(InputError, match="cause: must be one of ship, or None for any, got shp"):
        cumulative_incidence([1], ["ship"], horizon=5).quantile(0.5, "shp")
    with pytest.raises(InputError, match="observed: must be as long"):
        restricted_mean([1], 5, observed=[True, False])
