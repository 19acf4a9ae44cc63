"""Whether MLflow's own server can be started here: its tests are skipped, with the reason, where it cannot."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

import pytest

from sim.errors import InputError

_LATE = "did not answer within"


def needs_mlflow_server() -> None:
    """Skip the test where `mlflow models serve` has not what it needs."""
    if os.name != "posix":
        pytest.skip("`mlflow models serve` is started on Linux and macOS only")
    if lacking := [name for name in ("fastapi", "uvicorn") if find_spec(name) is None]:
        pytest.skip(f"`mlflow models serve` needs {', '.join(lacking)}, which is not installed")


def unless_late(said: str) -> None:
    """Skip the test where a command says that the server was not up in time: the machine is too slow, or too busy."""
    if _LATE in said:
        pytest.skip("this machine is too busy: MLflow's server was not up in time")


@contextmanager
def starting() -> Iterator[None]:
    """A block in which MLflow's server is started."""
    needs_mlflow_server()
    try:
        yield
    except InputError as error:
        unless_late(str(error))
        raise
