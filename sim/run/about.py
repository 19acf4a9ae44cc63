"""The content of `run.json` for a plan that was played."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict
from datetime import datetime
from functools import reduce
from typing import Any

from sim.policy.hours import DAY_S
from sim.policy.setting import Setting
from sim.registry.data import Data, type_name
from sim.run.blocks import Which
from sim.run.checkpoints import played_by
from sim.run.found import EnoughRecord
from sim.run.plan import Plan, PlannedPoint
from sim.run.record import Span, now
from sim.scenario.calibrate import AA_PROMISE
from sim.scenario.value import Programme
from sim.version import VERSION

# Keys that belong to the run as a whole, not to its points.
_OF_ALL = ("started_at", "finished_at", "status")
# Keys that each point has, whatever the others have.
_OWN = ("completed", "played")


def about(
    plan: Plan,
    completed: Collection[Which],
    started: datetime,
    *,
    interrupted: bool = False,
    enough: EnoughRecord | None = None,
    played: Mapping[Which, Span] | None = None,
) -> dict[str, Any]:
    """The content of `run.json`: the values of the first point and, with a sweep, those values of each point that differ.

    `completed` are the policies that ran to their end, each with the number of its point. `enough` says how many replications
    were played of a plan that adds them until there are enough. `played` says when policies were played at points.
    """
    records = [
        _about(point, [name for name in point.forms if (number, name) in completed], started, interrupted)
        for number, point in enumerate(plan.points)
    ]
    if enough is not None:
        counted = {"replications": enough.replications, "enough": enough.model_dump(mode="json")}
        records = [record | counted for record in records]
    spans = [_spans(point, number, played or {}) for number, point in enumerate(plan.points)]
    records = [
        record | {"played": {name: span.model_dump(mode="json") for name, span in own.items()}}
        for record, own in zip(records, spans, strict=True)
    ]
    if not plan.paths:
        return {**records[0], "sensitivity": _sensitivity(plan, records[0], completed, started, interrupted)}
    everywhere = [name for name in plan.points[0].forms if all(name in record["completed"] for record in records)]
    shared = {**records[0], "digest": plan.digest, "completed": everywhere}
    anywhere = {name: [own[name] for own in spans if name in own] for name in plan.points[0].forms}
    shared["played"] = {name: reduce(Span.with_, found).model_dump(mode="json") for name, found in anywhere.items() if found}
    points = [
        {"values": list(point.values), "numbers": list(point.numbers), "run": _unlike(record, shared)}
        for point, record in zip(plan.points, records, strict=True)
    ]
    return {**shared, "sweep": {"paths": list(plan.paths), "points": points}}


def _spans(point: PlannedPoint, number: int, played: Mapping[Which, Span]) -> dict[str, Span]:
    """When the policies were played at a point."""
    return {name: played[number, name] for name in point.forms if (number, name) in played}


def _unlike(record: dict[str, Any], shared: dict[str, Any]) -> dict[str, Any]:
    """What differs of a point or another world, and the policies that it has."""
    return {
        key: value for key, value in record.items() if key in _OWN or (key not in _OF_ALL and value != shared[key])
    }  # fmt: skip


def _sensitivity(
    plan: Plan, shared: dict[str, Any], completed: Collection[Which], started: datetime, interrupted: bool
) -> dict[str, Any] | None:
    """The other worlds of a plan, and those that are left out; None where it is off."""
    if not plan.variants and not plan.left_out:
        return None
    variants = []
    for number, variant in enumerate(plan.variants, start=len(plan.points)):
        own = [name for name in variant.point.forms if (number, name) in completed]
        record = _about(variant.point, own, started, interrupted)
        change = variant.change
        variants.append(
            {"what": change.what, "told": change.told, "values": dict(change.values), "run": _unlike(record, shared)}
        )
    return {"variants": variants, "left_out": dict(plan.left_out)}


def _data(data: Data | None) -> dict[str, Any] | None:
    if data is None:
        return None
    columns = {str(name): type_name(data.frame[name]) for name in data.frame.columns}
    return {"name": data.name, "digest": data.digest, "rows": data.rows, "columns": columns}


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
                "promised": _promised(point, policy.name, setting),
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
        "data": _data(point.data),
        "parts": [asdict(part) for part in point.parts],
        "requests_expected": float(point.world.requests.sum()),
        "assumptions": dict(point.assumptions),
        "value": _value(point),
        "programme": _programme(scenario.programme),
        "calibrated": [each.model_dump(mode="json") for each in point.calibrated],
        "enough": None,
        "goal": scenario.goal,
        "require": dict(scenario.require),
        "thresholds": dict(scenario.thresholds),
        "warnings": [str(warning) for warning in point.warnings],
        "smallest_effect": point.world.smallest_effect,
        "sim_version": VERSION,
        "sources": played_by(),
    }


def _promised(point: PlannedPoint, policy: str, setting: Setting) -> float | None:
    """How often, at most, a policy says that it declares a difference where all arms are alike.

    A calibrated one says what it was calibrated for, whatever its rule makes of the number that stands there.
    """
    found = next((each for each in point.calibrated if each.policy == policy), None)
    if found is None:
        return point.policy(policy).promised(setting)
    return found.asked if found.measure == AA_PROMISE else None


def _value(point: PlannedPoint) -> dict[str, Any]:
    world, horizon_s = point.world, point.scenario.horizon
    prices = world.value.model_dump(exclude={"lifetime", "per"})
    settled = {"lifetime_s": world.value.lasts(horizon_s), "per": dict(world.prices), "competing": world.competing}
    return {**prices, **settled, "stated": point.scenario.value is not None}


def _programme(programme: Programme | None) -> dict[str, Any] | None:
    if programme is None:
        return None
    return {"candidates_per_year": programme.candidates * 365 * DAY_S, "at_once": programme.at_once}
