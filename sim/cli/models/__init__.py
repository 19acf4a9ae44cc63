"""`sim models`: the life of model versions in the registry."""

from __future__ import annotations

from sim.cli.models import evaluate, measure, promote, register, show
from sim.cli.options import Verbs


def add(verbs: Verbs) -> None:
    models = verbs.add_parser(
        "models", help="list, show, register, measure, evaluate and promote model versions"
    ).add_subparsers(title="verbs", required=True, metavar="VERB")
    for verb in (show, register, measure, evaluate, promote):
        verb.add(models)
