"""From a scenario to everything that a run needs, at each of its points: versions, data, world, engine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.engine.catalogue import Choice, choose
from sim.errors import InputError, Problem
from sim.policy.catalogue import Outside, outside, parts_in
from sim.policy.columns import Column
from sim.policy.forms import Form
from sim.policy.machine import StagedPolicy
from sim.registry.versions import Version, resolve
from sim.scenario.loading import Document, parse_path
from sim.scenario.schema import Scenario
from sim.scenario.sweep import JOINT, gathered, points, text_of
from sim.version import VERSION
from sim.world.build import build as build_world
from sim.world.overload import overloads
from sim.world.trace import Trace, read_trace
from sim.world.world import World

if TYPE_CHECKING:
    from sim.registry.data import Data
    from sim.registry.memory import Models
    from sim.registry.replay import ReplayTable
    from sim.registry.store import Client


NEEDS_DATA = "is required: real model versions are replayed on a data set"


@dataclass(frozen=True)
class Resolved:
    """The version that each arm is; and, where real versions are replayed, the data set and their answers on it."""

    versions: tuple[Version, ...]
    data: Data | None = None
    table: ReplayTable | None = None


Resolver = Callable[[Scenario, Path], Resolved]
"""Answers with the versions of a scenario whose files are relative to a folder. Raises `InputError`."""


@dataclass(frozen=True)
class PlannedPoint:
    """One point of a run: what is asked there, what is true, who plays.

    `digest` names the resolved scenario with its versions, data, and the texts of `parts`, which are those that do not ship.
    Files in the scenario are relative to the folder `base`. `warnings` say what can be played but may not be meant. `values`
    are those of the swept keys, as in the file; `numbers` are the same as numbers, None for what is none.
    """

    scenario: Scenario
    versions: tuple[Version, ...]
    data: Data | None
    world: World
    engine: Choice
    digest: str
    base: Path = Path()
    warnings: tuple[Problem, ...] = ()
    parts: tuple[Outside, ...] = ()
    values: tuple[str, ...] = ()
    numbers: tuple[float | None, ...] = ()

    @property
    def label(self) -> str:
        """The values in one text; empty where nothing is swept."""
        return JOINT.join(self.values)

    @property
    def forms(self) -> Mapping[str, Form]:
        """The policies by name."""
        return {policy.name: policy for policy in self.scenario.policies}

    def policy(self, name: str) -> StagedPolicy:
        """A fresh agent of one policy."""
        return self.forms[name].build(self.forms, self.scenario.arms)

    def needs(self) -> tuple[Column, ...]:
        """The telemetry columns that some policy needs, each once."""
        return needs_of(self.scenario, self.world)

    def resolved(self) -> dict[str, Any]:
        """The scenario with aliases resolved to versions, files to absolute paths, and defaults written out."""
        dumped = _located(self.scenario, self.base).dump()
        for model, version in zip(dumped["models"], self.versions, strict=True):
            model["uri"] = version.pinned
        return dumped


@dataclass(frozen=True)
class Plan:
    """One run: a scenario at one point, or at several where it sweeps keys. `scenario` is as in the file.

    Points that share a seed share their draws: the same arrivals, and outcomes as alike as their rates are.
    """

    scenario: Scenario
    points: tuple[PlannedPoint, ...]

    @property
    def paths(self) -> tuple[str, ...]:
        """The keys that are swept; none in a run of one point without a sweep."""
        return tuple(self.scenario.sweep or ())

    @property
    def digest(self) -> str:
        """Of the only point; with a sweep, of what is swept and the points' digests."""
        if not self.paths:
            return self.points[0].digest
        text = json.dumps([VERSION, list(self.paths), [point.digest for point in self.points]])
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def warnings(self) -> tuple[str, ...]:
        """Of all points, each once."""
        return tuple(dict.fromkeys(str(warning) for point in self.points for warning in point.warnings))

    def labels(self, point: int) -> dict[str, Any]:
        """The columns that tell a point in the tables: its number, and its values, as numbers where all points have one.

        None where nothing is swept.
        """
        if not self.paths:
            return {}
        columns: dict[str, Any] = {"point": point}
        for place, path in enumerate(self.paths):
            numeric = all(each.numbers[place] is not None for each in self.points)
            here = self.points[point]
            columns[f"sweep.{path}"] = here.numbers[place] if numeric else here.values[place]
        return columns

    def resolved(self) -> dict[str, Any]:
        """The scenario at its first point with aliases resolved and defaults written out, and the sweep's aliases likewise."""
        sweep = {}
        for place, (path, values) in enumerate((self.scenario.sweep or {}).items()):
            at = {point.values[place]: point for point in self.points}
            sweep[path] = [_resolved_value(at[text_of(value)], path, value) for value in values]
        return {**self.points[0].resolved(), **({"sweep": sweep} if sweep else {})}


