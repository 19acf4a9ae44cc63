"""`sim export`: a policy of a scenario as the manifest of another program."""

from __future__ import annotations

import argparse
from pathlib import Path

from sim.cli.options import PLAIN, Completes, Verbs, completing, scenario_file
from sim.errors import EXIT_OK, plain

_PROGRAMS = ("argo", "flagger", "sagemaker")


def add(verbs: Verbs) -> None:
    parser = verbs.add_parser(
        "export", help="write a policy as a manifest of Argo, Flagger or SageMaker", formatter_class=PLAIN,
        description="Write a policy of a scenario as the manifest of a program, to standard output or a file. What the\n"
        "program cannot say is told at its line, and then nothing is written. Names of services and series are stand-ins.",
        epilog="examples:\n  sim export --to argo argo-rollout --policy limit-2\n"
        "  sim export --to flagger rollout.yaml --policy canary --out canary.yaml",
    )  # fmt: skip
    parser.add_argument("--to", required=True, choices=_PROGRAMS, help="the program")
    scenario = parser.add_argument("scenario", metavar="SCENARIO", help="a scenario file (YAML), or the name of an example")
    completing(scenario, Completes.SCENARIO)
    parser.add_argument("--policy", required=True, metavar="NAME", help="the policy to write")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to; nothing is overwritten")
    parser.set_defaults(verb=_export)


def _export(options: argparse.Namespace) -> int:
    from sim.interop.exporting import export_policy
    from sim.scenario.examples import write_new

    text = export_policy(scenario_file(options.scenario), options.policy, options.to)
    if options.out is None:
        print(text, end="")
    else:
        write_new({options.out: text})
        print(f"written: {plain(str(options.out))}")
    return EXIT_OK
