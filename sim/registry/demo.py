"""Three real versions of a classifier of digits: plain, truly better, and better on paper only."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sim.registry.behaviour import digest_of
from sim.registry.data import Data, DataSpec, digest_frame, load_data, training_part
from sim.registry.measure import measure
from sim.registry.profile import LATENCY
from sim.registry.publish import DIGEST, KIND, Publication, Registered, point, publish, published
from sim.registry.store import reaching

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.models import Model

MODEL = "digits"
DATA = DataSpec(sklearn="digits")
TRAINING_DIGEST = "sim.training_data_digest"
TRAINING_ROWS = "sim.training_rows"
CREATED = "sim.created"
OFFLINE = "sim.offline_score"
LIVE = "sim.live_score"

_FOLDS = 4


@dataclass(frozen=True)
class Recipe:
    """How a version is trained: an estimator, its settings, and the slice of the training rows it sees."""

    alias: str
    estimator: str
    settings: dict[str, Any]
    description: str
    first: int | None = None
    below: int = 10

    def slice_of(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows that the version is trained and evaluated on."""
        return frame[frame["target"] < self.below].iloc[: self.first]


RECIPES = (
    Recipe(
        "champion",
        "LogisticRegression",
        {"C": 1e-3, "max_iter": 1000},
        "Logistic regression on the first 400 images: plain, and the same offline as live.",
        first=400,
    ),
    Recipe(
        "challenger",
        "SVC",
        {"C": 10.0, "gamma": 1e-3},
        "Support vector machine on all training images: truly better.",
    ),
    Recipe(
        "biased",
        "SVC",
        {"C": 10.0, "gamma": 1e-3},
        "The challenger's machine, but trained and evaluated on images of 0 to 7 only, as if 8 and 9 had "
        "been lost in collection: the best score offline, the worst on live traffic, which has them.",
        below=8,
    ),
)


def demo(client: MlflowClient) -> list[Registered]:
    """Register the versions of model `digits` with aliases champion, challenger and biased, and measure them.

    All versions are trained on the part of the data that is not replayed. The tags of a version give the digest and
    number of training rows, the time of training, the offline score (accuracy on a quarter of the version's own
    slice, unseen in training) and the live score (accuracy on the held-out rows, which traffic is replayed from). A
    version of the same recipe and data is not registered again. Raises `TrackingError` if the store cannot be reached.
    """
    training, live = training_part(DATA), load_data(DATA)
    known = published(client, MODEL)
    done = []
    for recipe in RECIPES:
        rows = recipe.slice_of(training.frame)
        digest = digest_of([recipe.estimator, recipe.settings, recipe.first, recipe.below, digest_frame(rows)])
        created = digest not in known
        version = publish(client, MODEL, _train(recipe, rows, live, digest)) if created else known[digest][0]
        registered = Registered(MODEL, version, recipe.alias, digest, created)
        with reaching(client):
            measured = LATENCY in client.get_model_version(MODEL, version).tags
        if not measured:
            measure(registered.uri, client, data=live)
        point(client, MODEL, recipe.alias, version)
        done.append(registered)
    return done


def _train(recipe: Recipe, rows: pd.DataFrame, live: Data, digest: str) -> Publication:
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import SVC

    order = np.random.default_rng(0).permutation(len(rows))
    unseen, seen = rows.iloc[order[: len(rows) // _FOLDS]], rows.iloc[order[len(rows) // _FOLDS :]]
    estimator = {"LogisticRegression": LogisticRegression, "SVC": SVC}[recipe.estimator](**recipe.settings)
    estimator.fit(seen.drop(columns="target"), seen["target"])
    offline = float(estimator.score(unseen.drop(columns="target"), unseen["target"]))
    on_live = float(estimator.score(live.features, live.target))
    return Publication(
        save=_saver(estimator, seen.drop(columns="target")),
        tags={
            KIND: "replay",
            DIGEST: digest,
            TRAINING_DIGEST: digest_frame(seen),
            TRAINING_ROWS: str(len(seen)),
            CREATED: dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            OFFLINE: f"{offline:.4f}",
            LIVE: f"{on_live:.4f}",
        },
        description=recipe.description,
        params={"estimator": recipe.estimator, "training_rows": len(seen), **recipe.settings},
        metrics={"offline_score": offline, "live_score": on_live},
    )


def _saver(estimator: Any, features: pd.DataFrame) -> Callable[[str, Model], None]:
    def save(path: str, model: Model) -> None:
        import mlflow.sklearn
        import sklearn
        from mlflow.models import infer_signature

        mlflow.sklearn.save_model(
            estimator,
            path,
            signature=infer_signature(features, estimator.predict(features)),
            # Without explicit requirements MLflow takes seconds to infer them.
            pip_requirements=[f"mlflow=={mlflow.__version__}", f"scikit-learn=={sklearn.__version__}"],
            mlflow_model=model,
        )

    return save
