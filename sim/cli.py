"""The verbs of the command line; no logic."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim import workflow
from sim.errors import EXIT_INTERRUPTED, EXIT_OK, EXIT_THRESHOLD, InputError, Problem, SimError

if TYPE_CHECKING:
    from sim.registry.publish import Registered
    from sim.run.plan import Plan
    from sim.run.simulate import Watch
    from sim.run.sweep import SweepPlan


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 2 wrong input, 3 threshold breached, 4 not logged, 130 interrupted."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.verb(options)
    except InputError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        count = len(error.problems)
        print(f"sim: {count} problem{'s' if count > 1 else ''} in the input; nothing was changed", file=sys.stderr)
        return error.exit_code
    except SimError as error:
        print(f"sim: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("sim: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone, as `head` does.
        sys.stderr.close()
        return EXIT_OK
    return code


def _run(options: argparse.Namespace) -> int:
    from sim.report.progress import Bar, lines
    from sim.run.simulate import plans_of

    with Bar(quiet=options.quiet) as bar:

        def planned(plan: Plan | SweepPlan) -> Watch | None:
            for line in lines(plan):
                bar.say(line)
            for warning in plan.warnings:
                print(f"sim: warning: {warning}", file=sys.stderr)
            compiled = next((each for each in plans_of(plan) if each.engine.name == "compiled"), None)
            if compiled:
                from sim.engine.compiled import warm_up

                warm_up(compiled.world, bar.say)
            return bar.start(plan)

        outcome = workflow.run_scenario(
            options.file,
            reports=options.reports,
            tracking_uri=options.tracking_uri,
            registry_uri=options.registry_uri,
            experiment=options.experiment,
            workers=options.workers,
            log=not options.no_tracking,
            planned=planned,
        )
    _show(outcome, options.display)
    return outcome.exit_code


def _show(outcome: workflow.Outcome, display: Any) -> None:
    from sim.report.terminal import table

    if outcome.comparison is None:
        print(f"sim: interrupted before any policy was finished; run again to go on: {outcome.folder}", file=sys.stderr)
        return
    table(outcome.comparison, display=display, file=sys.stdout)
    print(f"report: {outcome.folder / 'report.html'}")
    if outcome.tracked:
        print(f"mlflow: {outcome.tracked.tracking_uri} run {outcome.tracked.run_id}")
    if outcome.tracking_error:
        print(f"sim: results are saved, but not logged: {outcome.tracking_error}", file=sys.stderr)
    breached = [row.name for row in outcome.comparison.thresholds if row.breached]
    if breached:
        print(f"sim: threshold breached: {', '.join(breached)}", file=sys.stderr)
    if outcome.interrupted:
        print("sim: interrupted; finished policies are saved, run again to go on", file=sys.stderr)


def _check(options: argparse.Namespace) -> int:
    from sim.scenario.sweep import text_of

    found: list[Problem] = []
    for file in options.files:
        try:
            scenario = workflow.load_scenario(file)
        except InputError as error:
            found += error.problems
        else:
            if not options.quiet:
                policies = ", ".join(policy.name for policy in scenario.policies)
                print(f"{file}: ok ({scenario.replications} replications of {scenario.ticks} ticks; policies {policies})")
                for path, values in (scenario.sweep or {}).items():
                    print(f"  sweep of {path}: {', '.join(map(text_of, values))}")
    if found:
        raise InputError(found)
    return EXIT_OK


def _report(options: argparse.Namespace) -> int:
    from sim.report.terminal import table

    comparison = workflow.report_run(options.folder, baseline=options.baseline)
    table(comparison, display=options.display, file=sys.stdout)
    print(f"report: {options.folder / 'report.html'}")
    return EXIT_OK


def _trace(options: argparse.Namespace) -> int:
    from sim.run.trace import ENGINES, lines

    def planned(plan: Plan) -> None:
        if options.engine is None and plan.engine.name not in ENGINES:
            played = f"a run of this scenario is played by the {plan.engine.name} engine, which has no events"
            print(f"sim: {played}; this is the same world request by request, with draws of its own", file=sys.stderr)

    log = workflow.trace_scenario(
        options.file, options.policy, options.replication, engine=options.engine, until_s=options.until, out=options.out,
        reports=options.reports, tracking_uri=options.tracking_uri, registry_uri=options.registry_uri, planned=planned,
    )  # fmt: skip
    if options.out is None:
        print(*lines(log, options.limit), sep="\n")
    else:
        print(f"{options.out}: {len(log):,} events")
    return EXIT_OK


def _bench(options: argparse.Namespace) -> int:
    from sim.bench.run import bench, keep, writable

    writable(options.out)

    def say(text: str) -> None:
        if not options.quiet:
            print(f"sim: {text}", file=sys.stderr)

    found = bench(quick=options.quick, rounds=options.rounds, requests=options.requests, say=say)
    print(*found.lines(), sep="\n")
    keep(found, options.out)
    print(f"kept: {options.out}")
    return EXIT_OK


def _verify(options: argparse.Namespace) -> int:
    from sim.verify import page
    from sim.verify.run import chosen, verify

    if options.write and (options.quick or options.only):
        raise InputError([Problem("the page has every figure in full: leave --quick and --only out", path="--write")])
    from sim.verify.progress import Line

    with Line(quiet=options.quiet) as line:
        results = verify(chosen(options.only, options.quick), options.quick, line.watch)
    print(*page.lines(results), sep="\n")
    if options.write:
        page.write(options.write, results)
        print(f"page: {options.write}")
    if options.json:
        page.keep(options.json, results, options.quick)
        print(f"json: {options.json}")
    return EXIT_OK if all(result.passed for result in results) else EXIT_THRESHOLD


def _track(options: argparse.Namespace) -> int:
    tracked = workflow.track_run(options.folder, tracking_uri=options.tracking_uri, experiment=options.experiment)
    print(f"mlflow: {tracked.tracking_uri} run {tracked.run_id}{'' if tracked.created else ' (was there already)'}")
    return EXIT_OK


def _client(options: argparse.Namespace) -> Any:
    from sim.registry.store import client, default_uri

    return client(options.registry_uri or options.tracking_uri or default_uri())


def _demo(options: argparse.Namespace) -> int:
    from sim.registry.demo import demo

    store = _client(options)
    _registered(demo(store), store)
    return EXIT_OK


def _register(options: argparse.Namespace) -> int:
    from sim.registry.behaviour import ModelsFile
    from sim.registry.register import register
    from sim.scenario.loading import load

    files = [load(file, ModelsFile) for file in options.files]
    store = _client(options)
    for file in files:
        _registered(register(file, store), store)
    return EXIT_OK


def _registered(rows: list[Registered], store: Any) -> None:
    for row in rows:
        tags = store.get_model_version(row.name, row.version).tags
        scores = [f"{what} {tags[key]}" for key, what in _SCORES.items() if key in tags]
        about = f" @{row.alias}" if row.alias else ""
        said = f" ({', '.join(scores)})" if scores else ""
        print(f"models:/{row.name}/{row.version}{about} {'registered' if row.created else 'is there already'}{said}")


_SCORES = {"sim.offline_score": "offline score", "sim.live_score": "live score"}


def _measure(options: argparse.Namespace) -> int:
    from sim.registry.data import load_data
    from sim.registry.measure import measure
    from sim.scenario.schema import Data

    said = {"target": options.target}
    if options.data in ("digits", "breast_cancer", "iris", "wine"):
        said["sklearn"] = options.data
    else:
        said["file"] = options.data
    data = load_data(Data.model_validate(said), Path.cwd())
    profile = measure(options.uri, _client(options), data=data, calls=options.calls)
    shares = dict(zip(profile.levels, profile.values_s, strict=True))
    shown = ", ".join(f"p{level * 100:g} {1000 * shares[level]:.3g} ms" for level in (0.5, 0.9, 0.99) if level in shares)
    print(f"{options.uri}: {shown}; errors {profile.error_rate:.2%}; {profile.calls} calls, kept on the version's tags")
    return EXIT_OK


def _schema(options: argparse.Namespace) -> int:
    import json

    from sim.scenario.schema import json_schema

    print(json.dumps(json_schema(), indent=1))
    return EXIT_OK


_EPILOGUE = """\
examples:
  sim models demo                          train and register real demo models
  sim models register scenarios/models/checkout.yaml
  sim check scenarios/*.yaml               every problem at its line
  sim run scenarios/quickstart.yaml        simulate, compare, report, log
  sim trace scenarios/quickstart.yaml --policy ab --replication 3 --until 10m
  sim report reports/quickstart-0123456789 --baseline ab
  sim bench --quick                        how fast the engines are here
  sim verify --quick                       published numbers, and ours
  sim track reports/quickstart-0123456789 --tracking-uri http://localhost:5000

exit codes: 0 done; 2 wrong input; 3 a threshold is breached; 4 saved, but the tracking server could not be reached;
130 interrupted, and resumable by the same command.
"""


def _parser() -> argparse.ArgumentParser:
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "sim", description="Rehearse how a new model version meets real traffic.", epilog=_EPILOGUE, formatter_class=plain
    )
    parser.add_argument("--version", action="version", version="sim 0.1.0")
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")

    run = verbs.add_parser(
        "run", help="simulate a scenario, compare its policies, write the report, log to MLflow", formatter_class=plain,
        description="Simulate a scenario file. Loading a registered real model runs its code: name a registry you trust.",
        epilog="example: sim run scenarios/quickstart.yaml --workers 2 --tracking-uri sqlite:///mlflow.db",
    )  # fmt: skip
    run.add_argument("file", type=Path, help="scenario file (YAML)")
    run.add_argument("--workers", type=_positive, help="processes (default: as the work is worth); results do not depend on it")
    run.add_argument("--reports", type=Path, default=workflow.REPORTS, help="where run folders are kept (default: reports)")
    run.add_argument("--no-tracking", action="store_true", help="log nothing to MLflow (`sim track` can do it later)")
    run.add_argument("--quiet", action="store_true", help="no progress")
    _display(run)
    _stores(run)
    run.set_defaults(verb=_run)

    check = verbs.add_parser(
        "check", help="check scenario files: every problem, each at its line", formatter_class=plain,
        epilog="example: sim check scenarios/*.yaml",
    )  # fmt: skip
    check.add_argument("files", type=Path, nargs="+", help="scenario files")
    check.add_argument("--quiet", action="store_true", help="say nothing of files that are fine")
    check.set_defaults(verb=_check)

    report = verbs.add_parser("report", help="compare and report a run folder again", formatter_class=plain,
                              epilog="example: sim report reports/quickstart-0123456789 --baseline ab")  # fmt: skip
    report.add_argument("folder", type=Path, help="run folder")
    report.add_argument("--baseline", help="the policy that others are paired with")
    _display(report)
    report.set_defaults(verb=_report)

    trace = verbs.add_parser(
        "trace", help="print or write one replication's event log", formatter_class=plain,
        description="Play one replication of one policy request by request, and tell every event: arrive, start, finish,\n"
        "error, timeout, reject, retry, feedback, tick (the routing from there on), verdict. Both engines tell the same.",
        epilog="examples:\n  sim trace scenarios/quickstart.yaml --policy ab --replication 3 --until 10m\n"
        "  sim trace scenarios/quickstart.yaml --policy canary --replication 0 --until 6h --out canary.parquet",
    )  # fmt: skip
    trace.add_argument("file", type=Path, help="scenario file (YAML)")
    trace.add_argument("--policy", required=True, help="the policy's name in the file")
    trace.add_argument("--replication", type=_whole, required=True, help="which replication, from 0")
    trace.add_argument("--engine", help="simpy or compiled (default: the run's own where it has events, else simpy)")
    trace.add_argument("--until", type=_duration, help="simulated time after which nothing is told, such as 6h")
    trace.add_argument("--limit", type=_positive, default=40, help="events printed: the first and the last (default 40)")
    trace.add_argument("--out", type=Path, help="write all events to this .parquet or .csv file instead")
    trace.add_argument("--reports", type=Path, default=workflow.REPORTS, help="where predictions are kept (default: reports)")
    _stores(trace, experiment=False)
    trace.set_defaults(verb=_trace)

    bench = verbs.add_parser(
        "bench", help="measure the engines and other simulators side by side", formatter_class=plain,
        description="Play two M/M/4 stations at rho = 0.8 behind a 50/50 router with every engine and with other simulators,\n"
        "in turns, on one core, and print ratios; then the cost of compiling, and the compiled engine from 1,000 requests to\n"
        "100 million. Other simulators take part where they are installed: pip install \"rollout-sim[bench]\".",
        epilog="examples:\n  sim bench --quick\n  sim bench --rounds 9 --out bench.json",
    )  # fmt: skip
    bench.add_argument("--quick", action="store_true", help="smaller rounds, fewer of them, and at most 10 million requests")
    bench.add_argument("--rounds", type=_positive, help="turns that each one takes (default 5, with --quick 3)")
    bench.add_argument(
        "--requests", type=_positive,
        help="requests a round for engine compiled; slower ones play fewer (default 10,000,000, with --quick 1,000,000)",
    )  # fmt: skip
    bench.add_argument(
        "--out", type=Path, default=workflow.REPORTS / "bench.json", help="JSON file (default: reports/bench.json)"
    )
    bench.add_argument("--quiet", action="store_true", help="no progress")
    bench.set_defaults(verb=_bench)

    check_figures = verbs.add_parser(
        "verify", help="reproduce published numbers, by formula and by playing scenarios", formatter_class=plain,
        description="Work out published numbers twice: by formula or integration, to within a stated tolerance, and by\n"
        "playing scenarios on the engines, to within 4 standard errors. Exits with 3 if a number is off.",
        epilog="examples:\n  sim verify --quick\n  sim verify --only sequential --only queues.play\n"
        "  sim verify --write docs/validation.md --json verify.json",
    )  # fmt: skip
    check_figures.add_argument("--quick", action="store_true", help="a tenth of the trials, and not the slowest figures")
    check_figures.add_argument(
        "--only", action="append", default=[], metavar="NAME",
        help="a field (sequential, fixed, estimates, bandits, queues, canaries), or how figures' names begin; may be repeated",
    )  # fmt: skip
    check_figures.add_argument("--write", type=Path, metavar="FILE.md", help="write the page, as docs/validation.md")
    check_figures.add_argument("--json", type=Path, metavar="FILE.json", help="write the results as JSON")
    check_figures.add_argument("--quiet", action="store_true", help="no progress")
    check_figures.set_defaults(verb=_verify)

    track = verbs.add_parser("track", help="log a run folder to MLflow, once", formatter_class=plain,
                             epilog="example: sim track reports/quickstart-0123456789")  # fmt: skip
    track.add_argument("folder", type=Path, help="run folder")
    _stores(track, registry=False)
    track.set_defaults(verb=_track)

    models = verbs.add_parser("models", help="register and measure model versions").add_subparsers(
        title="verbs", required=True, metavar="VERB"
    )
    demo = models.add_parser("demo", help="train and register real demo models (handwritten digits)")
    _stores(demo, experiment=False)
    demo.set_defaults(verb=_demo)
    register = models.add_parser(
        "register", help="register behaviour models from YAML files; the same text registers nothing new"
    )
    register.add_argument("files", type=Path, nargs="+", help="models files")
    _stores(register, experiment=False)
    register.set_defaults(verb=_register)
    measure = models.add_parser(
        "measure", help="measure a real version's latency and keep it on its tags (runs the model's code)"
    )
    measure.add_argument("uri", help="models:/NAME@ALIAS or models:/NAME/VERSION")
    measure.add_argument("--data", required=True, help="CSV or Parquet file, or a scikit-learn set, such as digits")
    measure.add_argument("--target", default="target", help="column of the right answers, not given to the model")
    measure.add_argument("--calls", type=_positive, default=300, help="timed calls (default 300)")
    _stores(measure, experiment=False)
    measure.set_defaults(verb=_measure)

    schema = verbs.add_parser("schema", help="print the JSON Schema of scenario files")
    schema.set_defaults(verb=_schema)
    return parser


def _display(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--display", choices=("auto", "rich", "plain", "none"), default="auto", help="how the table is shown (default: auto)"
    )


def _stores(parser: argparse.ArgumentParser, *, registry: bool = True, experiment: bool = True) -> None:
    parser.add_argument(
        "--tracking-uri", help="MLflow server or store (default: MLFLOW_TRACKING_URI, else mlflow.db in this folder)"
    )
    if registry:
        parser.add_argument("--registry-uri", help="where model versions are (default: the tracking server)")
    if experiment:
        parser.add_argument("--experiment", help="MLflow experiment (default: rollout-simulations)")


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text!r}")
    return int(text)


def _whole(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 0, got {text!r}")
    return int(text)


def _duration(text: str) -> float:
    from sim.units import UnitError, parse_duration

    try:
        return parse_duration(text)
    except UnitError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
