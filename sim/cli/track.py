"""`sim track`: log a run folder to MLflow, once."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sim import workflow
from sim.cli.options import PLAIN, Completes, Verbs, add_annotate, add_stores, completing
from sim.errors import EXIT_OK, plain


def add(verbs: Verbs) -> None:
    parser = verbs.add_parser("track", help="log a run folder to MLflow, once", formatter_class=PLAIN,
                             epilog="example: sim track reports/quickstart-*")  # fmt: skip
    folder = parser.add_argument("folder", type=Path, help="run folder")
    completing(folder, Completes.RUN)
    add_stores(parser)
    add_annotate(parser)
    parser.set_defaults(verb=_track)


def _track(options: argparse.Namespace) -> int:
    tracked = workflow.track_run(
        options.folder,
        tracking_uri=options.tracking_uri,
        registry_uri=options.registry_uri,
        experiment=options.experiment,
        timeout_s=options.timeout,
        annotate=options.annotate,
    )
    print(f"mlflow: {plain(tracked.tracking_uri)} run {tracked.run_id}{'' if tracked.created else ' (was there already)'}")
    if tracked.unmarked:
        print(f"sim: warning: the versions do not name the run: {plain(tracked.unmarked)}", file=sys.stderr)
    return EXIT_OK
