"""From a scenario file to everything a run needs: versions resolved, data scored, world built, engine chosen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.engine.catalogue import Choice, choose
from sim.errors import InputError, Problem
from sim.policy.forms import Form, build
from sim.policy.machine import StagedPolicy
from sim.registry.versions import Version, resolve
from sim.scenario.loading import Document
from sim.scenario.schema import Scenario
from sim.version import VERSION
from sim.world.build import build as build_world
from sim.world.overload import overloads
from sim.world.trace import Trace, read_trace
from sim.world.world import World

if TYPE_CHECKING:
    from sim.registry.data import Data
    from sim.registry.store import Client


NEEDS_DATA = "is required: real model versions are replayed on a data set"


@dataclass(frozen=True)
class Plan:
    """One run: what was asked, what is true, who plays. `digest` names the resolved scenario with its versions and data;
    `warnings` say, each at its line, what can be played but may not be meant.
    """

    scenario: Scenario
    versions: tuple[Version, ...]
    data: Data | None
    world: World
    engine: Choice
    digest: str
    warnings: tuple[str, ...] = ()

    @property
    def forms(self) -> Mapping[str, Form]:
        """The policies by name."""
        return {policy.name: policy for policy in self.scenario.policies}

    def policy(self, name: str) -> StagedPolicy:
        """A fresh agent of one policy."""
        return build(self.forms[name], self.forms, self.scenario.arms)

    def resolved(self) -> dict[str, Any]:
        """The scenario with aliases resolved to versions and defaults written out."""
        dumped = self.scenario.dump()
        for model, version in zip(dumped["models"], self.versions, strict=True):
            model["uri"] = version.pinned
        return dumped


def prepare(scenario: Scenario, document: Document, client: Client, cache: Path | None) -> Plan:
    """Resolve, score and build. Loads real models from the client's registry, which runs their code."""
    try:
        versions = resolve([(model.arm, model.uri) for model in scenario.models], client)
        base = Path(document.path).resolve().parent
        data, table = None, None
        if any(version.kind == "replay" for version in versions):
            from sim.registry.data import load_data
            from sim.registry.replay import replay

            if scenario.data is None:
                raise InputError([Problem(NEEDS_DATA, path="data")])
            data = load_data(scenario.data, base)
            rewards = {metric.name: metric.reward for metric in scenario.metrics if metric.reward is not None}
            table = replay(versions, data, rewards, client, cache)
        traced = scenario.traffic.trace
        trace = None if traced is None else read_trace(traced, base)
        world = build_world(scenario, versions, table, trace)
        engine = choose(scenario.engine, world, needs_of(scenario, world))
        warnings = tuple(str(document.place(problem)) for problem in overloads(scenario, world))
    except InputError as error:
        raise InputError([document.place(in_file(problem, scenario)) for problem in error.problems]) from error
    if scenario.data is not None and scenario.data.file is not None:
        absolute = scenario.data.model_copy(update={"file": str((base / scenario.data.file).resolve())})
        scenario = scenario.model_copy(update={"data": absolute})
    if traced is not None:
        found = traced.model_copy(update={"file": str((base / Path(traced.file).expanduser()).resolve())})
        scenario = scenario.model_copy(update={"traffic": scenario.traffic.model_copy(update={"trace": found})})
    return Plan(scenario, tuple(versions), data, world, engine, _digest(scenario, versions, data, trace, engine), warnings)


def needs_of(scenario: Scenario, world: World) -> tuple[str, ...]:
    """The telemetry columns that some policy needs, each once."""
    forms: dict[str, Form] = {policy.name: policy for policy in scenario.policies}
    setting = world.setting(scenario.replications)
    needs = (need for form in forms.values() for need in build(form, forms, scenario.arms).needs(setting))
    return tuple(dict.fromkeys(needs))


def in_file(problem: Problem, scenario: Scenario) -> Problem:
    """A problem of a metric by its name, at the metric's place in the file."""
    for index, metric in enumerate(scenario.metrics):
        if problem.path.startswith(f"metrics.{metric.name}."):
            return replace(problem, path=f"metrics[{index}]." + problem.path.removeprefix(f"metrics.{metric.name}."))
    return problem


def _digest(scenario: Scenario, versions: Iterable[Version], data: Data | None, trace: Trace | None, engine: Choice) -> str:
    said = scenario.dump()
    if data is not None:
        # The data's content counts, not the path it lies at.
        said["data"] = {**said["data"], "file": None, "digest": data.digest}
    if trace is not None:
        said["traffic"]["trace"] = {**said["traffic"]["trace"], "file": None, "digest": trace.digest}
    said["models"] = [[version.arm, version.name, version.version, version.digest] for version in versions]
    text = json.dumps([VERSION, engine.name, said], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
