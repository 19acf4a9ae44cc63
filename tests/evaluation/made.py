"""Versions of small models of every kind, and files of rows."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import mlflow
import mlflow.pyfunc
import mlflow.sklearn
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.models import infer_signature
from mlflow.pyfunc import PythonModel
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from sim.registry.publish import KIND, Publication, publish

# A process of its own, with another folder, loads these versions too: their classes are in them, as in a notebook's.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

PINNED = [f"mlflow=={mlflow.__version__}"]


def rows(count: int = 120, seed: int = 0) -> pd.DataFrame:
    """Rows with two numbers, a text and gaps; a class `target` and an `amount` that follow from them."""
    draws = np.random.default_rng(seed)
    a, b = draws.normal(size=count), draws.normal(size=count)
    city = draws.choice(["rome", "oslo", "lima"], count)
    score = a + 0.5 * b + (city == "oslo") + draws.normal(scale=0.7, size=count)
    frame = pd.DataFrame({"a": a, "b": b, "city": city})
    frame.loc[draws.random(count) < 0.1, "b"] = np.nan
    return frame.assign(target=np.where(score > 0.3, "yes", "no"), amount=score.round(3))


FEATURES = ["a", "b", "city"]


def pipeline(last: Any) -> Any:
    """A pipeline that takes texts and gaps."""
    columns = make_column_transformer((SimpleImputer(), ["a", "b"]), (OneHotEncoder(), ["city"]))
    return make_pipeline(columns, last)


class Constant(PythonModel):
    """Answers the same to every row; there is no estimator in it."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        return np.array([self._answer] * len(model_input))


def register(client: MlflowClient, name: str, save: Callable[[str, Any], None]) -> str:
    """Publish a version of a real model; its URI."""
    version = publish(client, name, Publication(save=save, tags={KIND: "replay"}))
    return f"models:/{name}/{version}"


def of_sklearn(client: MlflowClient, name: str, estimator: Any, features: pd.DataFrame, *, signature: bool = True) -> str:
    """A version of a fitted scikit-learn estimator."""
    signed = infer_signature(features, estimator.predict(features)) if signature else None

    def save(path: str, model: Any) -> None:
        mlflow.sklearn.save_model(
            estimator, path, signature=signed, mlflow_model=model, pip_requirements=PINNED, serialization_format="cloudpickle"
        )

    return register(client, name, save)


def of_function(client: MlflowClient, name: str, answer: Any, features: pd.DataFrame) -> str:
    """A version that is a Python function only."""
    signed = infer_signature(features, np.array([answer]))

    def save(path: str, model: Any) -> None:
        mlflow.pyfunc.save_model(
            path, python_model=Constant(answer), signature=signed, mlflow_model=model, pip_requirements=PINNED
        )

    return register(client, name, save)


def classifier(client: MlflowClient, name: str, **settings: Any) -> str:
    """A fitted classifier of texts and gaps."""
    train = rows(200, seed=1)
    return of_sklearn(
        client, name, pipeline(LogisticRegression(**settings)).fit(train[FEATURES], train["target"]), train[FEATURES]
    )


def regressor(client: MlflowClient, name: str) -> str:
    """A fitted regression of amounts."""
    train = rows(200, seed=1)
    return of_sklearn(client, name, pipeline(LinearRegression()).fit(train[FEATURES], train["amount"]), train[FEATURES])


def written(folder: Path, frame: pd.DataFrame, name: str = "rows.csv") -> str:
    """A CSV file of rows."""
    frame.to_csv(folder / name, index=False)
    return str(folder / name)
