"""The main job, end to end: scenario file in, run folder with comparison and report out, logged to MLflow."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING

from sim.errors import EXIT_INTERRUPTED, EXIT_OK, EXIT_THRESHOLD, EXIT_TRACKING, InputError, TrackingError
from sim.given import check_arguments
from sim.tracking.limits import TIMEOUT_S
from sim.workflow.planning import plan_of, resolver_through
from sim.workflow.telling import FORMATS, tell, write_report, write_stories
from sim.workflow.tracking import LogTo, log_folder

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from sim.compare.comparison import Comparison
    from sim.registry.memory import Models
    from sim.run.blocks import Watch
    from sim.run.effort import Effort
    from sim.run.plan import Plan, Resolver
    from sim.scenario.loading import Document
    from sim.scenario.put import Change
    from sim.scenario.reading import Source
    from sim.scenario.schema import Scenario
    from sim.tracking.track import Tracked


REPORTS = Path("reports")
# A process that waits for longer than this to log would hold memory for nothing.
_SOON_S = 60.0


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
                return resolver_through(
                    child if beside else None, asked, document, models, tracking_uri, registry_uri, cache, meanwhile
                )

            plan = plan_of(path, resolver, cache, parts=parts, changes=changes, workers=workers, told=told)
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
                    write_stories(plan, new)
                    found.append(tell(new, new, drawing=Drawing(child, new, new) if child.draws else None))

                run = simulate(
                    plan, Path(reports), out=folder, workers=effort.workers, watch=watch, conclude=conclude, judge=targets
                )
                outcome = Outcome(run.folder, found[0] if run.kept else None, None, None, run.interrupted)
            if not log or outcome.comparison is None:
                return outcome
            try:
                log_to = LogTo(tracking_uri, registry_uri, experiment, timeout_s, annotate)
                return replace(outcome, tracked=log_folder(outcome.folder, log_to, child))
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
            write_report(folder)
        return comparison
