"""Several runs together: which of them are of one world, where they differ, and what follows from those that can be paired."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from sim.compare.comparison import Comparison
from sim.compare.decision import Decision, decide
from sim.compare.measures import MEASURES
from sim.compare.memo import memo
from sim.compare.result import PointComparison
from sim.compare.saved import read_saved
from sim.compare.trials import Trials, read_trials
from sim.compare.wording import listed
from sim.errors import InputError, Problem, format_path, visible
from sim.run.record import Record, RunPoint
from sim.scenario.labels import text_of
from sim.scenario.loading import parse_path, read_yaml
from sim.scenario.put import put
from sim.stats.intervals import Estimate

MOST_RUNS = 50
# A sentence names at most so many measures or runs.
MOST_LISTED = 6

# Keys that change neither what a trial meets nor how its result is measured.
_OF_THE_PAGE = ("name", "question", "baseline", "thresholds", "replications", "policies", "aa", "sensitivity", "sweep")


@dataclass(frozen=True)
class Side:
    """A run, or one point of a run with a sweep. `facts` has what it was asked for and what played it, by path."""

    label: str
    folder: Path
    comparison: Comparison
    point: PointComparison
    run: Record
    facts: Mapping[str, str] = field(repr=False)
    trials: Mapping[str, Trials] = field(repr=False)

    @property
    def world(self) -> dict[str, str]:
        """The facts that decide what a trial meets and how its result is measured."""
        return {path: text for path, text in self.facts.items() if _matters(path)}


@dataclass(frozen=True)
class Difference:
    """A key in which the sides differ: its value at each, None where it has none, and whether it matters."""

    path: str
    values: tuple[str | None, ...]
    matters: bool


@dataclass(frozen=True)
class World:
    """The sides of one world, whose policies are paired by replication. `trials` has every policy once, by a name of its own.

    `shared` are policies that several sides have with the same settings and, bit by bit, the same trials; `common` is how many
    replications all policies have.
    """

    sides: tuple[int, ...]
    trials: Mapping[str, Trials] = field(repr=False)
    decision: Decision
    memo: tuple[str, ...]
    baseline: str
    shared: tuple[str, ...]
    common: int

    def difference(self, policy: str, measure: str) -> Estimate | None:
        """The paired difference of a policy to the baseline, policy less baseline; None where it cannot be taken."""
        return MEASURES[measure].difference(self.trials[policy], self.trials[self.baseline])


@dataclass(frozen=True)
class Several:
    """Runs side by side. `measures` are what all of them have, in the order of the reports."""

    sides: tuple[Side, ...]
    measures: tuple[str, ...]
    differences: tuple[Difference, ...]
    worlds: tuple[World, ...]
    doubts: tuple[str, ...]
    """Why sides whose scenarios agree are not paired, and what cannot be compared."""

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folders of the runs, each once: a run with a sweep has a side for each of its points."""
        return tuple(dict.fromkeys(side.folder for side in self.sides))

    @property
    def choices(self) -> tuple[tuple[tuple[str, ...], str | None], ...]:
        """The sides that are of one world, by their labels, and the policy that is taken there; None where none is fit."""
        together = [(tuple(self.sides[at].label for at in world.sides), world.decision.chosen) for world in self.worlds]
        return (*together, *(((side.label,), side.point.decision.chosen) for side in self.alone))

    @property
    def alone(self) -> tuple[Side, ...]:
        """The sides that are paired with no other."""
        paired = {at for world in self.worlds for at in world.sides}
        return tuple(side for at, side in enumerate(self.sides) if at not in paired)


def compare_runs(folders: Sequence[Path]) -> Several:
    """Put the runs of several folders side by side, as they were saved.

    Policies are paired where the runs are of one world: the same scenario but for its policies, the same seed, engine, versions
    and program. That the draws agree is checked: a policy that two of them share must have the same trials.

    Raises `InputError` for a folder that is no run's or cannot be read, for a run that is given twice, for fewer than two, and
    for runs that share no measure.
    """
    _distinct(folders)
    comparisons: list[Comparison] = []
    problems: list[Problem] = []
    for folder in folders:
        try:
            comparisons.append(read_saved(folder))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    keys: dict[str, Path] = {}
    for folder, comparison in zip(folders, comparisons, strict=True):
        other = keys.setdefault(comparison.run.key, folder)
        if other is not folder:
            problems.append(Problem(f"is the same run as {other}, copied", file=str(folder)))
    if problems:
        raise InputError(problems)
    sides = tuple(_sides(folders, comparisons))
    doubts: list[str] = []
    measures = _measures(sides, doubts)
    _lacking(sides, measures, doubts)
    if not measures:
        raise InputError(
            [Problem("must share a measure of which each has an estimate; these runs share none", file="sim compare")]
        )
    for side in sides:
        if side.run.status != "finished":
            lacking = [policy.name for policy in side.run.policies if policy.name not in side.trials]
            doubts.append(f"{side.label} was interrupted, without trials of {', '.join(lacking) or 'nothing'}.")
    worlds = tuple(_worlds(sides, doubts))
    return Several(sides, measures, _differences(sides), worlds, tuple(doubts))


