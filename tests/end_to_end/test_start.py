"""How a run starts: MLflow is loaded once, beside it; what other processes load is the program, whatever lies in the folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sim.errors import InputError, TrackingError
from sim.registry.store import registry
from sim.registry.versions import resolve
from sim.report.beside import drawings
from sim.tracking.child import Child
from sim.tracking.lookup import Drawing
from tests.end_to_end.conftest import ROOT, SMALL
from tests.end_to_end.test_command_line import DIGITS

pytestmark = pytest.mark.drawn

ARMS = ("champion", "challenger")
BEHAVIOURS = [(arm, f"models:/checkout-ranker@{arm}") for arm in ARMS]
# As the installed `sim` does: the current folder is none of the places where modules are looked for.
COMMAND = """
import sys
sys.path.remove("")
from sim.cli import main
if __name__ == "__main__":
    code = main(sys.argv[1:])
    print("loaded", *(name for name in ("mlflow", "sqlalchemy", "scipy.stats") if name in sys.modules), file=sys.stderr)
    sys.exit(code)
"""


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, in a folder."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments], cwd=folder, capture_output=True, text=True, env=environment, check=False
    )


@pytest.fixture(scope="module")
def child(store: str) -> Iterator[Child]:
    with Child(store) as child:
        yield child


def test_the_process_that_logs_finds_the_versions_that_this_one_finds(store: str, child: Child) -> None:
    found = child.versions(BEHAVIOURS, store, None)
    assert found == resolve(BEHAVIOURS, registry(store))
    assert found is not None
    # Tags are left out of the comparison.
    assert [version.tags for version in found] == [version.tags for version in resolve(BEHAVIOURS, registry(store))]


def test_it_says_what_is_wrong_with_them_as_this_one_does(store: str, child: Child) -> None:
    wrong = [("champion", "models:/checkout-ranker@nobody"), ("challenger", "models:/checkout-ranke@champion")]
    with pytest.raises(InputError) as here:
        resolve(wrong, registry(store))
    with pytest.raises(InputError) as there:
        child.versions(wrong, store, None)
    assert there.value.problems == here.value.problems
    assert len(here.value.problems) == 2
    # It goes on afterwards.
    assert child.versions(BEHAVIOURS, store, None) is not None


def test_real_versions_are_for_this_process(store: str, child: Child) -> None:
    assert child.versions([("champion", "models:/digits@champion")], store, None) is None


def test_a_store_that_is_none_is_told(child: Child, tmp_path: Path) -> None:
    (tmp_path / "no.db").write_text("nothing of the kind, but long enough for a header " * 10)
    with pytest.raises(TrackingError, match="cannot be used"):
        child.versions(BEHAVIOURS, f"sqlite:///{tmp_path / 'no.db'}", None)


def test_a_process_that_is_gone_leaves_it_to_this_one(store: str) -> None:
    with Child(store) as child:
        child.start()
        assert child._process is not None
        child._process.kill()
        assert child.versions(BEHAVIOURS, store, None) is None


def test_it_draws_the_same_bytes(store: str, small: Path, tmp_path: Path, child: Child) -> None:
    done = command(tmp_path, "run", str(small), "--tracking-uri", store, "--no-tracking", "--out", "run", "--quiet")
    assert done.returncode == 0
    run = tmp_path / "run"
    drawing = Drawing(child, run, run)
    drawing.begin()
    sections, picture = drawings(run, run)
    assert drawing.picture() == picture == (run / "policies.png").read_bytes()
    assert drawing.sections() == tuple(sections)
    assert all(section in (run / "report.html").read_text() for section in sections)


def test_what_it_cannot_draw_is_left_to_this_process(tmp_path: Path, child: Child, store: str) -> None:
    drawing = Drawing(child, tmp_path, tmp_path)
    drawing.begin()
    assert drawing.sections() is None
    assert drawing.picture() is None
    # What was drawn and not asked for is no answer to what is asked later.
    child.draw(tmp_path, tmp_path)
    with pytest.raises(InputError, match="nowhere: no such folder"):
        child.log("nowhere", timeout_s=30)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_run_of_behaviour_models_loads_no_mlflow_and_says_what_it_reads_first(
    store: str, small: Path, tmp_path: Path, workers: str
) -> None:
    # Names of libraries that other processes load as well.
    for name in ("numpy.py", "json.py", "mlflow.py", "multiprocessing.py"):
        (tmp_path / name).write_text("raise SystemExit('code of the folder was run')\n")
    done = command(tmp_path, "run", str(small), "--tracking-uri", store, "--workers", workers, "--yes")
    assert done.returncode == 0, done.stderr
    said = done.stderr.splitlines()
    assert said[0] == f"{small}: reading the scenario and its model versions"
    assert said[-1] == "loaded"
    assert "code of the folder" not in done.stderr
    (folder,) = (tmp_path / "reports").glob("small-*")
    assert json.loads((folder / "run.json").read_text())["status"] == "finished"
    assert f"mlflow: {store} run " in done.stdout
    written = {name: (folder / name).read_bytes() for name in ("report.html", "policies.png", "report.md")}
    # One process alone writes the same.
    assert command(tmp_path, "report", str(folder)).returncode == 0
    assert {name: (folder / name).read_bytes() for name in written} == written


def test_a_run_of_real_models_runs_their_code_here(store: str, tmp_path: Path) -> None:
    file = tmp_path / "digits.yaml"
    file.write_text(DIGITS.replace("DATA", "{sklearn: digits}"))
    done = command(tmp_path, "run", str(file), "--tracking-uri", store, "--no-tracking", "--quiet")
    assert done.returncode == 0, done.stderr
    assert "mlflow" in done.stderr.splitlines()[-1].split()


def test_problems_of_versions_stand_at_their_lines(store: str, tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(SMALL.replace("@challenger", "@challengr"))
    done = command(tmp_path, "run", str(file), "--tracking-uri", store, "--quiet")
    assert done.returncode == 2
    line = 1 + SMALL.splitlines().index('  - {arm: challenger, uri: "models:/checkout-ranker@challenger"}')
    assert f"{file}:{line}:" in done.stderr
    assert "did you mean 'challenger'?" in done.stderr
    assert not (tmp_path / "reports").exists()


def test_names_of_examples_are_found_without_the_schema() -> None:
    """`sim completion` is run by every shell that starts."""
    script = (
        "import sys; from sim.cli import main; main(sys.argv[1:]); "
        "sys.exit([name for name in ('numpy', 'sim.scenario.schema', 'sim.engine.catalogue') if name in sys.modules] or 0)"
    )
    for words in (["completion", "bash"], ["init", "--list"]):
        done = subprocess.run([sys.executable, "-c", script, *words], cwd=ROOT, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


SCRIPT = """
import sys
print("the script runs", flush=True)
from sim import run_scenario
outcome = run_scenario(sys.argv[1], tracking_uri=sys.argv[2], log=False)
print(outcome.exit_code)
"""


def test_a_script_without_its_guard_is_run_once_where_one_process_plays(store: str, tmp_path: Path) -> None:
    large = SMALL.replace("replications: 40", "replications: 1000").replace("tick: 30m", "tick: 30s")
    hold = large[: large.index("  - {name: ab")].replace("policies:\n", "sensitivity: off\naa: false\npolicies:\n")
    (tmp_path / "large.yaml").write_text(hold)
    (tmp_path / "script.py").write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "script.py", "large.yaml", store]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stdout.splitlines()) == (0, ["the script runs", "0"]), done.stderr
