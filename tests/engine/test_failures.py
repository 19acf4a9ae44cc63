"""A request that fails counts as an outcome, once and as its client gives up for good, in all engines; or has none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sim.engine.aggregate.engine import AggregateEngine
from sim.engine.aggregate.refusals import refusals
from sim.engine.compiled.engine import CompiledEngine
from sim.policy.base import Routing
from sim.policy.columns import MOMENTS, Moment
from sim.scenario.schema import FailureSpec
from sim.world.capacity import Pool
from sim.world.metric import OutcomeWorld
from sim.world.world import World
from tests.columns import counts, mirrored, moments
from tests.engine.by_hand import BOTH, Played, played, request, retrying, world_of
from tests.engine.side_by_side import apart, observed, spread_apart, three_families
from tests.engine.test_aggregate_features import FACTORS, INCIDENTS, SEGMENTS
from tests.thorough import plays
from tests.worlds import behaves, make_replayed_world, make_scenario

Patch = pytest.MonkeyPatch
COUNT, SUM, SQUARE = moments("conversion", *MOMENTS)
FULL = Pool("main", (0, 1), 1, 1, 0, 50)
"""A server, no queue, and clients who wait for 50 ns."""


def worth(value: float) -> tuple[OutcomeWorld, ...]:
    """The conversion of the worlds by hand, with what a failed request is worth."""
    (outcome,) = world_of().outcomes
    spec = outcome.spec.model_copy(update={"failure": FailureSpec(worth=value)})
    # Values by hand are whole numbers, not 0 and 1.
    return (replace(outcome, spec=spec, kind="normal"),)


def shown(run: Played) -> list[tuple[list[int], list[int], list[int]]]:
    """(count, sum, sum of squares) by tick, each of both arms."""
    return [(seen[COUNT], seen[SUM], seen[SQUARE]) for seen in run.seen]


def test_errors_timeouts_and_rejections_count_as_what_they_are_worth(monkeypatch: Patch) -> None:
    # The second is turned away while the first is served, the third fails, and the fourth is given up at 90 + 50.
    requests = [request(0, 10, value=2), request(5), request(20, 10, error=True), request(90, 60, route=0.9)]
    steps = [{"live": [0.5, 0.5]}] * 2
    run = played(monkeypatch, [requests], steps, pools=(FULL,), outcomes=worth(-3.0))
    assert [outcome for *_, outcome in run.fates()] == ["finish", "reject", "error", "timeout"]
    assert shown(run) == [([3, 0], [2 - 3 - 3, 0], [4 + 9 + 9, 0]), ([0, 1], [0, -3], [0, 9])]
    run = played(monkeypatch, [requests], steps, pools=(FULL,), outcomes=worth(-3.0), counts_failures=False)
    assert shown(run) == [([1, 0], [2, 0], [4, 0]), ([0, 0], [0, 0], [0, 0])]


def test_only_the_last_attempt_of_a_request_counts_at_its_arm_and_its_time(monkeypatch: Patch) -> None:
    # Both fail at first, after which the weights change; the second is then answered.
    requests = [
        request(10, 5, route=0.7, error=True, backoff=100),
        request(20, 5, route=0.7, error=((True, False), (True, False)), value=4, backoff=100),
    ]
    run = played(monkeypatch, [requests], [{"live": [1.0, 0.0]}, {"live": [0.5, 0.5]}], retry=retrying(2), outcomes=worth(-3.0))
    assert shown(run) == [([0, 0], [0, 0], [0, 0]), ([0, 2], [0, 1], [0, 25])]


def test_a_failure_is_known_at_once_however_late_outcomes_are(monkeypatch: Patch) -> None:
    requests = [request(0, 10, value=2, delay=150), request(0, 10, error=True, delay=150)]
    assert shown(played(monkeypatch, [requests], [{}, {}], outcomes=worth(5.0))) == [
        ([1, 0], [5, 0], [25, 0]), ([1, 0], [2, 0], [4, 0]),
    ]  # fmt: skip


def test_what_monitoring_does_not_see_and_what_an_earlier_stage_sent_does_not_count(monkeypatch: Patch) -> None:
    requests = [request(0, 10, error=True, lost=True), request(50, 100, error=True), request(60, 10, error=True)]
    steps = [{}, {"cohort": 1}]
    assert shown(played(monkeypatch, [requests], steps, outcomes=worth(1.0))) == [
        ([1, 0], [1, 0], [1, 0]), ([0, 0], [0, 0], [0, 0]),
    ]  # fmt: skip


def test_a_copy_that_fails_counts_among_the_copies_only(monkeypatch: Patch) -> None:
    requests = [request(0, 10, mirror=0.0, error=((False,), (True,)), value=1)]
    run = played(monkeypatch, [requests], [{"mirror": [0.0, 1.0]}], pools=(replace(BOTH, replicas=2),))
    assert shown(run) == [([1, 0], [1, 0], [1, 0])]
    # Agreement is of answers.
    assert [run.seen[0][column] for column in mirrored(*counts("responses", "errors"))] == [[0, 1], [0, 1]]


def said(analysis: str = "requests", **keys: Any) -> dict[str, Any]:
    """Keys of `three_families`, where revenue is primary, a failed request costs 20 and complaints are counted too."""
    metrics = [
        {"name": "conversion", "direction": "decrease", **keys},
        {"name": "score", **keys},
        {"name": "revenue", "role": "primary", "failure": {"worth": -20}},
    ]
    return {"metrics": metrics, "analysis": analysis}


LATE = {"delay": {"exponential": "12s"}}
WORLDS: dict[str, dict[str, Any]] = {
    "at once": said(),
    "while much changes": {**said(), "timeline": [*FACTORS, *INCIDENTS], "segments": SEGMENTS, "telemetry": {"loss": "25%"}},
    "beside late outcomes": said(**LATE),
    "beside failures until they are known": said(**LATE, until_known="failure"),
    "left out": said("successes"),
}
NEEDS = (
    *counts("requests", "responses", "errors"),
    *moments("conversion", *MOMENTS),
    *moments("score", *MOMENTS),
    *moments("revenue", *MOMENTS),
)
ROWS = plays(2500, 6000)
MANY, OTHERS = np.arange(ROWS), np.arange(100_000, 100_000 + ROWS)


@pytest.mark.parametrize("keys", WORLDS.values(), ids=WORLDS.keys())
def test_aggregate_agrees_with_the_compiled_engine_in_distribution(keys: dict[str, Any]) -> None:
    world = three_families(**keys)
    assert not list(refusals(world))
    one, other = observed(CompiledEngine, world, MANY, NEEDS)[0], observed(AggregateEngine, world, OTHERS, NEEDS)[0]
    z = apart(one[:, :4].reshape(len(one), -1), other[:, :4].reshape(len(other), -1))
    # 144 means: the largest of as many normals exceeds 4.5 once in 1,000 runs.
    assert np.abs(z).max() < 4.5
    z = spread_apart(one[:, 1:3].reshape(len(one), -1), other[:, 1:3].reshape(len(other), -1))
    assert np.abs(z).max() < 5.5


def test_replayed_metrics_that_a_row_decides_together_count_failures_too() -> None:
    rng = np.random.default_rng(0)
    right = rng.random((40, 2)) < (0.6, 0.7)
    metrics = [
        {"name": "right", "reward": "correct"},
        {"name": "worth", "role": "primary", "reward": {"column": "price"}, "grid": 1.0, "failure": {"worth": -9}},
    ]
    scenario = make_scenario(metrics=metrics, data={"sklearn": "digits"}, tick="10s", horizon="1m", traffic={"rate": "3/s"})
    measured = [behaves(outcomes={}, latency={"exponential": "200ms"}, error_rate=0.2)] * 2
    rewards = {"right": right, "worth": right * np.round(rng.gamma(2.0, 10.0, 40))[:, None]}
    world = make_replayed_world(scenario, rewards, right == right[:, :1], measured)
    needs = (*moments("right", "count", "sum"), *moments("worth", *MOMENTS), *counts("errors"))
    one, other = observed(CompiledEngine, world, MANY, needs)[0][:, 1], observed(AggregateEngine, world, OTHERS, needs)[0][:, 1]
    assert np.abs(apart(one, other)).max() < 4
    assert np.abs(spread_apart(one, other)).max() < 5


@pytest.mark.parametrize("make", [CompiledEngine, AggregateEngine])
def test_outcomes_are_of_all_requests_with_the_mean_that_is_true_of_them(make: Any) -> None:
    """Of 16 hours at 50 requests/s: as many outcomes as answers and errors, and a mean within four standard errors."""
    world = _steady()
    truth = world.realise(np.arange(1))
    engine = make(truth, NEEDS, False)
    total = np.zeros((3, len(NEEDS)))
    for _ in range(world.ticks):
        total += engine.step(Routing(np.arange(1), np.full((1, 3), 1 / 3), np.zeros((1, 3)), np.zeros(1, np.int64))).counts[0]
    column = {each: total[:, place] for place, each in enumerate(NEEDS)}
    grid = world.primary_outcome.grid
    count, amount, square = (column[Moment("revenue", moment)] for moment in MOMENTS)
    assert count.tolist() == column[counts("responses")[0]].tolist()
    mean, error = amount * grid / count, np.sqrt(square * grid**2 / count - (amount * grid / count) ** 2) / np.sqrt(count)
    assert (np.abs(mean - truth.analysed()[0]) < 4 * error).all()
    # And of what a team expects of the champion.
    metric = world.setting(1).metrics["revenue"]
    assert metric.nominal_mean == pytest.approx(truth.analysed()[0, 0], rel=1e-3)
    assert metric.nominal_sd == pytest.approx(error[0] * np.sqrt(count[0]), rel=0.02)
    assert np.dot(metric.values, metric.chances) == pytest.approx(metric.nominal_mean, rel=1e-9)


def _steady() -> World:
    return three_families(**{**said(), "tick": "30m", "horizon": "16h", "traffic": {"rate": "50/s"}})
