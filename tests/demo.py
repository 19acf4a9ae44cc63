"""A store with the demo's real models, made once for all processes of a test run: to train and measure them takes long."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sim.locking import take


@pytest.fixture(scope="session")
def demo_store(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], str]:
    """Copies the store to a file, which is the caller's own, and returns its URI. Versions have their files in one place."""
    base = tmp_path_factory.getbasetemp()
    # Under xdist the folder of each process stands in one of the whole run.
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "demo with space"
    shared.mkdir(exist_ok=True)
    made, whole = shared / "mlflow.db", shared / "whole"
    lock = os.open(shared / "lock", os.O_RDWR | os.O_CREAT)
    try:
        give_up = time.monotonic() + 600
        while not take(lock):
            assert time.monotonic() < give_up, "another process makes the demo's models, and does not end"
            time.sleep(0.1)
        if not whole.exists():
            from sim.registry.demo import demo
            from sim.registry.store import client

            made.unlink(missing_ok=True)
            demo(client(f"sqlite:///{made}"))
            whole.touch()
    finally:
        os.close(lock)

    def copied(to: Path) -> str:
        shutil.copyfile(made, to)
        return f"sqlite:///{to}"

    return copied
