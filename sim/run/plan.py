"""The plan of a run, made from a scenario: versions, data, world and engine at each point."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.engine.catalogue import Choice, choose
from sim.errors import InputError, Problem
from sim.policy.catalogue import Outside, outside, parts_in
from sim.policy.columns import Column
from sim.policy.forms import Form
from sim.policy.machine import StagedPolicy
from sim.registry.versions import Version, resolve
from sim.run.assumptions import assumptions
from sim.run.found import CalibrationRecord
from sim.scenario.calibrate import AA_PROMISE, KEY
from sim.scenario.doubts import doubts
from sim.scenario.labels import JOINT, text_of
from sim.scenario.loading import Document, parse_path
from sim.scenario.schema import Scenario
from sim.scenario.sweep import gathered, points
from sim.scenario.variants import Change
from sim.version import VERSION
from sim.world.build import build as build_world
from sim.world.failures import doubtful_failures
from sim.world.left_open import left_open
from sim.world.overload import overloads
from sim.world.trace import Trace, read_trace
from sim.world.world import World

if TYPE_CHECKING:
    from sim.registry.data import Data
    from sim.registry.memory import Models
    from sim.registry.replay import ReplayTable
    from sim.registry.store import Client


UNUSED_DATA = "is for real model versions, which are replayed on it: every arm here is a behaviour model; leave it out"
NEEDS_DATA = "is required: real model versions are replayed on a data set"


@dataclass(frozen=True)
class Resolved:
    """The version of each arm and, if real versions are replayed, the data set and their predictions on it."""

    versions: tuple[Version, ...]
    data: Data | None = None
    table: ReplayTable | None = None


Resolver = Callable[[Scenario, Path], Resolved]
"""(scenario, folder) to resolved versions; files in the scenario are relative to the folder. Raises `InputError`."""

Settled = tuple[Scenario, tuple[CalibrationRecord, ...]]
"""A scenario without numbers that are to be calibrated, and how those that it had were found."""

Settle = Callable[[Scenario, Resolved, Path], Settled]
"""(scenario, versions, folder) to the scenario with its numbers calibrated. Raises `InputError` where there are none."""

UNSETTLED = "is to be calibrated, which takes playing it"


@dataclass(frozen=True)
class PlannedPoint:
    """One point of a run: its scenario, versions, data, world and engine.

    `digest` identifies the resolved scenario with its versions, its data and the text of `parts`. `parts` are the policy parts
    from outside this package. Files in the scenario are relative to the folder `base`. `warnings` describe settings that can be
    played but may be mistakes. `values` are the values of the swept keys as in the file; `numbers` are the same values as
    numbers, None if a value is not a number.
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
    told: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """{policy: what it does, in words}; made before anything is played, because parts from outside have a say."""
    assumptions: Mapping[str, str] = field(default_factory=dict)
    """What is taken for given, in words."""
    calibrated: tuple[CalibrationRecord, ...] = ()
    """The numbers of the scenario that were found by playing it."""

    @property
    def label(self) -> str:
        """The values in one text; empty where nothing is swept."""
        return JOINT.join(self.values)

    @property
    def forms(self) -> Mapping[str, Form]:
        """The policy forms by name."""
        return {policy.name: policy for policy in self.scenario.policies}

    def policy(self, name: str) -> StagedPolicy:
        """A new agent for one policy."""
        return self.forms[name].build(self.forms, self.scenario.arms)

    def needs(self) -> tuple[Column, ...]:
        """The telemetry columns that some policy needs, each once."""
        return needs_of(self.scenario, self.world)

    def resolved(self) -> dict[str, Any]:
        """The scenario as a dictionary, with aliases resolved to versions, absolute paths of files, and all defaults."""
        dumped = _located(self.scenario, self.base).dump()
        for model, version in zip(dumped["models"], self.versions, strict=True):
            model["uri"] = version.pinned
        return dumped


@dataclass(frozen=True)
class PlannedVariant:
    """Another world in which the policies are played again: what is otherwise in it, and how it is played."""

    change: Change
    point: PlannedPoint

    def of(self, replications: int) -> PlannedVariant:
        """The same with the first so many replications."""
        scenario = self.point.scenario.model_copy(update={"replications": replications})
        return replace(self, point=replace(self.point, scenario=scenario))


