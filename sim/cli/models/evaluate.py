"""`sim models evaluate`: score a version on labelled data, or two on the same rows, and keep the scores."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sim.cli.models.stores import reader
from sim.cli.models.table import table
from sim.cli.options import PLAIN, RUNS_MODELS, Verbs, add_stores, positive, whole
from sim.errors import EXIT_OK, InputError, visible

if TYPE_CHECKING:
    from sim.evaluation.evaluate import Evaluation, Pairwise, Scored
    from sim.registry.data import Data

_SETS = ("digits", "breast_cancer", "iris", "wine")
_PLACES = {"data.file": "--data", "data.target": "--target", "data": "--data"}


def add(verbs: Verbs) -> None:
    parser = verbs.add_parser(
        "evaluate", help="score a version on labelled data, with intervals, and keep it on its tags (runs the model's code)",
        formatter_class=PLAIN,
        description="Score a version on labelled data. holdout: as it is, on rows that it has not seen (exact interval of the\n"
        "accuracy, BCa of the rest). bootstrap: the same, with percentile and BCa intervals. kfold: its estimator, fitted\n"
        "anew for each fold. The scores go to the version's tags and to a run of the experiment offline-evaluations.\n\n"
        f"{RUNS_MODELS}",
        epilog="examples:\n  sim models evaluate models:/digits@challenger --data digits\n"
        "  sim models evaluate models:/clinic/2 --data new.csv --target benign --method bootstrap --metric accuracy,roc_auc\n"
        "  sim models evaluate models:/clinic/2 --data new.csv --target benign --method kfold --against models:/clinic/1",
    )  # fmt: skip
    parser.add_argument("uri", help="models:/NAME@ALIAS or models:/NAME/VERSION")
    parser.add_argument("--data", required=True, help="CSV or Parquet file, or a scikit-learn set, such as digits")
    parser.add_argument("--target", default="target", help="column of the right answers, not given to the model")
    parser.add_argument("--method", choices=("holdout", "kfold", "bootstrap"), default="holdout", help="default: holdout")
    parser.add_argument(
        "--metric", default="", metavar="NAMES",
        help="accuracy, balanced_accuracy, f1, roc_auc, log_loss, or rmse, mae, r2; with commas (default: accuracy or rmse)",
    )  # fmt: skip
    parser.add_argument("--folds", type=positive, default=5, metavar="K", help="of k-fold (default 5)")
    parser.add_argument("--seed", type=whole, default=0, metavar="N", help="draws folds and resamples (default 0)")
    parser.add_argument("--against", metavar="URI", help="another version, scored on the same rows and folds")
    parser.add_argument("--json", action="store_true", help="as JSON")
    add_stores(parser, logs=False)
    parser.set_defaults(verb=_evaluate)


def _evaluate(options: argparse.Namespace) -> int:
    from sim.evaluation import record
    from sim.evaluation.evaluate import evaluate
    from sim.evaluation.metrics import named

    metrics = [name.strip() for name in options.metric.split(",") if name.strip()]
    named(metrics)
    client = reader(options)
    try:
        found = evaluate(
            options.uri, client, data=_data(options), method=options.method, metrics=metrics, folds=options.folds,
            seed=options.seed, against=options.against,
        )  # fmt: skip
    except InputError as error:
        raise InputError(replace(each, path=_PLACES.get(each.path, each.path)) for each in error.problems) from error
    run_id, lacks = record.keep(found, client)
    if options.json:
        print(json.dumps({**record.to_dict(found), "run": run_id}, indent=1, ensure_ascii=False))
        return EXIT_OK
    print(*_lines(found), sep="\n")
    print(f"kept on the version's tags, and in the MLflow run {run_id}")
    if lacks:
        print(visible(lacks))
    return EXIT_OK


def _data(options: argparse.Namespace) -> Data:
    from sim.registry.data import load_data
    from sim.scenario.schema import Data as Spec

    source = {"sklearn" if options.data in _SETS else "file": options.data}
    return load_data(Spec.model_validate({**source, "target": options.target}), Path.cwd())


def _lines(found: Evaluation) -> list[str]:
    how = f"{found.folds}-fold, fitted anew for each fold" if found.folds else found.method
    data = f"{found.data.name}, {found.data.rows:,} rows, digest {found.data.digest[:10]}"
    lines = [visible(f"{found.version.pinned}: {found.task} by {how}, on {data}, seed {found.seed}")]
    lines += ["", *table(["metric", "score", "95% interval"], [_row(each) for each in found.scores])]
    return lines if found.pairwise is None else [*lines, "", *_against(found.pairwise)]


def _against(found: Pairwise) -> list[str]:
    rows = [
        [each.metric, f"{other.estimate:.5g}", *_row(each)[1:]]
        for each, other in zip(found.differences, found.scores, strict=True)
    ]
    lines = table(["metric", f"{found.against.pinned} scores", "difference to it", "95% interval"], rows)
    if found.p_value is None:
        return lines
    counts = f"{found.only_first} rows are right here only, {found.only_second} there only"
    return [*lines, f"{counts}: McNemar's exact p = {found.p_value:.3g}"]


def _row(scored: Scored) -> list[str]:
    from sim.cli.models.show import bounds

    return [scored.metric, f"{scored.estimate:.5g}", "; ".join(bounds(each) for each in scored.intervals)]
