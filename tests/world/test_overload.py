"""Pools that cannot keep up are told before anything is played."""

from __future__ import annotations

from typing import Any

from sim.world.overload import overloads
from tests.worlds import behaves, make_scenario, make_world

SHADOW = {"name": "shadow", "kind": "shadow", "duration": "1h", "checks": [{"metric": "error_rate", "max": "1%"}]}


def warned(**changes: Any) -> list[str]:
    """A champion that takes 1 s and a challenger that takes 2 s, at 2 requests a second."""
    scenario = make_scenario(**changes)
    world = make_world(scenario, [behaves(latency={"constant": "1s"}), behaves(latency={"constant": "2s"})])
    return [str(problem) for problem in overloads(scenario, world)]


def test_a_pool_that_can_serve_either_arm_is_no_matter() -> None:
    assert warned() == []
    assert warned(pools={"main": {"replicas": 5, "arms": ["champion", "challenger"]}}) == []


def test_each_arm_that_cannot_serve_all_traffic_is_named() -> None:
    both = {"champion": {"replicas": 4}, "challenger": {"replicas": 1, "concurrency": 3}}
    assert warned(capacity=both) == [
        "capacity.challenger: if challenger serves all traffic, offered load reaches 1.33 of capacity, and is above it for "
        "all of 1d"
    ]
    assert len(warned(pools={"main": {"replicas": 2, "arms": ["champion", "challenger"]}})) == 2


def test_only_the_hours_that_are_too_busy_count() -> None:
    traffic = {"rate": "2/s", "daily": {"peak": "20:00", "amplitude": "50%"}}
    # 4 (1 + cos(phase) / 2) servers' work reaches 5 where the cosine reaches 1/2: 8 hours around the peak.
    (said,) = warned(traffic=traffic, pools={"main": {"replicas": 5, "arms": ["champion", "challenger"]}})
    assert said.startswith("pools.main: if challenger serves all traffic, offered load reaches 1.2 of capacity")
    assert said.endswith("for 8h of 1d (peak at 19:50)")


def test_scaling_counts_at_its_most_and_outages_and_slowdowns_as_they_are() -> None:
    scaling = {"challenger": {"replicas": 2, "scaling": {"most": 6}}}
    assert warned(capacity=scaling) == []
    outage = {"kind": "outage", "pool": "challenger", "at": "6h", "duration": "1h", "replicas": 3}
    (said,) = warned(capacity=scaling, timeline=[outage])
    assert "reaches 1.33 of capacity, and is above it for 1h of 1d (peak at 06:00)" in said
    slow = {"kind": "slowdown", "arm": "challenger", "at": "6h", "duration": "30m", "factor": 2}
    (said,) = warned(capacity=scaling, timeline=[slow])
    assert "reaches 1.33 of capacity, and is above it for 30m of 1d" in said


def test_a_shadow_that_slows_production_is_told() -> None:
    pool = {"main": {"replicas": 5, "arms": ["champion", "challenger"]}}
    (said,) = warned(pools=pool, policies=[SHADOW])
    assert said.startswith("pools.main: while shadow mirrors to challengers, offered load reaches 1.2 of capacity")
    assert warned(pools=pool, policies=[{**SHADOW, "mirror": "50%"}]) == []


def test_a_varied_latency_counts_with_its_mean() -> None:
    metrics = [{"name": "conversion", "role": "primary"}, {"name": "latency", "role": "guardrail"}]
    said = {"challenger": {"latency": {"relative_effect": "+50%"}}}
    capacity = {"challenger": {"replicas": 2}}
    (found,) = warned(capacity=capacity, metrics=metrics, truth=said)
    assert "reaches 1.5 of capacity" in found
