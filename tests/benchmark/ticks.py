"""How long a tick takes: engine and policy, for 1,000 replications that all go on. `python -m tests.benchmark.ticks [ROUNDS]`.

Policies take turns. Of every tick the quickest round counts, so that whatever else the machine does is left out; the table has
the mean over ticks. To compare two versions, run it in the folders of both, in turns.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np

from sim.engine.catalogue import make
from sim.run.plan import PlannedPoint
from sim.workflow import plan_scenario
from sim.world.world import Truth

ROWS, TICKS = 1000, 200
FIXED = {"kind": "fixed_horizon", "sample": 10**9}
THOMPSON = {"kind": "thompson", "floor": "5%"}
CHECKS = [{"metric": "error_rate", "max": "50%"}]
POLICIES: list[dict[str, Any]] = [
    {"name": "ab-fixed", "kind": "ab", "evidence": FIXED},
    {"name": "ab-sequential", "kind": "ab", "evidence": {"kind": "group_sequential", "sample": 10**9}},
    {"name": "ab-sprt", "kind": "ab", "evidence": {"kind": "mixture_sprt", "mde": "2%", "alpha": 1e-9}},
    {"name": "thompson", "kind": "bandit", "allocation": THOMPSON, "evidence": FIXED},
    {"name": "canary", "kind": "canary", "steps": [{"weight": "5%", "bake": "200h"}], "checks": CHECKS},
    {"name": "first", "kind": "canary", "steps": [{"weight": "5%", "bake": "50h"}], "checks": CHECKS},
    {"name": "chain", "kind": "stages", "stages": ["first", "ab-fixed"]},
]


def tick_ns(point: PlannedPoint, truth: Truth, name: str) -> tuple[list[int], list[int]]:
    """Nanoseconds of each tick, of the engine and of the policy."""
    policy, setting = point.policy(name), point.world.setting(ROWS)
    engine = make(point.engine.name)(truth, policy.needs(setting), policy.mirrors())
    routing = policy.start(setting)
    of_engine, of_policy = [], []
    for _ in range(TICKS):
        start = time.perf_counter_ns()
        telemetry = engine.step(routing)
        between = time.perf_counter_ns()
        routing = policy.step(telemetry)
        of_engine.append(between - start)
        of_policy.append(time.perf_counter_ns() - between)
    return of_engine, of_policy


def main(rounds: int) -> None:
    """Measure and print."""
    behaviour = {"outcomes": {"conversion": {"bernoulli": 0.05}}, "latency": {"constant": "20ms"}}
    scenario = {
        "name": "ticks", "replications": ROWS, "horizon": f"{TICKS}h", "tick": "1h", "traffic": {"rate": "10/s"},
        "models": [{"arm": "champion", "uri": "models:/m/1"}, {"arm": "challenger", "uri": "models:/m/2"}],
        "metrics": [{"name": "conversion", "role": "primary"}], "policies": POLICIES,
    }  # fmt: skip
    point = plan_scenario(scenario, {"champion": behaviour, "challenger": behaviour}).points[0]
    truth = point.world.realise(np.arange(ROWS))
    names = [each["name"] for each in POLICIES if each["name"] != "first"]
    best = {name: np.full((2, TICKS), np.inf) for name in names}
    for _ in range(rounds):
        for name in names:
            best[name] = np.minimum(best[name], tick_ns(point, truth, name))
    print(f"{'ms a tick':<14}{'engine':>8}{'policy':>8}{'both':>8}")
    for name in names:
        of_engine, of_policy = best[name].mean(axis=1) / 1e6
        print(f"{name:<14}{of_engine:8.2f}{of_policy:8.2f}{of_engine + of_policy:8.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
