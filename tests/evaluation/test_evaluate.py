"""`sim models evaluate`, from the command line, against scikit-learn on the same rows, folds and seed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
from mlflow import MlflowClient
from sklearn.base import clone
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score

from sim.cli import main
from sim.registry.behaviour import ModelsFile
from sim.registry.register import register
from sim.registry.store import client as open_client
from sim.stats.intervals import exact_proportion_interval
from sim.stats.resampled import corrected_interval, mcnemar
from tests.evaluation.made import FEATURES, classifier, of_function, of_sklearn, pipeline, regressor, rows, written

ROWS = rows()
CLASSES, AMOUNTS = ROWS.drop(columns="amount"), ROWS.drop(columns="target")


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('evaluated') / 'mlflow.db'}"


@pytest.fixture(scope="module")
def mlflow(uri: str) -> MlflowClient:
    return open_client(uri)


@pytest.fixture(scope="module")
def named(mlflow: MlflowClient) -> dict[str, str]:
    """Versions by what they are."""
    train = rows(200, seed=1)
    bare = pipeline(LogisticRegression()).fit(train[FEATURES], train["target"])
    behaviour = {"outcomes": {"sale": {"bernoulli": 0.05}}, "latency": {"constant": "45ms"}}
    register(ModelsFile.model_validate({"model": "stated", "versions": [behaviour]}), mlflow)
    return {
        "good": classifier(mlflow, "classes"),
        "poor": classifier(mlflow, "classes", C=1e-3),
        "amounts": regressor(mlflow, "amounts"),
        "function": of_function(mlflow, "function", "yes", ROWS[FEATURES]),
        "stranger": of_function(mlflow, "function", "maybe", ROWS[FEATURES]),
        "unsigned": of_sklearn(mlflow, "unsigned", bare, train[FEATURES], signature=False),
        "stated": "models:/stated/1",
    }


def evaluated(capsys: pytest.CaptureFixture[str], uri: str, *words: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["models", "evaluate", *words, "--json", "--tracking-uri", uri]) == 0
    return dict(json.loads(capsys.readouterr().out))


def by_name(scores: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {score["metric"]: score for score in scores}


def fitted() -> Any:
    train = rows(200, seed=1)
    return pipeline(LogisticRegression()).fit(train[FEATURES], train["target"])


def test_a_holdout_has_an_exact_interval_and_is_kept(
    uri: str, mlflow: MlflowClient, named: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (named["good"], "--data", written(tmp_path, CLASSES), "--metric", "accuracy,roc_auc,log_loss")
    found = evaluated(capsys, uri, *words)
    scores = by_name(found["scores"])
    model, truth = fitted(), CLASSES["target"]
    right = int((model.predict(CLASSES[FEATURES]) == truth).sum())
    exact = exact_proportion_interval(right, len(ROWS))
    assert scores["accuracy"]["estimate"] == right / len(ROWS)
    assert scores["accuracy"]["intervals"] == [
        {"how": "exact binomial", "lower": exact.lower, "upper": exact.upper, "note": ""}
    ]  # fmt: skip
    chance = model.predict_proba(CLASSES[FEATURES])
    assert scores["roc_auc"]["estimate"] == pytest.approx(sklearn.metrics.roc_auc_score(truth == "yes", chance[:, 1]))
    assert scores["log_loss"]["estimate"] == pytest.approx(sklearn.metrics.log_loss(truth, chance))
    (bca,) = scores["roc_auc"]["intervals"]
    assert bca["how"] == "BCa"
    assert bca["lower"] < scores["roc_auc"]["estimate"] < bca["upper"]

    run = mlflow.get_run(found["run"])
    assert run.info.status == "FINISHED"
    assert (run.data.params["seed"], run.data.params["rows"], run.data.params["data"]) == ("0", "120", "rows.csv")
    assert run.data.metrics["accuracy"] == right / len(ROWS)
    # MLflow's own evaluation of the same answers, and ours, are one.
    assert run.data.metrics["mlflow_accuracy_score"] == pytest.approx(right / len(ROWS))
    assert run.inputs.dataset_inputs[0].dataset.digest == found["data"]["digest"][:32]
    assert "evaluation.json" in {file.path for file in mlflow.list_artifacts(found["run"])}
    capsys.readouterr()
    assert main(["models", "show", named["good"], "--json", "--tracking-uri", uri]) == 0
    shown = by_name(json.loads(capsys.readouterr().out)["scores"])
    assert shown["roc_auc"]["estimate"] == scores["roc_auc"]["estimate"]
    assert shown["roc_auc"]["run"] == found["run"]

    again = evaluated(capsys, uri, *words)
    assert again["scores"] == found["scores"]
    other = evaluated(capsys, uri, *words, "--seed", "1")
    assert by_name(other["scores"])["roc_auc"]["intervals"] != scores["roc_auc"]["intervals"]


def test_kfold_fits_the_recipe_anew_on_scikit_learns_folds(
    uri: str, named: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = written(tmp_path, CLASSES)
    found = evaluated(capsys, uri, named["good"], "--data", data, "--method", "kfold", "--folds", "4", "--seed", "3")
    score = by_name(found["scores"])["accuracy"]
    folds = StratifiedKFold(4, shuffle=True, random_state=3)
    expected = cross_val_score(clone(fitted()), CLASSES[FEATURES], CLASSES["target"], cv=folds)
    assert score["folds"] == pytest.approx(expected.tolist())
    interval = corrected_interval(expected, 1 / 3)
    assert interval.upper is not None
    assert (score["intervals"][0]["lower"], score["intervals"][0]["upper"]) == pytest.approx(
        (interval.lower, min(interval.upper, 1.0))
    )


def test_two_versions_are_compared_on_the_same_rows(
    uri: str, named: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = written(tmp_path, CLASSES)
    train = rows(200, seed=1)
    poor = pipeline(LogisticRegression(C=1e-3)).fit(train[FEATURES], train["target"])
    right_a = fitted().predict(CLASSES[FEATURES]) == CLASSES["target"]
    right_b = poor.predict(CLASSES[FEATURES]) == CLASSES["target"]
    for method in ("holdout", "bootstrap"):
        against = evaluated(
            capsys, uri, named["good"], "--data", data, "--method", method, "--against", named["poor"]
        )["against"]  # fmt: skip
        only = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
        assert (against["only_first_right"], against["only_second_right"]) == only
        assert against["mcnemar_p"] == mcnemar(*only)
        (difference,) = against["differences"]
        assert difference["estimate"] == pytest.approx(right_a.mean() - right_b.mean())
        assert [each["how"] for each in difference["intervals"]] == ["percentile", "BCa"]
    folded = evaluated(capsys, uri, named["good"], "--data", data, "--method", "kfold", "--against", named["poor"])
    first, second = (by_name(scores)["accuracy"]["folds"] for scores in (folded["scores"], folded["against"]["scores"]))
    (difference,) = folded["against"]["differences"]
    assert difference["folds"] == pytest.approx((np.array(first) - np.array(second)).tolist())


def test_regression_by_every_method(
    uri: str, named: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = written(tmp_path, AMOUNTS)
    train = rows(200, seed=1)
    model = pipeline(LinearRegression()).fit(train[FEATURES], train["amount"])
    errors = model.predict(AMOUNTS[FEATURES]) - AMOUNTS["amount"]
    for method in ("holdout", "bootstrap", "kfold"):
        found = evaluated(
            capsys, uri, named["amounts"], "--data", data, "--target", "amount", "--method", method, "--metric", "rmse,mae,r2",
        )  # fmt: skip
        assert found["task"] == "regression"
        if method != "kfold":
            scores = by_name(found["scores"])
            assert scores["rmse"]["estimate"] == pytest.approx(np.sqrt((errors**2).mean()))
            assert scores["mae"]["estimate"] == pytest.approx(np.abs(errors).mean())
    assert by_name(evaluated(capsys, uri, named["amounts"], "--data", data, "--target", "amount")["scores"]).keys() == {"rmse"}


def test_a_perfect_score_has_an_interval_all_the_same(
    uri: str, named: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = fitted().predict(CLASSES[FEATURES])
    data = written(tmp_path, CLASSES.assign(target=answers))
    (score,) = evaluated(capsys, uri, named["good"], "--data", data)["scores"]
    assert score["estimate"] == 1.0
    assert score["intervals"][0]["lower"] == pytest.approx(0.025 ** (1 / 120))
    (score,) = evaluated(capsys, uri, named["good"], "--data", data, "--method", "bootstrap")["scores"]
    assert score["intervals"][1] == {"how": "BCa", "lower": None, "upper": None, "note": "all resamples score alike"}


WRONG: dict[str, tuple[str, list[str], pd.DataFrame, str]] = {
    "no target": ("good", [], CLASSES.drop(columns="target"), "--target: rows.csv has no column 'target'; it has a, b, city"),
    "other columns": (
        "good",
        [],
        CLASSES.rename(columns={"a": "x"}),
        "--data: models:/classes/1 (models:/classes/1): rows.csv",
    ),
    "one class": ("good", [], CLASSES.assign(target="yes"), "the target has one class only, 'yes'"),
    "one class, k-fold": ("good", ["--method", "kfold"], CLASSES.assign(target="yes"), "one class only"),
    "k over the rows": ("good", ["--method", "kfold", "--folds", "121"], CLASSES, "--folds: must be from 2 to the 120 rows"),
    "k of one": ("good", ["--method", "kfold", "--folds", "1"], CLASSES, "--folds: must be from 2"),
    "a rare class": (
        "good",
        ["--method", "kfold", "--folds", "61"],
        CLASSES,
        "--folds: must be at most the rows of the rarest",
    ),
    "no such alias": ("models:/classes@nobody", [], CLASSES, "uri: model 'classes' has no alias 'nobody'"),
    "no such model": ("models:/nothing/1", [], CLASSES, "uri: no model 'nothing' in the registry"),
    "no such other": ("good", ["--against", "models:/classes/9"], CLASSES, "uri: model 'classes' has no version 9"),
    "no signature": ("unsigned", [], CLASSES, "has no signature, so that its columns are not known: log it with"),
    "stated": ("stated", [], CLASSES, "is a behaviour model: what it earns is stated"),
    "no estimator": ("function", ["--method", "kfold"], CLASSES, "it can only score: take --method holdout or bootstrap"),
    "no chances": ("function", ["--metric", "roc_auc"], CLASSES, "answers labels only"),
    "other labels": ("stranger", [], CLASSES, "none of which is a label of the target: 'no', 'yes'"),
    "misspelt": ("good", ["--metric", "acuracy"], CLASSES, "--metric: no metric 'acuracy'; did you mean 'accuracy'?"),
    "two tasks": ("good", ["--metric", "accuracy,rmse"], CLASSES, "--metric: must be metrics of one task"),
    "wrong task": ("good", ["--metric", "rmse"], CLASSES, "--metric: rmse is of regression, and the target holds texts"),
    "no rows": ("good", [], CLASSES.iloc[:0], "--data: rows.csv has no rows"),
    "one row": ("good", [], CLASSES.iloc[:1], "--data: rows.csv has 1 row"),
    "gaps in the target": (
        "good",
        [],
        CLASSES.assign(target=None),
        "--target: column 'target' of rows.csv has no value in 120",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_scored_is_refused_and_nothing_is_logged(
    case: str, uri: str, mlflow: MlflowClient, named: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    which, words, frame, message = WRONG[case]

    def state() -> tuple[object, ...]:
        runs = mlflow.search_runs([each.experiment_id for each in mlflow.search_experiments()], max_results=1000)
        versions = mlflow.search_model_versions(max_results=1000)
        return {run.info.run_id for run in runs}, {(each.name, each.version): dict(each.tags) for each in versions}

    before = state()
    capsys.readouterr()
    data = written(tmp_path, frame)
    assert main(["models", "evaluate", named.get(which, which), "--data", data, *words, "--tracking-uri", uri]) == 2
    assert message in capsys.readouterr().err
    assert state() == before


@pytest.mark.parametrize(("metric", "amount"), [("r2", 1.0), ("rmse", 1e200)])
def test_a_metric_without_a_value_is_refused_by_its_name(
    metric: str, amount: float, uri: str, named: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = written(tmp_path, rows(20).assign(amount=amount))
    words = [named["amounts"], "--data", data, "--target", "amount", "--metric", metric, "--tracking-uri", uri]
    capsys.readouterr()
    assert main(["models", "evaluate", *words]) == 2
    assert f"--data: {metric} has no value on these 20 rows" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_named(uri: str, named: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["models", "evaluate", named["good"], "--data", "nowhere.csv", "--tracking-uri", uri]) == 2
    assert "--data: no such file: " in capsys.readouterr().err


def test_a_store_that_nobody_vouches_for_runs_nothing(
    uri: str, named: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mlflow.db").write_bytes(Path(uri.removeprefix("sqlite:///")).read_bytes())
    data = written(tmp_path, CLASSES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr("mlflow.pyfunc.load_model", lambda *given, **named: pytest.fail("loaded"))
    capsys.readouterr()
    assert main(["models", "evaluate", named["good"], "--data", data]) == 2
    assert "which runs code, and nobody named the store" in capsys.readouterr().err
