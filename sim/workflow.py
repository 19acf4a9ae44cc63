"""The main job, end to end: scenario file in, run folder with comparison and report out, logged to MLflow."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.errors import EXIT_INTERRUPTED, EXIT_OK, EXIT_THRESHOLD, EXIT_TRACKING, InputError, Problem, TrackingError
from sim.spelling import there_are
from sim.tracking.limits import LONGEST_S, TIMEOUT_S
from sim.units import shown

if TYPE_CHECKING:
    import pandas as pd

    from sim.compare.comparison import Comparison
    from sim.registry.memory import Models
    from sim.registry.store import Client
    from sim.run.blocks import Watch
    from sim.run.effort import Effort
    from sim.run.plan import Plan, PlannedPoint, Resolver
    from sim.run.unplayed import Seen
    from sim.scenario.loading import Document
    from sim.scenario.put import Change
    from sim.scenario.reading import Source
    from sim.scenario.schema import Scenario
    from sim.tracking.child import Child
    from sim.tracking.track import Tracked

REPORTS = Path("reports")
FORMATS = {"html": "report.html", "md": "report.md", "json": "summary.json"}
"""What is told of a run, by the format, and its file in the run folder."""


@dataclass(frozen=True)
class Outcome:
    """The result of a run. `comparison` is None if the run was interrupted before it could add anything to its folder.

    `played` is false where the folder held the finished run already; `stale` says that other sources of the program played it.
    """

    folder: Path
    comparison: Comparison | None
    tracked: Tracked | None
    tracking_error: TrackingError | None
    interrupted: bool
    played: bool = True
    stale: bool = False

    @property
    def exit_code(self) -> int:
        """130 interrupted, 3 a threshold is breached, 4 saved but not logged, else 0."""
        if self.interrupted:
            return EXIT_INTERRUPTED
        if self.comparison is not None and self.comparison.breached:
            return EXIT_THRESHOLD
        return EXIT_TRACKING if self.tracking_error else EXIT_OK


def _usable(**given: Any) -> None:
    """Raise `InputError` with every argument that cannot be used, by its name; None is as left out.

    >>> _usable(workers=2, samples=1, tracking_uri="")
    Traceback (most recent call last):
    sim.errors.InputError: samples: must be a whole number of at least 2, or None; got 1
    tracking_uri: must be the URI of a server or a store, or None; got ''
    """
    least = {"workers": 1, "samples": 2}
    problems = []
    for name, value in given.items():
        if name == "parts":
            files = not isinstance(value, str | bytes | Mapping) and isinstance(value, Iterable)
            if not files or not all(isinstance(file, str | Path) for file in value):
                problems.append(Problem(f"must be a list of Python files; got {shown(value)}", name))
        elif value is None:
            continue
        elif name in least:
            if not isinstance(value, int) or isinstance(value, bool) or value < least[name]:
                problems.append(Problem(f"must be a whole number of at least {least[name]}, or None; got {shown(value)}", name))
        elif name == "timeout_s":
            if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= LONGEST_S:
                problems.append(Problem(f"must be seconds, above 0 and at most {LONGEST_S:g}; got {shown(value)}", name))
        elif name == "baseline":
            if not isinstance(value, str):
                problems.append(Problem(f"must be the name of a policy, or None; got {shown(value)}", name))
        elif not isinstance(value, str) or not value.strip():
            problems.append(Problem(f"must be the URI of a server or a store, or None; got {shown(value)}", name))
    if problems:
        raise InputError(problems)


def load_scenario(path: Source, *, parts: Sequence[str | Path] = ()) -> Scenario:
    """Read and check a scenario: a file, its text or a mapping. Does not read the registry or the files that it names.

    `parts` are Python files whose parts the scenario may use (docs/extending.md); their code runs.
    Raises `sim.errors.InputError` with every problem, each at its file:line:column.
    """
    from sim.policy.catalogue import using
    from sim.scenario.reading import read

    _usable(parts=parts)
    with using(parts):
        return read(path, lambda scenario, folder: _later_problems(scenario))[0]


def check_scenario(
    path: Source,
    *,
    resolve: bool = False,
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
    parts: Sequence[str | Path] = (),
    changes: Sequence[Change] = (),
) -> tuple[Scenario, Seen]:
    """Read and check a scenario and the files that it names, without playing it. With `resolve`, check its models too.

    `changes` are other values than those of the file.

    No model's code runs, so predictions of real versions are not checked. The code of `parts` runs. Raises `InputError` with
    every problem, each at its line, and `TrackingError` if the registry cannot be read.
    """
    from sim.policy.catalogue import using
    from sim.run.unplayed import doubted, look
    from sim.scenario.reading import read

    _usable(parts=parts, tracking_uri=tracking_uri, registry_uri=registry_uri)
    with using(parts):
        scenario, document = read(path, _with_files(), changes)
        if not resolve:
            return scenario, doubted(scenario, document)
        return scenario, look(scenario, document, _registry(tracking_uri, registry_uri, scenario, document))


@dataclass(frozen=True)
class Rehearsal:
    """The results of a scenario that was played in memory.

    `trials` has a row for each policy and replication, as `trials.parquet` of a run folder. `timeline` has a row for each
    policy and sampled tick, as `timeline.parquet`. `comparison` has the measures of every policy. `plan` is the plan played.
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
    changes: Sequence[Change] = (),
) -> Plan:
    """The versions, world and engine that a scenario is played with, at each point of its sweep.

    `scenario` is a file, its text or a mapping; it is checked as by `sim check`. `models` are behaviours in memory, as
    `sim.registry.memory.Models` describes; without `models`, versions come from the registry. Real versions are loaded from the
    registry, which runs their code: only if it is named, here or by the environment, or is the mlflow.db of this folder and was
    made by this user's own `sim`. `cache` is a folder for their predictions. `parts` are Python files whose parts the
    scenario may use (docs/extending.md); their code runs. `changes` are other values than those of the scenario. Raises
    `InputError`, and `TrackingError` if the registry cannot be read.
    """
    from sim.policy.catalogue import using
    from sim.run.plan import prepare
    from sim.scenario.reading import read

    _usable(parts=parts, tracking_uri=tracking_uri, registry_uri=registry_uri)
    with using(parts):
        asked, document = read(scenario, _with_files(), changes)
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

    The same scenario gives the same bits as `sim run`. Without `models`, real versions of the registry run their code, as
    `plan_scenario` says. `baseline` is the policy that other policies are paired with. `samples`,
    at least 2, limits the ticks of the timeline; `workers` are at least 1, None as the work is worth. The other arguments are
    those of `plan_scenario`. With more than one of `workers`, a script needs `if __name__ == "__main__":` around its work.

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

    stores = {"tracking_uri": tracking_uri, "registry_uri": registry_uri}
    _usable(parts=parts, baseline=baseline, workers=workers, samples=samples, **stores)
    plan = plan_scenario(scenario, models, tracking_uri=tracking_uri, registry_uri=registry_uri, parts=parts)
    names = list(plan.points[0].forms)
    if baseline is not None and baseline not in names:
        raise InputError([Problem(f"no policy {baseline!r}; {there_are(names)}", "baseline")])
    played = run.rehearse(plan, workers=workers, samples=samples)
    comparison = compare_trials(played.record, played.trials, baseline)
    return Rehearsal(plan, played.trials, played.timeline, comparison)


