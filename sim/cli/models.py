"""`sim models`: register and measure model versions."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.cli.options import PLAIN, RUNS_MODELS, Verbs, add_stores, models_file, positive
from sim.errors import EXIT_OK, InputError, visible

if TYPE_CHECKING:
    from sim.registry.publish import Registered

_SCORES = {"sim.offline_score": "offline score", "sim.live_score": "live score"}


def add(verbs: Verbs) -> None:
    models = verbs.add_parser("models", help="register and measure model versions").add_subparsers(
        title="verbs", required=True, metavar="VERB"
    )
    demo = models.add_parser(
        "demo", help="train, register and measure real demo models (handwritten digits), which runs their code",
        formatter_class=PLAIN,
        description=f"Train, register and measure real models of handwritten digits and of biopsies.\n\n{RUNS_MODELS}",
    )  # fmt: skip
    add_stores(demo, logs=False)
    demo.set_defaults(verb=_demo)
    register = models.add_parser(
        "register", help="register behaviour models from YAML files; the same text registers nothing new"
    )
    register.add_argument(
        "files", metavar="FILE", nargs="+", help="models files (YAML), or names of examples: checkout, offers, search"
    )
    add_stores(register, logs=False)
    register.set_defaults(verb=_register)
    measure = models.add_parser(
        "measure", help="measure a real version's latency and keep it on its tags (runs the model's code)",
        formatter_class=PLAIN,
        description=f"Measure how long a real version takes to answer, and keep it on the version's tags.\n\n{RUNS_MODELS}",
    )  # fmt: skip
    measure.add_argument("uri", help="models:/NAME@ALIAS or models:/NAME/VERSION")
    measure.add_argument("--data", required=True, help="CSV or Parquet file, or a scikit-learn set, such as digits")
    measure.add_argument("--target", default="target", help="column of the right answers, not given to the model")
    measure.add_argument("--calls", type=positive, default=300, help="timed calls (default 300)")
    add_stores(measure, logs=False)
    measure.set_defaults(verb=_measure)


def _demo(options: argparse.Namespace) -> int:
    from sim.registry.demo import demo

    store = _client(options)
    _registered(demo(store), store)
    return EXIT_OK


def _register(options: argparse.Namespace) -> int:
    from sim.registry.behaviour import ModelsFile
    from sim.registry.publish import name_problems
    from sim.registry.register import register
    from sim.registry.store import addresses
    from sim.scenario.loading import read_yaml, validate

    documents = [read_yaml(models_file(word)) for word in options.files]
    files = [validate(document, ModelsFile) for document in documents]
    uri = addresses(*_named(options)).tracking
    named = [
        (document, problem)
        for document, file in zip(documents, files, strict=True)
        for problem in name_problems(file.model, uri)
    ]
    if named:
        raise InputError(document.place(problem) for document, problem in named)
    store = _client(options)
    for document, file in zip(documents, files, strict=True):
        try:
            rows = register(file, store)
        except InputError as error:
            raise InputError(document.place(problem) for problem in error.problems) from error
        _registered(rows, store)
    return EXIT_OK


def _registered(rows: list[Registered], store: Any) -> None:
    for row in rows:
        tags = store.get_model_version(row.name, row.version).tags
        scores = [f"{what} {tags[key]}" for key, what in _SCORES.items() if key in tags]
        about = f" @{row.alias}" if row.alias else ""
        score_text = f" ({', '.join(scores)})" if scores else ""
        said = "registered" if row.created else "is there already"
        print(visible(f"models:/{row.name}/{row.version}{about} {said}{score_text}"))


def _measure(options: argparse.Namespace) -> int:
    from sim.registry.data import load_data
    from sim.registry.measure import measure
    from sim.scenario.schema import Data

    source = {"target": options.target}
    if options.data in ("digits", "breast_cancer", "iris", "wine"):
        source["sklearn"] = options.data
    else:
        source["file"] = options.data
    data = load_data(Data.model_validate(source), Path.cwd())
    profile = measure(options.uri, _client(options), data=data, calls=options.calls)
    shares = dict(zip(profile.levels, profile.values_s, strict=True))
    shown = ", ".join(f"p{level * 100:g} {1000 * shares[level]:.3g} ms" for level in (0.5, 0.9, 0.99) if level in shares)
    print(f"{options.uri}: {shown}; errors {profile.error_rate:.2%}; {profile.calls} calls, kept on the version's tags")
    return EXIT_OK


def _client(options: argparse.Namespace) -> Any:
    from sim.registry.store import client

    return client(*_named(options))


def _named(options: argparse.Namespace) -> tuple[str | None, str | None]:
    """The tracking store and the registry that options name: a registry that is named takes the runs of its versions too."""
    return options.registry_uri or options.tracking_uri, options.registry_uri
