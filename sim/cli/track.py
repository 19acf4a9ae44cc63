"""`sim track`: log a run folder to MLflow, once."""

from __future__ import annotations

import argparse
from pathlib import Path

from sim import workflow
from sim.cli.options import PLAIN, Verbs, add_stores
from sim.errors import EXIT_OK


def add(verbs: Verbs) -> None:
    parser = verbs.add_parser("track", help="log a run folder to MLflow, once", formatter_class=PLAIN,
                             epilog="example: sim track reports/quickstart-*")  # fmt: skip
    parser.add_argument("folder", type=Path, help="run folder")
    add_stores(parser, registry=False)
    parser.set_defaults(verb=_track)


def _track(options: argparse.Namespace) -> int:
    tracked = workflow.track_run(
        options.folder, tracking_uri=options.tracking_uri, experiment=options.experiment, timeout_s=options.timeout
    )
    print(f"mlflow: {tracked.tracking_uri} run {tracked.run_id}{'' if tracked.created else ' (was there already)'}")
    return EXIT_OK
