"""Cycles of an outcome, effects by the hour, and shocks: what is true, against closed forms and independent computation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import roots_hermitenorm

from sim.errors import InputError
from sim.policy.hours import spans_of
from sim.scenario.traffic import Daily
from sim.world.cycles import daily, held, weekly
from sim.world.shocks import CUT, Shocks
from sim.world.world import Truth
from tests.worlds import behaves, make_scenario, make_world

DAY_S = 86_400.0


def truth(replications: int = 3, rate: float = 0.05, **changes: Any) -> Truth:
    metric: dict[str, Any] = {"name": "conversion", "role": "primary", **changes.pop("metric", {})}
    scenario = make_scenario(metrics=[metric], **changes)
    said = behaves(outcomes={"conversion": {"bernoulli": rate}}, error_rate="0%")
    return make_world(scenario, [said] * 2).realise(np.arange(replications))


def night(usual: Any = "-2%", then: Any = "8%", **window: Any) -> dict[str, Any]:
    when = [{**(window or {"between": ["22:00", "06:00"]}), "relative_effect": then}]
    return {"challenger": {"conversion": {"relative_effect": usual, "when": when}}}


# Cycles.


@given(st.floats(0, 1), st.floats(0, DAY_S - 1), st.floats(0, DAY_S - 1), st.sampled_from([1, 4, 24, 144, 1000]))
def test_the_mean_of_a_daily_cycle_over_a_day_is_one(amplitude: float, peak_s: float, start_s: float, ticks: int) -> None:
    found = daily(Daily(peak=peak_s, amplitude=amplitude), start_s, ticks, DAY_S / ticks)
    assert found.mean() == pytest.approx(1, abs=1e-12)
    assert (found >= 0).all()


@given(st.floats(0, DAY_S - 1), st.floats(0, DAY_S - 1), st.floats(1, 200_000))
def test_a_tick_has_the_mean_of_the_cycle_over_it(peak_s: float, start_s: float, tick_s: float) -> None:
    """The integral of the cosine from edge to edge."""
    edges = start_s + np.arange(6) * tick_s
    integral = np.sin(2 * np.pi * (edges - peak_s) / DAY_S) * DAY_S / (2 * np.pi)
    expected = 1 + 0.3 * np.diff(integral) / tick_s
    assert daily(Daily(peak=peak_s, amplitude=0.3), start_s, 5, tick_s) == pytest.approx(expected, abs=1e-7)


def test_the_same_hour_is_the_same_factor_on_every_day_to_the_bit() -> None:
    found = daily(Daily(peak="20:00", amplitude="30%"), 0.0, 144 * 7, 600.0).reshape(7, 144)
    assert (found == found[0]).all()


@given(
    st.one_of(st.none(), st.tuples(st.integers(0, 95), st.integers(0, 95)).filter(lambda ends: ends[0] != ends[1])),
    st.one_of(st.none(), st.lists(st.integers(1, 7), min_size=1, max_size=7)),
    st.integers(0, 95),
    st.integers(1, 300),
)
def test_a_tick_is_held_for_the_share_of_its_minutes_that_lie_in_the_hours(
    ends: tuple[int, int] | None, days: list[int] | None, start: int, ticks_of: int
) -> None:
    """Counted minute by minute, over three weeks."""
    between = None if ends is None else (ends[0] * 900.0, ends[1] * 900.0)
    ticks = 3 * 7 * 1440 // ticks_of
    minute = start * 15 + np.arange(ticks * ticks_of)
    of_day, day = (minute % 1440) * 60.0, minute // 1440 % 7 + 1
    inside = np.ones(minute.size, bool) if days is None else np.isin(day, days)
    if between is not None:
        low, high = between
        inside &= (low <= of_day) & (of_day < high) if low < high else (low <= of_day) | (of_day < high)
    found = held(spans_of(between, days), start * 900.0, ticks, ticks_of * 60.0)
    assert found == pytest.approx(inside.reshape(ticks, ticks_of).mean(axis=1), abs=1e-9)


def test_a_week_has_a_factor_a_day_and_begins_on_the_day_of_the_start() -> None:
    factors = [1, 2, 3, 4, 5, 6, 7]
    found = weekly(factors, 43_200.0, 9 * 24, 3600.0)
    assert (found == [1] * 12 + [factors[day % 7] for day in range(1, 9) for _ in range(24)] + [3] * 12).all()


def test_cycles_and_drifts_multiply_in_all_arms() -> None:
    metric = {"daily": {"peak": "12:00", "amplitude": "50%"}, "weekly": [2, 1, 1, 1, 1, 1, 1]}
    drift = {"kind": "drift", "arm": "challenger", "metric": "conversion", "to": "20%"}
    some = truth(metric=metric, timeline=[drift])
    noon, midnight = 1 + 0.5 * np.cos(np.pi / 144) * np.sinc(1 / 144), 1 - 0.5 * np.cos(np.pi / 144) * np.sinc(1 / 144)
    assert some.value_at(72)[0] == pytest.approx([0.05 * 2 * noon, 0.05 * 2 * noon * 1.2])
    assert some.value_at(0)[0] == pytest.approx([0.05 * 2 * midnight, 0.05 * 2 * midnight * 1.2])
    assert np.mean([some.value_at(tick)[0, 0] for tick in range(144)]) == pytest.approx(0.1)


def test_without_any_of_it_nothing_changes() -> None:
    assert truth().world.change is None


# Effects by the hour.


def test_an_effect_holds_at_its_hours_and_the_usual_one_else() -> None:
    some = truth(truth=night(), tick="30m", traffic={"rate": "2/s", "start": "21:15"})
    # Ticks from 21:15, 21:45, which lies half in the night, 22:15, …, 5:15, 5:45, which is half out of it, 6:15.
    of = [some.value_at(tick)[0, 1] / 0.05 for tick in (0, 1, 2, 16, 17, 18)]
    assert of == pytest.approx([0.98, 1.03, 1.08, 1.08, 1.03, 0.98])
    assert [some.value_at(tick)[0, 0] for tick in (0, 2)] == [0.05, 0.05]


def test_an_effect_of_some_days_is_drawn_on_its_own() -> None:
    prior = {"normal": {"mean": "5%", "sd": "3%"}}
    some = truth(4000, truth=night(prior, prior, days=[2]), horizon="2d", tick="12h")
    usual, then = some.value_at(0)[:, 1] / 0.05 - 1, some.value_at(3)[:, 1] / 0.05 - 1
    for drawn in (usual, then):
        assert abs(drawn.mean() - 0.05) < 4 * 0.03 / np.sqrt(4000)
        assert abs(drawn.std() - 0.03) < 4 * 0.03 / np.sqrt(2 * 4000)
    assert abs(np.corrcoef(usual, then)[0, 1]) < 4 / np.sqrt(4000)


def test_an_arm_that_is_better_at_night_only_is_judged_by_all_hours() -> None:
    # A third of the requests come at night: (8% - 2 * 2%) / 3 is above 0, and (5% - 2 * 3%) / 3 is not.
    assert truth(truth=night()).worths.overall.best.tolist() == [1, 1, 1]
    worse = truth(truth=night("-3%", "5%"))
    assert worse.worths.overall.best.tolist() == [0, 0, 0]
    assert worse.worths.overall.value[0, 1] / worse.worths.overall.value[0, 0] - 1 == pytest.approx(-1 / 300)
    assert worse.value_at(0)[0, 1] > worse.value_at(0)[0, 0]


def test_ticks_that_are_told_alike_have_the_same_means() -> None:
    metric = {"daily": {"peak": "12:00", "amplitude": "50%"}}
    drawn = {"normal": {"mean": "5%", "sd": "3%"}}
    by_day = truth(truth=night(then=drawn), metric=metric, horizon="3d", tick="1h")
    change = by_day.world.change
    assert change is not None
    assert change.changing("conversion")
    assert not change.changing("other")
    assert change.telling("other") == []
    told = np.unique(np.concatenate(change.telling("conversion"), axis=1), axis=0, return_inverse=True)[1].reshape(-1)
    assert np.array_equal(told[:24], told[24:48])
    for one, other in ((3, 27), (12, 60)):
        assert np.array_equal(by_day.value_at(one), by_day.value_at(other))
    assert told[3] != told[12]
    shocked = truth(metric={"shocks": {"sd": "5%", "correlation_time": "6h"}}).world.change
    assert shocked is not None
    (ticks,) = shocked.telling("conversion")
    assert np.unique(ticks).size == 144


# Shocks.


def moments(shocks: Shocks, lag: int) -> tuple[float, float, float]:
    """Mean, sd and autocorrelation of the factor, by quadrature over two normals: independent of how they are drawn."""
    z, weight = roots_hermitenorm(180)
    weight = weight / weight.sum()
    rho = shocks.correlation**lag
    first = np.exp(shocks.spread * np.clip(z, -CUT, CUT))
    later = np.exp(shocks.spread * np.clip(rho * z[:, None] + np.sqrt(1 - rho**2) * z, -CUT, CUT))
    mean, square = (weight * first).sum(), (weight * first**2).sum()
    both = (weight[:, None] * weight * first[:, None] * later).sum()
    scale = np.exp(shocks.spread * CUT) / shocks.most
    return mean / scale, np.sqrt(square - mean**2) / scale, (both - mean**2) / (square - mean**2)


@pytest.mark.parametrize("sd", [1e-6, 0.01, 0.1, 0.5, 1.0])
def test_shocks_have_a_mean_of_one_and_the_deviation_that_is_asked_for(sd: float) -> None:
    mean, found, _ = moments(Shocks("conversion", sd, 0.9), 1)
    assert mean == pytest.approx(1, abs=1e-5 * sd)
    assert found == pytest.approx(sd, rel=2e-4)


def test_drawn_shocks_have_the_mean_deviation_and_autocorrelation_of_theory() -> None:
    """10% with a correlation time of 6 h, in ticks of 10 min; 4,000 runs of 24 h, so that standard errors can be measured."""
    shocks = Shocks.of("conversion", 0.1, 6 * 3600.0, 600.0)
    drawn = shocks.factors(7, np.arange(4000), 145)
    assert shocks.least <= drawn.min()
    assert drawn.max() <= shocks.most
    runs = np.sqrt(4000)
    for tick in (0, 1, 36, 144):
        now = drawn[:, tick]
        assert abs(now.mean() - 1) < 4 * now.std() / runs
        squares = (now - 1) ** 2
        assert abs(squares.mean() - 0.01) < 4 * squares.std() / runs
    for lag in (1, 6, 36, 144):
        products = (drawn[:, 0] - 1) * (drawn[:, lag] - 1) / 0.01
        expected = moments(shocks, lag)[2]
        assert abs(products.mean() - expected) < 4 * products.std() / runs
        # That of a log-normal process, but for the cut-off.
        s = np.log1p(0.01)
        assert expected == pytest.approx(np.expm1(s * np.exp(-lag / 36)) / np.expm1(s), abs=2e-4)


def test_shocks_are_common_to_arms_differ_between_replications_and_metrics_and_do_not_depend_on_the_block() -> None:
    metric = {"shocks": {"sd": "20%", "correlation_time": "6h"}}
    some = truth(5, metric=metric)
    value = np.stack([some.value_at(tick) for tick in range(144)], axis=1)
    assert np.array_equal(value[..., 0], value[..., 1])
    assert np.unique(value[:, 0, 0]).size == 5
    alone = some.world.realise(np.array([3]))
    assert np.array_equal(alone.value_at(100)[0], some.value_at(100)[3])
    one, other = (Shocks.of(name, 0.2, 3600.0, 600.0).factors(7, [0], 1) for name in ("conversion", "revenue"))
    assert one != other
    # Which arm is best does not depend on luck that all arms share.
    assert np.array_equal(some.worths.overall.best, truth(5).worths.overall.best)


# What is refused when the world is built.


@pytest.mark.parametrize(
    ("rate", "changes", "path", "message"),
    [
        (0.6, {"metric": {"daily": {"peak": "12:00", "amplitude": "80%"}}}, "metrics.conversion.daily", "daily by 0.2 to 1.8"),
        (0.6, {"metric": {"weekly": [1, 2, 1, 1, 1, 1, 1]}, "horizon": "2d"}, "metrics.conversion.weekly", "weekly by 1 to 2"),
        (
            0.7, {"metric": {"shocks": {"sd": "10%", "correlation_time": "6h"}}}, "metrics.conversion.shocks",
            "cut off, 4 standard deviations from their middle",
        ),
        (
            0.6, {"truth": night(then="80%")}, "truth.challenger.conversion.when",
            "takes conversion of challenger to 1.08 at most",
        ),
        (
            0.5, {"truth": night(then="30%"), "metric": {"daily": {"peak": "02:00", "amplitude": "60%"}}},
            "metrics.conversion.daily", "takes conversion of challenger to 1.04 at most",
        ),
    ],
)  # fmt: skip
def test_a_share_that_would_leave_zero_to_one_is_refused_with_what_takes_it_there(
    rate: float, changes: dict[str, Any], path: str, message: str
) -> None:
    with pytest.raises(InputError, match=message) as raised:
        truth(rate=rate, **changes)
    assert {problem.path for problem in raised.value.problems} == {path}


def test_what_does_not_happen_at_the_same_time_does_not_add_up() -> None:
    """An effect of 60% on 60% is possible while the cycle is low."""
    some = truth(rate=0.6, truth=night(then="60%"), metric={"daily": {"peak": "14:00", "amplitude": "60%"}})
    assert max(some.value_at(tick).max() for tick in range(144)) < 1
    # With weekly factors that are in no tick of the run, too.
    truth(rate=0.6, metric={"weekly": [1, 2, 2, 2, 2, 2, 2]})


def test_an_effect_that_is_drawn_too_low_is_refused_at_its_window() -> None:
    with pytest.raises(InputError, match=r"draws an effect of -1\.\d+ in \d+ of \d+ replications") as raised:
        truth(truth=night(then={"normal": {"mean": "-50%", "sd": "40%"}}), replications=200)
    assert raised.value.problems[0].path == "truth.challenger.conversion.when[0]"


def test_a_score_whose_mean_no_shares_have_is_refused_at_its_cycle() -> None:
    said = behaves(outcomes={"conversion": {"bernoulli": 0.05}, "stars": {"categorical": {1: "10%", 5: "90%"}}})
    metrics = [{"name": "conversion", "role": "primary"}, {"name": "stars", "daily": {"peak": "12:00", "amplitude": "20%"}}]
    with pytest.raises(InputError, match=r"takes stars of champion to 5\.\d+ .*the largest of its values") as raised:
        make_world(make_scenario(metrics=metrics), [said] * 2)
    assert {problem.path for problem in raised.value.problems} == {"metrics.stars.daily"}