def prepare(scenario: Scenario, document: Document, resolver: Resolver) -> Plan:
    """Resolve the versions of every point, build its world and choose its engine.

    `scenario` has passed its checks; `document` is what it was read from, and knows its lines. Raises `InputError` with every
    problem, each at its line and naming the points that have it.
    """
    base = Path(document.path).resolve().parent
    planned: list[PlannedPoint] = []
    found: list[tuple[str, Sequence[Problem]]] = []
    for point in points(scenario, document):
        try:
            made = plan_point(point.scenario, resolver(point.scenario, base), base)
        except InputError as error:
            placed = [point.document.place(in_file(problem, point.scenario)) for problem in error.problems]
            found.append((point.label, placed))
        else:
            warnings = tuple(point.document.place(warning) for warning in made.warnings)
            planned.append(replace(made, warnings=warnings, values=point.texts, numbers=point.numbers))
            found.append((point.label, ()))
    problems = gathered(found)
    if problems:
        raise InputError(problems)
    return Plan(scenario, tuple(planned))


def plan_point(scenario: Scenario, resolved: Resolved, base: Path) -> PlannedPoint:
    """A scenario without a sweep, with its versions, as the only point of a run. Files are relative to the folder `base`.

    Raises `InputError` for a world that cannot be built, and an engine that cannot play it.
    """
    traced = scenario.traffic.trace
    trace = None if traced is None else read_trace(traced, base)
    world = build_world(scenario, resolved.versions, resolved.table, trace)
    engine = choose(scenario.engine, world, needs_of(scenario, world))
    parts = outside(parts_in(scenario.policies))
    digest = _digest(_located(scenario, base), resolved.versions, resolved.data, trace, engine, parts)
    warnings = tuple(overloads(scenario, world))
    return PlannedPoint(scenario, resolved.versions, resolved.data, world, engine, digest, base, warnings, parts)


def from_registry(client: Client, cache: Path | None) -> Resolver:
    """Resolves the versions of a registry. Real ones are loaded, which runs their code, and scored on the scenario's data.

    `cache` is a folder for their predictions.
    """

    def resolved(scenario: Scenario, base: Path) -> Resolved:
        versions = tuple(resolve([(model.arm, model.uri) for model in scenario.models], client))
        if not any(version.kind == "replay" for version in versions):
            return Resolved(versions)
        from sim.registry.data import load_data
        from sim.registry.replay import replay

        if scenario.data is None:
            raise InputError([Problem(NEEDS_DATA, path="data")])
        data = load_data(scenario.data, base)
        rewards = {metric.name: metric.reward for metric in scenario.metrics if metric.reward is not None}
        return Resolved(versions, data, replay(versions, data, rewards, client, cache))

    return resolved


def in_memory(models: Models) -> Resolver:
    """Resolves behaviours that a program gives."""

    def resolved(scenario: Scenario, base: Path) -> Resolved:
        from sim.registry import memory

        return Resolved(memory.in_memory([(model.arm, model.uri) for model in scenario.models], models))

    return resolved


def needs_of(scenario: Scenario, world: World) -> tuple[Column, ...]:
    """The telemetry columns that some policy needs, each once."""
    forms: dict[str, Form] = {policy.name: policy for policy in scenario.policies}
    setting = world.setting(scenario.replications)
    needs = (need for form in forms.values() for need in form.build(forms, scenario.arms).needs(setting))
    return tuple(dict.fromkeys(needs))


def in_file(problem: Problem, scenario: Scenario) -> Problem:
    """A problem of a metric by its name, at the metric's place in the file."""
    for index, metric in enumerate(scenario.metrics):
        if problem.path.startswith(f"metrics.{metric.name}."):
            return replace(problem, path=f"metrics[{index}]." + problem.path.removeprefix(f"metrics.{metric.name}."))
    return problem


def _located(scenario: Scenario, base: Path) -> Scenario:
    """The scenario with the absolute paths of its files."""
    data, trace = scenario.data, scenario.traffic.trace
    if data is not None and data.file is not None:
        there = data.model_copy(update={"file": str((base / data.file).resolve())})
        scenario = scenario.model_copy(update={"data": there})
    if trace is not None:
        found = trace.model_copy(update={"file": str((base / Path(trace.file).expanduser()).resolve())})
        scenario = scenario.model_copy(update={"traffic": scenario.traffic.model_copy(update={"trace": found})})
    return scenario


def _resolved_value(point: PlannedPoint, path: str, written: Any) -> Any:
    """A swept value as it is written, unless it holds what is resolved: an alias, or the path of a file."""
    try:
        said: Any = point.scenario.dump()
        resolved: Any = point.resolved()
        for part in parse_path(path):
            said, resolved = said[part], resolved[part]
    except (LookupError, TypeError):
        # A short form may keep a key elsewhere.
        return written
    return written if said == resolved else resolved


def _digest(
    scenario: Scenario,
    versions: Iterable[Version],
    data: Data | None,
    trace: Trace | None,
    engine: Choice,
    parts: Sequence[Outside],
) -> str:
    said = scenario.dump()
    if data is not None:
        # The data's content counts, not the path it lies at.
        said["data"] = {**said["data"], "file": None, "digest": data.digest}
    if trace is not None:
        said["traffic"]["trace"] = {**said["traffic"]["trace"], "file": None, "digest": trace.digest}
    said["models"] = [[version.arm, version.name, version.version, version.digest] for version in versions]
    played: list[Any] = [VERSION, engine.name, said]
    if parts:
        # What a part is made of counts, not where that lies.
        played.append([[part.family, part.kind, part.digest] for part in parts])
    text = json.dumps(played, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
