"""Telemetry of single requests: the event engines agree on it bit for bit, and it is what its names say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sim.engine.compiled.engine import CompiledEngine
from sim.engine.feedback import own_columns
from sim.engine.reference.engine import SimpyEngine
from sim.errors import InputError
from sim.policy.base import Routing
from sim.policy.columns import (
    MOMENTS,
    CappedMoment,
    Column,
    CovariateMoment,
    JointUserMoment,
    Moment,
    Product,
    SegmentMoment,
    UserMoment,
    covariate_moments,
    joint_user_moments,
    user_moments,
    weighed_user_moments,
)
from sim.world.population import Population
from sim.world.world import World
from tests.columns import mirrored
from tests.engine.generated import METRICS, Game, Said, differences, game, games, played
from tests.thorough import plays
from tests.worlds import behaves, make_scenario, make_world

CAPS = {"conversion": 0.5, "revenue": 25.0, "score": 5.0}


def fed_columns(of: Game, which: list[int]) -> tuple[Column, ...]:
    """Columns of single requests that a game can give, as drawn, live and mirrored."""
    columns: list[Column] = [column for metric in METRICS for column in own_columns(metric)]
    columns += [column for metric, cap in CAPS.items() for column in capped(metric, cap)]
    if of.world.segments is not None:
        columns += [column for metric in METRICS for segment in ("most", "few") for column in in_segment(metric, segment)]
    prompt = [metric for metric in METRICS if metric not in of.world.feedback]
    columns += [Product(one, other) for one in prompt for other in prompt if one != other]
    columns += mirrored(*columns)
    if of.world.population is not None:
        columns += [column for metric in METRICS for column in weighed_user_moments(metric)]
    return tuple(dict.fromkeys(columns[place % len(columns)] for place in which)) if which else tuple(columns)


def capped(metric: str, cap: float) -> tuple[CappedMoment, CappedMoment]:
    """The sum and the sum of squares below a cap."""
    return CappedMoment(metric, cap, "sum"), CappedMoment(metric, cap, "square")


def in_segment(metric: str, segment: str) -> tuple[SegmentMoment, ...]:
    """Number, sum and sum of squares in a segment."""
    return tuple(SegmentMoment(metric, segment, moment) for moment in MOMENTS)


@given(games(), st.lists(st.integers(0, 10_000), max_size=4), st.sampled_from((0.0, 0.4, 0.9)))
@settings(max_examples=plays(60, 150), deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
def test_the_event_engines_say_the_same_bit_for_bit(said: Said, which: list[int], correlation: float) -> None:
    of = game(said)
    world = replace(of.world, covariates=dict.fromkeys(METRICS[:2], correlation) if correlation else {})
    of = replace(of, world=world, needs=(*of.needs, *fed_columns(of, which)))
    assert not differences(played(CompiledEngine, of), played(SimpyEngine, of))


def small_world(**changes: Any) -> World:
    """Returning users of two segments, three metrics, calls that sometimes fail; half an hour of ten-second ticks."""
    said: dict[str, Any] = {
        "tick": "10s", "horizon": "5m", "traffic": {"rate": "4/s"}, "users": {"count": 40, "similarity": "30%"},
        "metrics": [{"name": "conversion", "role": "primary"}, {"name": "revenue"}, {"name": "clicks"}],
        "segments": [
            {"name": "mobile", "share": "60%", "relative": {"conversion": "-20%"}}, {"name": "desk.top", "share": "40%"},
        ],
    }  # fmt: skip
    outcomes = {
        "conversion": {"bernoulli": 0.3}, "revenue": {"lognormal": {"mean": 30.0, "sd": 20.0}},
        "clicks": {"zero_inflated": {"rate": 0.6, "amount": {"gamma": {"mean": 4.0, "sd": 2.0}}}},
    }  # fmt: skip
    scenario = make_scenario(**said | changes)
    return make_world(scenario, [behaves(outcomes=outcomes, error_rate="5%", latency={"exponential": "3s"})] * 2)


def told(world: World, needs: tuple[Column, ...], live: tuple[float, ...] = (0.5, 0.5)) -> tuple[dict[Column, list[int]], Any]:
    """{column: totals by arm} of all ticks of one replication, and its engine."""
    engine = CompiledEngine(world.realise(np.arange(1)), needs, False, record=True)
    total = 0
    for tick in range(world.ticks):
        # The weights move, so that users meet both arms.
        shares = np.array([live if tick % 2 else live[::-1]])
        total = total + engine.step(Routing(np.arange(1), shares, np.zeros((1, 2)), np.zeros(1, np.int64))).counts[0]
    return {column: total[:, place].tolist() for place, column in enumerate(needs)}, engine


def known_outcomes(engine: CompiledEngine, metric: str) -> dict[str, np.ndarray]:
    """What monitoring takes the outcomes of a metric for at the horizon: value, arm, user, segment and request of each."""
    potential, world = engine._potential, engine.truth.world
    rows = []
    drawn = [potential.draw(0, tick) for tick in range(world.ticks)]
    said = next(each for each in world.outcomes if each.spec.name == metric)
    for call in engine.calls[engine.calls["end_ns"] >= 0]:
        tick = int(np.searchsorted(potential.first[0], call["request"], side="right")) - 1
        place = int(call["request"]) - drawn[tick].first
        value, delay_ns = (each[metric][place, call["arm"]] for each in (drawn[tick].values, drawn[tick].delay_ns))
        told = world.feedback.get(metric)
        failed = call["outcome"] != 0
        if failed:
            # A failed request counts at once, and nobody tries again here.
            value, delay_ns = round(said.failed_worth / said.grid), 0
        elif told is not None and told.window_s is not None and delay_ns > told.window_s * 1e9:
            value, delay_ns = 0, round(told.window_s * 1e9)
        known = (call["end_ns"] + delay_ns) // potential.tick_ns < world.ticks
        if told is not None and told.provisional and not failed:
            value, known = (value if known else 0), call["end_ns"] // potential.tick_ns < world.ticks
        if known:
            rows.append((value, call["arm"], call["user"], drawn[tick].segment[place], call["request"]))
    columns = np.array(rows, np.int64).reshape(-1, 5).T
    return dict(zip(("value", "arm", "user", "segment", "request"), columns, strict=True))


@pytest.mark.parametrize("live", [(0.5, 0.5), (0.9, 0.1)])
@pytest.mark.parametrize(
    "delay",
    [
        {},
        {"delay": {"exponential": "40s"}},
        {"delay": {"exponential": "40s"}, "attribution_window": "50s"},
        {"delay": {"exponential": "40s"}, "attribution_window": "50s", "until_known": "failure"},
        {"delay": {"by_arm": {"champion": {"constant": "15s"}, "challenger": {"exponential": "2m"}}}, "until_known": "failure"},
    ],
    ids=["prompt", "late", "in a window", "failures in a window", "failures, by arm"],
)
@pytest.mark.parametrize("users", [{"count": 40, "similarity": "30%"}, {"count": 40, "assignment": "request"}, None])
def test_the_columns_are_the_sums_that_their_names_say(users: Any, delay: Any, live: tuple[float, ...]) -> None:
    metrics = [
        {"name": "conversion"},
        {"name": "revenue", "role": "primary", "failure": {"worth": -7}, **delay},
        {"name": "clicks"},
    ]
    world = small_world(users=users, metrics=metrics)
    segments = [column for name in ("mobile", "desk.top") for column in in_segment("revenue", name)]
    users_, joint = user_moments("revenue"), joint_user_moments("revenue")
    known, product = Moment("revenue", "count"), Product("clicks", "conversion")
    needs = (*users_, *joint, *segments, *capped("revenue", 25.0), product, known)
    found, engine = told(world, needs, live)
    of = known_outcomes(engine, "revenue")
    grid = next(each.grid for each in world.outcomes if each.spec.name == "revenue")
    who, index = np.unique(of["user"], return_inverse=True)
    n, s = np.zeros((2, 2, who.size), np.int64)
    np.add.at(n, (of["arm"], index), 1)
    np.add.at(s, (of["arm"], index), of["value"])
    for arm in range(2):
        own = ((n[arm] > 0).sum(), s[arm] @ s[arm], n[arm] @ s[arm], n[arm] @ n[arm])
        both = (s[0] @ s[arm], n[0] @ s[arm], s[0] @ n[arm], n[0] @ n[arm])
        expected: dict[Column, Any] = dict(zip((*users_, *joint, known), (*own, *both, n[arm].sum()), strict=True))
        mine = of["value"][of["arm"] == arm]
        low = np.minimum(mine, round(25 / grid))
        expected |= dict(zip(capped("revenue", 25.0), (low.sum(), (low**2).sum()), strict=True))
        for place, name in enumerate(("mobile", "desk.top")):
            values = of["value"][(of["arm"] == arm) & (of["segment"] == place)]
            moments = (values.size, values.sum(), (values**2).sum())
            expected |= dict(zip(in_segment("revenue", name), moments, strict=True))
        assert {column: found[column][arm] for column in expected} == {column: int(value) for column, value in expected.items()}
        assert expected[known] > 100
        clicks, conversion = (known_outcomes(engine, name) for name in ("clicks", "conversion"))
        here = clicks["arm"] == arm
        assert found[product][arm] == int(clicks["value"][here] @ conversion["value"][here]) > 0
    # Users who keep their arm meet both only as the weights move.
    meet = users is not None and ("assignment" in users or live[0] != live[1])
    assert meet == (found[JointUserMoment("revenue", "sizes")][1] > 0)


@pytest.mark.parametrize("family", ["conversion", "revenue", "clicks"])
@pytest.mark.parametrize("users", [{"count": 4000, "similarity": "50%"}, None])
def test_a_covariate_is_what_the_champion_would_earn_and_correlated_as_it_says(users: Any, family: str) -> None:
    """Within 4 standard errors of a correlation of so many requests; those of a user are worth one where all are the same."""
    metrics = [
        {"name": name, **({"role": "primary"} if name == "conversion" else {}), "covariate": {"correlation": "60%"}}
        for name in ("conversion", "revenue", "clicks")
    ]
    needs = (*(Moment(family, kind) for kind in MOMENTS), *covariate_moments(family))
    world = small_world(users=users, segments=[], metrics=metrics, traffic={"rate": "100/s"})
    found, _ = told(world, needs)
    mean, sd, grid = next((each.mean[0], each.sd[0], each.grid) for each in world.outcomes if each.spec.name == family)
    for arm in range(2):
        n, y, yy, x, xx, xy = (float(found[column][arm]) for column in needs)
        independent = n if users is None else 4000
        correlation = (xy - x * y / n) / np.sqrt((xx - x * x / n) * (yy - y * y / n))
        # Heavy tails: a correlation varies with the fourth moments.
        assert abs(correlation - 0.6) < 4 * 1.5 / np.sqrt(independent)
        assert abs(x / n * grid - mean) < 4 * sd / np.sqrt(independent)


def test_a_new_cohort_counts_from_nothing() -> None:
    world = small_world(metrics=[{"name": "conversion", "role": "primary", "delay": {"constant": "25s"}}])
    users = UserMoment("conversion", "count"), UserMoment("conversion", "sizes")
    needs = (Moment("conversion", "count"), *users, CovariateMoment("conversion", "sum"))
    seen = []
    for entered in (0, 12):
        engine = CompiledEngine(world.realise(np.arange(1)), needs, False)
        total: Any = 0
        for tick in range(world.ticks):
            cohort = np.array([int(tick >= entered)])
            counts = engine.step(Routing(np.arange(1), np.full((1, 2), 0.5), np.zeros((1, 2)), cohort)).counts[0]
            total = counts if tick == entered else total + counts
        seen.append(total)
    whole, late = seen
    assert (late[:, 0] < 0.7 * whole[:, 0]).all()
    assert (late[:, 1] <= 40).all()
    # Feedback to the cohort before is not in it: what each user adds up to is what is counted.
    assert (late[:, 2] >= late[:, 0] ** 2 / 40).all()
    assert (late[:, 2] < whole[:, 2] * 0.6).all()


def test_a_log_that_is_full_is_taken_in_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    world = small_world()
    needs = own_columns("revenue")
    whole, _ = told(world, needs)
    from sim.engine.compiled.memory import Arrays

    monkeypatch.setattr(Arrays, "_log", _small)
    assert told(world, needs)[0] == whole


def _small(arrays: Any, room: int) -> None:
    """Room for a few requests only."""
    arrays.log = np.zeros((8, arrays.log.shape[1]), np.int64)
    arrays.run["log_room"] = 8


@pytest.mark.parametrize(
    ("need", "why"),
    [
        (UserMoment("agreement", "count"), "there is no metric 'agreement'"),
        (SegmentMoment("revenue", "tablet", "sum"), "there is no segment 'tablet'"),
        (Product("revenue", "clicks"), "revenue and clicks are not known together"),
    ],
    ids=str,
)
def test_what_cannot_be_told_is_refused_by_name(need: Column, why: str) -> None:
    metrics = [{"name": "conversion", "role": "primary"}, {"name": "revenue"}, {"name": "clicks", "delay": {"constant": "1m"}}]
    truth = small_world(metrics=metrics).realise(np.arange(1))
    for engine in (CompiledEngine, SimpyEngine):
        with pytest.raises(InputError, match=f"telemetry has no column '{need.name}': {why}"):
            engine(truth, (need,), False)


def test_one_user_may_be_as_active_as_all() -> None:
    world = replace(small_world(), population=Population(np.ones(1), True, 0.0))
    users, sizes, known = UserMoment("conversion", "count"), UserMoment("conversion", "sizes"), Moment("conversion", "count")
    found, _ = told(world, (users, sizes, known), (1.0, 0.0))
    assert max(found[users]) == 1
    assert found[sizes] == [count**2 for count in found[known]]


def test_a_correction_comes_to_the_request_that_was_counted() -> None:
    """Ticks of each user's sums add up to what the users have at the end, and a covariate is counted with its request."""
    said = {"name": "conversion", "role": "primary", "covariate": {"correlation": "50%"}, "delay": {"exponential": "40s"}}
    totals = {}
    for until_known in ("unknown", "failure"):
        metrics = [{**said, "until_known": until_known}]
        for users in ({"count": 4000, "similarity": "50%"}, None):
            needs = (*covariate_moments("conversion"), *user_moments("conversion"), *(Moment("conversion", m) for m in MOMENTS))
            world = small_world(metrics=metrics, users=users, segments=[], horizon="20m")
            totals[until_known, users is None], _ = told(world, needs)
    for alone in (True, False):
        late, early = totals["unknown", alone], totals["failure", alone]
        # At the horizon the same successes are known, and beside them all visits count: some tenth more of them.
        for column in (CovariateMoment("conversion", "cross"), Moment("conversion", "sum"), Moment("conversion", "square")):
            assert early[column] == late[column]
        for column in (Moment("conversion", "count"), CovariateMoment("conversion", "sum"), UserMoment("conversion", "sizes")):
            assert all(more > some > 100 for more, some in zip(early[column], late[column], strict=True))
        if alone:
            # Every request is a user of its own, whose one outcome is 0 or 1.
            assert early[UserMoment("conversion", "count")] == early[Moment("conversion", "count")]
            assert early[UserMoment("conversion", "square")] == early[Moment("conversion", "sum")]
            assert early[UserMoment("conversion", "cross")] == early[Moment("conversion", "sum")]
            assert early[UserMoment("conversion", "sizes")] == early[Moment("conversion", "count")]
