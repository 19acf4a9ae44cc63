"""What a run would refuse before it plays anything: the files that a scenario names, and the versions of its models."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sim.errors import InputError, Problem
from sim.registry.versions import Version, resolve
from sim.run.plan import NEEDS_DATA, Resolved, in_file, plan_point
from sim.scenario.check import check
from sim.scenario.loading import Document
from sim.scenario.schema import Data as DataSpec
from sim.scenario.schema import Scenario
from sim.scenario.sweep import gathered, points
from sim.scenario.traffic import TraceSpec
from sim.world.trace import Trace, read_trace
from sim.world.traffic import arrivals_of

K = TypeVar("K")
V = TypeVar("V")

if TYPE_CHECKING:
    from sim.registry.data import Data
    from sim.registry.replay import RewardRule
    from sim.registry.store import Client


@dataclass(frozen=True)
class Seen:
    """What was seen of a scenario that can be run: `warnings`, each at its line; `unscored` where real versions are to be."""

    warnings: tuple[str, ...] = ()
    unscored: bool = False


class Files:
    """The data sets and the recorded traffic that the points of one scenario name, relative to `base`; each is read once."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self._data: dict[DataSpec, Data | InputError] = {}
        self._traces: dict[TraceSpec, Trace | InputError] = {}

    def data(self, spec: DataSpec) -> Data:
        """As `load_data`."""
        from sim.registry.data import load_data

        return _once(self._data, spec, lambda: load_data(spec, self.base))

    def trace(self, spec: TraceSpec) -> Trace:
        """As `read_trace`."""
        return _once(self._traces, spec, lambda: read_trace(spec, self.base))

    def problems(self, scenario: Scenario) -> list[Problem]:
        """What is wrong with the files that a scenario names, and with the traffic that they make."""
        return [in_file(problem, scenario) for problem in (*self._traffic_problems(scenario), *self._data_problems(scenario))]

    def _traffic_problems(self, scenario: Scenario) -> Iterable[Problem]:
        traced = scenario.traffic.trace
        try:
            trace = None if traced is None else self.trace(traced)
            # Of a horizon that is wrong itself nothing is made.
            if not check(scenario):
                arrivals_of(scenario.traffic, scenario.ticks, scenario.tick, trace)
        except InputError as error:
            return error.problems
        return ()

    def _data_problems(self, scenario: Scenario) -> Iterable[Problem]:
        from sim.registry.replay import payoff_problems

        if scenario.data is None:
            return ()
        try:
            data = self.data(scenario.data)
        except InputError as error:
            return error.problems
        return payoff_problems(_rewards(scenario), data)


def _once(known: dict[K, V | InputError], key: K, make: Callable[[], V]) -> V:
    if key not in known:
        try:
            known[key] = make()
        except InputError as error:
            known[key] = error
    found = known[key]
    if isinstance(found, InputError):
        raise found
    return found


def look(scenario: Scenario, document: Document, client: Client) -> Seen:
    """Resolve the models of a checked scenario, at every point of its sweep, and all else that is before a run's first draw.

    No model's code is run: behaviour models are read, and their world is built as for a run; of real versions it is seen that
    they are there and measured, and that the data has what their signatures ask for. What they predict is not seen. Raises
    `InputError` with every problem, each at its line and naming the points that have it; `TrackingError` where the registry
    cannot be reached.
    """
    files = Files(Path(document.path).resolve().parent)
    found: list[tuple[str, list[Problem]]] = []
    seen: list[Seen] = []
    for point in points(scenario, document):
        place = point.document.place
        try:
            warnings, unscored = _resolved(point.scenario, client, files)
            seen.append(Seen(tuple(str(place(warning)) for warning in warnings), unscored))
            found.append((point.label, []))
        except InputError as error:
            found.append((point.label, [place(in_file(problem, point.scenario)) for problem in error.problems]))
    wrong = gathered(found)
    if wrong:
        raise InputError(wrong)
    said = tuple(dict.fromkeys(warning for each in seen for warning in each.warnings))
    return Seen(said, any(each.unscored for each in seen))


def _resolved(scenario: Scenario, client: Client, files: Files) -> tuple[tuple[Problem, ...], bool]:
    """Warnings, and whether real versions are left to be scored."""
    versions = tuple(resolve([(model.arm, model.uri) for model in scenario.models], client))
    if not any(version.kind == "replay" for version in versions):
        return plan_point(scenario, Resolved(versions), files.base).warnings, False
    problems = list(_unscored_problems(scenario, versions, client, files))
    if problems:
        raise InputError(problems)
    return (), True


def _unscored_problems(scenario: Scenario, versions: Sequence[Version], client: Client, files: Files) -> Iterable[Problem]:
    from sim.registry.replay import mixed_problems, payoff_columns
    from sim.registry.scoring import model_inputs

    if scenario.data is None:
        yield Problem(NEEDS_DATA, path="data")
        return
    yield from mixed_problems(versions)
    data = files.data(scenario.data)
    payoffs = {
        name for metric, rule in _rewards(scenario).items() if rule != "correct" for name in payoff_columns(metric, rule, data)
    }
    for version in versions:
        if version.kind == "replay":
            try:
                model_inputs(version, data, client, rewards=payoffs)
            except InputError as error:
                yield from error.problems


def _rewards(scenario: Scenario) -> dict[str, RewardRule]:
    return {metric.name: metric.reward for metric in scenario.metrics if metric.reward is not None}
