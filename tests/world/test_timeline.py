"""What changes on the way, against its closed form; and what verdicts are judged by."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import InputError
from sim.world.change import Change
from sim.world.world import Truth
from tests.worlds import behaves, make_replayed_world, make_scenario, make_world

TICKS = 144
MIDDLE_H = (np.arange(TICKS) + 0.5) / 6
METRICS = [
    {"name": "conversion", "role": "primary"},
    {"name": "error_rate", "role": "guardrail", "max": "2%"},
    {"name": "latency", "role": "guardrail", "quantile": "50%", "max": "150ms"},
]


def truth(*timeline: dict[str, Any], rates: tuple[float, float] = (0.05, 0.06), **changes: Any) -> Truth:
    said = [
        behaves(outcomes={"conversion": {"bernoulli": rate}}, error_rate="1%", latency={"constant": "100ms"}) for rate in rates
    ]
    scenario = make_scenario(metrics=METRICS, timeline=list(timeline), **changes)
    return make_world(scenario, said).realise(np.arange(3))


def change(*timeline: dict[str, Any], **changes: Any) -> Change:
    found = truth(*timeline, **changes).world.change
    assert found is not None
    return found


def of(kind: str, arm: str = "challenger", **said: Any) -> dict[str, Any]:
    return {"kind": kind, "arm": arm, **said}


def test_without_a_timeline_nothing_changes() -> None:
    some = truth()
    assert some.world.change is None
    assert np.array_equal(some.value_at(100), some.value)


def test_a_drift_is_a_line_that_stays_where_it_has_come_to() -> None:
    found = change(of("drift", metric="conversion", at="2h", duration="10h", to="-10%"))
    line = np.clip((MIDDLE_H - 2) / 10, 0, 1)
    assert found.factors["conversion"][:, 1] == pytest.approx(1 - 0.1 * line)
    assert (found.factors["conversion"][:, 0] == 1).all()
    assert found.lasting["conversion"] == pytest.approx([1.0, 0.9])


def test_a_drift_at_once_is_a_step_and_one_past_the_horizon_lasts_as_far_as_it_came() -> None:
    step = change(of("drift", metric="conversion", at="2h", to="5%")).factors["conversion"][:, 1]
    assert step[[0, 11, 12, 143]] == pytest.approx([1, 1, 1.05, 1.05])
    half = change(of("drift", metric="conversion", at="12h", duration="1d", to="-10%"))
    assert half.lasting["conversion"][1] == pytest.approx(0.95)


def test_drifts_of_errors_and_latency_last_too() -> None:
    found = change(
        of("drift", metric="error_rate", to="5%"), of("drift", metric="error_rate", at="12h", to="10%"),
        of("drift", metric="latency", to="60%"),
    )  # fmt: skip
    assert found.failing[0, 1] == pytest.approx(0.05)
    assert found.failing[-1] == pytest.approx([0, 1 - 0.95 * 0.9])
    assert found.lasting["error_rate"] == pytest.approx([0, 1 - 0.95 * 0.9])
    assert found.slowness[5] == pytest.approx([1, 1.6])
    assert found.lasting["latency"] == pytest.approx([1, 1.6])


@pytest.mark.parametrize(("metric", "to"), [("error_rate", "2%"), ("latency", "60%")])
def test_an_arm_that_comes_to_break_a_limit_is_not_acceptable(metric: str, to: str) -> None:
    some = truth(of("drift", metric=metric, at="12h", duration="1h", to=to))
    assert some.acceptable.tolist() == [[True, False]] * 3
    assert some.best.tolist() == [0, 0, 0]
    assert not truth(of("drift", metric=metric, at="12h", duration="1h", to="0.1%")).worse().any()


def test_novelty_is_the_mean_of_its_decay_over_each_tick_and_does_not_last() -> None:
    found = change(of("novelty", metric="conversion", effect="15%", half_life="3h"))
    fine = (np.arange(TICKS * 1000) + 0.5) / 6000
    mean = (1 + 0.15 * 2 ** (-fine / 3)).reshape(TICKS, 1000).mean(axis=1)
    assert found.factors["conversion"][:, 1] == pytest.approx(mean, abs=1e-9)
    assert "conversion" not in found.lasting


def test_incidents_hold_from_their_start_until_their_end_and_do_not_last() -> None:
    found = change(
        of("errors", at="6h", duration="30m", rate="20%"), of("slowdown", at="6h", duration="1h", factor=3),
        of("slowdown", arm="champion", at="6h30m", duration="1h", factor=2), of("slowdown", at="6h", duration="10m", factor=2),
    )  # fmt: skip
    assert np.flatnonzero(found.failing[:, 1]).tolist() == [36, 37, 38]
    assert found.failing[36] == pytest.approx([0, 0.2])
    assert found.slowness[35:46].tolist() == [
        [1, 1], [1, 6], [1, 3], [1, 3], [2, 3], [2, 3], [2, 3], [2, 1], [2, 1], [2, 1], [1, 1],
    ]  # fmt: skip
    assert not found.lasting


def test_a_leak_grows_until_it_is_restarted() -> None:
    found = change(of("leak", at="1h", per_hour="10%", restart="2h"))
    age = np.where(MIDDLE_H > 1, (MIDDLE_H - 1) % 2, 0)
    assert found.slowness[:, 1] == pytest.approx(1 + 0.1 * age)
    assert not found.lasting
    never = change(of("leak", per_hour="200%"))
    assert never.slowness[:, 1] == pytest.approx(1 + 2 * MIDDLE_H)
    assert never.lasting["latency"] == pytest.approx([1, 1 + 2 * 24])


def test_shipping_an_arm_that_leaks_without_end_is_wrong_and_one_that_is_restarted_is_not() -> None:
    forever, restarted = truth(of("leak", per_hour="3%")), truth(of("leak", per_hour="3%", restart="12h"))
    assert forever.best.tolist() == [0, 0, 0]
    assert forever.worse()[:, 1].all()
    assert restarted.best.tolist() == [1, 1, 1]


def test_outages_of_a_pool_add_up_and_never_take_more_than_there_is() -> None:
    outages = [{"kind": "outage", "pool": "main", "at": at, "duration": "1h", "replicas": 2} for at in ("1h", "1h30m")]
    found = change(*outages, pools={"main": {"replicas": 3, "arms": ["champion", "challenger"]}})
    assert found.out[:, 0].tolist() == [0] * 6 + [2] * 3 + [3] * 3 + [2] * 3 + [0] * 129


def test_conditions_are_those_in_force_and_exactly_the_registered_ones_where_nothing_is() -> None:
    some = truth(of("errors", at="0m", duration="10m", rate="20%"), of("slowdown", at="0m", duration="10m", factor=3))
    first, later = some.conditions(0), some.conditions(1)
    assert first.error_rate[0] == pytest.approx([0.01, 1 - 0.99 * 0.8])
    assert first.latency_scale[0].tolist() == [1.0, 3.0]
    assert np.array_equal(later.error_rate, some.error_rate)
    assert some.latency_above(0.2, tick=0)[0].tolist() == [0.0, 1.0]
    assert some.mean_latency_s(tick=0)[0] == pytest.approx([0.1, 0.3])
    assert some.mean_latency_s(tick=1)[0] == pytest.approx([0.1, 0.1])


def test_verdicts_are_judged_by_what_lasts_and_users_feel_what_is_in_force() -> None:
    novelty = of("novelty", metric="conversion", effect="50%", half_life="6h")
    some = truth(novelty, rates=(0.05, 0.045))
    assert some.best.tolist() == [0, 0, 0]
    assert some.value[0] == pytest.approx([0.05 * 0.99, 0.045 * 0.99])
    assert some.value_at(0)[0, 1] > some.value_at(0)[0, 0]
    drift = of("drift", metric="conversion", at="12h", duration="6h", to="-20%")
    some = truth(drift, rates=(0.05, 0.06))
    assert some.best.tolist() == [0, 0, 0]
    assert some.value[0] == pytest.approx([0.05 * 0.99, 0.048 * 0.99])
    assert some.value_at(0)[0] == pytest.approx([0.05 * 0.99, 0.06 * 0.99])
    assert some.value_at(143)[0] == pytest.approx(some.value[0])


@given(st.floats(-0.9, 3.0), st.integers(0, TICKS - 1))
def test_what_is_in_force_in_the_end_is_what_lasts_once_a_drift_is_over(to: float, start: int) -> None:
    scenario = make_scenario(timeline=[of("drift", metric="conversion", at=f"{10 * start}m", to=to)])
    some = make_world(scenario, [behaves()] * 2).realise(np.arange(1))
    assert some.value_at(TICKS - 1) == pytest.approx(some.value)


def test_a_share_that_would_leave_zero_to_one_is_refused_where_it_is_said() -> None:
    with pytest.raises(InputError, match=r"takes conversion of challenger to 1\.2 at most") as raised:
        truth(of("drift", metric="conversion", to="100%"), rates=(0.05, 0.6))
    assert raised.value.problems[0].path == "timeline"
    segments = [{"name": "a", "share": "50%", "relative": {"conversion": "-90%"}}, {"name": "b", "share": "50%"}]
    with pytest.raises(InputError, match=r"takes conversion of challenger to 1\.091 at most") as raised:
        truth(segments=segments, rates=(0.05, 0.6))
    assert raised.value.problems[0].path == "segments"


def test_a_varied_share_is_refused_in_the_replication_that_leaves_zero_to_one() -> None:
    said = {"challenger": {"conversion": {"relative_effect": {"uniform": {"low": "0%", "high": "100%"}}}}}
    behaviours = [behaves(outcomes={"conversion": {"bernoulli": 0.4}})] * 2
    drift = of("drift", metric="conversion", to="40%")
    scenario = make_scenario(truth=said, timeline=[drift], seed=1, replications=200)
    with pytest.raises(InputError, match=r"takes conversion of challenger to 1\.\d+ at most, in replication \d+"):
        make_world(scenario, behaviours)


def test_predictions_that_were_made_cannot_be_varied() -> None:
    metrics = [{"name": "right", "role": "primary", "reward": "correct"}]
    said: dict[str, Any] = {
        "timeline": [of("novelty", metric="right", effect="5%", half_life="1h"), of("drift", metric="latency", to="5%")],
        "segments": [{"name": "all", "share": "100%", "relative": {"right": "5%"}}],
        "users": {"count": 10, "similarity": "5%"},
    }
    scenario = make_scenario(metrics=metrics, data={"sklearn": "digits"}, **said)
    with pytest.raises(InputError) as raised:
        make_replayed_world(scenario, {"right": [[1, 1], [0, 1]]}, [[1, 1], [1, 0]])
    assert [problem.path for problem in raised.value.problems] == [
        "users.similarity", "segments[0].relative.right", "timeline[0].metric",
    ]  # fmt: skip
    plain = make_scenario(metrics=metrics, data={"sklearn": "digits"}, users={"count": 10}, timeline=said["timeline"][1:])
    world = make_replayed_world(plain, {"right": [[1, 1], [0, 1]]}, [[1, 1], [1, 0]])
    assert world.population is not None
    assert world.change is not None
