"""`sim schema`: the JSON Schema of scenario files."""

from __future__ import annotations

import argparse

from sim.cli.options import Verbs, add_parts
from sim.errors import EXIT_OK


def add(verbs: Verbs) -> None:
    parser = verbs.add_parser("schema", help="print the JSON Schema of scenario files")
    add_parts(parser)
    parser.set_defaults(verb=_schema)


def _schema(options: argparse.Namespace) -> int:
    import json

    from sim.policy.catalogue import using
    from sim.scenario.editing import editor_schema

    with using(options.parts):
        print(json.dumps(editor_schema(), indent=1))
    return EXIT_OK
