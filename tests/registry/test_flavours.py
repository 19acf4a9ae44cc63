"""Versions with several outputs, that need what is not here, that print, or of other libraries: scored, or refused in words."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.models import infer_signature
from mlflow.pyfunc import PythonModel

from sim.cli import main
from sim.errors import InputError
from sim.registry.data import DataSpec, load_data
from sim.registry.scoring import load, one_per_row
from sim.registry.versions import Version, resolve
from tests.evaluation.made import PINNED, register, rows, written

NUMBERS = rows(80).dropna()[["a", "b", "target"]].assign(target=lambda frame: (frame["target"] == "yes").astype(int))


class Outputs(PythonModel):
    """Answers as ONNX models do: labels and chances by name."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        print("a model that talks")
        label = (model_input["a"] > 0).astype(int).to_numpy()
        return {"label": label, "probabilities": np.stack([1 - label, label], axis=1)}


NEEDS = """
import os
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

if "HERE" not in os.environ:
    import a_package_that_is_not_here


class Model(PythonModel):
    def predict(self, context, model_input, params=None):
        return [1] * len(model_input)


set_model(Model())
"""


def version_of(client: MlflowClient, uri: str) -> Version:
    (version,) = resolve([("champion", uri)], client, unmeasured=True)
    return version


def test_of_several_outputs_the_one_with_a_value_per_row_is_the_answer(
    registry: MlflowClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    signed = infer_signature(NUMBERS[["a", "b"]])

    def save(path: str, model: Any) -> None:
        mlflow.pyfunc.save_model(path, python_model=Outputs(), signature=signed, mlflow_model=model, pip_requirements=PINNED)

    uri = register(registry, "outputs", save)
    data = written(tmp_path, NUMBERS)
    words = ["models", "evaluate", uri, "--data", data, "--json", "--tracking-uri", registry.tracking_uri]
    capsys.readouterr()
    assert main(words) == 0
    (score,) = json.loads(capsys.readouterr().out)["scores"]
    assert score["estimate"] == ((NUMBERS["a"] > 0) == NUMBERS["target"]).mean()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"p": np.zeros((3, 2)), "q": np.zeros((3, 4))}, "none of its outputs has one: 'p', 'q'"),
        ({"p": np.zeros(3), "q": np.zeros((3, 1))}, "2 of its outputs have one: 'p', 'q'"),
        (pd.DataFrame({"x": [1, 2, 3], "y": [1, 2, 3]}), "2 of its outputs have one: 'x', 'y'"),
        (np.zeros((3, 2)), "got shape (3, 2)"),
    ],
)
def test_outputs_that_leave_it_open_are_named(registry: MlflowClient, answer: Any, message: str) -> None:
    version = Version("a", "models:/m/1", "m", "1", None, None, (), "replay", "", None, {})  # type: ignore[arg-type]
    with pytest.raises(InputError, match="must predict one value per row") as raised:
        one_per_row(version, answer, 3)
    assert message in str(raised.value)


def test_a_version_that_needs_what_is_not_here_says_how_to_install_it(
    registry: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = tmp_path / "needs.py"
    code.write_text(NEEDS)
    wanted = ["a-package-that-is-not-here==1.2", "numpy>=99", *PINNED]

    def save(path: str, model: Any) -> None:
        with monkeypatch.context() as here:
            here.setenv("HERE", "1")
            mlflow.pyfunc.save_model(
                path, python_model=str(code), mlflow_model=model, pip_requirements=wanted,
                signature=infer_signature(NUMBERS[["a", "b"]]),
            )  # fmt: skip

    uri = register(registry, "needs", save)
    with pytest.raises(InputError, match="cannot be loaded") as raised:
        load(version_of(registry, uri), registry)
    assert "`pip install a-package-that-is-not-here==1.2 'numpy>=99'`" in str(raised.value)


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_trees_of_other_libraries_are_fitted_anew_and_compared(
    library: str, registry: MlflowClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    made = importlib.import_module(library)
    flavor = importlib.import_module(f"mlflow.{library}")
    features, target = NUMBERS[["a", "b"]], NUMBERS["target"]
    uris = []
    for trees in (2, 20):
        kind = made.XGBClassifier if library == "xgboost" else made.LGBMClassifier
        estimator = kind(n_estimators=trees, max_depth=2).fit(features, target)
        signed = infer_signature(features, estimator.predict(features))

        def save(path: str, model: Any, estimator: Any = estimator, signed: Any = signed) -> None:
            flavor.save_model(estimator, path, signature=signed, mlflow_model=model, pip_requirements=PINNED)

        uris.append(register(registry, library, save))
    data = written(tmp_path, NUMBERS)
    capsys.readouterr()
    assert main([
        "models", "evaluate", uris[1], "--data", data, "--method", "kfold", "--metric", "accuracy,roc_auc",
        "--against", uris[0], "--json", "--tracking-uri", registry.tracking_uri,
    ]) == 0  # fmt: skip
    found = json.loads(capsys.readouterr().out)
    assert len(found["scores"][0]["folds"]) == 5
    assert all(0 < score["estimate"] <= 1 for score in found["scores"])
    assert load_data(DataSpec(file=data)).rows == found["data"]["rows"]
