"""The main job, end to end: scenario file in, run folder with comparison and report out, logged to MLflow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sim.errors import EXIT_INTERRUPTED, EXIT_OK, EXIT_THRESHOLD, EXIT_TRACKING, InputError, Problem, TrackingError

if TYPE_CHECKING:
    import pandas as pd

    from sim.compare.comparison import Comparison
    from sim.compare.sweep import SweepComparison
    from sim.registry.store import Client
    from sim.run.plan import Plan
    from sim.run.simulate import Watch
    from sim.run.sweep import SweepPlan
    from sim.run.unplayed import Files, Seen
    from sim.scenario.loading import Document
    from sim.scenario.schema import Scenario
    from sim.tracking.track import Tracked

REPORTS = Path("reports")


@dataclass(frozen=True)
class Outcome:
    """What a run led to. `comparison` is None where an interrupt came before any policy was finished."""

    folder: Path
    comparison: Comparison | SweepComparison | None
    tracked: Tracked | None
    tracking_error: TrackingError | None
    interrupted: bool

    @property
    def exit_code(self) -> int:
        """130 interrupted, 3 a threshold is breached, 4 saved but not logged, else 0."""
        if self.interrupted:
            return EXIT_INTERRUPTED
        if self.comparison is not None and any(row.breached for row in self.comparison.thresholds):
            return EXIT_THRESHOLD
        return EXIT_TRACKING if self.tracking_error else EXIT_OK


def load_scenario(path: str | Path) -> Scenario:
    """Read and check a scenario file, as far as that goes without the registry and without the files that it names.

    Raises `sim.errors.InputError` with every problem, each at its file:line:column.
    """
    from sim.scenario.reading import read

    return read(Path(path), _later_problems)[0]


def check_scenario(
    path: str | Path, *, resolve: bool = False, tracking_uri: str | None = None, registry_uri: str | None = None
) -> tuple[Scenario, Seen]:
    """Read and check a scenario file and the files that it names; with `resolve`, its models too: all but playing it.

    No model's code is run, so that what real versions predict is not seen. Raises `InputError` with every problem, each at its
    line, and `TrackingError` where the registry cannot be read.
    """
    from sim.run.unplayed import Files, Seen, look
    from sim.scenario.reading import read

    files = Files(Path(path).resolve().parent)
    scenario, document = read(Path(path), _with_files(files))
    if not resolve:
        return scenario, Seen()
    return scenario, look(scenario, document, _registry(tracking_uri, registry_uri, scenario, document), files)


def run_scenario(
    path: str | Path,
    *,
    reports: str | Path = REPORTS,
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
    experiment: str | None = None,
    workers: int | None = None,
    log: bool = True,
    planned: Callable[[Plan | SweepPlan], Watch | None] | None = None,
) -> Outcome:
    """Run a scenario file: resolve its models, play every policy, compare, report, log to MLflow. Of a sweep, every point.

    Real model versions are loaded from the registry named by `registry_uri` (by default the tracking server), which runs their
    code. `planned` is called once everything is resolved, and may answer with what is to watch the tasks finish. Results are on
    disk before anything is logged. Raises `InputError` for wrong input and `TrackingError` where the registry cannot be read.
    """
    from sim.run.plan import prepare
    from sim.run.simulate import simulate
    from sim.run.sweep import prepare_sweep
    from sim.run.unplayed import Files
    from sim.scenario.reading import read
    from sim.scenario.sweep import points

    scenario, document = read(Path(path), _with_files(Files(Path(path).resolve().parent)))
    store = _registry(tracking_uri, registry_uri, scenario, document)
    folder = Path(reports)
    cache = folder / ".predictions"
    plan: Plan | SweepPlan
    if scenario.sweep is None:
        plan = prepare(scenario, document, store, cache)
    else:
        plan = prepare_sweep(scenario, points(scenario, document), store, cache)
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
    path: str | Path,
    policy: str,
    replication: int,
    *,
    engine: str | None = None,
    until_s: float | None = None,
    out: str | Path | None = None,
    reports: str | Path = REPORTS,
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
    planned: Callable[[Plan], None] | None = None,
) -> pd.DataFrame:
    """The event log of one replication under one policy, as `sim.run.trace.trace` says, written to `out` if that is given."""
    from sim.run.folder import writable
    from sim.run.plan import prepare
    from sim.run.trace import problems, trace, write
    from sim.run.unplayed import Files
    from sim.scenario.reading import read

    file = None if out is None else Path(out)
    scenario, document = read(Path(path), _with_files(Files(Path(path).resolve().parent)))
    found = problems(scenario, policy, replication, engine, file)
    if found:
        raise InputError(found)
    if file is not None:
        writable(file, "--out")
    store = _registry(tracking_uri, registry_uri, scenario, document)
    plan = prepare(scenario, document, store, Path(reports) / ".predictions")
    if planned:
        planned(plan)
    log = trace(plan, policy, replication, engine, until_s)
    if file is not None:
        write(log, file)
    return log


def _later_problems(scenario: Scenario) -> list[Problem]:
    """What is wrong by the rules of later layers."""
    from sim.registry.versions import misspelt

    found = misspelt(model.uri for model in scenario.models)
    if scenario.thresholds:
        from sim.compare.thresholds import problems

        found += problems(scenario.thresholds, [policy.name for policy in scenario.policies])
    return found


def _with_files(files: Files) -> Callable[[Scenario], list[Problem]]:
    """What is wrong by the rules of later layers, or with the files that a scenario names."""
    return lambda scenario: [*_later_problems(scenario), *files.problems(scenario)]


def _registry(tracking_uri: str | None, registry_uri: str | None, scenario: Scenario, document: Document) -> Client:
    """A client of the registry. One that does not exist yet has no model: it is not made to find that out."""
    from sim.registry.store import absent, client, default_uri
    from sim.registry.versions import unregistered

    # A registry that is named is all that is read; the tracking server may be away until the results are there.
    uri = registry_uri or tracking_uri or default_uri()
    if absent(uri, registry_uri):
        raise InputError(document.place(problem) for problem in unregistered(model.uri for model in scenario.models))
    return client(uri, registry_uri)


def report_run(folder: str | Path, *, baseline: str | None = None) -> Comparison | SweepComparison:
    """Compare the policies of a run folder, and write summary.json, report.html and report.md into it."""
    from sim.compare.comparison import compare
    from sim.compare.sweep import compare_sweep
    from sim.report import html, markdown
    from sim.run.lock import writing
    from sim.run.record import read_run

    folder = Path(folder)
    with writing(folder):
        comparison = compare_sweep(folder, baseline) if read_run(folder).sweep else compare(folder, baseline)
        comparison.write(folder)
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
