"""What every test needs: no real tracking server, repeatable examples, a browser and a PostgreSQL where there are."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.demo import demo_store as demo_store
from tests.filled import filled as filled
from tests.filled import stores_from_a_copy as stores_from_a_copy
from tests.postgres import driver as driver
from tests.postgres import postgresql as postgresql

# The shell that runs the tests may name a real server, or be inside an MLflow run.
for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
    del os.environ[name]
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MPLBACKEND"] = "Agg"
# Before NumPy is loaded. Threads of OpenBLAS wait by spinning: where several processes of tests share the processors, tiny
# problems of SciPy's optimisers took ten times the processor time for nothing. Commands that tests start inherit it.
for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
# Notes of the stores that tests make are no business of the user's.
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="sim-tests-state-")
atexit.register(shutil.rmtree, os.environ["XDG_STATE_HOME"], ignore_errors=True)

settings.register_profile("sim", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("sim")


@pytest.fixture(autouse=True)
def nothing_named_for_the_next_test() -> Iterator[None]:
    """Fail a test after which MLflow's environment variables name another store than before: all later tests would use it."""
    before = _named()
    yield
    left = _named()
    for name in set(left) - set(before):
        del os.environ[name]
    assert left == before


def _named() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.endswith(("TRACKING_URI", "REGISTRY_URI")) and value}


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a headless-capable Chromium; a test that asks for it is skipped where there is none."""
    for command in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(command):
            return path
    pytest.skip("needs Chromium")
