"""What changes on the way, against its closed form; and what verdicts are judged by."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

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
    assert np.array_equal(some.value_at(100), some.worths.overall.value)
    assert np.array_equal(some.worths.after(np.array([0, 7, 144])).value, some.worths.overall.value)


def test_a_drift_is_a_line_that_stays_where_it_has_come_to() -> None:
    found = change(of("drift", metric="conversion", at="2h", duration="10h", to="-10%"))
    line = np.clip((MIDDLE_H - 2) / 10, 0, 1)
    assert found.factors["conversion"][:, 1] == pytest.approx(1 - 0.1 * line)
    assert (found.factors["conversion"][:, 0] == 1).all()


def test_a_drift_at_once_is_a_step_and_one_past_the_horizon_comes_as_far_as_it_can() -> None:
    step = change(of("drift", metric="conversion", at="2h", to="5%")).factors["conversion"][:, 1]
    assert step[[0, 11, 12, 143]] == pytest.approx([1, 1, 1.05, 1.05])
    half = change(of("drift", metric="conversion", at="12h", duration="1d", to="-10%"))
    assert half.factors["conversion"][-1, 1] == pytest.approx(1 - 0.1 * (143.5 - 72) / 144)


def test_drifts_in_a_row_lead_from_value_to_value_and_back() -> None:
    found = change(
        of("drift", metric="conversion", at="2h", to="-30%"), of("drift", metric="conversion", at="4h", to="0%"),
        of("drift", metric="conversion", at="8h", duration="4h", to="20%"),
        of("drift", metric="conversion", at="10h", duration="2h", to="-10%"),
    ).factors["conversion"][:, 1]  # fmt: skip
    assert (found[:12] == 1).all()
    assert found[12:24] == pytest.approx(0.7)
    assert (found[24:48] == 1).all()
    # The last begins where the one before it has come to: half of its way.
    assert found[48:60] == pytest.approx(1 + 0.2 * (MIDDLE_H[48:60] - 8) / 4)
    assert found[60:72] == pytest.approx(1.1 - 0.2 * (MIDDLE_H[60:72] - 10) / 2)
    assert found[72:] == pytest.approx(0.9)


def test_weekends_are_all_alike() -> None:
    weekends = [
        event
        for day in (5, 12, 19, 26)
        for event in (
            of("drift", metric="conversion", at=f"{day}d", to="-30%"),
            of("drift", metric="conversion", at=f"{day + 2}d", to="0%"),
        )
    ]
    factor = change(*weekends, horizon="29d", tick="1h").factors["conversion"][:, 1]
    weekend = np.arange(29 * 24) // 24 % 7 >= 5
    assert np.unique(factor[weekend]) == pytest.approx([0.7])
    assert np.unique(factor[~weekend]).tolist() == [1.0]


def test_drifts_of_errors_and_latency() -> None:
    found = change(
        of("drift", metric="error_rate", at="12h", to="10%"), of("drift", metric="error_rate", to="5%"),
        of("drift", metric="latency", to="60%"),
    )  # fmt: skip
    assert found.failing[0] == pytest.approx([0, 0.05])
    assert found.failing[-1] == pytest.approx([0, 0.1])
    assert found.slowness[5] == pytest.approx([1, 1.6])


@pytest.mark.parametrize(
    ("metric", "to", "kept"),
    [
        # A mean of 1% + 99% x 2% / 2 = 1.99%, of 2.14%; from 12 h on 2.98%, and 3.28%.
        ("error_rate", "2%", True), ("error_rate", "2.3%", False),
        # 160 ms from 12 h on is above the limit of 150 ms in half of the day, so that the median holds just.
        ("latency", "60%", True), ("latency", "40%", True),
    ],
)  # fmt: skip
def test_a_limit_is_held_or_broken_by_the_mean_over_what_is_asked(metric: str, to: str, kept: bool) -> None:
    worths = truth(of("drift", metric=metric, at="12h", to=to)).worths
    assert worths.overall.acceptable.tolist() == [[True, kept]] * 3
    assert worths.overall.best.tolist() == [int(kept)] * 3
    late = worths.after(np.array([71, 80, 144]))
    assert late.acceptable[:, 1].tolist() == [to == "40%"] * 3
    assert late.worse[:, 1].tolist() == [to != "40%"] * 3


def test_novelty_is_the_mean_of_its_decay_over_each_tick() -> None:
    found = change(of("novelty", metric="conversion", effect="15%", half_life="3h"))
    fine = (np.arange(TICKS * 1000) + 0.5) / 6000
    mean = (1 + 0.15 * 2 ** (-fine / 3)).reshape(TICKS, 1000).mean(axis=1)
    assert found.factors["conversion"][:, 1] == pytest.approx(mean, abs=1e-9)


def test_incidents_hold_from_their_start_until_their_end() -> None:
    found = change(
        of("errors", at="6h", duration="30m", rate="20%"), of("slowdown", at="6h", duration="1h", factor=3),
        of("slowdown", arm="champion", at="6h30m", duration="1h", factor=2), of("slowdown", at="6h", duration="10m", factor=2),
    )  # fmt: skip
    assert np.flatnonzero(found.failing[:, 1]).tolist() == [36, 37, 38]
    assert found.failing[36] == pytest.approx([0, 0.2])
    assert found.slowness[35:46].tolist() == [
        [1, 1], [1, 6], [1, 3], [1, 3], [2, 3], [2, 3], [2, 3], [2, 1], [2, 1], [2, 1], [1, 1],
    ]  # fmt: skip


def test_a_leak_grows_until_it_is_restarted() -> None:
    found = change(of("leak", at="1h", per_hour="10%", restart="2h"))
    age = np.where(MIDDLE_H > 1, (MIDDLE_H - 1) % 2, 0)
    assert found.slowness[:, 1] == pytest.approx(1 + 0.1 * age)
    never = change(of("leak", per_hour="200%"))
    assert never.slowness[:, 1] == pytest.approx(1 + 2 * MIDDLE_H)


def test_a_leak_counts_by_how_long_it_is_above_the_limit() -> None:
    """100 ms grow above the median's limit of 150 ms after 16.7 h, in 7.3 h of the day; or never, where it is restarted."""
    forever, restarted = truth(of("leak", per_hour="3%")), truth(of("leak", per_hour="3%", restart="12h"))
    assert forever.worths.overall.best.tolist() == [1, 1, 1]
    # Of what is left that is less than half from 9 h on, and more from 10 h on.
    assert forever.worths.after(np.array([0, 54, 60])).best.tolist() == [1, 1, 0]
    assert restarted.worths.after(np.array([0, 54, 143])).best.tolist() == [1, 1, 1]


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


