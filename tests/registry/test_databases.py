"""PostgreSQL: first commands at once, one that was interrupted, one that cannot be reached."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from sim.cli import main
from sim.errors import TrackingError
from sim.registry import databases
from sim.registry.store import client

ROOT = Path(__file__).parents[2]
DRIVERS = ("psycopg", "psycopg2")


def programs() -> Path | None:
    """The folder of PostgreSQL's server programs."""
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return installed[-1].parent if installed else None


@pytest.fixture(scope="module")
def driver() -> str:
    """An installed driver of PostgreSQL."""
    for name in DRIVERS:
        if importlib.util.find_spec(name):
            return name
    pytest.skip(f"needs a driver of PostgreSQL: {' or '.join(DRIVERS)}")


@pytest.fixture(scope="module")
def server() -> Iterator[Path]:
    """A PostgreSQL of its own, in a folder that also has its socket; it does not listen on the network."""
    found = programs()
    if found is None:
        pytest.skip("needs PostgreSQL's initdb and pg_ctl, as apt-get install postgresql brings")
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    if root and (
        shutil.which("runuser") is None or subprocess.run(["id", "postgres"], capture_output=True, check=False).returncode
    ):
        pytest.skip("needs runuser and a user named postgres, as PostgreSQL does not run as root")
    # The name of a socket may not be long, and the user postgres may not look into pytest's folders.
    folder = Path(tempfile.mkdtemp(prefix="sim-pg-"))
    if root:
        shutil.chown(folder, "postgres")
    before = ["runuser", "-u", "postgres", "--"] if root else []
    data, log = str(folder / "data"), str(folder / "log")

    def run(program: str, *arguments: str) -> None:
        subprocess.run([*before, str(found / program), *arguments], check=True, capture_output=True, cwd=folder, timeout=120)

    run("initdb", "-D", data, "-U", "ann", "--auth=trust", "--no-sync")
    run("pg_ctl", "-D", data, "-l", log, "-w", "-o", f"-k {folder} -c listen_addresses='' -c fsync=off", "start")
    yield folder
    run("pg_ctl", "-D", data, "-m", "immediate", "stop")
    shutil.rmtree(folder)


@pytest.fixture
def uri(server: Path, driver: str, request: pytest.FixtureRequest) -> str:
    """The URI of a fresh database, with a password, which is not asked for."""
    from sqlalchemy import create_engine, text

    base = f"postgresql+{driver}://ann:hunter2@/{{}}?host={server}"
    name = f"test{zlib.crc32(request.node.name.encode())}"
    engine = create_engine(base.format("postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return base.format(name)


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


def test_whoever_waits_in_vain_says_for_whom(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databases, "_WAIT_S", 0.5)
    waiting = pytest.raises(TrackingError, match=rf"sim {os.getpid()} on .*, server process [0-9]+")
    with databases._engine(uri) as engine, databases._alone(engine, uri), waiting as caught:
        databases.prepare(uri)
    assert "hunter2" not in str(caught.value)
    # The lock has ended with its connection.
    with databases._engine(uri) as engine, databases._alone(engine, uri):
        pass


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
