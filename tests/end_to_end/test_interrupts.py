"""Ctrl-C at chosen moments: whatever becomes of it on its way up, the command ends with one line and 130."""

from __future__ import annotations

import gc
import importlib
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sim.cli import main
from tests.end_to_end.conftest import ROOT, SMALL
from tests.end_to_end.test_command_line import DIGITS

SWEPT = SMALL + "sweep: {traffic.rate: [1/s, 2/s]}\n"


@pytest.fixture(autouse=True)
def python_handles_signals() -> Iterator[None]:
    """What runs the tests may ignore interrupts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def interrupted_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """Has the named function send an interrupt when it is called for the first time; answers with a list of what was called."""

    def prepare(name: str) -> list[str]:
        module, _, function = name.rpartition(".")
        found = importlib.import_module(module)
        original = getattr(found, function)
        called: list[str] = []

        def interrupting(*given: Any, **named: Any) -> Any:
            if not called:
                called.append(name)
                signal.raise_signal(signal.SIGINT)
            return original(*given, **named)

        monkeypatch.setattr(found, function, interrupting)
        return called

    return prepare


def ended_at_once(capsys: pytest.CaptureFixture[str], code: int) -> None:
    said = capsys.readouterr()
    assert (code, said.err.splitlines()[-1:]) == (130, ["sim: interrupted"])
    assert "Traceback" not in said.err
    assert "Error" not in said.err


@pytest.mark.parametrize(
    "moment",
    [
        "sim.scenario.reading.document_of",
        "sim.scenario.reading.opened",
        "sim.scenario.reading.check",
        "sim.scenario.sweep.check",
        "sim.run.unplayed.check",
        "sim.registry.store.client",
        "sim.run.plan.resolve",
        "sim.run.plan.build_world",
        "sim.run.plan.choose",
        # Within pydantic's own code, which makes another error of what is raised here.
        "sim.units._reads_as",
        "sim.report.progress.lines",
    ],
)
def test_while_a_run_prepares(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], interrupted_at: Callable[[str], list[str]], moment: str
) -> None:
    file = tmp_path / "swept.yaml"
    file.write_text(SWEPT)
    called = interrupted_at(moment)
    code = main(["run", str(file), "--reports", str(tmp_path / "reports"), "--tracking-uri", store, "--quiet"])
    assert called
    ended_at_once(capsys, code)
    assert not (tmp_path / "reports").exists()


@pytest.mark.parametrize(
    "moment",
    ["sim.registry.data.load_data", "sim.registry.replay._answers", "sim.registry.replay.load", "sim.registry.replay.predict"],
)
def test_while_models_are_scored(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], interrupted_at: Callable[[str], list[str]], moment: str
) -> None:
    file = tmp_path / "digits.yaml"
    file.write_text(DIGITS.replace("DATA", "{sklearn: digits}"))
    called = interrupted_at(moment)
    code = main(["run", str(file), "--reports", str(tmp_path / "reports"), "--tracking-uri", store, "--quiet"])
    assert called
    ended_at_once(capsys, code)


@pytest.mark.parametrize("moment", ["sim.scenario.reading.check", "sim.units._reads_as", "sim.run.unplayed.resolve"])
def test_while_a_scenario_is_checked(
    store: str, small: Path, capsys: pytest.CaptureFixture[str], interrupted_at: Callable[[str], list[str]], moment: str
) -> None:
    called = interrupted_at(moment)
    code = main(["check", str(small), "--registry-uri", store])
    assert called
    ended_at_once(capsys, code)


@pytest.mark.parametrize(
    "moment", ["sim.scenario.loading.parse_yaml", "sim.registry.register.published", "sim.registry.publish.experiment"]
)
def test_while_models_are_registered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], interrupted_at: Callable[[str], list[str]], moment: str
) -> None:
    called = interrupted_at(moment)
    file = ROOT / "scenarios" / "models" / "offers.yaml"
    code = main(["models", "register", str(file), "--tracking-uri", f"sqlite:///{tmp_path / 'mlflow.db'}"])
    assert called
    ended_at_once(capsys, code)


def test_while_a_model_is_measured(
    store: str, capsys: pytest.CaptureFixture[str], interrupted_at: Callable[[str], list[str]]
) -> None:
    called = interrupted_at("sim.registry.measure._timed")
    code = main(["models", "measure", "models:/digits@champion", "--data", "digits", "--tracking-uri", store])
    assert called
    ended_at_once(capsys, code)


def test_while_a_run_is_logged_its_results_are_shown(
    store: str, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], interrupted_at: Callable[[str], list[str]]
) -> None:
    called = interrupted_at("sim.tracking.track.write_marker")
    code = main(["run", str(small), "--reports", str(tmp_path / "reports"), "--tracking-uri", store, "--display", "plain"])
    said = capsys.readouterr()
    assert called
    assert code == 130
    assert "canary" in said.out
    assert "report: " in said.out
    assert "results are saved, but not logged: interrupted; to go on: the same command again, or sim track" in said.err


def test_one_that_python_swallows_ends_the_run_before_anything_is_played(
    store: str, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is raised while an object is thrown away is printed by Python, and nothing else."""
    from sim.run import plan

    class Signalling:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    original = plan.resolve

    def resolve(*given: Any, **named: Any) -> Any:
        Signalling()
        gc.collect()
        return original(*given, **named)

    monkeypatch.setattr(plan, "resolve", resolve)
    code = main(["run", str(small), "--reports", str(tmp_path / "reports"), "--tracking-uri", store, "--quiet"])
    said = capsys.readouterr()
    assert (code, said.err) == (130, "sim: interrupted\n")
    assert not (tmp_path / "reports").exists()


def test_handlers_and_hooks_are_as_they_were(small: Path) -> None:
    import sys

    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM), sys.unraisablehook
    assert main(["check", str(small)]) == 0
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM), sys.unraisablehook) == before


def test_a_command_that_was_told_to_ignore_interrupts_does(small: Path, interrupted_at: Callable[[str], list[str]]) -> None:
    """As a shell tells what it starts in the background."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    called = interrupted_at("sim.scenario.reading.check")
    assert main(["check", str(small), "--quiet"]) == 0
    assert called


AS_IT_LOADS = """
import sys
from importlib.abc import MetaPathFinder

class Interrupted(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == sys.argv[1]:
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupted())
from sim.__main__ import main
raise SystemExit(main())
"""


@pytest.mark.parametrize("module", ["sim.cli", "sim.errors", "sim.cli.run", "sim.workflow", "pydantic"])
def test_an_interrupt_while_the_program_loads_ends_it_as_any_other(module: str) -> None:
    ended = subprocess.run([sys.executable, "-c", AS_IT_LOADS, module], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "sim: interrupted\n")


KILLED_AS_IT_LOADS = AS_IT_LOADS.replace("raise KeyboardInterrupt", "__import__('os').kill(__import__('os').getpid(), 2)")


@pytest.mark.parametrize("module", ["sim.cli", "sim.errors", "sim.cli.recommend", "sim.workflow"])
def test_a_signal_while_the_program_loads_ends_it_as_any_other(module: str) -> None:
    """Before any module of ours but the entry point is there, a signal meets no handler of `sim.cli` yet."""
    ended = subprocess.run([sys.executable, "-c", KILLED_AS_IT_LOADS, module], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "sim: interrupted\n")


def test_the_entry_point_loads_nothing_of_ours_first() -> None:
    code = "import sys, sim.__main__; print(*sorted(name for name in sys.modules if name.partition('.')[0] == 'sim'))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == ["sim", "sim.__main__"]
