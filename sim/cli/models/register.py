"""`sim models demo` and `register`: put versions into the registry."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from sim.cli.models.stores import client, named
from sim.cli.options import PLAIN, RUNS_MODELS, Completes, Verbs, add_stores, completing, models_file
from sim.errors import EXIT_OK, InputError, visible

if TYPE_CHECKING:
    from sim.registry.publish import Registered

_SCORES = {"sim.offline_score": "offline score", "sim.live_score": "live score"}


def add(verbs: Verbs) -> None:
    demo = verbs.add_parser(
        "demo", help="train, register and measure real demo models (handwritten digits), which runs their code",
        formatter_class=PLAIN,
        description=f"Train, register and measure real models of handwritten digits and of biopsies.\n\n{RUNS_MODELS}",
    )  # fmt: skip
    add_stores(demo, logs=False)
    demo.set_defaults(verb=_demo)
    register = verbs.add_parser(
        "register", help="register behaviour models from YAML files; the same text registers nothing new"
    )
    files = register.add_argument(
        "files", metavar="FILE", nargs="+", help="models files (YAML), or names of examples: checkout, offers, search"
    )
    completing(files, Completes.MODELS)
    add_stores(register, logs=False)
    register.set_defaults(verb=_register)


def _demo(options: argparse.Namespace) -> int:
    from sim.registry.demo import demo

    store = client(options)
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
    uri = addresses(*named(options)).tracking
    refused = [
        (document, problem)
        for document, file in zip(documents, files, strict=True)
        for problem in name_problems(file.model, uri)
    ]
    if refused:
        raise InputError(document.place(problem) for document, problem in refused)
    store = client(options)
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
