"""Draws belong to (seed, replication, tick, arm, metric): what else is asked, and who else is played, changes none of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim.arrays import Ints
from sim.engine.aggregate.engine import AggregateEngine
from sim.engine.catalogue import ENGINES
from sim.engine.compiled.engine import CompiledEngine
from sim.engine.reference.engine import SimpyEngine
from sim.policy.base import Routing
from sim.policy.columns import MOMENTS, Above, Column, Count, Moment
from sim.run.simulate import simulate
from sim.world.world import World
from tests.columns import counts, moments
from tests.run.test_simulate import digest
from tests.worlds import behaves, make_plan, make_scenario, make_world

METRICS = [
    {"name": "conversion", "role": "primary"},
    {"name": "revenue"},
    {"name": "latency", "role": "guardrail", "max": "2s"},
]
NEEDS = (*counts("requests", "responses", "errors"), *moments("revenue", *MOMENTS), Above(0.7))
engines = pytest.mark.parametrize("make", [AggregateEngine, SimpyEngine, CompiledEngine])


def world(metrics: list[dict[str, Any]] = METRICS) -> World:
    outcomes = {
        "conversion": {"bernoulli": 0.3},
        "revenue": {"zero_inflated": {"rate": 0.4, "amount": {"gamma": {"mean": 30.0, "sd": 10.0}}}},
        "score": {"normal": {"mean": 5.0, "sd": 2.0}},
    }
    said = behaves(outcomes=outcomes, latency={"gamma": {"mean": "1s", "sd": "500ms"}}, error_rate=0.1)
    scenario = make_scenario(arms=("champion", "a", "b"), metrics=metrics, tick="10s", horizon="1m", traffic={"rate": "5/s"})
    return make_world(scenario, [said] * 3)


def shown(
    make: Any, replications: Any, needs: tuple[Column, ...] = NEEDS, *, mirrors: bool = False, of: World | None = None,
    rows: tuple[Any, ...] | None = None,
) -> Ints:  # fmt: skip
    """(R, T, K, C) telemetry; `rows` are those still undecided in each tick."""
    truth = (of or world()).realise(np.asarray(replications))
    engine = make(truth, needs, mirrors)
    counts = np.zeros((truth.rows, 4, 3, len(needs)), np.int64)
    for tick in range(4):
        some = np.arange(truth.rows) if rows is None else np.asarray(rows[tick])
        mirror = np.tile([0.0, 0.5, 1.0] if mirrors else [0.0] * 3, (some.size, 1))
        routing = Routing(some, np.tile([0.5, 0.3, 0.2], (some.size, 1)), mirror, np.zeros(some.size, np.int64))
        counts[some, tick] = engine.step(routing).counts
    return counts


@engines
def test_replications_that_are_decided_shift_nobody_else(make: Any) -> None:
    everyone = shown(make, np.arange(8))
    some = shown(make, np.arange(8), rows=(range(8), [0, 2, 5, 7], [2, 7], [7]))
    assert np.array_equal(some[7], everyone[7])
    assert np.array_equal(some[2, :3], everyone[2, :3])


@engines
def test_a_replication_is_the_same_in_every_block(make: Any) -> None:
    assert np.array_equal(shown(make, [3, 4, 5]), shown(make, np.arange(8))[3:6])


@engines
def test_another_column_or_order_of_columns_changes_no_other(make: Any) -> None:
    plain = shown(make, np.arange(5))
    more = (Moment("conversion", "sum"), Moment("conversion", "count"), *reversed(NEEDS))
    assert np.array_equal(shown(make, np.arange(5), more)[..., :1:-1], plain)


@engines
def test_mirroring_changes_nothing_that_is_live(make: Any) -> None:
    more = (*NEEDS, Count("requests", mirrored=True), Count("errors", mirrored=True), Above(0.7, mirrored=True))
    assert np.array_equal(shown(make, np.arange(5), more, mirrors=True)[..., : len(NEEDS)], shown(make, np.arange(5)))


@engines
def test_another_latency_limit_changes_no_count_and_no_amount(make: Any) -> None:
    more = shown(make, np.arange(5), (*NEEDS[:-1], Above(0.3), Above(3.0)))
    assert np.array_equal(more[..., :-2], shown(make, np.arange(5))[..., :-1])


@engines
@pytest.mark.parametrize("more", [[{"name": "score"}, *METRICS], METRICS[::-1]], ids=["another", "other order"])
def test_another_metric_or_order_of_metrics_changes_no_other(make: Any, more: list[dict[str, Any]]) -> None:
    assert np.array_equal(shown(make, np.arange(5), of=world(more)), shown(make, np.arange(5)))


@engines
def test_where_the_routing_agrees_outcomes_are_common_between_policies(make: Any) -> None:
    truth = world().realise(np.arange(4))
    one, other = make(truth, NEEDS, False), make(truth, NEEDS, False)
    rows, none, cohort = np.arange(4), np.zeros((4, 3)), np.zeros(4, np.int64)
    even, uneven = np.full((4, 3), 1 / 3), np.tile([0.8, 0.1, 0.1], (4, 1))
    seen = [(one.step(Routing(rows, w, none, cohort)), other.step(Routing(rows, even, none, cohort))) for w in (even, uneven)]
    assert np.array_equal(seen[0][0].counts, seen[0][1].counts)
    total = [telemetry.counts[..., 0].sum(axis=1) for telemetry in seen[1]]
    assert np.array_equal(total[0], total[1])
    assert not np.array_equal(seen[1][0].counts, seen[1][1].counts)


COMPETING: dict[str, Any] = {
    "tick": "10s", "horizon": "4m", "replications": 12, "traffic": {"rate": "3/s", "arrivals": "regular"},
    "users": {"count": 60, "activity": {"pareto": 1.5}, "similarity": "40%"},
    "pools": {"main": {"arms": ["champion", "challenger"], "replicas": 2, "concurrency": 2, "queue": 8, "timeout": "4s"}},
    "retries": {"backoff": "1s"}, "telemetry": {"lag": "10s", "loss": "2%"},
    "timeline": [{"kind": "outage", "pool": "main", "at": "1m", "duration": "20s", "replicas": 1}],
    "policies": [
        {"name": "switch", "kind": "switch"},
        {"name": "bandit", "kind": "bandit", "allocation": {"kind": "thompson", "floor": "5%"}},
        {"name": "shadow", "kind": "shadow", "mirror": "50%", "duration": "1m",
         "checks": [{"metric": "error_rate", "max": "60%", "min_requests": 5}]},
    ],
}  # fmt: skip


@pytest.mark.parametrize("engine", ["compiled", "simpy"])
def test_trials_where_requests_compete_are_the_same_for_any_workers_and_any_block(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = make_scenario(engine=engine, **COMPETING)
    said = [behaves(latency={"exponential": "1s"}), behaves(latency={"gamma": {"mean": "1s", "sd": "2s"}}, error_rate="10%")]
    plan = make_plan(scenario, said)
    assert plan.points[0].engine.name == engine
    found = {digest(simulate(plan, tmp_path / "one", workers=1).folder)}
    for rows, workers in ((5, 1), (5, 2), (3, 4)):
        monkeypatch.setitem(ENGINES, engine, replace(ENGINES[engine], most_rows=rows))
        found.add(digest(simulate(plan, tmp_path / f"{rows}-{workers}", workers=workers).folder))
    assert len(found) == 1