def run_scenario(
    path: Source,
    *,
    models: Models | None = None,
    reports: str | Path = REPORTS,
    out: str | Path | None = None,
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
    experiment: str | None = None,
    timeout_s: float = TIMEOUT_S,
    workers: int | None = None,
    log: bool = True,
    parts: Sequence[str | Path] = (),
    changes: Sequence[Change] = (),
    again: bool = False,
    planned: Callable[[Plan, Effort], Watch | None] | None = None,
    noted: Callable[[str], None] | None = None,
) -> Outcome:
    """Run a scenario: resolve its models, play every policy at every point, compare, report, log to MLflow.

    `path`, `models`, `parts` and `changes` are as in `plan_scenario`. The run folder is `out`, or else one in `reports` that
    is named after the scenario and its digest. Real versions are loaded from the registry `registry_uri` (by
    default the tracking server), which runs their code, as `plan_scenario` says. `planned` is called with the plan, and what it
    will take, before it is played; it may return a `Watch`, which is told of every finished task. A run that is finished in
    its folder is not played, only compared and logged; with `again` it is played anew, and replaces the old one when it is
    complete. `noted` is called with a line about a folder that is damaged, and is therefore played. Results are on disk before
    anything is logged; logging ends after `timeout_s` seconds, or when it is interrupted, and the outcome says so. Raises
    `InputError` for wrong input and for a plan that has no room in memory, `FileError` where a file cannot be written, and
    `TrackingError` if the registry cannot be read.
    """
    from sim.registry.store import addresses, default_uri
    from sim.run.checkpoints import played_by
    from sim.run.effort import effort_of
    from sim.run.folder import usable
    from sim.run.simulate import folder_of, simulate
    from sim.tracking.child import Child

    _usable(parts=parts, workers=workers, timeout_s=timeout_s, tracking_uri=tracking_uri, registry_uri=registry_uri)
    if log:
        # An address that cannot be one is said before anything is played.
        addresses(tracking_uri, registry_uri)
    cache = Path(reports) / ".predictions"
    if out is not None:
        usable(Path(out))
    plan = plan_scenario(
        path, models, tracking_uri=tracking_uri, registry_uri=registry_uri, cache=cache, parts=parts, changes=changes
    )
    folder = folder_of(plan, Path(reports)) if out is None else Path(out)
    there = None if again else _finished(folder, plan, noted)
    with Child(tracking_uri or default_uri()) as child:
        if there is not None:
            outcome = Outcome(folder, there, None, None, False, False, there.run.sources != played_by())
        else:
            effort = effort_of(plan, workers, folder=folder_of(plan, folder))
            watch = planned(plan, effort) if planned else None
            found: list[Comparison] = []

            def conclude(new: Path) -> None:
                if log:
                    # The process that logs loads its libraries while the report is written.
                    child.start()
                found.append(_tell(new, new))

            run = simulate(plan, Path(reports), out=folder, workers=effort.workers, watch=watch, conclude=conclude)
            outcome = Outcome(run.folder, found[0] if run.kept else None, None, None, run.interrupted)
        if not log or outcome.comparison is None:
            return outcome
        try:
            return replace(outcome, tracked=_track(outcome.folder, tracking_uri, experiment, timeout_s, child))
        except TrackingError as error:
            return replace(outcome, tracking_error=error)
        except KeyboardInterrupt:
            later = f"interrupted; to go on: the same command again, or sim track {shlex.quote(str(outcome.folder))}"
            return replace(outcome, tracking_error=TrackingError(later), interrupted=True)


