"""`sim recommend`: search for a policy."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from sim import workflow
from sim.cli.options import (
    PLAIN,
    RUNS_MODELS,
    Completes,
    Verbs,
    add_annotate,
    add_changes,
    add_cluster,
    add_display,
    add_parts,
    add_stores,
    completing,
    positive,
    scenario_file,
)
from sim.errors import plain


def add(verbs: Verbs) -> None:
    parser = verbs.add_parser(
        "recommend", help="search for the policy that suits a scenario best", formatter_class=PLAIN, reads_scenario=True,
        description="Search for a policy that nobody has written down: try many on the same worlds, drop those that are shown\n"
        "to be worse, and play the best again on fresh seeds beside the policies of the scenario. Best is the highest net\n"
        "value (`value:`) of those that meet what is required (`require:`). `search:` says which policies are tried; with\n"
        "`search.frontier`, the frontier of two or three measures is searched for instead.\n\n"
        f"{RUNS_MODELS}",
        epilog="examples:\n  sim recommend small-lift\n"
        "  sim recommend small-lift --set search.candidates=200 --set 'search.families=[ab, bandit]'\n"
        "  sim recommend small-lift --set 'search.frontier=[net_value, wrong_ship, time_to_decision]'\n"
        "  sim recommend rollout.yaml --out found --workers 2 --no-tracking\n"
        "  sim recommend small-lift --cluster local:2",
    )  # fmt: skip
    file = parser.add_argument("file", metavar="FILE", help="scenario file (YAML), or the name of an example")
    completing(file, Completes.SCENARIO)
    parser.add_argument("--workers", type=positive, help="processes; results do not depend on it")
    add_cluster(parser)
    reports = parser.add_argument(
        "--reports", type=Path, default=workflow.REPORTS, help="where the search keeps what it played (default: reports)"
    )
    completing(reports, Completes.FOLDER)
    out = parser.add_argument(
        "--out", type=Path, metavar="DIR",
        help="where recommended.yaml, candidates.csv, study.db, the frontier and the run of the finals are written\n"
        "(default: in --reports)",
    )  # fmt: skip
    completing(out, Completes.FOLDER)
    parser.add_argument("--no-tracking", action="store_true", help="log nothing to MLflow ('sim track' can do it later)")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    add_display(parser)
    add_changes(parser)
    add_parts(parser)
    add_stores(parser)
    add_annotate(parser)
    parser.set_defaults(verb=_recommend, again=False, yes=True)


def _recommend(options: argparse.Namespace) -> int:
    from sim.cli.run import planning, show
    from sim.files import replacing, writable, write_text
    from sim.recommend.fresh import FRONTIER, frontier_of, write_frontier
    from sim.recommend.recommending import recommend
    from sim.recommend.telling import candidates_csv, distances, scenario_text
    from sim.registry.store import default_uri
    from sim.report.bar import Bar
    from sim.report.progress import spoken
    from sim.run.crews import crew_for
    from sim.run.folder import usable
    from sim.run.staying import staying
    from sim.tracking.attach import attach

    if options.out:
        usable(options.out, "recommended.yaml", "search")
        # The folder itself is made once there is something to put into it.
        writable(options.out / "recommended.yaml" if options.out.exists() else options.out, "--out")
    started = time.monotonic()
    with Bar(quiet=options.quiet) as bar, crew_for(None, options.cluster, options.workers, bar.say), staying():
        found = recommend(
            scenario_file(options.file), reports=options.reports, tracking_uri=options.tracking_uri,
            registry_uri=options.registry_uri, parts=options.parts, changes=options.changes, workers=options.workers,
            told=bar.say, watch=options.interrupts.check,
        )  # fmt: skip
        searched = time.monotonic()
        folder = options.out or options.reports / f"{found.plan.scenario.name}-{found.plan.digest[:10]}-recommended"
        folder.mkdir(parents=True, exist_ok=True)
        scenario = folder / "recommended.yaml"
        write_text(scenario, scenario_text(found))
        write_text(folder / "candidates.csv", candidates_csv(found.searched))
        with replacing(folder / "study.db") as file:
            found.save_study(file)
        bar.say(f"finals: {', '.join(found.searched.finalists)} and the policies of the scenario, on fresh seeds")
        outcome = workflow.run_scenario(
            scenario, reports=options.reports, out=folder / "run", tracking_uri=options.tracking_uri,
            registry_uri=options.registry_uri, experiment=options.experiment, timeout_s=options.timeout,
            workers=options.workers, log=not options.no_tracking, parts=options.parts, annotate=options.annotate,
            planned=planning(options, bar), told=bar.say,
        )  # fmt: skip
        bar.say(f"searched in {spoken(searched - started)}, played the finals in {spoken(time.monotonic() - searched)}")
        fresh = None
        if found.searched.frontier and outcome.comparison is not None:
            fresh = frontier_of(outcome.folder, found.searched.measures)
            write_text(scenario, scenario_text(found, fresh))
            write_frontier(folder, fresh)
    show(outcome, options.display)
    if fresh is not None and options.display != "none":
        for line in fresh.lines():
            print(plain(line))
    if outcome.comparison is not None and options.display != "none":
        for line in distances(outcome.comparison):
            print(plain(line))
    print(f"recommended: {plain(str(scenario))}", file=sys.stderr)
    if fresh is not None and outcome.tracked is not None:
        # Last, as it may fail: all that was found is written and shown.
        uri, tags = options.tracking_uri or default_uri(), {"sim.frontier": ", ".join(fresh.names)}
        attach(outcome.tracked.run_id, [folder / name for name in FRONTIER], tags, uri)
    return outcome.exit_code
