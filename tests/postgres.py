"""A PostgreSQL that the tests start, where its programs and a driver are there."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

DRIVERS = ("psycopg", "psycopg2")


def _programs() -> Path | None:
    """The folder of PostgreSQL's server programs."""
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return installed[-1].parent if installed else None


@pytest.fixture(scope="session")
def driver() -> str:
    """An installed driver of PostgreSQL."""
    for name in DRIVERS:
        if importlib.util.find_spec(name):
            return name
    pytest.skip(f"needs a driver of PostgreSQL: {' or '.join(DRIVERS)}")


@pytest.fixture(scope="session")
def postgresql(driver: str) -> Iterator[Callable[[str], str]]:
    """Makes a fresh database for a name, and returns its URI, with a password, which is not asked for.

    The server is the tests' own, in a folder that also has its socket; it does not listen on the network.
    """
    found = _programs()
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

    def database(name: str) -> str:
        from sqlalchemy import create_engine, text

        base = f"postgresql+{driver}://ann:hunter2@/{{}}?host={folder}"
        fresh = f"test{zlib.crc32(name.encode())}"
        engine = create_engine(base.format("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {fresh}"))
        engine.dispose()
        return base.format(fresh)

    run("initdb", "-D", data, "-U", "ann", "--auth=trust", "--no-sync")
    run("pg_ctl", "-D", data, "-l", log, "-w", "-o", f"-k {folder} -c listen_addresses='' -c fsync=off", "start")
    yield database
    run("pg_ctl", "-D", data, "-m", "immediate", "stop")
    shutil.rmtree(folder)
