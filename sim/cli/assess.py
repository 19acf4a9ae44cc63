"""`sim assess`: what risk a rollout takes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sim.cli.options import PLAIN, Completes, Verbs, add_stores, completing, positive, scenario_file, whole
from sim.cli.output import shown_of
from sim.errors import EXIT_OK, EXIT_THRESHOLD, InputError, Problem, plain

if TYPE_CHECKING:
    from sim.assess.rollout import Rollout

_FACTS = ("rate", "error_rate", "p50", "p99", "approval", "weight", "load_test")


def add(verbs: Verbs) -> None:
    parser = verbs.add_parser(
        "assess", help="tell the risk of a rollout: false aborts, time to catch what is worse, users harmed",
        formatter_class=PLAIN, reads_scenario=True,
        description="Play a rollout of manifests (Argo, Flagger, SageMaker, Kayenta) or a policy of a scenario with versions\n"
        "that are no worse, and with versions that fail more often or answer more slowly. Tell how often it aborts for\n"
        "nothing, how soon it catches what is worse, and how many bad answers that costs. Nothing is written but the files\n"
        "named.",
        epilog="examples:\n  sim assess rollout.yaml templates.yaml --rate 30/s --error-rate 0.1% --p99 250ms\n"
        "  sim assess argo-rollout --policy limit-2 --night-rate 2/s\n"
        '  sim assess canary.yaml --rate 30/s --require "false_abort < 2%" --require "caught@5% > 95%"',
    )  # fmt: skip
    files = parser.add_argument(
        "files", metavar="FILE", nargs="+",
        help="manifests (YAML or JSON) with all that they name; or one scenario, or an example's name",
    )  # fmt: skip
    completing(files, Completes.SCENARIO)
    parser.add_argument("--policy", metavar="NAME", help="the policy of the scenario, or the rollout where there are several")
    parser.add_argument("--bindings", type=Path, metavar="FILE", help="what measures mean that are not recognised")
    parser.add_argument("--rate", help="how many requests arrive (default of manifests: 10/s; of a scenario: its traffic)")
    parser.add_argument("--night-rate", metavar="RATE", help="assess it at this rate too")
    parser.add_argument("--error-rate", metavar="RATE", help="the share of requests that fail today (default: 0.1%%)")
    parser.add_argument("--p50", help="the median time of an answer today (default: 50ms)")
    parser.add_argument("--p99", help="the time within which 99%% of answers are there today (default: 250ms)")
    parser.add_argument("--approval", help="how long people take where a rollout waits for one, as YAML")
    parser.add_argument("--weight", metavar="SHARE", help="the canary's share of the traffic, for Kayenta (default: 5%%)")
    parser.add_argument(
        "--load-test",
        metavar="SHARE",
        help="what a load test sends to a canary that no user meets yet, as a share of the traffic",
    )
    parser.add_argument("--releases", default="50/y", metavar="RATE", help="how many releases there are (default: 50/y)")
    parser.add_argument(
        "--delta", action="append", metavar="SHARE",
        help="try a version that fails in so many percentage points more; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--slower", action="append", metavar="SHARE", help="try a version that takes so much longer; may be repeated"
    )
    parser.add_argument("--false-abort", metavar="SHARE", help="wanted: no more false aborts, such as 1%%")
    parser.add_argument(
        "--catch", action="append", default=[], metavar="DELTA:TIME",
        help="wanted: a version that fails in so many points more (slower-50%%: answers so much later) is rolled back by then, "
        "such as 5%%:10m; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--sure", default="95%", metavar="SHARE", help="in which share of releases --catch holds (default: 95%%)"
    )
    parser.add_argument("--patch", type=Path, metavar="FILE", help="write the smallest change that meets what is wanted")
    parser.add_argument("--no-neighbours", action="store_true", help="leave out what the settings beside these would do")
    parser.add_argument(
        "--require", action="append", default=[], metavar="RULE",
        help='exit with 3 unless this is shown, such as "false_abort < 2%%" or "caught@5%% > 95%%"; may be repeated',
    )  # fmt: skip
    parser.add_argument("--replications", type=positive, help="releases of each version (default: 10,000, or what is quick)")
    parser.add_argument("--seed", type=whole, default=1, help="seed (default: 1)")
    parser.add_argument("--workers", type=positive, help="processes; results do not depend on it")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write a page for a pull request")
    add_stores(parser)
    parser.set_defaults(verb=_assess)


def _assess(options: argparse.Namespace) -> int:
    import json

    from sim.assess import pages
    from sim.assess.assessing import assess
    from sim.assess.question import ERRORS, SLOWER, question_of
    from sim.files import writable, write_text

    if options.patch and not (options.false_abort or options.catch):
        raise InputError([Problem("needs what is wanted: --false-abort, --catch or both", "--patch")])
    files = (("--html", options.html), ("--markdown", options.markdown), ("--patch", options.patch))
    for option, file in files:
        if file:
            writable(file, option)
    if len({file.resolve() for _, file in files if file}) < sum(1 for _, file in files if file):
        raise InputError([Problem("must be different files", "--html, --markdown, --patch")])
    question = question_of(
        rate=options.rate, night_rate=options.night_rate, errors=options.delta or ERRORS, slower=options.slower or SLOWER,
        replications=options.replications or 10_000, seed=options.seed, releases=options.releases,
        false_abort=options.false_abort, catch=options.catch, sure=options.sure,
    )  # fmt: skip
    found = assess(
        _rollout(options), question, options.require, workers=options.workers, exactly=options.replications is not None,
        watch=lambda done, total: options.interrupts.check(), neighbours=not options.no_neighbours,
    )  # fmt: skip
    written = {options.html: pages.to_html, options.markdown: pages.to_markdown, options.patch: pages.to_patch}
    for file, page in written.items():
        if file:
            write_text(file, page(found))
    with shown_of(options.html or options.markdown or options.patch):
        print(json.dumps(found.to_dict(), indent=1) if options.json else plain(pages.to_text(found)))
    for file in filter(None, written):
        print(f"sim: written: {plain(str(file))}", file=sys.stderr)
    for judged in found.judged:
        if not judged.met:
            print(f"sim: not shown: {plain(judged.rule)}", file=sys.stderr)
    return EXIT_OK if found.met else EXIT_THRESHOLD


def _rollout(options: argparse.Namespace) -> Rollout:
    """The rollout of the files: that of a scenario, where one file is one."""
    from sim.assess.rollout import is_scenario, of_manifests, of_scenario
    from sim.interop.objects import read_files
    from sim.interop.writing import Facts, problem_of

    given = {name: getattr(options, name) for name in _FACTS if getattr(options, name) is not None}
    if len(options.files) == 1:
        file = scenario_file(options.files[0])
        if is_scenario(file):
            others = [name for name in (*_FACTS[1:], "bindings") if getattr(options, name) is not None]
            if others:
                message = "is what a manifest does not say; a scenario has it in its models and policies"
                raise InputError([Problem(message, f"--{name.replace('_', '-')}") for name in others])
            return of_scenario(
                file, options.policy, tracking_uri=options.tracking_uri, registry_uri=options.registry_uri
            )  # fmt: skip
    facts = Facts(**given)
    if wrong := problem_of(facts):
        raise InputError([Problem(message, flag) for flag, message in wrong.items()])
    return of_manifests(read_files([Path(file) for file in options.files]), facts, options.bindings, options.policy)
