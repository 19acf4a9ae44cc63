"""The main job, end to end: scenario file in, run folder with comparison and report out, logged to MLflow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sim.errors import EXIT_INTERRUPTED, EXIT_OK, EXIT_THRESHOLD, EXIT_TRACKING, InputError, Problem, TrackingError

if TYPE_CHECKING:
    import pandas as pd

    from sim.compare.comparison import Comparison
    from sim.registry.memory import Models
    from sim.registry.store import Client
    from sim.run.blocks import Watch
    from sim.run.plan import Plan, PlannedPoint, Resolver
    from sim.run.unplayed import Seen
    from sim.scenario.loading import Document
    from sim.scenario.reading import Source
    from sim.scenario.schema import Scenario
    from sim.tracking.track import Tracked

REPORTS = Path("reports")


@dataclass(frozen=True)
class Outcome:
    """What a run led to. `comparison` is None where an interrupt came before any policy was finished."""

    folder: Path
    comparison: Comparison | None
    tracked: Tracked | None
    tracking_error: TrackingError | None
    interrupted: bool

    @property
    def exit_code(self) -> int:
        """130 interrupted, 3 a threshold is breached, 4 saved but not logged, else 0."""
        if self.interrupted:
            return EXIT_INTERRUPTED
        if self.comparison is not None and self.comparison.breached:
            return EXIT_THRESHOLD
        return EXIT_TRACKING if self.tracking_error else EXIT_OK


def load_scenario(path: Source, *, parts: Sequence[str | Path] = ()) -> Scenario:
    """Read and check a scenario: a file, its text or a mapping. Neither the registry nor the files that it names are read.

    `parts` are Python files whose parts the scenario may use (docs/extending.md); their code is run.
    Raises `sim.errors.InputError` with every problem, each at its file:line:column.
    """
    from sim.policy.catalogue import using
    from sim.scenario.reading import read

    with using(parts):
        return read(path, lambda scenario, folder: _later_problems(scenario))[0]


def check_scenario(
    path: Source,
    *,
    resolve: bool = False,
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
    parts: Sequence[str | Path] = (),
) -> tuple[Scenario, Seen]:
    """Read and check a scenario and the files that it names; with `resolve`, its models too: all but playing it.

    No model's code is run, so that what real versions predict is not seen; that of `parts` is. Raises `InputError` with every
    problem, each at its line, and `TrackingError` where the registry cannot be read.
    """
    from sim.policy.catalogue import using
    from sim.run.unplayed import Seen, look
    from sim.scenario.reading import read

    with using(parts):
        scenario, document = read(path, _with_files())
        if not resolve:
            return scenario, Seen()
        return scenario, look(scenario, document, _registry(tracking_uri, registry_uri, scenario, document))


@dataclass(frozen=True)
class Rehearsal:
    """What came of a scenario that was played in memory.

    `trials` has a row for each policy and replication, `timeline` one for each policy and sampled tick, as `trials.parquet` and
    `timeline.parquet` of a run folder; `comparison` the measures of every policy. `plan` is what was played.
    """

    plan: Plan
    trials: pd.DataFrame
    timeline: pd.DataFrame
    comparison: Comparison


def plan_scenario(
    scenario: Source,
    models: Models | None = None,
    *,
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
    cache: str | Path | None = None,
    parts: Sequence[str | Path] = (),
) -> Plan:
    """What a scenario is to be played with: its versions, its world and its engine, at each point of its sweep.

    `scenario` is a file, its text or a mapping, and goes through the check of `sim check`. `models` are behaviours in memory,
    as `sim.registry.memory.Models` says; without any, versions come from the registry, and real ones are loaded from it, which
    runs their code. `cache` is a folder for their predictions. `parts` are Python files whose parts the scenario may use
    (docs/extending.md); their code is run. Raises `InputError`, and `TrackingError` where the registry cannot be read.
    """
    from sim.policy.catalogue import using
    from sim.run.plan import prepare
    from sim.scenario.reading import read

    with using(parts):
        asked, document = read(scenario, _with_files())
        return prepare(asked, document, _resolver(asked, document, models, tracking_uri, registry_uri, cache))


def rehearse(
    scenario: Source,
    models: Models | None = None,
    *,
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
    parts: Sequence[str | Path] = (),
    baseline: str | None = None,
    workers: int | None = 1,
    samples: int | None = None,
) -> Rehearsal:
    """Play a scenario in memory and compare its policies: no files, no MLflow runs.

    The same scenario gives the same bits as `sim run`. Arguments are those of `plan_scenario`; `baseline` is the policy that
    others are paired with, and `samples` limits the ticks of the timeline, at least 2. With more `workers` than one, a script
    needs `if __name__ == "__main__":` around its work.

    >>> rehearsal = rehearse(
    ...     {
    ...         "name": "small", "horizon": "1d", "tick": "1h", "replications": 20, "traffic": {"rate": "1000/h"},
    ...         "models": [{"arm": arm, "uri": f"models:/ranker@{arm}"} for arm in ("champion", "challenger")],
    ...         "metrics": [{"name": "sale", "role": "primary"}],
    ...         "policies": [{"name": "ab", "kind": "ab", "evidence": {"kind": "fixed_horizon", "sample": 5000}}],
    ...     },
    ...     [{"outcomes": {"sale": {"bernoulli": rate}}, "latency": {"constant": "45ms"}} for rate in (0.05, 0.07)],
    ... )
    >>> int((rehearsal.trials["verdict"] == "ship").sum())
    20
    """
    from sim.compare.comparison import compare_trials
    from sim.run import rehearse as run

    plan = plan_scenario(scenario, models, tracking_uri=tracking_uri, registry_uri=registry_uri, parts=parts)
    played = run.rehearse(plan, workers=workers, samples=samples)
    comparison = compare_trials(played.record, played.trials, baseline)
    return Rehearsal(plan, played.trials, played.timeline, comparison)


def run_scenario(
    path: Source,
    *,
    models: Models | None = None,
    reports: str | Path = REPORTS,
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
    experiment: str | None = None,
    workers: int | None = None,
    log: bool = True,
    parts: Sequence[str | Path] = (),
    planned: Callable[[Plan], Watch | None] | None = None,
) -> Outcome:
    """Run a scenario: resolve its models, play every policy at every point, compare, report, log to MLflow.

    The scenario, its `models` and `parts` are as in `plan_scenario`: usually a file, versions of a registry, and none. Real
    versions are loaded from the registry named by `registry_uri` (by default the tracking server), which runs their code.
    `planned` is called once everything is resolved, and may answer with what is to watch the tasks finish. Results are on disk
    before anything is logged. Raises `InputError` for wrong input and `TrackingError` where the registry cannot be read.
    """
    from sim.run.simulate import simulate

    folder = Path(reports)
    cache = folder / ".predictions"
    plan = plan_scenario(path, models, tracking_uri=tracking_uri, registry_uri=registry_uri, cache=cache, parts=parts)
    watch = planned(plan) if planned else None
    run = simulate(plan, folder, workers=workers, watch=watch)
    if not run.completed:
        return Outcome(run.folder, None, None, None, run.interrupted)
    comparison = report_run(run.folder)
    if not log:
        return Outcome(run.folder, comparison, None, None, run.interrupted)
    try:
        tracked = track_run(run.folder, tracking_uri=tracking_uri, experiment=experiment)
    except TrackingError as error:
        return Outcome(run.folder, comparison, None, error, run.interrupted)
    return Outcome(run.folder, comparison, tracked, None, run.interrupted)


def trace_scenario(
    path: Source,
    policy: str,
    replication: int,
    *,
    models: Models | None = None,
    engine: str | None = None,
    until_s: float | None = None,
    out: str | Path | None = None,
    reports: str | Path = REPORTS,
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
    parts: Sequence[str | Path] = (),
    planned: Callable[[PlannedPoint], None] | None = None,
) -> pd.DataFrame:
    """The event log of one replication under one policy, as `sim.run.trace.trace` says, written to `out` if that is given.

    The scenario, its `models` and `parts` are as in `plan_scenario`; one with a sweep is played as it is written, without it.
    """
    from sim.policy.catalogue import using
    from sim.run.folder import writable
    from sim.run.plan import prepare
    from sim.run.trace import problems, trace, write
    from sim.scenario.reading import read

    file = None if out is None else Path(out)
    with using(parts):
        scenario, document = read(path, _with_files())
        found = problems(scenario, policy, replication, engine, file)
        if found:
            raise InputError(found)
        if file is not None:
            writable(file, "--out")
        resolver = _resolver(scenario, document, models, tracking_uri, registry_uri, Path(reports) / ".predictions")
        (point,) = prepare(scenario.model_copy(update={"sweep": None}), document, resolver).points
    if planned:
        planned(point)
    log = trace(point, policy, replication, engine, until_s)
    if file is not None:
        write(log, file)
    return log


def _later_problems(scenario: Scenario) -> list[Problem]:
    """What is wrong by the rules of later layers."""
    from sim.engine.catalogue import engine_problems
    from sim.registry.versions import misspelt

    found = [*misspelt(model.uri for model in scenario.models), *engine_problems(scenario)]
    if scenario.thresholds:
        from sim.compare.thresholds import problems

        found += problems(scenario.thresholds, [policy.name for policy in scenario.policies])
    return found


def _with_files() -> Callable[[Scenario, Path], list[Problem]]:
    """What finds what is wrong by the rules of later layers, or with the files that a scenario names, each read once."""
    from sim.run.unplayed import Files

    folders: dict[Path, Files] = {}

    def problems(scenario: Scenario, folder: Path) -> list[Problem]:
        files = folders.setdefault(folder, Files(folder))
        return [*_later_problems(scenario), *files.problems(scenario)]

    return problems


def _resolver(
    scenario: Scenario, document: Document, models: Models | None, tracking_uri: str | None, registry_uri: str | None,
    cache: str | Path | None,
) -> Resolver:  # fmt: skip
    """What finds the versions of a scenario: among models in memory, or else in a registry."""
    from sim.run.plan import from_registry, in_memory

    if models is not None:
        return in_memory(models)
    store = _registry(tracking_uri, registry_uri, scenario, document)
    return from_registry(store, None if cache is None else Path(cache))


def _registry(tracking_uri: str | None, registry_uri: str | None, scenario: Scenario, document: Document) -> Client:
    """A client of the registry. One that does not exist yet has no model: it is not made to find that out."""
    from sim.registry.store import absent, client, default_uri
    from sim.registry.versions import unregistered

    # A registry that is named is all that is read; the tracking server may be away until the results are there.
    uri = registry_uri or tracking_uri or default_uri()
    if absent(uri, registry_uri):
        raise InputError(document.place(problem) for problem in unregistered(model.uri for model in scenario.models))
    return client(uri, registry_uri)


def report_run(folder: str | Path, *, baseline: str | None = None) -> Comparison:
    """Compare the policies of a run folder, and write summary.json, report.html and report.md into it."""
    from sim.compare.comparison import compare
    from sim.compare.summary import write_summary
    from sim.report import html, markdown
    from sim.run.lock import writing

    folder = Path(folder)
    with writing(folder):
        comparison = compare(folder, baseline)
        write_summary(comparison, folder)
        html.write(folder)
        markdown.write(folder)
    return comparison


def track_run(folder: str | Path, *, tracking_uri: str | None = None, experiment: str | None = None) -> Tracked:
    """Log a run folder to MLflow; logging it again adds nothing."""
    from sim.registry.store import default_uri
    from sim.run.lock import writing
    from sim.tracking.track import track

    with writing(Path(folder)):
        return track(Path(folder), tracking_uri=tracking_uri or default_uri(), experiment=experiment)