@dataclass(frozen=True)
class Plan:
    """One run: a scenario at one point, or at several points if it sweeps keys. `scenario` is as in the file.

    Points with the same seed use common random numbers: the same arrivals, and similar outcomes where rates are similar.
    `variants` are further worlds of the only point, each with one thing otherwise; `left_out` are those that are usual and are
    not played, with the reason.
    """

    scenario: Scenario
    points: tuple[PlannedPoint, ...]
    variants: tuple[PlannedVariant, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def worlds(self) -> tuple[PlannedPoint, ...]:
        """All that is played: the points, and then the variants, which have numbers after those of the points."""
        return (*self.points, *(variant.point for variant in self.variants))

    @property
    def paths(self) -> tuple[str, ...]:
        """The swept keys; empty without a sweep."""
        return tuple(self.scenario.sweep or ())

    @property
    def digest(self) -> str:
        """The digest of the only point; with a sweep, a digest of the swept keys and the points' digests."""
        if not self.paths:
            return self.points[0].digest
        text = json.dumps([VERSION, list(self.paths), [point.digest for point in self.points]])
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings of all points, each once."""
        return tuple(dict.fromkeys(str(warning) for point in self.points for warning in point.warnings))

    def labels(self, point: int) -> dict[str, Any]:
        """The columns that identify a point in the tables: its number and its values, as numbers if all points have numbers.

        Empty without a sweep.
        """
        if not self.paths:
            return {}
        columns: dict[str, Any] = {"point": point}
        labelled = self.points[point]
        for place, path in enumerate(self.paths):
            columns[f"sweep.{path}"] = labelled.numbers[place] if self._numeric[place] else labelled.values[place]
        return columns

    @cached_property
    def _numeric(self) -> tuple[bool, ...]:
        """Of each swept key, whether all of its values are numbers; asked for at each of thousands of points."""
        return tuple(all(point.numbers[place] is not None for point in self.points) for place in range(len(self.paths)))

    def resolved(self) -> dict[str, Any]:
        """The resolved scenario of the first point, with the sweep; aliases in the sweep are resolved too.

        Numbers that were calibrated stand in it; but not with a sweep, along which they differ.
        """
        sweep = {}
        for place, (path, values) in enumerate((self.scenario.sweep or {}).items()):
            by_value = {point.values[place]: point for point in self.points}
            sweep[path] = [_resolved_value(by_value[text_of(value)], path, value) for value in values]
        if not sweep:
            return self.points[0].resolved()
        still_open = {KEY: self.scenario.dump().get(KEY, {})}
        return {**self.points[0].resolved(), **still_open, "sweep": sweep}

    @property
    def text(self) -> str:
        """The resolved scenario as YAML."""
        import yaml

        return yaml.safe_dump(self.resolved(), sort_keys=False, allow_unicode=True, width=100)


def prepare(scenario: Scenario, document: Document, resolver: Resolver, settle: Settle | None = None) -> Plan:
    """Resolve the versions of every point, build its world and choose its engine.

    `scenario` has passed its checks. `document` is its text, with line numbers. `settle` finds the numbers that are to be
    calibrated, at every point. Raises `InputError` with every problem, each with its line and the points that have it.
    """
    base = Path(document.path).resolve().parent
    planned: list[PlannedPoint] = []
    by_point: list[tuple[str, Sequence[Problem]]] = []
    for point in points(scenario, document):
        try:
            resolved, own = resolver(point.scenario, base), point.scenario
            how: tuple[CalibrationRecord, ...] = ()
            if own.calibrated:
                if settle is None:
                    raise InputError(Problem(UNSETTLED, path) for path in own.calibrated)
                # What is wrong with the scenario is told before anything is played.
                plan_point(own, resolved, base)
                own, how = settle(own, resolved, base)
            plan = plan_point(own, resolved, base, how)
        except InputError as error:
            placed = [point.document.place(in_file(problem, point.scenario)) for problem in error.problems]
            by_point.append((point.label, placed))
        else:
            warnings = tuple(point.document.place(warning) for warning in plan.warnings)
            planned.append(replace(plan, warnings=warnings, values=point.texts, numbers=point.numbers))
            by_point.append((point.label, ()))
    problems = gathered(by_point)
    if problems:
        raise InputError(problems)
    return Plan(scenario, tuple(planned))


def plan_point(
    scenario: Scenario, resolved: Resolved, base: Path, calibrated: tuple[CalibrationRecord, ...] = ()
) -> PlannedPoint:  # fmt: skip
    """Plan a scenario without a sweep, as the only point of a run. Files are relative to the folder `base`.

    `calibrated` are those of its numbers that were found by playing it.

    Raises `InputError` if the world cannot be built or the engine cannot play it.
    """
    if scenario.data is not None and not any(version.kind == "replay" for version in resolved.versions):
        raise InputError([Problem(UNUSED_DATA, path="data")])
    traced = scenario.traffic.trace
    trace = None if traced is None else read_trace(traced, base)
    world = build_world(scenario, resolved.versions, resolved.table, trace)
    engine = choose(scenario.engine, world, needs_of(scenario, world))
    parts = outside(parts_in(scenario.policies))
    digest = _digest(_located(scenario, base), resolved.versions, resolved.data, trace, engine, parts, calibrated)
    warnings = (
        *doubts(scenario, [each.policy for each in calibrated if each.measure == AA_PROMISE]),
        *overloads(scenario, world),
        *left_open(scenario, world),
        *doubtful_failures(scenario, world),
    )
    forms: dict[str, Form] = {policy.name: policy for policy in scenario.policies}
    setting = world.setting(1)
    told = {name: form.told(forms, setting) for name, form in forms.items()}
    return PlannedPoint(
        scenario, resolved.versions, resolved.data, world, engine, digest, base, warnings, parts,
        told=told, assumptions=assumptions(scenario, world, calibrated), calibrated=calibrated,
    )  # fmt: skip


def from_registry(client: Client, cache: Path | None, *, unmeasured: bool = False) -> Resolver:
    """A resolver for versions in a registry. Real models are loaded, which runs their code, and scored on the scenario's data.

    `cache` is a folder for their predictions. `unmeasured` is for who measures their latency later: see `resolve`.
    """

    def resolved(scenario: Scenario, base: Path) -> Resolved:
        versions = tuple(resolve([(model.arm, model.uri) for model in scenario.models], client, unmeasured=unmeasured))
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
    """A resolver for behaviour models that a program defines in memory."""

    def resolved(scenario: Scenario, base: Path) -> Resolved:
        from sim.registry import memory

        return Resolved(memory.in_memory([(model.arm, model.uri) for model in scenario.models], models))

    return resolved


def once(resolver: Resolver) -> Resolver:
    """A resolver that asks another one once for the same models and data: worlds that differ in other things share them."""
    known: dict[Any, Resolved] = {}

    def resolved(scenario: Scenario, base: Path) -> Resolved:
        data = scenario.data
        if data is not None:
            # The gap between the data and live traffic is a fact of the world.
            data = data.model_copy(update={"shift": data.shift.model_copy(update={"gap": None})})
        rewards = tuple((metric.name, metric.reward) for metric in scenario.metrics)
        key = base, scenario.models, data, rewards
        if key not in known:
            known[key] = resolver(scenario, base)
        return known[key]

    return resolved


def needs_of(scenario: Scenario, world: World) -> tuple[Column, ...]:
    """The telemetry columns that some policy needs, each once."""
    forms: dict[str, Form] = {policy.name: policy for policy in scenario.policies}
    setting = world.setting(scenario.replications)
    needs = (need for form in forms.values() for need in form.build(forms, scenario.arms).needs(setting))
    return tuple(dict.fromkeys(needs))


def in_file(problem: Problem, scenario: Scenario) -> Problem:
    """A problem with its path as in the file: metrics are listed by index there, not by name."""
    for index, metric in enumerate(scenario.metrics):
        if problem.path.startswith(f"metrics.{metric.name}."):
            return replace(problem, path=f"metrics[{index}]." + problem.path.removeprefix(f"metrics.{metric.name}."))
    return problem


def _located(scenario: Scenario, base: Path) -> Scenario:
    """The scenario with absolute paths of its files."""
    data, trace = scenario.data, scenario.traffic.trace
    if data is not None and data.file is not None:
        located = data.model_copy(update={"file": str((base / data.file).resolve())})
        scenario = scenario.model_copy(update={"data": located})
    if trace is not None:
        recorded = trace.model_copy(update={"file": str((base / Path(trace.file).expanduser()).resolve())})
        scenario = scenario.model_copy(update={"traffic": scenario.traffic.model_copy(update={"trace": recorded})})
    return scenario


def _resolved_value(point: PlannedPoint, path: str, written: Any) -> Any:
    """A swept value as written, or resolved if it contains an alias or the path of a file."""
    try:
        original: Any = point.scenario.dump()
        resolved: Any = point.resolved()
        for part in parse_path(path):
            original, resolved = original[part], resolved[part]
    except (LookupError, TypeError):
        # A short form may store a key under another path.
        return written
    return written if original == resolved else resolved


def _digest(
    scenario: Scenario,
    versions: Iterable[Version],
    data: Data | None,
    trace: Trace | None,
    engine: Choice,
    parts: Sequence[Outside],
    calibrated: Sequence[CalibrationRecord],
) -> str:
    content = scenario.dump()
    if data is not None:
        # The digest depends on the content of the data, not on its path.
        content["data"] = {**content["data"], "file": None, "digest": data.digest}
    if trace is not None:
        content["traffic"]["trace"] = {**content["traffic"]["trace"], "file": None, "digest": trace.digest}
    content["models"] = [[version.arm, version.name, version.version, version.digest] for version in versions]
    played: list[Any] = [VERSION, engine.name, content]
    if parts:
        # The digest depends on the content of a part, not on its path.
        played.append([[part.family, part.kind, part.digest] for part in parts])
    if calibrated:
        # Its record says how a number was found, so it is another run than one with that number.
        played.append([each.model_dump(mode="json") for each in calibrated])
    text = json.dumps(played, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
