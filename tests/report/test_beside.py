"""The picture and the charts that another process draws: the same bytes, whatever becomes of that process."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sim import workflow
from sim.cli import main
from sim.report import beside

SCENARIO: dict[str, Any] = {
    "name": "small", "horizon": "1d", "tick": "1h", "replications": 20, "traffic": {"rate": "1000/h"}, "aa": False,
    "sensitivity": "off", "models": [{"arm": arm, "uri": f"models:/ranker@{arm}"} for arm in ("champion", "challenger")],
    "metrics": [{"name": "sale", "role": "primary"}],
    "policies": [
        {"name": "ab", "kind": "ab", "evidence": {"kind": "fixed_horizon", "sample": 5000}}, {"name": "hold", "kind": "hold"},
    ],
}  # fmt: skip
MODELS = [{"outcomes": {"sale": {"bernoulli": rate}}, "latency": {"constant": "45ms"}} for rate in (0.05, 0.07)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run folder, with a picture that this process drew."""
    return workflow.run_scenario(SCENARIO, models=MODELS, out=tmp_path / "run", log=False, workers=1).folder


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "pays", lambda run: True)


def test_they_are_the_same_files(folder: Path, always: None, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
    for name in ("policies.png", "report.html"):
        (folder / name).unlink()
    # Neither is drawn here.
    for module, what in ((beside.picture, "picture"), (beside.html, "drawn")):
        monkeypatch.setattr(module, what, lambda source: pytest.fail("drawn in this process"))
    assert main(["report", str(folder)]) == 0
    assert {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()} == before


@pytest.mark.parametrize(
    "command",
    [[sys.executable, "-c", "raise SystemExit(1)"], ["no-such-program"], [sys.executable, "-c", "import time; time.sleep(60)"]],
    ids=["fails", "is not there", "hangs"],
)
def test_where_no_process_draws_it_is_drawn_here(
    folder: Path, always: None, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    before = {name: (folder / name).read_bytes() for name in ("policies.png", "report.html")}
    popen = subprocess.Popen
    monkeypatch.setattr(beside, "LONGEST_S", 1.0)
    monkeypatch.setattr(beside.subprocess, "Popen", lambda given, **named: popen(command, **named))
    assert main(["report", str(folder)]) == 0
    assert {name: (folder / name).read_bytes() for name in before} == before


def test_a_comparison_that_fails_ends_the_process(
    folder: Path, always: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def kept(command: list[str], **named: Any) -> subprocess.Popen[bytes]:
        started.append(popen(command, **named))
        return started[0]

    monkeypatch.setattr(beside.subprocess, "Popen", kept)
    assert main(["report", str(folder), "--baseline", "none"]) == 2
    assert "baseline" in capsys.readouterr().err
    assert started[0].returncode is not None
    assert {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()} == before


def test_an_interrupt_ends_the_process_and_changes_nothing(folder: Path, always: None, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def slow(given: list[str], **named: Any) -> subprocess.Popen[bytes]:
        started.append(popen([sys.executable, "-c", "import time; time.sleep(60)"], **named))
        return started[0]

    def interrupted(*given: Any) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(beside.subprocess, "Popen", slow)
    monkeypatch.setattr("sim.report.markdown.write", interrupted)
    assert main(["report", str(folder)]) == 130
    assert started[0].poll() == -signal.SIGKILL
    assert {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()} == before


def test_it_pays_of_many_trials(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sim.run.record import read_run

    monkeypatch.setattr(beside, "processors", lambda: 2)
    run = read_run(folder)
    assert not beside.pays(run)
    many = run.model_copy(update={"replications": 25_000})
    assert beside.pays(many)
    monkeypatch.setattr(beside, "processors", lambda: 1)
    assert not beside.pays(many)
