"""PostgreSQL: first commands at once, one that was interrupted, one that cannot be reached."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sim.cli import main
from sim.errors import TrackingError
from sim.registry import databases
from sim.registry.store import client

ROOT = Path(__file__).parents[2]


@pytest.fixture
def uri(postgresql: Callable[[str], str], request: pytest.FixtureRequest) -> str:
    """The URI of a fresh database."""
    return postgresql(request.node.name)


@pytest.mark.faults
def test_first_registrations_at_once_wait_for_each_other(uri: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sim", "models", "register", "--tracking-uri", uri]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    started = [
        subprocess.Popen([*command, name], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
        for name in ("checkout", "offers")
    ]
    said = [each.communicate(timeout=240)[1] for each in started]
    assert [each.returncode for each in started] == [0, 0], said
    assert {model.name for model in client(uri).search_registered_models()} == {"checkout-ranker", "offers"}


@pytest.mark.faults
def test_whoever_waits_in_vain_says_for_whom(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databases, "_WAIT_S", 0.5)
    waiting = pytest.raises(TrackingError, match=rf"sim {os.getpid()} on .*, server process [0-9]+")
    with databases._engine(uri) as engine, databases._alone(engine, uri), waiting as caught:
        databases.prepare(uri)
    assert "hunter2" not in str(caught.value)
    # The lock has ended with its connection.
    with databases._engine(uri) as engine, databases._alone(engine, uri):
        pass


@pytest.mark.faults
def test_a_first_command_that_was_interrupted_is_gone_on_with(uri: str) -> None:
    from mlflow.store.tracking.dbmodels.initial_models import Base
    from sqlalchemy import create_engine

    engine = create_engine(uri)
    Base.metadata.create_all(engine)
    engine.dispose()
    assert client(uri).search_registered_models() == []


def test_a_server_that_is_down_is_said_at_once_and_without_password(
    driver: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = f"postgresql+{driver}://ann:hunter2@/mlflow?host={tmp_path}"
    assert main(["models", "register", "checkout", "--tracking-uri", uri]) == 4
    said = capsys.readouterr().err
    assert "cannot be used" in said
    assert "hunter2" not in said
