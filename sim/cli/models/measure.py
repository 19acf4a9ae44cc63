"""`sim models measure`: time a version, in this process or behind a server, and keep it on the version's tags."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sim.cli.models.stores import client
from sim.cli.options import PLAIN, RUNS_MODELS, Completes, Verbs, add_stores, completing, positive
from sim.errors import EXIT_OK, InputError, Problem, visible

if TYPE_CHECKING:
    from sim.registry.data import Data
    from sim.registry.profile import Profile
    from sim.registry.served import Served

_SETS = ("digits", "breast_cancer", "iris", "wine")
_PLACES = {"data.file": "--data", "data.target": "--target", "data": "--data"}


def add(verbs: Verbs) -> None:
    parser = verbs.add_parser(
        "measure", help="measure a real version's latency and keep it on its tags (runs the model's code)",
        formatter_class=PLAIN,
        description="Measure how long a real version takes to answer, and keep it on the version's tags.\n\n"
        "As it is: single rows, one after another, in this process. With --serve: behind MLflow's own REST server on\n"
        "127.0.0.1, which is started and ended; calls come at random times, at several rates, so that service time and the\n"
        "number of calls served at once are told apart from queueing, which is checked at a rate of its own. A scenario takes\n"
        f"them with `capacity: measured`. With --endpoint: the same of a server that runs already.\n\n{RUNS_MODELS}",
        epilog="examples:\n  sim models measure models:/digits@challenger --data digits\n"
        "  sim models measure models:/digits@challenger --data digits --serve --workers 2\n"
        "  sim models measure models:/clinic/2 --data new.csv --target benign --endpoint http://127.0.0.1:5001\n"
        "  sim models measure models:/clinic/2 --data new.csv --target benign --endpoint https://staging.example \\\n"
        "    --allow-host staging.example --requests 1000",
    )  # fmt: skip
    parser.add_argument("uri", help="models:/NAME@ALIAS or models:/NAME/VERSION")
    data = parser.add_argument("--data", required=True, help="CSV or Parquet file, or a scikit-learn set, such as digits")
    completing(data, Completes.FILE)
    parser.add_argument("--target", default="target", help="column of the right answers, not given to the model")
    parser.add_argument("--calls", type=positive, metavar="N", help="timed calls in this process (default 300)")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--serve", action="store_true", help="measure behind MLflow's REST server, started for it on 127.0.0.1")
    how.add_argument("--endpoint", metavar="URL", help="measure the server of this version that already runs here")
    parser.add_argument("--workers", type=positive, metavar="N", help="with --serve: processes of the server (default 1)")
    parser.add_argument("--port", type=positive, metavar="N", help="with --serve: its port (default: a free one)")
    parser.add_argument(
        "--requests", type=positive, metavar="N",
        help="with --serve or --endpoint: calls in all, 300 to 100,000 (default 1,500; to be said for another host)",
    )  # fmt: skip
    parser.add_argument("--allow-host", metavar="NAME", help="with --endpoint: the other host that may be sent requests")
    parser.add_argument("--json", action="store_true", help="as JSON")
    add_stores(parser, logs=False)
    parser.set_defaults(verb=_measure)


def _measure(options: argparse.Namespace) -> int:
    _fitting(options)
    try:
        profile, served = _served(options) if options.serve or options.endpoint else (_alone(options), None)
    except InputError as error:
        raise InputError(replace(each, path=_place(each.path, options)) for each in error.problems) from error
    if options.json:
        told = {"uri": options.uri, "profile": asdict(profile), "served": asdict(served) if served else None}
        print(json.dumps(told, indent=1, ensure_ascii=False))
        return EXIT_OK
    shares = dict(zip(profile.levels, profile.values_s, strict=True))
    shown = ", ".join(f"p{level * 100:g} {1000 * shares[level]:.3g} ms" for level in (0.5, 0.9, 0.99) if level in shares)
    what = "calls one after another" if served else "calls"
    said = f"{options.uri}: {shown}; errors {profile.error_rate:.2%}; {profile.calls} {what}, kept on the version's tags"
    print(visible(said))
    if served is not None:
        print(*map(visible, told_of(served)), sep="\n")
    return EXIT_OK


def told_of(served: Served) -> list[str]:
    """What was measured of a server, in lines."""
    rate, measured, predicted, lower, upper = (value * 1000 for value in served.held_out)
    held, least, most = (1000 * value for value in served.held_s)
    could = f" ({served.least} to {served.most})" if served.least < served.most else ""
    workers = f" with {served.workers} worker{'s' if served.workers != 1 else ''}" if served.workers else ""
    machine = served.machine
    return [
        f"served at once: {served.concurrency}{could}; a call holds a server for {held:.3g} ms ({least:.3g} to {most:.3g})",
        f"checked at {rate / 1000:.3g} calls/s, not fitted: mean response {measured:.3g} ms, predicted {predicted:.3g} ms "
        f"({lower:.3g} to {upper:.3g})",
        f"of {served.of}{workers}, {served.calls:,} calls, {served.measured}; {machine.get('cpus', '?')} CPUs "
        f"({machine.get('arch', '?')}), load {machine.get('load', '?')}",
    ]


def _alone(options: argparse.Namespace) -> Profile:
    from sim.registry.measure import measure

    return measure(options.uri, client(options), data=_data(options), calls=options.calls or 300)


def _served(options: argparse.Namespace) -> tuple[Profile, Served]:
    from sim.serving.calls import Endpoint
    from sim.serving.measure import REQUESTS, measure_served

    endpoint = Endpoint.of(options.endpoint, options.allow_host) if options.endpoint else None
    if endpoint is not None and not endpoint.here and options.requests is None:
        raise InputError([Problem(f"says how many calls {endpoint.host} may be sent; it is another host", path="--requests")])
    return measure_served(
        options.uri, client(options), data=_data(options), requests=options.requests or REQUESTS, endpoint=endpoint,
        workers=options.workers or 1, port=options.port, note=_note,
    )  # fmt: skip


def _fitting(options: argparse.Namespace) -> None:
    """Raise `InputError` for options of another way to measure."""
    served = options.serve or options.endpoint
    wrong = {
        "--calls": (options.calls is not None and bool(served), "is of calls in this process; give --requests"),
        "--workers": (options.workers is not None and not options.serve, "is of a server that --serve starts"),
        "--port": (options.port is not None and not options.serve, "is of a server that --serve starts"),
        "--requests": (options.requests is not None and not served, "needs --serve or --endpoint"),
        "--allow-host": (options.allow_host is not None and not options.endpoint, "needs --endpoint"),
    }
    problems = [Problem(rule, path=name) for name, (refused, rule) in wrong.items() if refused]
    if options.port is not None and options.port > 65535:
        problems.append(Problem(f"must be at most 65535; got {options.port}", path="--port"))
    if problems:
        raise InputError(problems)


def _data(options: argparse.Namespace) -> Data:
    from sim.registry.data import load_data
    from sim.scenario.schema import Data as Spec

    source = {"sklearn" if options.data in _SETS else "file": options.data}
    return load_data(Spec.model_validate({**source, "target": options.target}), Path.cwd())


def _place(path: str, options: argparse.Namespace) -> str:
    """The option that a problem is of."""
    if path == "--endpoint" and options.serve:
        return "--serve"
    return _PLACES.get(path, path)


def _note(said: str) -> None:
    print(f"sim: {said}", file=sys.stderr)