def _distinct(folders: Sequence[Path]) -> None:
    if not 2 <= len(folders) <= MOST_RUNS:
        raise InputError([Problem(f"must have 2 to {MOST_RUNS} runs, got {len(folders)}", file="sim compare")])
    seen: dict[Path, Path] = {}
    problems = []
    for folder in folders:
        other = seen.setdefault(folder.resolve(), folder)
        if other is not folder:
            problems.append(Problem("is given twice", file=str(folder)))
    if problems:
        raise InputError(problems)


def _sides(folders: Sequence[Path], comparisons: Sequence[Comparison]) -> Iterator[Side]:
    names = [folder.resolve().name for folder in folders]
    for folder, name, comparison in zip(folders, names, comparisons, strict=True):
        label = visible(name if names.count(name) == 1 else str(folder))
        run = comparison.run
        data = read_yaml(folder / "scenario.yaml").data
        by_point = read_trials(folder, run)
        for point, compared, trials in zip(run.points, comparison.points, by_point, strict=True):
            own = _at_point(data, run.paths, point, folder / "scenario.yaml")
            where = f"{label} at {point.label}" if point.label else label
            yield Side(where, folder, comparison, compared, point.run, _facts(own, point), trials)


def _at_point(data: Mapping[str, Any], paths: Sequence[str], point: RunPoint, file: Path) -> Mapping[str, Any]:
    """The scenario of a point: that of the file with the point's own values of the swept keys."""
    sweep = data.get("sweep") or {}
    if not isinstance(sweep, dict) or list(sweep) != list(paths) or not all(isinstance(each, list) for each in sweep.values()):
        raise InputError([Problem("must have the sweep of run.json", "sweep", str(file))])
    own = data
    for path, text in zip(paths, point.values, strict=True):
        # An alias of a version, or the path of a file, is written out in the resolved scenario.
        value = next((each for each in sweep[path] if text_of(each) == text), text)
        try:
            own = put(own, parse_path(path), value)
        except InputError as error:
            raise InputError(replace(problem, file=str(file)) for problem in error.problems) from None
    return own


def _facts(data: Mapping[str, Any], point: RunPoint) -> dict[str, str]:
    """What was asked for, and what played it: texts by path, those of named parts by their names."""
    run = point.run
    told = {
        **data,
        # Aliases and files are told by what they were.
        "models": [{"arm": each.arm, "version": f"{each.name} {each.version}", "digest": each.digest} for each in run.versions],
        "data": None if run.data is None else {**(data.get("data") or {}), "file": None, "digest": run.data.digest},
        "engine": run.engine,
        "sim": {"version": run.sim_version, "sources": run.sources[:12]},
        "parts": [{"name": f"{part.family} {part.kind}", "digest": part.digest[:12]} for part in run.parts],
    }
    return dict(_flat({key: value for key, value in told.items() if value is not None and key != "sweep"}, ()))


def _flat(value: Any, place: tuple[str | int, ...]) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, below in value.items():
            yield from _flat(below, (*place, str(key)))
        return
    if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        names = [each.get("name", each.get("arm")) for each in value]
        named = all(isinstance(name, str) for name in names) and len(set(names)) == len(names)
        for at, each in enumerate(value):
            yield from _flat(each, (*place, names[at] if named else at))
        return
    yield format_path(place), text_of(value)


def _matters(path: str) -> bool:
    return parse_path(path)[0] not in _OF_THE_PAGE


def _differences(sides: Sequence[Side]) -> tuple[Difference, ...]:
    """Every key in which sides differ: first those that matter. A policy that not all have is one difference."""
    told: list[dict[str, str]] = []
    everywhere = set.intersection(*(set(side.trials) for side in sides))
    for side in sides:
        kinds = {format_path(("policies", name)): each.kind for name, each in side.trials.items() if name not in everywhere}
        shared = {path: text for path, text in side.facts.items() if _policy(path) is None or _policy(path) in everywhere}
        told.append(shared | kinds)
    paths = dict.fromkeys(path for facts in told for path in facts)
    found = [Difference(path, tuple(facts.get(path) for facts in told), _matters(path)) for path in paths]
    return tuple(sorted((each for each in found if len(set(each.values)) > 1), key=lambda each: not each.matters))


def _policy(path: str) -> str | None:
    """The policy that a fact is about."""
    first, *rest = parse_path(path)
    return str(rest[0]) if first == "policies" and rest else None


def _measures(sides: Sequence[Side], doubts: list[str]) -> tuple[str, ...]:
    """The measures of which every side has an estimate. Amounts of other things are not one measure."""
    units = {(side.run.primary.name, side.run.value.currency if side.run.value else None) for side in sides}
    if len(units) > 1:
        told = ", ".join(sorted(currency or name for name, currency in units))
        doubts.append(f"Amounts are not compared: they are in {told}.")

    return tuple(
        name
        for name, measure in MEASURES.items()
        if all(_has(side, name) for side in sides) and not (measure.unit == "value" and len(units) > 1)
    )


