"""What `run.json` says of a plan that was played."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from sim.run.blocks import Which
from sim.run.plan import Plan, PlannedPoint
from sim.version import VERSION

# What all points have in common, whatever it is.
_OF_ALL = ("started_at", "finished_at", "status")


def about(plan: Plan, completed: Collection[Which], started: datetime, *, interrupted: bool = False) -> dict[str, Any]:
    """The content of `run.json`: the run as of its first point, and where keys are swept what each point has of its own.

    `completed` are the policies that ran to their end, by the number of their point.
    """
    each = [
        _about(point, [name for name in point.forms if (at, name) in completed], started, interrupted)
        for at, point in enumerate(plan.points)
    ]
    if not plan.paths:
        return each[0]
    everywhere = [name for name in plan.points[0].forms if all(name in said["completed"] for said in each)]
    shared = {**each[0], "digest": plan.digest, "completed": everywhere}
    points = [
        {
            "values": list(point.values),
            "numbers": list(point.numbers),
            "run": {key: said[key] for key in said if key == "completed" or (key not in _OF_ALL and said[key] != shared[key])},
        }
        for point, said in zip(plan.points, each, strict=True)
    ]
    return {**shared, "sweep": {"paths": list(plan.paths), "points": points}}


def _about(point: PlannedPoint, completed: list[str], started: datetime, interrupted: bool) -> dict[str, Any]:
    scenario = point.scenario
    metric = point.world.setting(1).metrics[point.world.primary]
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
        "primary": {"name": metric.name, "sign": metric.sign, "binary": metric.binary},
        "policies": [{"name": policy.name, "kind": policy.kind} for policy in scenario.policies],
        "baseline": scenario.baseline or scenario.policies[0].name,
        "started_at": started.isoformat(timespec="milliseconds"),
        "finished_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "status": "interrupted" if interrupted else "finished",
        "completed": completed,
        "versions": [
            {key: getattr(version, key) for key in ("arm", "uri", "name", "version", "model_id", "run_id", "kind", "digest")}
            for version in point.versions
        ],
        "data": None if point.data is None else {"name": point.data.name, "digest": point.data.digest, "rows": point.data.rows},
        "requests_expected": float(point.world.requests.sum()),
        "thresholds": dict(scenario.thresholds),
        "warnings": [str(warning) for warning in point.warnings],
        "smallest_effect": point.world.smallest_effect,
        "sim_version": VERSION,
    }
