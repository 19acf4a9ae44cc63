"""`sim import`: the manifests of other programs as policies of a scenario."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sim.cli.options import PLAIN, Verbs
from sim.errors import EXIT_OK, InputError, plain

if TYPE_CHECKING:
    from sim.interop.read import Read

_FACTS = {
    "--rate": "how many requests arrive, of all users (default: 10/s)",
    "--error-rate": "the share of requests that fail today (default: 0.1%%)",
    "--p50": "the median time of an answer today (default: 50ms)",
    "--p99": "the time within which 99%% of answers are there today (default: 250ms)",
    "--approval": "how long people take where a rollout waits for one, as YAML (default: lognormal, half within 30m)",
    "--weight": "the canary's share of the traffic, for Kayenta, which only judges it (default: 5%%)",
    "--load-test": "what a load test sends to a canary that no user meets yet, as a share of the traffic",
}


def add(verbs: Verbs) -> None:
    parser = verbs.add_parser(
        "import", help="make a scenario of a rollout of Argo, Flagger, SageMaker or Kayenta", formatter_class=PLAIN,
        description="Read the manifests of a rollout, and say of every field whether it is used, ignored (why it does not\n"
        "matter) or refused, each with its line, and what does another thing than it seems to. With --out, write a\n"
        "scenario with the rollout as a policy, and its models file. Nothing is overwritten; nothing is written if a\n"
        "field is refused. Only the files that are named are read, and nothing in them is run.",
        epilog="examples:\n  sim import rollout.yaml templates.yaml --rate 30/s --out rollout-rehearsal.yaml\n"
        "  sim import canary.yaml --bindings bindings.yaml\n"
        "  sim import canary-config.json stage.json --bindings bindings.yaml --weight 10%",
    )  # fmt: skip
    parser.add_argument("files", metavar="FILE", nargs="+", type=Path, help="manifests (YAML or JSON), with all that they name")
    parser.add_argument(
        "--bindings", type=Path, metavar="FILE",
        help="what measures mean that are not recognised; a file that is not there is written, to be filled in",
    )  # fmt: skip
    for flag, text in _FACTS.items():
        metavar = "SHARE" if flag in ("--weight", "--load-test") else flag.rpartition("-")[2].upper()
        parser.add_argument(flag, metavar=metavar, help=text)
    parser.add_argument("--out", type=Path, metavar="FILE", help="the scenario to write; models go to models/ beside it")
    parser.add_argument("--json", action="store_true", help="print the fields and the remarks as JSON")
    parser.set_defaults(verb=_import)


def _import(options: argparse.Namespace) -> int:
    from sim.interop.importing import check_facts, import_manifests, write_scenario
    from sim.interop.writing import Facts

    keys = [flag.removeprefix("--").replace("-", "_") for flag in _FACTS]
    given: dict[str, str] = {key: getattr(options, key) for key in keys if getattr(options, key) is not None}
    facts = Facts(**given)
    # Also where no scenario is written: what is given wrong is told, and not left for the next command.
    check_facts(facts)
    read, skeleton = import_manifests(options.files, options.bindings, facts)
    if options.json:
        _print_json(read)
    else:
        _print(read)
    if skeleton is not None:
        print(f"sim: written: {plain(str(skeleton))}: fill it in, and run the command again", file=sys.stderr)
    if problems := read.problems():
        sys.stdout.flush()
        raise InputError(problems)
    if options.out is not None:
        start = write_scenario(read, facts, options.out, [str(file) for file in options.files])
        print(*(f"written: {plain(str(file))}" for file in start.files), sep="\n")
        print("next:", *(f"  {plain(command)}" for command in start.commands), sep="\n")
    return EXIT_OK


def _print(read: Read) -> None:
    rows = read.rows()
    for file in dict.fromkeys(row.file for row in rows):
        print(plain(file))
        for row in (each for each in rows if each.file == file):
            field = f"{row.path} = {row.value}" if row.value else row.path
            print(plain(f"  {row.line:4}  {row.status.value:8} {field}: {row.text}"))
    remarks = read.remarks()
    if remarks:
        print("what to mend:")
    for remark in remarks:
        print(plain(f"  {remark.file}:{remark.line} {remark.path}: {remark.text}. Mend: {remark.mend}"))


def _print_json(read: Read) -> None:
    import json
    from dataclasses import asdict

    content = {"fields": [asdict(row) for row in read.rows()], "remarks": [asdict(remark) for remark in read.remarks()]}
    print(json.dumps(content, indent=1))