def test_an_arm_is_worth_the_mean_of_its_ticks_by_the_requests_that_are_expected() -> None:
    daily = {"rate": "2/s", "daily": {"peak": "18:00", "amplitude": "80%"}}
    some = truth(of("drift", metric="conversion", at="12h", duration="6h", to="-40%"), traffic=daily)
    factor, expected = 1 - 0.4 * np.clip((MIDDLE_H - 12) / 6, 0, 1), some.world.requests
    assert expected.max() > 5 * expected.min()
    since = np.array([0, 100, 143])
    for row, first in enumerate(since):
        mean = np.average(0.06 * 0.99 * factor[first:], weights=expected[first:])
        assert some.worths.after(since).value[row] == pytest.approx([0.05 * 0.99, mean])
    assert some.worths.after(np.full(3, TICKS)).value == pytest.approx(some.worths.at(TICKS - 1).value)


def test_a_novelty_counts_while_it_is_there() -> None:
    some = truth(of("novelty", metric="conversion", effect="50%", half_life="6h"), rates=(0.05, 0.045))
    # 4.5% (1 + 50% 2^(-t / 6 h)) is above 5% for the first 13 h; its mean over the day is 5.27%, and over the last 12 h 4.73%.
    mean = 0.045 * (1 + 0.5 * (1 - 2**-4) / (4 * np.log(2)))
    assert some.worths.overall.value[0] == pytest.approx([0.05 * 0.99, mean * 0.99])
    assert some.worths.overall.best.tolist() == [1, 1, 1]
    assert some.worths.after(np.array([0, 72, 144])).best.tolist() == [1, 0, 0]
    assert [int(some.worths.at(tick).best[0]) for tick in (0, 77, 79, 143)] == [1, 1, 0, 0]


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
    with pytest.raises(InputError, match=r"takes conversion of challenger to 1\.\d+ at most, in \d+ of \d+ replications"):
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
