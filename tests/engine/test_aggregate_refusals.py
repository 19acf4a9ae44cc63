"""What the aggregate engine refuses, by the key that asks for it, and what it does not."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

from sim.engine.aggregate.engine import AggregateEngine
from sim.engine.aggregate.refusals import refusals
from sim.engine.catalogue import choose
from sim.errors import InputError
from sim.policy.base import Routing
from sim.policy.columns import Count, mean_of
from tests.engine.side_by_side import metrics, three_families
from tests.worlds import behaves, make_replayed_world, make_scenario, make_world

DRIFT = {"kind": "drift", "arm": "a", "metric": "revenue", "at": "10s", "duration": "30s", "to": "-40%"}
GAMMA, WEIBULL = {"mean": "10s", "sd": "5s"}, {"mean": "10s", "shape": 0.8}
SLOWER = {"a": {"latency": {"relative_effect": {"uniform": {"low": "0%", "high": "5%"}}}}}
THREE = {name: {"exponential": "10s"} for name in ("conversion", "score", "revenue")}
WINDOW = {"attribution_window": "30s"}
BURSTS = {"rate": "3/s", "bursts": {"factor": 5, "every": "1m", "duration": "10s"}}


@pytest.mark.parametrize(
    ("said", "key"),
    [
        ({"capacity": {"champion": {"replicas": 4, "concurrency": 8}}}, "capacity"),
        ({"retries": {"attempts": 2, "on": ["error"], "backoff": "100ms"}}, "retries"),
        ({"users": {"count": 100}}, "users.assignment"),
        ({"users": {"count": 100, "assignment": "canary"}}, "users.assignment"),
        ({"users": {"count": 100, "assignment": "request", "similarity": "10%"}}, "users.similarity"),
        ({"traffic": {"rate": "3/s", "arrivals": "regular"}}, "traffic.arrivals"),
        ({"metrics": metrics(revenue={"gamma": GAMMA}), "timeline": [DRIFT]}, "metrics.revenue.delay"),
        ({"metrics": metrics(revenue={"exponential": "10s"}), "timeline": [DRIFT]}, "metrics.revenue.delay"),
        ({"metrics": metrics(revenue={"by_arm": {"a": {"exponential": "10s"}}}), "timeline": [DRIFT]}, "metrics.revenue.delay"),
        ({"metrics": metrics(conversion={"gamma": GAMMA}), "truth": SLOWER}, "metrics.conversion.delay"),
        ({"metrics": [{**metric, **WINDOW} for metric in metrics(**THREE)[:3]]}, "metrics.conversion.delay"),
        ({"metrics": metrics(conversion={"constant": "10s"}), "traffic": BURSTS}, "metrics.conversion.delay"),
        (
            {"timeline": [{"kind": "slowdown", "arm": "b", "at": "10s", "duration": "10s", "factor": 2}]},
            "calls of b outlast a tick",
        ),
    ],
)
def test_what_depends_on_more_than_counts_is_refused_by_its_key(said: dict[str, Any], key: str) -> None:
    world = three_families(**said)
    (reason,) = refusals(world)
    assert reason.startswith(key)
    with pytest.raises(InputError, match=key):
        choose("aggregate", world)
    assert choose("auto", world).name == "compiled"
    assert reason in choose("auto", world).reason


@pytest.mark.parametrize(
    ("latencies", "tick", "engine"),
    [
        (("1s", "1s"), "10s", "compiled"),
        (("1s", "1s"), "4m", "aggregate"),
        (("55ms", "60ms"), "10s", "compiled"),
        (("45ms", "1s"), "10s", "aggregate"),
    ],
)
def test_mirrors_are_refused_where_calls_are_in_flight_together_with_their_copies(
    latencies: tuple[str, str], tick: str, engine: str
) -> None:
    world = make_world(make_scenario(tick=tick), [behaves(latency={"constant": latency}) for latency in latencies])
    assert choose("auto", world, (Count("errors", mirrored=True), Count("responses"))).name == engine
    assert choose("auto", world, (Count("errors"), Count("responses"))).name == "aggregate"


def test_below_the_limit_live_and_mirrored_responses_go_together_as_they_should() -> None:
    """All calls take half a percent of a tick: the correlation is 1, and off by 0.01 where they are drawn apart."""
    scenario = make_scenario(tick="10s", horizon="20s", traffic={"rate": "20/s"})
    world = make_world(scenario, [behaves(latency={"constant": "50ms"})] * 2)
    rows = np.arange(4_000)
    engine = AggregateEngine(world.realise(rows), (Count("responses"), Count("responses", mirrored=True)), True)
    live, mirror = np.tile([1.0, 0.0], (rows.size, 1)), np.tile([0.0, 1.0], (rows.size, 1))
    for _ in range(2):
        counts = engine.step(Routing(rows, live, mirror, np.zeros_like(rows))).counts
    assert np.corrcoef(counts[:, 0, 0], counts[:, 1, 1])[0, 1] > 0.99 - 4 * 0.0003


@pytest.mark.parametrize(
    "said",
    [
        {"users": {"count": 100, "assignment": "request"}},
        {"metrics": metrics(revenue={"constant": "15s"}), "timeline": [DRIFT]},
        {"metrics": metrics(score={"exponential": "15s"}), "timeline": [DRIFT]},
        {"metrics": metrics(score={"gamma": GAMMA}), "traffic": {"rate": "60/s"}},
        {"metrics": metrics(conversion={"by_outcome": {"failure": {"gamma": GAMMA}}}), "traffic": {"rate": "60/s"}},
        {"metrics": metrics(conversion={"by_arm": {"b": {"gamma": GAMMA}}}), "traffic": {"rate": "60/s"}},
        {"traffic": BURSTS, "telemetry": {"lag": "20s", "loss": "5%"}, "router": {"misrouted": {"a": "1%"}}},
        {"timeline": [{"kind": "slowdown", "arm": "b", "at": "10s", "duration": "10s", "factor": 1.5}]},
    ],
)
def test_what_happens_to_requests_on_their_own_is_carried(said: dict[str, Any]) -> None:
    assert choose("auto", three_families(**said)).name == "aggregate"


@pytest.mark.parametrize(("names", "refused"), [(("worth",), False), (("right", "worth"), True)])
def test_a_row_of_the_data_that_decides_several_metrics_cannot_be_known_in_parts(names: tuple[str, ...], refused: bool) -> None:
    right = np.array([[1, 0], [0, 1], [1, 1]])
    said = {
        "right": {"name": "right", "reward": "correct"},
        "worth": {"name": "worth", "reward": {"column": "price"}, "grid": 1.0, "delay": {"constant": "1h"}},
    }
    chosen = [{**said[name], "role": "primary" if name == names[0] else "secondary"} for name in names]
    scenario = make_scenario(metrics=chosen, data={"sklearn": "digits"})
    rewards = {"right": right, "worth": right * 5}
    world = make_replayed_world(scenario, {name: rewards[name] for name in names}, right == right[:, :1])
    assert bool(list(refusals(world))) == refused


@pytest.mark.parametrize(("rate", "engine"), [("1/s", "compiled"), ("4/s", "aggregate")])
def test_auto_takes_what_is_quicker_where_payoffs_are_many(rate: str, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    worth = np.arange(3000.0).reshape(1500, 2)
    metrics = [{"name": "worth", "role": "primary", "reward": {"column": "price"}}]
    data = {"sklearn": "digits", "population": "rows"}
    scenario = make_scenario(metrics=metrics, data=data, traffic={"rate": rate}, replications=4000)
    world = make_replayed_world(scenario, {"worth": worth}, np.ones((1500, 2)))
    choice = choose("auto", world)
    assert choice.name == engine
    assert ("worth has 1,500 different payoffs, and a tick 600 requests" in choice.reason) == (engine == "compiled")
    assert choose("aggregate", world).name == "aggregate"
    # Slower is no reason to play without a compiler.
    monkeypatch.setattr("sim.jit.missing", "no compiler")
    assert choose("auto", world).name == "aggregate"
    # What is the same in every replication is held once, and not 4,000 times 2 * 1,500 * 8 bytes.
    tracemalloc.start()
    truth = world.realise(np.arange(4000))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < truth.arrivals.nbytes * 4 + 2e6


@pytest.mark.parametrize(("rate", "engine"), [("3/s", "compiled"), ("30/s", "aggregate")])
def test_auto_takes_what_is_quicker_where_a_delay_has_an_age(rate: str, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    world = three_families(metrics=metrics(conversion={"gamma": GAMMA}), traffic={"rate": rate})
    choice = choose("auto", world)
    assert choice.name == engine
    assert ("metrics.conversion.delay: it is drawn tick by tick" in choice.reason) == (engine == "compiled")
    assert choose("aggregate", world).name == "aggregate"
    monkeypatch.setattr("sim.jit.missing", "no compiler")
    assert choose("auto", world).name == "aggregate"


@pytest.mark.parametrize(("horizon", "engine"), [("1d", "compiled"), ("12h", "aggregate")])
def test_auto_leaves_a_delay_that_has_an_age_to_others_where_latencies_change_all_the_time(horizon: str, engine: str) -> None:
    leak = [{"kind": "leak", "arm": "challenger", "at": "0s", "per_hour": "10%"}]
    late = [{"name": "conversion", "role": "primary", "delay": {"gamma": GAMMA}}]
    world = make_world(make_scenario(metrics=late, timeline=leak, horizon=horizon), [behaves(latency={"constant": "20ms"})] * 2)
    choice = choose("auto", world)
    assert choice.name == engine
    assert ("at each of 144 latencies of the timeline" in choice.reason) == (engine == "compiled")


def test_a_trace_is_uneven_only_where_it_bends_within_a_tick(tmp_path: Any) -> None:
    (tmp_path / "trace.csv").write_text("requests\n" + "\n".join(str(10 + count % 7) for count in range(30)))
    for interval, refused in (("10s", False), ("2s", True)):
        trace = {"file": str(tmp_path / "trace.csv"), "count": "requests", "interval": interval}
        said = {"traffic": {"trace": trace}, "metrics": metrics(conversion={"exponential": "10s"})}
        found = list(refusals(three_families(**said)))
        assert bool(found) == refused
        assert all("traffic.trace" in reason for reason in found)


def test_feedback_comes_when_the_delay_says() -> None:
    said = [{"name": "conversion", "role": "primary", "delay": {"constant": "20s"}}]
    instant = behaves(outcomes={"conversion": {"bernoulli": 1.0}}, latency={"constant": "1ns"}, error_rate=0.0)
    world = make_world(make_scenario(metrics=said, tick="10s", horizon="1m", traffic={"rate": "20/s"}), [instant] * 2)
    engine = AggregateEngine(world.realise(np.arange(3)), (Count("requests"), *mean_of("conversion")), False)
    rows, half, none, cohort = np.arange(3), np.full((3, 2), 0.5), np.zeros((3, 2)), np.zeros(3, np.int64)
    counts = np.stack([engine.step(Routing(rows, half, none, cohort)).counts for _ in range(6)])
    assert not counts[:2, ..., 1].any()
    assert np.array_equal(counts[2:, ..., 1], counts[:4, ..., 0])
    assert np.array_equal(counts[..., 1], counts[..., 2])
