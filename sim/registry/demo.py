"""Real versions to start with: three readers of digits (plain, truly better, better on paper only), two of biopsies (alike)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sim.registry import trust
from sim.registry.behaviour import digest_of
from sim.registry.data import Data, DataSpec, digest_frame, load_data, training_part
from sim.registry.measure import measure
from sim.registry.profile import LATENCY
from sim.registry.publish import DIGEST, KIND, Publication, Registered, TrainedOn, point, publish, published
from sim.registry.store import reaching

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.models import Model

MODEL, BIOPSIES = "digits", "biopsies"
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


FEW_ROWS = (
    Recipe(
        "champion",
        "LogisticRegression",
        {"C": 1e-3, "max_iter": 5000},
        "Logistic regression on measurements as they are.",
    ),
    Recipe(
        "challenger",
        "ScaledLogisticRegression",
        {"C": 1.0},
        "Logistic regression on scaled measurements: better on the few rows that are left, but is it?",
    ),
)
SETS = ((MODEL, DATA, RECIPES), (BIOPSIES, DataSpec(sklearn="breast_cancer"), FEW_ROWS))
"""Models, the data that they are trained on and replayed from, and how."""


def demo(client: MlflowClient) -> list[Registered]:
    """Register the versions of `digits` (aliases champion, challenger, biased) and `biopsies` (champion, challenger).

    They are measured, too. All versions are trained on the part of the data that is not replayed. The tags of a version give
    the digest and number of training rows, the time of training, the offline score (accuracy on a quarter of the version's own
    slice, unseen in training) and the live score (accuracy on the held-out rows, which traffic is replayed from). A
    version of the same recipe and data is not registered again. Raises `InputError` where nobody vouches for the store
    (`trust`), and `TrackingError` if it cannot be reached.
    """
    trust.check(client, "", "real models are measured")
    return [done for model, data, recipes in SETS for done in _registered(client, model, data, recipes)]


def _registered(client: MlflowClient, model: str, spec: DataSpec, recipes: Sequence[Recipe]) -> Iterator[Registered]:
    """The versions of one model."""
    training, live = training_part(spec), load_data(spec)
    known = published(client, model)
    for recipe in recipes:
        rows = recipe.slice_of(training.frame)
        digest = digest_of([recipe.estimator, recipe.settings, recipe.first, recipe.below, digest_frame(rows)])
        created = digest not in known
        version = publish(client, model, _train(recipe, rows, live, digest)) if created else known[digest][0]
        registered = Registered(model, version, recipe.alias, digest, created)
        with reaching(client):
            measured = LATENCY in client.get_model_version(model, version).tags
        if not measured:
            measure(registered.uri, client, data=live)
        point(client, model, recipe.alias, version)
        yield registered


def _train(recipe: Recipe, rows: pd.DataFrame, live: Data, digest: str) -> Publication:
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    def scaled(**settings: Any) -> Any:
        return make_pipeline(StandardScaler(), LogisticRegression(**settings))

    order = np.random.default_rng(0).permutation(len(rows))
    unseen, seen = rows.iloc[order[: len(rows) // _FOLDS]], rows.iloc[order[len(rows) // _FOLDS :]]
    made = {"LogisticRegression": LogisticRegression, "ScaledLogisticRegression": scaled, "SVC": SVC}
    estimator = made[recipe.estimator](**recipe.settings)
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
        trained_on=TrainedOn(f"{live.name}, training rows", digest_frame(seen), len(seen)),
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
