"""Scenarios as users write them, small enough to play in milliseconds: ticks of ten seconds, calls of a second or so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from sim.scenario.schema import Scenario
from sim.world.world import World
from tests.worlds import behaves, make_scenario, make_world

Said = Mapping[str, Any]

METRICS = (
    {"name": "conversion", "role": "primary"},
    {"name": "revenue"},
    {"name": "error_rate", "role": "guardrail", "max": "30%"},
    {"name": "latency", "role": "guardrail", "quantile": "90%", "max": "4s"},
)
CHECKS = (
    {"metric": "error_rate", "max": "40%", "trip": 2, "min_requests": 5},
    {"metric": "latency", "quantile": "90%", "max": "5s", "min_requests": 5},
)
POLICIES: tuple[Said, ...] = (
    {"kind": "switch"},
    {"kind": "hold"},
    {"kind": "ab", "evidence": {"kind": "fixed_horizon", "sample": 60}},
    {"kind": "ab", "evidence": {"kind": "peeking", "every": "20s", "sample": 200}, "checks": CHECKS},
    {"kind": "ab", "evidence": {"kind": "posterior", "threshold": "80%"}, "max_duration": "2m"},
    {"kind": "bandit", "allocation": {"kind": "thompson", "floor": "5%"}, "evidence": {"kind": "posterior"}},
    {"kind": "bandit", "allocation": {"kind": "epsilon_greedy", "epsilon": "20%"}},
    {"kind": "canary", "steps": [{"weight": "10%", "bake": "20s"}, {"weight": "40%", "bake": "30s"}], "checks": CHECKS},
    {"kind": "shadow", "mirror": "50%", "duration": "40s", "checks": CHECKS},
    {
        "kind": "stages",
        "stages": [
            {"kind": "shadow", "name": "dark", "mirror": "100%", "duration": "20s", "checks": CHECKS},
            {"kind": "canary", "name": "few", "steps": [{"weight": "20%", "bake": "30s"}], "checks": CHECKS},
            {"kind": "ab", "name": "test", "evidence": {"kind": "posterior", "threshold": "75%"}},
        ],
    },
)
LATENCIES = (
    {"constant": "1s"}, {"constant": "3s"}, {"quantiles": {"0%": "1s", "60%": "1s", "100%": "8s"}}, {"exponential": "2s"},
    {"lognormal": {"median": "1s", "p99": "9s"}}, {"weibull": {"mean": "2s", "shape": 0.8}},
    {"gamma": {"mean": "2s", "sd": "1s"}}, {"pareto": {"minimum": "500ms", "tail": 1.5}},
)  # fmt: skip
EVENTS: tuple[Said, ...] = (
    {"kind": "drift", "arm": "challenger", "metric": "conversion", "at": "30s", "duration": "1m", "to": "-50%"},
    {"kind": "drift", "arm": "challenger", "metric": "latency", "at": "20s", "to": "50%"},
    {"kind": "novelty", "arm": "challenger", "metric": "revenue", "effect": "40%", "half_life": "30s"},
    {"kind": "errors", "arm": "challenger", "at": "40s", "duration": "30s", "rate": "60%"},
    {"kind": "slowdown", "arm": "champion", "at": "50s", "duration": "40s", "factor": 3},
    {"kind": "leak", "arm": "challenger", "per_hour": "6000%", "restart": "1m"},
)
OUTAGE = {"kind": "outage", "at": "1m", "duration": "30s", "replicas": 2}
SERVERS = st.fixed_dictionaries(
    {"replicas": st.integers(1, 3), "concurrency": st.integers(1, 3)},
    optional={
        "queue": st.sampled_from((0, 3, 10)), "timeout": st.sampled_from(("2s", "5s")),
        "patience": st.sampled_from(("1s", "3s")),
        "scaling": st.sampled_from(("10s", "0s", "15s")).map(
            lambda cold: {"least": 1, "most": 6, "target": "60%", "cold_start": cold, "cool_down": "20s"}
        ),
    },
)  # fmt: skip
TRAFFIC = st.sampled_from(
    (
        {"rate": "2/s"}, {"rate": "2/s", "arrivals": "regular"},
        {"rate": "1/s", "bursts": {"factor": 5, "every": "40s", "duration": "9s"}},
        {"rate": "1/s", "flash_crowds": [{"at": "50s", "factor": 6, "rise": "10s", "duration": "20s", "decay": "20s"}]},
    )
)  # fmt: skip
OPTIONAL = {
    "users": st.sampled_from(
        (
            {"count": 30}, {"count": 8, "activity": {"pareto": 1.5}, "similarity": "50%"},
            {"count": 50, "assignment": "request", "similarity": "30%"},
        )
    ),
    "segments": st.just(
        [{"name": "mobile", "share": "60%", "relative": {"conversion": "-20%"}}, {"name": "desktop", "share": "40%"}]
    ),
    "timeline": st.lists(st.sampled_from(EVENTS), unique_by=str, min_size=1, max_size=4),
    "telemetry": st.sampled_from(({"lag": "20s"}, {"loss": "10%"}, {"lag": "10s", "loss": "5%"})),
    "analysis": st.just("successes"),
    "router": st.just({"misrouted": {"challenger": "10%"}}),
    "retries": st.sampled_from(
        (
            {"backoff": "1s", "jitter": "0%"}, {"on": ["timeout"]},
            {"attempts": 4, "on": ["error"], "backoff": "500ms", "longest": "1s"},
        )
    ),
}  # fmt: skip

SCENARIOS = st.fixed_dictionaries(
    {
        "policy": st.sampled_from(POLICIES), "seed": st.integers(0, 10**6), "traffic": TRAFFIC,
        "latency": st.tuples(*[st.sampled_from(LATENCIES)] * 2), "errors": st.sampled_from(("5%", "0%", "20%")),
        "servers": st.none() | st.tuples(st.booleans(), SERVERS), "outage": st.booleans(),
        "delay": st.none() | st.sampled_from(({"constant": "10s"}, {"exponential": "15s"})),
    },
    optional=OPTIONAL,
)  # fmt: skip
"""A scenario of one policy; `servers` says whether both arms share them."""


def built(said: Said) -> tuple[Scenario, World]:
    """The scenario and the world of what was drawn."""
    more = {key: said[key] for key in ("seed", "traffic", *OPTIONAL) if key in said}
    if said["servers"] is not None:
        shared, servers = said["servers"]
        if shared:
            more["pools"] = {"main": {**servers, "arms": ["champion", "challenger"]}}
        else:
            more["capacity"] = {"challenger": servers}
        most = servers.get("scaling", {"most": servers["replicas"]})["most"]
        if said["outage"]:
            down = {**OUTAGE, "pool": "main" if shared else "challenger", "replicas": min(2, most)}
            more["timeline"] = [*more.get("timeline", ()), down]
    servers = said["servers"] and said["servers"][1]
    if "retries" in more and "timeout" in more["retries"].get("on", ()) and not {"timeout", "patience"} & set(servers or ()):
        # Without a timeout or a patience nobody can try again after one, and the check says so.
        del more["retries"]
    metrics = [dict(metric) for metric in METRICS]
    if said["delay"] is not None:
        metrics[0]["delay"] = said["delay"]
    policy = {"name": "it", **said["policy"]}
    scenario = make_scenario(tick="10s", horizon="3m", metrics=metrics, policies=[policy], **more)
    behaviours = [
        behaves(
            outcomes={
                "conversion": {"bernoulli": 0.3 + 0.2 * arm},
                "revenue": {"zero_inflated": {"rate": 0.4, "amount": {"lognormal": {"mean": 30.0, "sd": 10.0}}}},
            },
            latency=latency, error_rate=said["errors"], agreement="90%",
        )
        for arm, latency in enumerate(said["latency"])
    ]  # fmt: skip
    return scenario, make_world(scenario, behaviours)
