"""The main job, end to end: scenario file in, run folder with comparison and report out, logged to MLflow."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING

from sim.errors import EXIT_INTERRUPTED, EXIT_OK, EXIT_THRESHOLD, EXIT_TRACKING, InputError, Problem, TrackingError
from sim.given import (
    check_arguments,
    check_registry,
    later_problems,
    registry_of,
    registry_resolver,
    resolver_of,
    settling,
    with_files,
)
from sim.spelling import there_are
from sim.tracking.limits import TIMEOUT_S
from sim.units import shown

if TYPE_CHECKING:
    from concurrent.futures import Executor

    import pandas as pd

    from sim.compare.comparison import Comparison
    from sim.registry.memory import Models
    from sim.report.beside import Draws
    from sim.report.results import Results
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
# A process that waits for longer than this to log would hold memory for nothing.
_SOON_S = 60.0
FORMATS = {
    "html": "report.html", "md": "report.md", "csv": "measures.csv", "png": "policies.png", "json": "summary.json"
}  # fmt: skip
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


def load_scenario(path: Source, *, parts: Sequence[str | Path] = ()) -> Scenario:
    """Read and check a scenario: a file, its text or a mapping. Does not read the registry or the files that it names.

    `parts` are Python files whose parts the scenario may use (docs/extending.md); their code runs.
    Raises `sim.errors.InputError` with every problem, each at its file:line:column.
    """
    from sim.policy.catalogue import using
    from sim.scenario.reading import read

    check_arguments(parts=parts)
    with using(parts):
        return read(path, lambda scenario, folder: later_problems(scenario))[0]


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

    check_arguments(parts=parts, tracking_uri=tracking_uri, registry_uri=registry_uri)
    with using(parts):
        scenario, document = read(path, with_files(), changes)
        if not resolve:
            return scenario, doubted(scenario, document)
        return scenario, look(scenario, document, registry_of(tracking_uri, registry_uri, scenario, document))


def plan_scenario(
    scenario: Source,
    models: Models | None = None,
    *,
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
    cache: str | Path | None = None,
    parts: Sequence[str | Path] = (),
    changes: Sequence[Change] = (),
    workers: int | None = 1,
    told: Callable[[str], None] | None = None,
) -> Plan:
    """The versions, world and engine that a scenario is played with, at each point of its sweep.

    `scenario` is a file, its text or a mapping; it is checked as by `sim check`. `models` are behaviours in memory, as
    `sim.registry.memory.Models` describes; without `models`, versions come from the registry. Real versions are loaded from the
    registry, which runs their code: only if it is named, here or by the environment, or is the mlflow.db of this folder and was
    made by this user's own `sim`. `cache` is a folder for their predictions. `parts` are Python files whose parts the
    scenario may use (docs/extending.md); their code runs. `changes` are other values than those of the scenario.

    Numbers that are to be calibrated are found here, by playing, on so many `workers` (None as the work is worth), with lines
    about it to `told`; what was played is kept in a folder beside `cache`. Raises `InputError`, and `TrackingError` if the
    registry cannot be read.
    """
    check_arguments(parts=parts, workers=workers, tracking_uri=tracking_uri, registry_uri=registry_uri)

    def resolver(asked: Scenario, document: Document) -> Resolver:
        return resolver_of(asked, document, models, tracking_uri, registry_uri, cache)

    return _planned(scenario, resolver, cache, parts=parts, changes=changes, workers=workers, told=told)


def _planned(
    scenario: Source, resolver: Callable[[Scenario, Document], Resolver], cache: str | Path | None, *,
    parts: Sequence[str | Path], changes: Sequence[Change], workers: int | None, told: Callable[[str], None] | None,
) -> Plan:  # fmt: skip
    """The plan of a scenario, as `plan_scenario` describes. `resolver` is asked once the scenario has passed its checks."""
    from sim.policy.catalogue import using
    from sim.run.plan import once, prepare
    from sim.run.varying import with_variants
    from sim.scenario.reading import read

    with using(parts):
        asked, document = read(scenario, with_files(), changes)
        found = once(resolver(asked, document))
        return with_variants(prepare(asked, document, found, settling(workers, cache, told)), document, found)


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
    executor: Executor | None = None,
) -> Results:
    """The results of a scenario that is played in memory: no files, no MLflow runs.

    The same scenario gives the same bits as `sim run`. Without `models`, real versions of the registry run their code, as
    `plan_scenario` says. `baseline` is the policy that other policies are paired with. `samples`,
    at least 2, limits the ticks of the timeline; `workers` are at least 1, None as the work is worth. `executor` plays the
    tasks instead, as in `run_scenario`. The other arguments are
    those of `plan_scenario`. With more than one of `workers`, a script needs `if __name__ == "__main__":` around its work.

    >>> results = rehearse(
    ...     {
    ...         "name": "small", "horizon": "1d", "tick": "1h", "replications": 20, "traffic": {"rate": "1000/h"},
    ...         "models": [{"arm": arm, "uri": f"models:/ranker@{arm}"} for arm in ("champion", "challenger")],
    ...         "metrics": [{"name": "sale", "role": "primary"}],
    ...         "policies": [{"name": "ab", "kind": "ab", "evidence": {"kind": "fixed_horizon", "sample": 5000}}],
    ...     },
    ...     [{"outcomes": {"sale": {"bernoulli": rate}}, "latency": {"constant": "45ms"}} for rate in (0.05, 0.07)],
    ... )
    >>> results
    <Results of small: ab; 20 replications of 1 d>
    >>> int((results.trials["verdict"] == "ship").sum())
    20
    >>> results.to_pandas().query("measure == 'time_to_decision'")[["policy", "unit", "estimate", "n"]].values.tolist()
    [['ab', 's', 37080.0, 20]]
    >>> from matplotlib.figure import Figure
    >>> results.plot.incidence("ship", ax=Figure().subplots()).get_ylabel()
    'share of trials, with 95% bands'
    """
    from sim.compare.comparison import compare_trials
    from sim.compare.enough import targets
    from sim.report.results import Results
    from sim.run import rehearse as run
    from sim.run.crews import crew_for

    stores = {"tracking_uri": tracking_uri, "registry_uri": registry_uri}
    check_arguments(parts=parts, baseline=baseline, workers=workers, samples=samples, **stores)
    with crew_for(executor, None, None if workers == 1 else workers):
        plan = plan_scenario(
            scenario, models, tracking_uri=tracking_uri, registry_uri=registry_uri, parts=parts, workers=workers
        )  # fmt: skip
        names = list(plan.points[0].forms)
        if baseline is not None and baseline not in names:
            raise InputError([Problem(f"no policy {baseline!r}; {there_are(names)}", "baseline")])
        played = run.rehearse(plan, workers=workers, samples=samples, judge=targets)
    comparison = compare_trials(played.record, played.trials, baseline, played.sensitivity)
    return Results(comparison, played.trials, played.timeline, plan.text, sensitivity=played.sensitivity)


def load_run(folder: str | Path) -> Results:
    """The results in a run folder, as `sim run` saved them: nothing is played or changed, and no model's code runs.

    They are of the same type as those of `rehearse`, and for the same scenario, models and seed they are the same. Raises
    `InputError`, which says what to do, for a folder that is no run's, that was cut short or changed, or that another version
    of the program compared.

    >>> load_run("nowhere")
    Traceback (most recent call last):
    sim.errors.InputError: nowhere: no such folder
    """
    from sim.report.results import load_results

    if not isinstance(folder, str | Path):
        raise InputError([Problem(f"must be the path of a run folder; got {shown(folder)}", "folder")])
    return load_results(Path(folder))


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
    executor: Executor | None = None,
    cluster: str | None = None,
    log: bool = True,
    parts: Sequence[str | Path] = (),
    changes: Sequence[Change] = (),
    again: bool = False,
    annotate: bool = False,
    planned: Callable[[Plan, Effort], Watch | None] | None = None,
    noted: Callable[[str], None] | None = None,
    told: Callable[[str], None] | None = None,
) -> Outcome:
    """Run a scenario: resolve its models, play every policy at every point, compare, report, log to MLflow.

    `path`, `models`, `parts` and `changes` are as in `plan_scenario`. The run folder is `out`, or else one in `reports` that
    is named after the scenario and its digest. Real versions are loaded from the registry `registry_uri` (by
    default the tracking server), which runs their code, as `plan_scenario` says. `planned` is called with the plan, and what it
    will take, before it is played; it may return a `Watch`, which is told of every finished task. A run that is finished in
    its folder is not played, only compared and logged; with `again` it is played anew, and replaces the old one when it is
    complete. The versions then name the run that is logged, each on a tag, and with `annotate` in its description too.
    `noted` is called with a line about a folder that is damaged, and is therefore played; `told` with lines about numbers that
    are calibrated, which is done first. `executor` plays the tasks, and stays yours; of an unusual kind, `workers`
    says how many it plays at once. `cluster` is the address of a Dask scheduler that plays them, or `local:N` for a cluster of
    N processes that ends with the run; a script needs `if __name__ == "__main__":` around its work then. Results are on
    disk before anything is logged; logging ends after `timeout_s` seconds, or when it is interrupted, and the outcome says so.
    Raises `InputError` for wrong input and for a plan that has no room in memory, `FileError` where a file cannot be written,
    `TrackingError` if the registry cannot be read, and `sim.run.crew.ClusterError` if a cluster or an executor fails.
    """
    from sim.registry.store import addresses, default_uri
    from sim.tracking.child import Child, loaded

    check_arguments(parts=parts, workers=workers, timeout_s=timeout_s, tracking_uri=tracking_uri, registry_uri=registry_uri)
    if log:
        # An address that cannot be one is said before anything is played.
        addresses(tracking_uri, registry_uri)
    beside = models is None and not loaded()
    with Child(tracking_uri or default_uri()) as child:
        if beside:
            # It loads MLflow while this process loads what plays.
            child.start()
        from sim.compare.enough import targets
        from sim.report.beside import may_draw
        from sim.run.checkpoints import played_by
        from sim.run.crews import crew_for
        from sim.run.effort import effort_of, may_be_worth
        from sim.run.folder import usable
        from sim.run.machine import processors
        from sim.run.simulate import folder_of, simulate
        from sim.run.workers import may_start_early, start_helpers
        from sim.tracking.lookup import TO_PLAY, Drawing

        if out is not None:
            usable(Path(out))
        with crew_for(executor, cluster, workers, noted):
            cache = Path(reports) / ".predictions"

            def resolver(asked: Scenario, document: Document) -> Resolver:
                if may_start_early() and may_be_worth(asked, workers):
                    start_helpers()
                # What is finished already needs nothing that plays.
                before = Path(out).exists() if out else any(Path(reports).glob(f"{escape(asked.name)}-*"))
                meanwhile = TO_PLAY if again or not before else ()
                return _resolver(
                    child if beside else None, asked, document, models, tracking_uri, registry_uri, cache, meanwhile
                )

            plan = _planned(path, resolver, cache, parts=parts, changes=changes, workers=workers, told=told)
            folder = folder_of(plan, Path(reports)) if out is None else Path(out)
            there = None if again else _finished(folder, plan, noted)
            if there is not None:
                outcome = Outcome(folder, there, None, None, False, False, there.run.sources != played_by())
            else:
                effort = effort_of(plan, workers, folder=folder_of(plan, folder))
                watch = planned(plan, effort) if planned else None
                if effort.seconds >= _SOON_S or not log:
                    child.stop()
                elif effort.workers < processors():
                    # Of a short run on one process, another processor has nothing else to do than to load what logs.
                    child.start()
                if may_draw(len(plan.points)):
                    child.prepare_to_draw()
                found: list[Comparison] = []

                def conclude(new: Path) -> None:
                    if log:
                        # The process that logs loads its libraries while the report is written.
                        child.start()
                    _write_stories(plan, new)
                    found.append(_tell(new, new, drawing=Drawing(child, new, new) if child.draws else None))

                run = simulate(
                    plan, Path(reports), out=folder, workers=effort.workers, watch=watch, conclude=conclude, judge=targets
                )
                outcome = Outcome(run.folder, found[0] if run.kept else None, None, None, run.interrupted)
            if not log or outcome.comparison is None:
                return outcome
            try:
                log_to = _LogTo(tracking_uri, registry_uri, experiment, timeout_s, annotate)
                return replace(outcome, tracked=_track(outcome.folder, log_to, child))
            except TrackingError as error:
                return replace(outcome, tracking_error=error)
            except KeyboardInterrupt:
                later = f"interrupted; to go on: the same command again, or sim track {shlex.quote(str(outcome.folder))}"
                return replace(outcome, tracking_error=TrackingError(later), interrupted=True)


def _resolver(
    child: Child | None, asked: Scenario, document: Document, models: Models | None, tracking_uri: str | None,
    registry_uri: str | None, cache: Path, meanwhile: Sequence[str],
) -> Resolver:  # fmt: skip
    """The resolver of a scenario's versions: with a `child`, that of `lookup.through`."""
    from sim.tracking.lookup import through

    if child is None:
        return resolver_of(asked, document, models, tracking_uri, registry_uri, cache)
    check_registry(tracking_uri, registry_uri, asked, document)
    return through(child, partial(registry_resolver, tracking_uri, registry_uri, cache), tracking_uri, registry_uri, meanwhile)