def _has(side: Side, name: str) -> bool:
    """Whether a side has an estimate of a measure, of some policy."""
    return any(summary.measures[name].estimate is not None for summary in side.point.policies if name in summary.measures)


def _lacking(sides: Sequence[Side], measures: Sequence[str], doubts: list[str]) -> None:
    """Say which measures are not compared because some sides have no estimate of them, and which sides these are."""
    by_sides: dict[tuple[str, ...], list[str]] = {}
    for name, measure in MEASURES.items():
        without = tuple(side.label for side in sides if not _has(side, name))
        if name not in measures and without and len(without) < len(sides):
            by_sides.setdefault(without, []).append(measure.label)
    for without, labels in by_sides.items():
        have = "has" if len(without) == 1 else "have"
        what = "no estimate of it" if len(labels) == 1 else "no estimate of them"
        doubts.append(f"Not compared: {listed(labels, MOST_LISTED)}; {listed(without, MOST_LISTED)} {have} {what}.")


def _worlds(sides: Sequence[Side], doubts: list[str]) -> Iterator[World]:
    groups: list[list[int]] = []
    for at, side in enumerate(sides):
        known = next((group for group in groups if sides[group[0]].world == side.world), None)
        if known is None:
            groups.append([at])
        else:
            known.append(at)
    for group in groups:
        if len(group) > 1:
            world = _world(sides, group, doubts)
            if world is not None:
                yield world


def _world(sides: Sequence[Side], group: Sequence[int], doubts: list[str]) -> World | None:
    """The policies of sides whose scenarios agree, paired; None, with the reason in `doubts`, where their trials do not."""
    members = [sides[at] for at in group]
    labels = ", ".join(side.label for side in members)
    found: dict[str, list[tuple[Side, Trials]]] = {}
    for side in members:
        for name, trials in side.trials.items():
            found.setdefault(name, []).append((side, trials))
    union: dict[str, Trials] = {}
    shared: list[str] = []
    names: dict[str, list[str]] = {}
    for name, having in found.items():
        kept: list[tuple[Side, Trials]] = []
        for side, trials in having:
            twin = next((other for other in kept if _settings(other[0], name) == _settings(side, name)), None)
            if twin is None:
                kept.append((side, trials))
                continue
            if not _same(twin[1], trials):
                why = f"{name} has the same settings in them, and other trials"
                doubts.append(f"{labels} agree in their scenarios and are not paired: {why}.")
                return None
            shared.append(name)
            if trials.n > twin[1].n:
                kept[kept.index(twin)] = (side, trials)
        for side, trials in kept:
            own = name if len(kept) == 1 else f"{name} ({side.label})"
            union[own] = replace(trials, policy=own)
            names.setdefault(name, []).append(own)
    if not shared and any(path.startswith("traffic.trace.") for path in members[0].facts):
        doubts.append(f"{labels} play recorded traffic and share no policy by which to check that it was the same; not paired.")
        return None
    run = members[0].run
    require = {
        f"{own}.{measure}" if policy else measure: rule
        for policy, measure, rule in ((*_split(key), rule) for key, rule in run.require.items())
        for own in (names.get(policy, [policy]) if policy else [""])
    }
    run = run.model_copy(update={"require": require, "status": "finished"})
    decision = decide(run, union)
    baseline = members[0].comparison.baseline
    common = set.intersection(*(set(trials["replication"].tolist()) for trials in union.values())) if union else set()
    named = names.get(baseline) or list(union)
    return World(tuple(group), union, decision, memo(run, union, decision), named[0], tuple(dict.fromkeys(shared)), len(common))


def _split(key: str) -> tuple[str, str]:
    policy, _, measure = key.rpartition(".")
    return policy, measure


def _settings(side: Side, policy: str) -> dict[str, str]:
    """The facts of a policy, and of all others for one that names them as its stages."""
    start = format_path(("policies", policy))
    own = {path: text for path, text in side.facts.items() if path.startswith((f"{start}.", f"{start}["))}
    if side.trials[policy].kind == "stages":
        return {path: text for path, text in side.facts.items() if path.startswith("policies")}
    return own


def _same(one: Trials, other: Trials) -> bool:
    """Whether two sets of trials are the same, bit by bit, in the replications that both have."""
    _, mine, theirs = np.intersect1d(one["replication"], other["replication"], assume_unique=True, return_indices=True)
    if not mine.size:
        return False
    # A/A tests are played, or not, whatever the trials are; net value is worked out of other columns.
    asides = ("policy", "net_value", "aa_declared", "aa_shipped", "planned_information")
    columns = [name for name in one.columns if name in other.columns and name not in asides]
    return all(_equal(one[name][mine], other[name][theirs]) for name in columns)


def _equal(one: Any, other: Any) -> bool:
    numbers = one.dtype.kind == "f" and other.dtype.kind == "f"
    return bool(np.array_equal(one, other, equal_nan=numbers))
