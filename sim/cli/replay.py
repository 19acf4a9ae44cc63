"""`sim replay`: what policies would have earned on a log."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from sim.cli.options import PLAIN, Completes, Verbs, completing, duration, positive, scenario_file, whole
from sim.errors import EXIT_OK, InputError, Problem, plain


def add(verbs: Verbs) -> None:
    parser = verbs.add_parser(
        "replay", help="tell what policies would have earned on your logs", formatter_class=PLAIN, reads_scenario=True,
        description="Evaluate policies on logged decisions: a CSV or Parquet file with a row a decision, in order of time:\n"
        "when, which arm, what it earned, and the probability with which that arm was chosen (its propensity).\n"
        "Fixed weights are evaluated by IPS, SNIPS, doubly robust, switch-DR and rejection replay; policies that adapt by\n"
        "replay. Policies are the allocations of a small file (--policies), or policies of a scenario (--scenario).\n"
        "Nothing is written.",
        epilog="examples:\n  sim replay log.parquet --policies policies.yaml\n"
        "  sim replay log.csv --policies policies.yaml --policy even --policy thompson --tick 10m\n"
        "  sim replay log.csv --scenario rollout.yaml --policy bandit --arm version --reward bought\n"
        "  sim replay log.csv --policies policies.yaml --context country --context device --json\n"
        "  sim replay log.csv --policies policies.yaml --feature age --feature country --model logistic\n"
        "  sim replay coin-flips.csv --policies policies.yaml --uniform\n\n"
        "policies.yaml:\n  arms: [old, new]            # as the log writes them, the champion first\n"
        "  policies:\n    - {name: even, allocation: {kind: fixed, weights: [50%, 50%]}}\n"
        "    - {name: thompson, allocation: {kind: thompson, floor: 5%}}\n"
        "    - {name: by-country, by: country, choose: {DE: new, FR: [50%, 50%]}, otherwise: old}\n"
        "    - {name: best-guess, greedy: 90%}    # of which --model expects most, of other rows",
    )  # fmt: skip
    parser.add_argument("log", metavar="LOG", type=Path, help="the log, .csv or .parquet")
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("--policies", type=Path, metavar="FILE", help="a file of arms and allocations")
    scenario = given.add_argument(
        "--scenario", metavar="FILE", help="a scenario with the policies; its models are not looked up"
    )
    completing(scenario, Completes.SCENARIO)
    parser.add_argument(
        "--policy", action="append", default=[], metavar="NAME",
        help="evaluate this policy; may be repeated, and the others are compared with the first (default: all)",
    )  # fmt: skip
    for name, what in (
        ("time", "when, in seconds or as time stamps"),
        ("arm", "which arm was chosen"),
        ("reward", "what it earned"),
    ):
        parser.add_argument(f"--{name}", default=name, metavar="COLUMN", help=f"{what} (default: {name})")
    parser.add_argument("--propensity", metavar="COLUMN", help="the probability of what was chosen (default: propensity)")
    parser.add_argument("--uniform", action="store_true", help="there are no propensities: every arm was equally likely")
    parser.add_argument(
        "--context", action="append", default=[], metavar="COLUMN",
        help="what was known before the choice, in classes, for the doubly robust model; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--feature", action="append", default=[], metavar="COLUMN",
        help="the same for a ridge or logistic model: numbers as they are, others in classes; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--model", choices=("cells", "ridge", "logistic"),
        help="the model of rewards: means of the classes of --context, or for each arm a line in the --feature columns, of\n"
        "rewards (ridge) or of their log odds (logistic) (default: cells, ridge with --feature)",
    )  # fmt: skip
    parser.add_argument("--tick", type=duration, help="how often a policy looks (default: 1h, or the scenario's)")
    parser.add_argument(
        "--least-size", type=_number, default=100.0, metavar="ROWS",
        help="say nothing of a policy with a smaller effective sample size (default: 100)",
    )  # fmt: skip
    parser.add_argument(
        "--switch-at", type=_number, default=10.0, metavar="WEIGHT",
        help="switch-DR believes its model where a row would weigh more (default: 10)",
    )  # fmt: skip
    parser.add_argument(
        "--replays", type=_several, default=100, help="of each policy, and as many of resampled rows (default: 100)"
    )
    parser.add_argument("--samples", type=_several, default=1_000, help="of the bootstrap (default: 1,000)")
    parser.add_argument("--seed", type=whole, default=1, help="seed (default: 1)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.set_defaults(verb=_replay)


def _replay(options: argparse.Namespace) -> int:
    import json

    from sim.offpolicy import pages, policies
    from sim.offpolicy.evaluating import Options, evaluate
    from sim.offpolicy.log import Columns, read_log

    if options.uniform and options.propensity:
        raise InputError([Problem("says that there are no propensities, and --propensity names them", "--uniform")])
    if options.policies:
        candidates = policies.of_file(options.policies, options.policy)
    else:
        candidates = policies.of_scenario(scenario_file(options.scenario), options.policy)
    propensity = None if options.uniform else options.propensity or "propensity"
    model = options.model or ("ridge" if options.feature else "cells")
    if model == "cells" and options.feature:
        raise InputError([Problem("has no features: give --context, or --model ridge or logistic", "--model cells")])
    if model != "cells" and not options.feature:
        raise InputError([Problem("needs columns to fit: give --feature", f"--model {model}")])
    if model != "cells" and options.context:
        raise InputError([Problem(f"is for --model cells: give {options.context[0]} as a --feature", "--context")])
    columns = Columns(
        options.time, options.arm, options.reward, propensity, tuple(options.context), tuple(options.feature),
        candidates.columns,
    )  # fmt: skip
    log = read_log(options.log, columns, candidates.arms)
    how = Options(
        options.tick or candidates.tick_s or 3600.0, options.least_size, options.switch_at, options.replays, options.samples,
        options.seed, model,
    )  # fmt: skip
    found = evaluate(log, candidates, how, watch=options.interrupts.check)
    print(json.dumps(found.to_dict(), indent=1, allow_nan=False) if options.json else plain(pages.to_text(found)))
    return EXIT_OK


def _number(text: str) -> float:
    """A finite number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise argparse.ArgumentTypeError(f"must be a number above 0, got {text!r}")
    return number


def _several(text: str) -> int:
    """A number from 20 to 10,000: percentiles of fewer are of chance."""
    number = positive(text)
    if not 20 <= number <= 10_000:
        raise argparse.ArgumentTypeError(f"must be from 20 to 10,000, got {text}")
    return number