def _finished(folder: Path, plan: Plan, noted: Callable[[str], None] | None) -> Comparison | None:
    """The comparison of the finished run of a plan that a folder holds; None where it is to be played.

    Only a report that is missing or cannot be read is written again.
    """
    from sim.compare.comparison import compare
    from sim.report import source
    from sim.run.folder import holding
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
            told = all((folder / name).is_file() for name in FORMATS.values())
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
    requests: bool = False,
) -> pd.DataFrame:
    """The event log of one replication under one policy, as `sim.run.trace.trace` describes; also written to `out` if given.

    With `requests` a row is a request, as `sim.run.requests.request_log` describes.
    `path`, `models`, `parts` and `changes` are as in `plan_scenario`, which says when real versions run their code. The sweep
    of a scenario is ignored.
    """
    from sim.registry.store import default_uri
    from sim.tracking.child import Child, loaded

    check_arguments(parts=parts, tracking_uri=tracking_uri, registry_uri=registry_uri)
    beside = models is None and not loaded()
    with Child(tracking_uri or default_uri()) as child:
        if beside:
            # It loads MLflow while this process loads what plays.
            child.start()
        from sim.files import writable
        from sim.policy.catalogue import using
        from sim.run.plan import prepare
        from sim.run.requests import request_log
        from sim.run.trace import problems, trace, write
        from sim.scenario.reading import read

        file = None if out is None else Path(out)
        with using(parts):
            scenario, document = read(path, with_files(), changes)
            trace_problems = problems(scenario, policy, replication, engine, file)
            if trace_problems:
                raise InputError(trace_problems)
            if file is not None:
                writable(file, "--out")
            cache = Path(reports) / ".predictions"
            store, meanwhile = (tracking_uri, registry_uri), ("pandas", "sim.engine.compiled")
            resolver = _resolver(child if beside else None, scenario, document, models, *store, cache, meanwhile)
            (point,) = prepare(scenario.model_copy(update={"sweep": None}), document, resolver, settling(1, cache)).points
    if planned:
        planned(point)
    log = trace(point, policy, replication, engine, until_s, whole=requests)
    if requests:
        log = request_log(log, point.scenario)
    if file is not None:
        write(log, file)
    return log


