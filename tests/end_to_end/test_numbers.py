"""Versions that predict numbers: from a file with texts and gaps, through evaluation, check and a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.tree import DecisionTreeRegressor

from sim.cli import main
from sim.registry.store import client
from tests.evaluation.made import FEATURES, of_sklearn, pipeline, rows, written

SCENARIO = """\
name: amounts
question: Is the new estimate nearer, and by how much?
seed: 3
replications: 40
horizon: 2d
tick: 1h
aa: false
traffic: {rate: 300/h}
models: [{arm: champion, uri: "models:/amounts@champion"}, {arm: challenger, uri: "models:/amounts@challenger"}]
data: {file: rows.csv, target: amount, population: rows}
metrics:
  - {name: error, role: primary, reward: absolute_error, direction: decrease, smallest_effect: 1%}
  - {name: squares, reward: squared_error, direction: decrease}
  - {name: near, reward: {within: 0.5}}
policies:
  - {name: hold, kind: hold}
  - {name: ab, kind: ab, evidence: {kind: fixed_horizon, mde: 10%}}
"""


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A registry with two measured estimates of an amount: by a tree of one split, and by a line."""
    folder = tmp_path_factory.mktemp("numbers")
    store = client(f"sqlite:///{folder / 'mlflow.db'}")
    train = rows(200, seed=1)
    for alias, last in (
        ("champion", DecisionTreeRegressor(max_depth=1, random_state=0)), ("challenger", LinearRegression())
    ):  # fmt: skip
        fitted = pipeline(last).fit(train[FEATURES], train["amount"])
        version = of_sklearn(store, "amounts", fitted, train[FEATURES])
        store.set_registered_model_alias("amounts", alias, version.rpartition("/")[2])
        words = ["--data", written(folder, train), "--target", "amount", "--tracking-uri", store.tracking_uri]
        assert main(["models", "measure", version, *words]) == 0
    return str(store.tracking_uri)


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    """The scenario beside its rows."""
    written(tmp_path, rows(150, seed=2))
    (tmp_path / "amounts.yaml").write_text(SCENARIO, encoding="utf-8")
    return tmp_path / "amounts.yaml"


def change(file: Path, old: str, new: str) -> Path:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")
    return file


def score(uri: str, alias: str, data: Path, metric: str, capsys: pytest.CaptureFixture[str]) -> float:
    capsys.readouterr()
    words = [f"models:/amounts@{alias}", "--data", str(data), "--target", "amount", "--metric", metric, "--json"]
    assert main(["models", "evaluate", *words, "--tracking-uri", uri]) == 0
    (found,) = json.loads(capsys.readouterr().out)["scores"]
    ((lower, upper),) = [(each["lower"], each["upper"]) for each in found["intervals"]]
    assert lower < found["estimate"] < upper
    return float(found["estimate"])


def test_errors_of_a_rehearsal_are_those_of_the_offline_scores(
    scenario: Path, uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = scenario.parent / "rows.csv"
    mae = [score(uri, alias, data, "mae", capsys) for alias in ("champion", "challenger")]
    assert mae[1] < mae[0]
    rmse, r2 = (score(uri, "champion", data, metric, capsys) for metric in ("rmse", "r2"))
    assert rmse > mae[0]
    assert 0 < r2 < 1

    out = scenario.parent / "out"
    assert main(["check", str(scenario), "--tracking-uri", uri]) == 0
    assert main(["run", str(scenario), "--out", str(out), "--quiet", "--tracking-uri", uri, "--no-tracking"]) == 0
    trials = pd.read_parquet(out / "trials.parquet")
    truth: dict[str, Any] = json.loads((out / "run.json").read_text(encoding="utf-8"))
    assert truth["status"] == "finished"
    ab = trials[trials["policy"] == "ab"]
    # The population is these rows, so that what shipping the nearer one changes is the difference of the scores.
    np.testing.assert_allclose(ab["best_effect"], 1 - mae[1] / mae[0], rtol=1e-3)
    assert "Over 2 d it saves +" in (out / "report.md").read_text(encoding="utf-8")
    assert (ab["verdict"] == "ship").mean() > 0.9


WRONG = {
    "more of an error": (
        "absolute_error, direction: decrease", "absolute_error",
        "must be decrease, as less of absolute_error is better; got increase",
    ),
    "misspelt rule": (
        "absolute_error, direction", "absolut_error, direction",
        "must be one of correct, absolute_error, squared_error; got 'absolut_error'; did you mean 'absolute_error'?",
    ),
    "misspelt key": ("within: 0.5", "withn: 0.5", "unknown key 'withn'; did you mean 'within'?"),
    "no distance": ("within: 0.5", "within: 0", "must be above 0; got 0"),
    "a number": ("reward: {within: 0.5}", "reward: 3", "must be one of correct, absolute_error, squared_error; got 3"),
    "none": (", reward: squared_error", "", "is required for every outcome where models are replayed"),
    "target of texts": (
        "target: amount", "target: city", "right answers must be numbers; column 'city' of rows.csv holds object",
    ),
    "rule of labels": (
        "reward: absolute_error, direction: decrease", "reward: correct",
        "where it predicts a number, take one of absolute_error, squared_error, {within: …}",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_an_error_is_refused_in_words(
    case: str, scenario: Path, uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new, said = WRONG[case]
    file, out = change(scenario, old, new), scenario.parent / "out"
    capsys.readouterr()
    assert main(["run", str(file), "--out", str(out), "--quiet", "--tracking-uri", uri, "--no-tracking"]) == 2
    assert said in capsys.readouterr().err
    assert not out.exists()


def test_a_failure_that_would_be_the_best_estimate_is_warned_of(
    scenario: Path, uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    failing = "timeline:\n  - {kind: errors, arm: champion, at: 1d, duration: 6h, rate: 20%}\n"
    file = change(scenario, "policies:\n", failing + "policies:\n")
    capsys.readouterr()
    words = ["--out", str(file.parent / "out"), "--quiet", "--tracking-uri", uri, "--no-tracking"]
    assert main(["run", str(file), *words]) == 0
    said = capsys.readouterr()
    assert "a failed request counts as 0, which is better than what champion, challenger serves" in said.out + said.err
