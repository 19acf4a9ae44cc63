"""Small scenarios and worlds for tests, without a registry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml

from sim.registry.behaviour import Behaviour
from sim.registry.memory import version
from sim.registry.replay import ReplayTable
from sim.registry.versions import Version
from sim.run.plan import Plan, Resolved, plan_point, prepare
from sim.scenario.loading import parse_yaml, validate
from sim.scenario.schema import Scenario
from sim.world.build import build
from sim.world.world import World

FAST = {"lognormal": {"median": "45ms", "p99": "180ms"}}


def make_scenario(**changes: Any) -> Scenario:
    """A champion and a challenger, one binary metric, a day of ten-minute ticks, an A/B test; `changes` replace whole keys.

    `arms=("champion", "a", "b")` is short for `models`.
    """
    arms = changes.pop("arms", ("champion", "challenger"))
    said: dict[str, Any] = {
        "name": "small",
        "seed": 7,
        "replications": 20,
        "aa": False,
        "horizon": "1d",
        "tick": "10m",
        "traffic": {"rate": "2/s"},
        "models": [{"arm": arm, "uri": f"models:/ranker/{number}"} for number, arm in enumerate(arms, start=1)],
        "metrics": [{"name": "conversion", "role": "primary"}],
        "policies": [{"name": "ab", "kind": "ab", "evidence": {"kind": "fixed_horizon", "sample": 5000}}],
    }
    return Scenario.model_validate({**said, **changes})


def behaves(**changes: Any) -> dict[str, Any]:
    """What one behaviour model says, as in a models file."""
    return {"outcomes": {"conversion": {"bernoulli": 0.05}}, "latency": FAST, "error_rate": "0.1%", **changes}


def make_versions(
    scenario: Scenario,
    behaviours: Sequence[Behaviour | Mapping[str, Any]] | None = None,
    kind: Literal["behaviour", "replay"] = "behaviour",
) -> list[Version]:
    """One version an arm, as the registry would have resolved it."""
    given = behaviours if behaviours is not None else [behaves()] * len(scenario.models)
    versions = []
    for number, (model, said) in enumerate(zip(scenario.models, given, strict=True), start=1):
        behaviour = said if isinstance(said, Behaviour) else Behaviour.model_validate(said)
        versions.append(version(model.arm, model.uri, number, behaviour, kind))
    return versions


def make_world(scenario: Scenario, behaviours: Sequence[Behaviour | Mapping[str, Any]] | None = None) -> World:
    """The world of a scenario whose arms behave as told, or all alike."""
    return build(scenario, make_versions(scenario, behaviours))


def make_plan(scenario: Scenario, behaviours: Sequence[Behaviour | Mapping[str, Any]] | None = None) -> Plan:
    """A run of one point, whose arms behave as told, or all alike."""
    return Plan(scenario, (plan_point(scenario, Resolved(tuple(make_versions(scenario, behaviours))), Path()),))


def make_swept_plan(
    scenario: Scenario, sweep: Mapping[str, list[Any]], behaviours: Sequence[Behaviour | Mapping[str, Any]] | None = None
) -> Plan:
    """A run of the points of a sweep, whose arms behave as told at all of them."""
    document = parse_yaml(yaml.safe_dump({**scenario.dump(), "sweep": dict(sweep)}), "a.yaml")
    resolved = Resolved(tuple(make_versions(scenario, behaviours)))
    return prepare(validate(document, Scenario), document, lambda asked, base: resolved)


def make_replayed_world(
    scenario: Scenario,
    rewards: Mapping[str, Any],
    agreement: Any,
    behaviours: Sequence[Mapping[str, Any]] | None = None,
    weights: Any = None,
) -> World:
    """The world of real models: rewards {metric: (rows, K)}, agreement (rows, K), measured latency and errors; weights (rows,)
    of the data."""
    agreed = np.asarray(agreement, bool)
    tables = {metric: np.asarray(table, np.float64) for metric, table in rewards.items()}
    table = ReplayTable(len(agreed), scenario.arms, tables, agreed, "hand-made", weights)
    said = behaviours if behaviours is not None else [behaves(outcomes={})] * len(scenario.models)
    return build(scenario, make_versions(scenario, said, kind="replay"), table)
