"""A finished run that is asked for again is shown, not played; nothing that comes later takes it away."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sim.cli import main
from sim.run.checkpoints import FOLDER as CHECKPOINTS
from sim.run.folder import FILES, SENSITIVITY
from tests.end_to_end.conftest import ROOT, SMALL

TINY = SMALL.replace("replications: 40", "replications: 4").replace("tick: 30m", "tick: 1h")
BREACHED = TINY + "thresholds: {canary.undecided: '> 50%'}\n"

Run = Callable[..., int]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URI of a store that has the versions of the scenario, and nothing else."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('checkout') / 'mlflow.db'}"
    assert main(["models", "register", "checkout", "--tracking-uri", uri]) == 0
    return uri


@pytest.fixture
def command(checkout: str, tmp_path: Path) -> list[str]:
    """Runs the scenario in small.yaml, into reports."""
    (tmp_path / "small.yaml").write_text(TINY)
    stores = ["--tracking-uri", checkout, "--registry-uri", checkout]
    return [
        "run",
        str(tmp_path / "small.yaml"),
        "--reports",
        str(tmp_path / "reports"),
        "--quiet",
        "--display",
        "plain",
        *stores,
    ]


@pytest.fixture
def run(command: list[str]) -> Run:
    return lambda *more: main([*command, *([] if "--track" in more else ["--no-tracking"]), *(set(more) - {"--track"})])


def folder_in(tmp_path: Path) -> Path:
    (folder,) = (each for each in (tmp_path / "reports").iterdir() if not each.name.startswith("."))
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES if (folder / name).exists()}


def outside(command: list[str], **how: object) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "sim", *command, "--no-tracking"],
        env=environment, capture_output="stdout" not in how, text=True, check=False, **how,  # type: ignore[call-overload]
    )  # fmt: skip


def interrupts_at(monkeypatch: pytest.MonkeyPatch, task: int) -> None:
    """Have a run be interrupted before its task of this number."""
    from sim.run.blocks import Player

    played = []
    original = Player.play

    def play(self: Player, which: object) -> object:
        played.append(which)
        if len(played) > task:
            raise KeyboardInterrupt
        return original(self, which)  # type: ignore[arg-type]

    monkeypatch.setattr(Player, "play", play)


def test_a_finished_run_is_shown_and_not_played(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "small.yaml").write_text(BREACHED)
    assert run() == 3
    first, before = capsys.readouterr(), content(folder_in(tmp_path))
    interrupts_at(monkeypatch, 0)
    assert run() == 3, "the exit code is that of the result"
    again = capsys.readouterr()
    assert again.out == first.out
    assert "sim: finished on 2" in again.err
    assert "not played again (--again plays it anew)" in again.err
    assert "another version" not in again.err
    assert content(folder_in(tmp_path)) == before


def test_a_finished_run_that_was_not_logged_is_logged(
    run: Run, checkout: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run() == 0
    assert "mlflow: " not in capsys.readouterr().out
    interrupts_at(monkeypatch, 0)
    assert run("--track") == 0
    logged = capsys.readouterr().out.partition("mlflow: ")[2]
    assert " run " in logged
    assert run("--track") == 0
    assert capsys.readouterr().out.partition("mlflow: ")[2] == logged


def test_again_plays_anew_and_what_was_finished_outlives_an_interrupt(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run() == 0
    folder = folder_in(tmp_path)
    before = content(folder)
    with monkeypatch.context() as patch:
        interrupts_at(patch, 2)
        assert run("--again") == 130
    assert "interrupted; what was played is kept in" in capsys.readouterr().err
    assert content(folder) == before
    assert run() == 0
    assert content(folder) == before
    assert run("--again") == 0
    assert "not played" not in capsys.readouterr().err.splitlines()[-1:]
    after = content(folder)
    assert after["run.json"] != before["run.json"]
    assert after["trials.parquet"] == before["trials.parquet"]
    assert not (folder / CHECKPOINTS).exists()


def test_a_run_of_another_version_says_so(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run() == 0
    monkeypatch.setattr("sim.run.checkpoints.sources", lambda *layers: "of a program that was edited")
    capsys.readouterr()
    assert run() == 0
    assert "another version of sim played this (0.1.0); --again plays it anew with this one" in capsys.readouterr().err


def test_what_is_damaged_is_played_anew_and_a_lost_report_only_written(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run() == 0
    folder = folder_in(tmp_path)
    whole = content(folder)
    (folder / "report.html").unlink()
    (folder / "summary.json").write_text("{")
    assert run() == 0
    assert content(folder) == whole
    (folder / "trials.parquet").write_bytes(whole["trials.parquet"][:-100])
    capsys.readouterr()
    assert run() == 0
    assert f"what is in {folder} cannot be used, and is played anew: {folder / 'trials.parquet'}: is corrupt" in (
        capsys.readouterr().err
    )
    assert content(folder)["trials.parquet"] == whole["trials.parquet"]
    assert content(folder)["run.json"] != whole["run.json"]


@pytest.mark.skipif(os.name == "nt", reason="limits are of POSIX")
def test_a_limit_on_the_size_of_files_is_named_and_harms_nothing(run: Run, command: list[str], tmp_path: Path) -> None:
    assert run() == 0
    folder = folder_in(tmp_path)
    before = content(folder)
    ended = outside([*command, "--again"], preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (9_000, 9_000)))
    assert ended.returncode == 1, ended
    assert f"{folder}" in ended.stderr
    assert (
        "cannot be written: File too large; raise the limit on the size of files (ulimit -f), then run the command"
        in ended.stderr
    )
    assert "Traceback" not in ended.stderr
    assert content(folder) == before
    assert not list(folder.rglob(".sim-*"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_an_output_that_is_full_or_closed_changes_nothing_but_what_is_seen(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(BREACHED)
    with open("/dev/full", "w") as full:
        ended = outside(command, stdout=full, stderr=subprocess.PIPE)
    assert ended.returncode == 3, ended.stderr
    folder = folder_in(tmp_path)
    said = f"sim: standard output cannot be written: No space left on device; the results are in {folder}"
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "Exception" not in ended.stderr
    assert set(content(folder)) == set(FILES) - {SENSITIVITY}
    ended = outside(command, preexec_fn=lambda: os.close(1))
    assert (ended.returncode, ended.stdout) == (3, ""), ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are any bytes on Linux only")
def test_a_folder_whose_name_is_no_text(command: list[str], tmp_path: Path) -> None:
    named = os.path.join(os.fsencode(tmp_path), b"r\xff\x1b[31m")
    place = command.index("--reports") + 1
    ended = outside([*command[:place], os.fsdecode(named), *command[place + 1 :]])
    assert ended.returncode == 0, ended.stderr
    assert "\x1b" not in ended.stdout + ended.stderr
    assert r"report: " in ended.stdout
    assert r"r\udcff\x1b[31m" in ended.stdout
    (folder,) = (each for each in Path(os.fsdecode(named)).iterdir() if not each.name.startswith("."))
    assert set(content(folder)) == set(FILES) - {SENSITIVITY}
    assert main(["report", str(folder), "--display", "none"]) == 0


def test_escape_characters_in_a_name_do_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a\x1b[2J.yaml", "b\u202e.yaml"):
        (tmp_path / name).write_text("name: [")
        assert main(["check", str(tmp_path / name)]) == 2
        assert main(["check", str(tmp_path / f"no-{name}")]) == 2
        assert main(["report", str(tmp_path / name)]) == 2
    said = capsys.readouterr()
    assert not set("\x1b\u202e") & set(said.out + said.err)
    assert r"a\x1b[2J.yaml" in said.err
