"""One temporary SQLite registry for all these tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from sim.registry.demo import MODEL, demo
from sim.registry.publish import Registered
from sim.registry.store import client


@pytest.fixture(scope="session")
def registry(demo_store: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory) -> MlflowClient:
    """A registry with the demo's models; tests use model names of their own."""
    folder: Path = tmp_path_factory.mktemp("registry with space")
    return client(demo_store(folder / "mlflow.db"))


@pytest.fixture(scope="session")
def digits(registry: MlflowClient) -> list[Registered]:
    """The demo's readers of digits."""
    return [done for done in demo(registry) if done.name == MODEL]
