"""One temporary SQLite store for all these tests; folders differ in their digests."""

from __future__ import annotations

import pytest
from mlflow import MlflowClient

from sim.registry.store import client


@pytest.fixture(scope="session")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The store's URI."""
    return f"sqlite:///{tmp_path_factory.mktemp('tracking with space') / 'mlflow.db'}"


@pytest.fixture(scope="session")
def mlflow(uri: str) -> MlflowClient:
    """A client of the store."""
    return client(uri)
