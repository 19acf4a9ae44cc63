"""Scenarios of the tests of forecasts, and their models in memory."""

from __future__ import annotations

from typing import Any

from sim.run.plan import PlannedPoint
from sim.workflow import plan_scenario

MODEL = {"outcomes": {"conversion": {"bernoulli": 0.3}}, "latency": {"constant": "50ms"}}


def scenario(**changes: Any) -> dict[str, Any]:
    """A fixed-horizon test whose sample is there after about ten of twenty days; `changes` replace whole keys."""
    said: dict[str, Any] = {
        "name": "under-way",
        "seed": 3,
        "replications": 50,
        "horizon": "20d",
        "tick": "12h",
        "aa": False,
        "sensitivity": "off",
        "traffic": {"rate": "100/h"},
        "models": [
            {"arm": "champion", "uri": "models:/m@champion"},
            {"arm": "challenger", "uri": "models:/m@challenger"},
        ],
        "metrics": [{"name": "conversion", "role": "primary"}],
        "truth": {"challenger": {"conversion": {"relative_effect": {"normal": {"mean": "0%", "sd": "4%"}}}}},
        "policies": [{"name": "ab", "kind": "ab", "evidence": {"kind": "fixed_horizon", "sample": 12000}}],
    }
    return said | changes


def point(said: dict[str, Any], model: dict[str, Any] | None = None) -> PlannedPoint:
    return plan_scenario(said, [model or MODEL] * len(said["models"])).points[0]
