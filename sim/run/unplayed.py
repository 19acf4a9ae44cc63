"""The checks that a run makes before it plays: the files of a scenario, and the versions of its models."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sim.engine.catalogue import arrivals_problems, engine_doubts
from sim.errors import InputError, Problem
from sim.registry.versions import Version, resolve
from sim.run.plan import NEEDS_DATA, Resolved, in_file, plan_point
from sim.scenario.check import check, declared_setting
from sim.scenario.doubts import doubts
from sim.scenario.loading import Document
from sim.scenario.offline import table_problems
from sim.scenario.schema import Data as DataSpec
from sim.scenario.schema import Scenario
from sim.scenario.sweep import gathered, points
from sim.scenario.traffic import TraceSpec
from sim.world.pools import unmeasured
from sim.world.trace import Trace, read_trace
from sim.world.traffic import arrivals_of

K = TypeVar("K")
V = TypeVar("V")

if TYPE_CHECKING:
    from sim.registry.data import Data
    from sim.registry.store import Client
    from sim.scenario.schema import Reward


@dataclass(frozen=True)
class Seen:
    """The result for a scenario that can be run: `warnings`, each with its line; `unscored` if it has real versions."""

    warnings: tuple[str, ...] = ()
    unscored: bool = False


class Files:
    """The data sets and traffic traces of the points of one scenario, relative to `base`. Each file is read once."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self._data: dict[DataSpec, Data | InputError] = {}
        self._traces: dict[TraceSpec, Trace | InputError] = {}

    def data(self, spec: DataSpec) -> Data:
        """The data set, as from `load_data`."""
        from sim.registry.data import load_data

        return _once(self._data, spec, lambda: load_data(spec, self.base))

    def trace(self, spec: TraceSpec) -> Trace:
        """The trace, as from `read_trace`."""
        return _once(self._traces, spec, lambda: read_trace(spec, self.base))

    def problems(self, scenario: Scenario) -> list[Problem]:
        """The problems of the files of a scenario, and of the traffic that they describe, also for its engine."""
        return [in_file(problem, scenario) for problem in (*self._traffic_problems(scenario), *self._data_problems(scenario))]

    def _traffic_problems(self, scenario: Scenario) -> Iterable[Problem]:
        traced = scenario.traffic.trace
        try:
            trace = None if traced is None else self.trace(traced)
            # Arrivals need a valid scenario, for example a valid horizon.
            if not check(scenario):
                return arrivals_problems(scenario, arrivals_of(scenario.traffic, scenario.ticks, scenario.tick, trace))
        except InputError as error:
            return error.problems
        return ()

    def _data_problems(self, scenario: Scenario) -> Iterable[Problem]:
        from sim.registry.rewards import reward_problems

        if scenario.data is None:
            return ()
        try:
            data = self.data(scenario.data)
        except InputError as error:
            return error.problems
        had = data.rows if data.offline is None else int(data.offline.sum())
        found = [] if check(scenario) else table_problems(scenario, declared_setting(scenario), had)
        return [*reward_problems(_rewards(scenario), data), *found]


def _once(known: dict[K, V | InputError], key: K, make: Callable[[], V]) -> V:
    if key not in known:
        try:
            known[key] = make()
        except InputError as error:
            known[key] = error
    value = known[key]
    if isinstance(value, InputError):
        raise value
    return value


def look(scenario: Scenario, document: Document, client: Client) -> Seen:
    """Check everything that a run does before its first draw, at every point of a scenario that has passed `check`.

    No model code is run. Behaviour models are read, and their world is built as for a run. Real versions must exist and be
    measured, and the data must have the columns that their signatures need; their predictions are not checked. Raises
    `InputError` with every problem, each with its line and the points that have it; `TrackingError` if the registry cannot be
    reached.
    """
    files = Files(Path(document.path).resolve().parent)
    by_point: list[tuple[str, list[Problem]]] = []
    seen: list[Seen] = []
    for point in points(scenario, document):
        place = point.document.place
        try:
            warnings, unscored = _resolved(point.scenario, client, files)
            seen.append(Seen(tuple(str(place(warning)) for warning in warnings), unscored))
            by_point.append((point.label, []))
        except InputError as error:
            by_point.append((point.label, [place(in_file(problem, point.scenario)) for problem in error.problems]))
    problems = gathered(by_point)
    if problems:
        raise InputError(problems)
    all_warnings = tuple(dict.fromkeys(warning for result in seen for warning in result.warnings))
    return Seen(all_warnings, any(result.unscored for result in seen))


def doubted(scenario: Scenario, document: Document) -> Seen:
    """The warnings of a scenario that show in its file alone, each with its line, at every point."""
    warnings = (
        str(point.document.place(doubt))
        for point in points(scenario, document)
        for doubt in (*doubts(point.scenario), *engine_doubts(point.scenario))
    )
    return Seen(tuple(dict.fromkeys(warnings)))


def _resolved(scenario: Scenario, client: Client, files: Files) -> tuple[tuple[Problem, ...], bool]:
    """The warnings of a scenario, and whether it has real versions, which are not scored here."""
    versions = tuple(resolve([(model.arm, model.uri) for model in scenario.models], client))
    if not any(version.kind == "replay" for version in versions):
        return plan_point(scenario, Resolved(versions), files.base).warnings, False
    problems = list(_unscored_problems(scenario, versions, client, files))
    if problems:
        raise InputError(problems)
    return tuple(doubts(scenario)), True


def _unscored_problems(scenario: Scenario, versions: Sequence[Version], client: Client, files: Files) -> Iterable[Problem]:
    from sim.registry.replay import mixed_problems
    from sim.registry.rewards import reward_columns
    from sim.registry.scoring import model_inputs

    if scenario.data is None:
        yield Problem(NEEDS_DATA, path="data")
        return
    yield from unmeasured(scenario, versions)
    yield from mixed_problems(versions)
    data = files.data(scenario.data)
    used = reward_columns(_rewards(scenario), data)
    for version in versions:
        if version.kind == "replay":
            try:
                model_inputs(version, data, client, rewards=used)
            except InputError as error:
                yield from error.problems


def _rewards(scenario: Scenario) -> dict[str, Reward]:
    return {metric.name: metric.reward for metric in scenario.metrics if metric.reward is not None}