def report_run(folder: str | Path, *, baseline: str | None = None, formats: Iterable[str] = tuple(FORMATS)) -> Comparison:
    """Compare the policies of a run folder, and write what is told of it (`FORMATS`) into it, all or none.

    Files of other formats than `formats` stay as they are.
    """
    from sim.run.folder import holding

    folder = Path(folder)
    with holding(folder):
        return _report(folder, baseline, formats)


def _report(folder: Path, baseline: str | None = None, formats: Iterable[str] = tuple(FORMATS)) -> Comparison:
    from sim.run.folder import replacement
    from sim.run.held import check_all_intact
    from sim.run.record import read_run

    # Raises an error that tells a folder without a run, or a changed one, before anything is made in it.
    check_all_intact(folder, read_run(folder))
    with replacement(folder) as new:
        return _tell(folder, new, baseline, formats)


def _tell(
    folder: Path, into: Path, baseline: str | None = None, formats: Iterable[str] = tuple(FORMATS), drawing: Draws | None = None
) -> Comparison:  # fmt: skip
    """Compare the policies in the tables of a folder, and write what is told of them into another (or the same).

    `drawing` is another process that draws, where there is one already.
    """
    from sim.compare.comparison import compare
    from sim.compare.summary import write_summary
    from sim.report import beside, html, listed, markdown, picture
    from sim.run.record import read_run

    wanted = set(formats)
    shared = drawing is None and {"html", "png"} <= wanted and beside.pays(read_run(folder))
    # The process loads its libraries while policies are compared.
    with beside.beside(folder, into) if shared else nullcontext(drawing) as other:
        comparison = compare(folder, baseline)
        summary = write_summary(comparison, into)
        # All of them are made of the summary.
        if other:
            other.begin()
        if "md" in wanted:
            markdown.write(folder, into)
        if "csv" in wanted:
            listed.write(folder, into)
        if "html" in wanted:
            html.write(folder, into, other.sections if other else None)
        if "png" in wanted:
            picture.write(folder, into, other.picture() if other else None)
    if "json" not in wanted:
        summary.unlink()
    return comparison


