"""How fast the engines are: ratios measured side by side in one run. `python -m tests.benchmark.engines` from the project.

Every figure is the median of several rounds, in which the measured things take turns.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np

from sim.engine.catalogue import make
from sim.run.trial import play
from tests.worlds import behaves, make_scenario, make_world

# The six policies of the speed goal: two baselines, a test, a bandit, a canary, and a chain of three.
CANARY = {
    "name": "canary",
    "kind": "canary",
    "steps": [{"weight": "10%", "bake": "1h"}, {"weight": "25%", "bake": "1h"}, {"weight": "50%", "bake": "2h"}],
    "checks": [{"metric": "error_rate", "max": "1%", "trip": 2, "min_requests": 200}],
}
SHADOW = {
    "name": "shadow",
    "kind": "shadow",
    "duration": "1d",
    "checks": [{"metric": "latency", "quantile": "99%", "max": "400ms", "trip": 3}],
}
SIX = [
    {"name": "switch", "kind": "switch"},
    {"name": "hold", "kind": "hold"},
    {"name": "ab", "kind": "ab", "evidence": {"kind": "fixed_horizon", "mde": "2%"}},
    {"name": "bandit", "kind": "bandit", "allocation": {"kind": "thompson", "floor": "5%"}},
    CANARY,
    {"name": "careful", "kind": "stages", "stages": [SHADOW, "canary", "ab"]},
]
UNDECIDED = [{"name": "ab", "kind": "ab", "evidence": {"kind": "fixed_horizon", "sample": 10**15}}]


def runner(engine: str, replications: int, horizon: str, rate: str, policies: list[dict[str, object]]) -> Callable[[], float]:
    """A run of all policies; answers with the requests it stood for."""
    truth = {"challenger": {"conversion": {"relative_effect": {"normal": {"mean": "0%", "sd": "2%"}}}}}
    scenario = make_scenario(replications=replications, horizon=horizon, traffic={"rate": rate}, policies=policies, truth=truth)
    world = make_world(scenario, [behaves(), behaves()])
    forms = {policy.name: policy for policy in scenario.policies}

    def run() -> float:
        block = world.realise(np.arange(replications))
        for policy in scenario.policies:
            play(block, policy.build(forms, scenario.arms), make(engine), 400)
        return float(block.arrivals.sum()) * len(policies)

    return run


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--replications", type=int, default=1000)
    parser.add_argument("--horizon", default="14d")
    options = parser.parse_args()
    said = options.replications, options.horizon
    contenders = {
        "aggregate, six policies, 40/s": runner("aggregate", *said, "40/s", SIX),
        "aggregate, six policies, 400/s": runner("aggregate", *said, "400/s", SIX),
        "aggregate, one policy that never decides, 40/s": runner("aggregate", *said, "40/s", UNDECIDED),
        "simpy, one policy, 2 replications of 1 h at 5/s": runner("simpy", 2, "1h", "5/s", UNDECIDED),
    }
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    requests: dict[str, float] = {}
    for _ in range(options.rounds):
        for name, run in contenders.items():
            start = time.perf_counter()
            requests[name] = run()
            seconds[name].append(time.perf_counter() - start)
    first = next(iter(contenders))
    middle = {name: statistics.median(taken) for name, taken in seconds.items()}
    print(f"{'one core, median of ' + str(options.rounds):<50} {'seconds':>8} {'ratio':>7} {'requests/s':>11}")
    for name, taken in middle.items():
        print(f"{name:<50} {taken:8.2f} {taken / middle[first]:7.2f} {requests[name] / taken:11.2e}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 if sys.platform == "darwin" else 1024)
    print(f"peak memory {peak:.0f} MB")


if __name__ == "__main__":
    main()
