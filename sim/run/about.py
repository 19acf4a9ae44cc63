"""The content of `run.json` for a plan that was played."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sim.run.blocks import Which
from sim.run.checkpoints import played_by
from sim.run.plan import Plan, PlannedPoint
from sim.run.record import now
from sim.version import VERSION

# Keys that belong to the run as a whole, not to its points.
_OF_ALL = ("started_at", "finished_at", "status")


def about(plan: Plan, completed: Collection[Which], started: datetime, *, interrupted: bool = False) -> dict[str, Any]:
    """The content of `run.json`: the values of the first point and, with a sweep, those values of each point that differ.

    `completed` are the policies that ran to their end, each with the number of its point.
    """
    records = [
        _about(point, [name for name in point.forms if (number, name) in completed], started, interrupted)
        for number, point in enumerate(plan.points)
    ]
    if not plan.paths:
        return records[0]
    everywhere = [name for name in plan.points[0].forms if all(name in record["completed"] for record in records)]
    shared = {**records[0], "digest": plan.digest, "completed": everywhere}
    points = [
        {
            "values": list(point.values),
            "numbers": list(point.numbers),
            "run": {
                key: value
                for key, value in record.items()
                if key == "completed" or (key not in _OF_ALL and value != shared[key])
            },
        }
        for point, record in zip(plan.points, records, strict=True)
    ]
    return {**shared, "sweep": {"paths": list(plan.paths), "points": points}}


def _about(point: PlannedPoint, completed: list[str], started: datetime, interrupted: bool) -> dict[str, Any]:
    scenario = point.scenario
    setting = point.world.setting(1)
    metric = setting.metrics[point.world.primary]
    return {
        "name": scenario.name,
        "digest": point.digest,
        "question": scenario.question,
        "engine": point.engine.name,
        "engine_reason": point.engine.reason,
        "seed": scenario.seed,
        "replications": scenario.replications,
        "horizon_s": scenario.horizon,
        "tick_s": scenario.tick,
        "arms": list(scenario.arms),
        "primary": {"name": metric.name, "sign": metric.sign, "binary": metric.binary, "mean": metric.nominal_mean},
        "policies": [
            {
                "name": policy.name,
                "kind": policy.kind,
                "promised": point.policy(policy.name).promised(setting),
                "told": list(point.told[policy.name]),
                "warned": any(warning.path.startswith(f"policies[{index}].") for warning in point.warnings),
            }
            for index, policy in enumerate(scenario.policies)
        ],
        "baseline": scenario.baseline or scenario.policies[0].name,
        "started_at": started.isoformat(timespec="milliseconds"),
        "finished_at": max(now(), started).isoformat(timespec="milliseconds"),
        "status": "interrupted" if interrupted else "finished",
        "completed": completed,
        "versions": [
            {key: getattr(version, key) for key in ("arm", "uri", "name", "version", "model_id", "run_id", "kind", "digest")}
            for version in point.versions
        ],
        "data": None if point.data is None else {"name": point.data.name, "digest": point.data.digest, "rows": point.data.rows},
        "parts": [asdict(part) for part in point.parts],
        "requests_expected": float(point.world.requests.sum()),
        "assumptions": dict(point.assumptions),
        "value": _value(point),
        "goal": scenario.goal,
        "require": dict(scenario.require),
        "thresholds": dict(scenario.thresholds),
        "warnings": [str(warning) for warning in point.warnings],
        "smallest_effect": point.world.smallest_effect,
        "sim_version": VERSION,
        "sources": played_by(),
    }


def _value(point: PlannedPoint) -> dict[str, Any]:
    world, horizon_s = point.world, point.scenario.horizon
    prices = world.value.model_dump(exclude={"lifetime", "per"})
    settled = {"lifetime_s": world.value.lasts(horizon_s), "per": dict(world.prices), "competing": world.competing}
    return {**prices, **settled, "stated": point.scenario.value is not None}