def _finished(folder: Path, plan: Plan, noted: Callable[[str], None] | None) -> Comparison | None:
    """The comparison of the finished run of a plan that a folder holds; None where it is to be played.

    Only a report that is missing or cannot be read is written again.
    """
    from sim.compare.comparison import compare
    from sim.report import source
    from sim.run.folder import FILES, holding
    from sim.run.held import held

    with holding(folder):
        try:
            run = held(folder)
            if run is None or (run.status, run.digest) != ("finished", plan.digest):
                return None
            comparison = compare(folder)
        except InputError as error:
            if noted:
                more = f", and {len(error.problems) - 1} more" if len(error.problems) > 1 else ""
                noted(f"what is in {folder} cannot be used, and is played anew: {error.problems[0]}{more}")
            return None
        try:
            source.read(folder)
            told = all((folder / name).is_file() for name in FILES)
        except InputError:
            told = False
        if not told:
            _report(folder)
        return comparison


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
    changes: Sequence[Change] = (),
    planned: Callable[[PlannedPoint], None] | None = None,
) -> pd.DataFrame:
    """The event log of one replication under one policy, as `sim.run.trace.trace` describes; also written to `out` if given.

    `path`, `models`, `parts` and `changes` are as in `plan_scenario`, which says when real versions run their code. The sweep
    of a scenario is ignored.
    """
    from sim.files import writable
    from sim.policy.catalogue import using
    from sim.run.plan import prepare
    from sim.run.trace import problems, trace, write
    from sim.scenario.reading import read

    _usable(parts=parts, tracking_uri=tracking_uri, registry_uri=registry_uri)
    file = None if out is None else Path(out)
    with using(parts):
        scenario, document = read(path, _with_files(), changes)
        trace_problems = problems(scenario, policy, replication, engine, file)
        if trace_problems:
            raise InputError(trace_problems)
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
    """The problems by the rules of later layers."""
    from sim.engine.catalogue import engine_problems
    from sim.registry.versions import misspelt

    later_problems = [*misspelt(model.uri for model in scenario.models), *engine_problems(scenario)]
    if scenario.thresholds or scenario.require:
        from sim.compare.rules import problems

        names = [policy.name for policy in scenario.policies]
        later_problems += problems(scenario.thresholds, names)
        later_problems += problems(scenario.require, names, "require")
    return later_problems


