"""Workers end when the command that started them is killed, wherever they are, and a closed terminal is an interrupt."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sim.cli import main
from tests.end_to_end.conftest import ROOT, SMALL

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="processes are found in /proc")

# What a run does beside its policies is not what is killed here.
QUICK = "aa: false\nsensitivity: off\n"
# A tick takes the compiled kernel longer than this test waits: nothing but another thread can end the worker.
LONG_TICK = QUICK + (
    SMALL.replace("tick: 30m", "tick: 1d\nengine: compiled").replace("rate: 2/s", "rate: 80/s").replace("bake: 1h", "bake: 1d")
)
WAIT_S = 5.0
# Many short tasks: workers are often waiting for the next one.
SHORT_TASKS = QUICK + SMALL.replace("tick: 30m", "tick: 1s").replace("replications: 40", "replications: 100000")


def descendants(parent: int, *, direct: bool = True) -> set[int]:
    """The processes that a process has started, and those that they have started; without `direct` only the latter."""
    parents: dict[int, int] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(status.parent.name)] = int(after_name[1])
    found = {parent}
    while more := {child for child, of in parents.items() if of in found} - found:
        found |= more
    return {child for child in found - {parent} if direct or parents[child] != parent}


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(what: object, seconds: float) -> bool:
    assert callable(what)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.05)
    return bool(what())


def busy(process: int) -> bool:
    """Whether a process has used a tenth of a second of processor time."""
    try:
        return sum(map(int, Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13])) > 10
    except OSError:
        return False


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URI of a store with the models of the scenario."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('store') / 'mlflow.db'}"
    assert main(["models", "register", "checkout", "--tracking-uri", uri]) == 0
    return uri


@pytest.fixture
def started(request: pytest.FixtureRequest, checkout: str, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], set[int]]]:
    """A run with two workers, both of them at work, and all processes that it has started."""
    file = tmp_path / "long.yaml"
    file.write_text(request.param)
    command = [sys.executable, "-m", "sim", "run", str(file), "--reports", str(tmp_path), "--registry-uri", checkout]
    run = subprocess.Popen(
        [*command, "--no-tracking", "--workers", "2", "--quiet"], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        # Workers are forked by a process that the command started; both that and the one that logs load much before.
        assert until(lambda: sum(map(busy, descendants(run.pid, direct=False))) >= 2 or run.poll() is not None, 180)
        assert run.poll() is None, run.communicate()
        yield run, descendants(run.pid)
    finally:
        for process in (run.pid, *descendants(run.pid)):
            if alive(process):
                os.kill(process, signal.SIGKILL)
        run.communicate()


@pytest.mark.parametrize("started", [LONG_TICK, SHORT_TASKS], ids=["within a kernel", "between tasks"], indirect=True)
def test_workers_end_with_a_parent_that_is_killed(started: tuple[subprocess.Popen[str], set[int]]) -> None:
    run, children = started
    assert len(children) >= 3
    run.kill()
    run.wait()
    assert until(lambda: not any(map(alive, children)), WAIT_S), [child for child in children if alive(child)]


@pytest.mark.parametrize("started", [SHORT_TASKS], ids=["between tasks"], indirect=True)
def test_a_closed_terminal_is_an_interrupt(started: tuple[subprocess.Popen[str], set[int]]) -> None:
    run, children = started
    # A terminal tells all of its processes.
    for process in (run.pid, *children):
        os.kill(process, signal.SIGHUP)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 130
    assert said.splitlines()[-1].startswith("sim: interrupted")
    assert "Traceback" not in said
    assert until(lambda: not any(map(alive, children)), WAIT_S)


MEASURES = {
    "a peer": """
from functools import partial
from sim.bench.measure import Contender, measure
if __name__ == "__main__":
    measure([Contender("long", "long", partial(time.sleep, 100), peer=True)], 1, print)
""",
    "a first call": """
from sim.bench.compiling import _fresh
if __name__ == "__main__":
    waits = "from sim.bench.compiling import _follow_parent; _follow_parent()"
    _fresh([sys.executable, "-c", waits], os.environ)
""",
}


@pytest.mark.parametrize("measured", MEASURES)
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_what_a_benchmark_measures_ends_with_it(tmp_path: Path, measured: str, how: signal.Signals) -> None:
    script = tmp_path / "script.py"
    script.write_text(f"import os, sys, time\n{MEASURES[measured]}")
    command = subprocess.Popen(
        [sys.executable, str(script)], env={**os.environ, "PYTHONPATH": str(ROOT)}, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    children: set[int] = set()
    try:
        # Beside the process of a peer there is one that tidies up.
        assert until(lambda: len(descendants(command.pid)) >= (2 if measured == "a peer" else 1), 60)
        children = descendants(command.pid)
        os.kill(command.pid, how)
        command.wait(30)
        children |= descendants(command.pid)
        assert until(lambda: not any(alive(child) for child in children), 30)
    finally:
        for process in (command.pid, *children):
            if alive(process):
                os.kill(process, signal.SIGKILL)
