"""A client of MLflow that knows whether the models of its registry may run code here."""

from __future__ import annotations

from mlflow import MlflowClient


class StoreClient(MlflowClient):
    """An MLflow client. `doubt` is why nobody vouches for the models of its registry; empty where somebody does."""

    doubt: str = ""