def _with_files() -> Callable[[Scenario, Path], list[Problem]]:
    """A function that finds problems by the rules of later layers and in the files of a scenario. Reads each file once."""
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
    """The resolver of a scenario's versions: from models in memory if given, else from a registry."""
    from sim.run.plan import from_registry, in_memory

    if models is not None:
        return in_memory(models)
    store = _registry(tracking_uri, registry_uri, scenario, document)
    return from_registry(store, None if cache is None else Path(cache))


def _registry(tracking_uri: str | None, registry_uri: str | None, scenario: Scenario, document: Document) -> Client:
    """A client of the registry. Raises `InputError` if the registry does not exist yet, and does not create it."""
    from sim.registry.store import absent, registry
    from sim.registry.versions import unregistered

    # Only the registry is read here: the tracking server need not be up before there are results.
    if absent(tracking_uri, registry_uri):
        raise InputError(document.place(problem) for problem in unregistered(model.uri for model in scenario.models))
    return registry(tracking_uri, registry_uri)


def report_run(folder: str | Path, *, baseline: str | None = None, formats: Iterable[str] = tuple(FORMATS)) -> Comparison:
    """Compare the policies of a run folder, and write summary.json, report.html and report.md into it, all or none.

    Files of other formats than `formats` stay as they are.
    """
    from sim.run.folder import holding

    folder = Path(folder)
    with holding(folder):
        return _report(folder, baseline, formats)


def _report(folder: Path, baseline: str | None = None, formats: Iterable[str] = tuple(FORMATS)) -> Comparison:
    from sim.run.folder import replacement
    from sim.run.record import read_run

    # Raises an error that tells a folder without a run before anything is made in it.
    read_run(folder)
    with replacement(folder) as new:
        return _tell(folder, new, baseline, formats)


def _tell(
    folder: Path, into: Path, baseline: str | None = None, formats: Iterable[str] = tuple(FORMATS)
) -> Comparison:  # fmt: skip
    """Compare the policies in the tables of a folder, and write what is told of them into another (or the same)."""
    from sim.compare.comparison import compare
    from sim.compare.summary import write_summary
    from sim.report import html, markdown

    comparison = compare(folder, baseline)
    summary = write_summary(comparison, into)
    # Both reports are made of the summary.
    for name, write in (("html", html.write), ("md", markdown.write)):
        if name in formats:
            write(folder, into)
    if "json" not in formats:
        summary.unlink()
    return comparison


def track_run(
    folder: str | Path, *, tracking_uri: str | None = None, experiment: str | None = None, timeout_s: float = TIMEOUT_S
) -> Tracked:
    """Log a run folder to MLflow, in `timeout_s` seconds at most. Logging the same folder again adds nothing."""
    from sim.registry.store import addresses

    _usable(timeout_s=timeout_s, tracking_uri=tracking_uri)
    addresses(tracking_uri)
    return _track(Path(folder), tracking_uri, experiment, timeout_s)


def _track(
    folder: Path, tracking_uri: str | None, experiment: str | None, timeout_s: float, child: Child | None = None
) -> Tracked:
    from sim.run.folder import holding
    from sim.tracking.track import track

    with holding(folder):
        return track(folder, tracking_uri=tracking_uri, experiment=experiment, timeout_s=timeout_s, child=child)
