"""Fresh SQLite stores from a copy: MLflow's migrations take a second for each, and are played once by each test process."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Fill = Callable[[Path, Path], None]


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Fill:
    """Stands for `fresh._fill`: the same tables and rows, but for where an experiment has its artifacts."""
    from sim.registry import fresh

    folder = tmp_path_factory.mktemp("filled")
    original, template = fresh._fill, folder / "mlflow.db"

    def fill(new: Path, artifacts: Path) -> None:
        if not template.exists():
            original(template, folder / "mlartifacts")
        shutil.copyfile(template, new)
        with contextlib.closing(sqlite3.connect(new)) as connection, connection:
            there = (folder / "mlartifacts").as_uri()
            changed = connection.execute(
                "UPDATE experiments SET artifact_location = replace(artifact_location, ?, ?)", (there, artifacts.as_uri())
            )
            assert changed.rowcount == 1

    return fill


@pytest.fixture(autouse=True, scope="module")
def stores_from_a_copy(request: pytest.FixtureRequest, filled: Fill) -> Iterator[None]:
    """All stores that are made in this process, but in the tests of how they are made."""
    if "registry" in request.path.parts:
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sim.registry.fresh._fill", filled)
        yield