def _write_stories(plan: Plan, folder: Path) -> None:
    """Play the worst, a typical and the best trial of every policy again, and write what happened in them to a new result.

    None of a sweep, whose report has no charts over time, and of few trials, of which none is typical.
    """
    from sim.compare.decision import decide
    from sim.compare.picked import picked
    from sim.compare.trials import read_trials
    from sim.files import write_json
    from sim.run.blocks import works_of
    from sim.run.noting import LEAST_TRIALS, MOST_TICKS, stories
    from sim.run.record import read_run
    from sim.run.story import FILE

    told = []
    if not plan.paths and plan.scenario.replications >= LEAST_TRIALS and plan.scenario.ticks <= MOST_TICKS:
        run = read_run(folder)
        (trials,), work = read_trials(folder, run), works_of(plan)[0]
        by = decide(run, trials).aim
        told = [story for own in trials.values() for story in stories(work, own.policy, picked(own, by))]
    write_json(folder / FILE, [story.model_dump(mode="json") for story in told])


def track_run(
    folder: str | Path,
    *,
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
    experiment: str | None = None,
    timeout_s: float = TIMEOUT_S,
    annotate: bool = False,
) -> Tracked:
    """Log a run folder to MLflow, in `timeout_s` seconds at most. Logging the same folder again adds nothing.

    Each of its versions in the registry (by default the tracking server) then names the run on a tag; with `annotate`, the
    version's description says what the rehearsal found, in a section of its own.
    """
    from sim.registry.store import addresses

    check_arguments(timeout_s=timeout_s, tracking_uri=tracking_uri, registry_uri=registry_uri)
    addresses(tracking_uri, registry_uri)
    return _track(Path(folder), _LogTo(tracking_uri, registry_uri, experiment, timeout_s, annotate))


@dataclass(frozen=True)
class _LogTo:
    """Where a run is logged, and how."""

    tracking_uri: str | None
    registry_uri: str | None
    experiment: str | None
    timeout_s: float
    annotate: bool


def _track(folder: Path, to: _LogTo, child: Child | None = None) -> Tracked:
    from sim.run.folder import holding
    from sim.tracking.track import track

    with holding(folder):
        return track(
            folder, tracking_uri=to.tracking_uri, registry_uri=to.registry_uri, experiment=to.experiment,
            timeout_s=to.timeout_s, annotate=to.annotate, child=child,
        )  # fmt: skip
