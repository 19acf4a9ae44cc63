"""Whose models run: those of a store that was named, or that this user's own `sim` made."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from sim import workflow
from sim.cli import main
from sim.errors import InputError

REAL = """\
name: real
question: Is it?
seed: 3
replications: 5
horizon: 6h
tick: 1h
traffic: {rate: 60/h}
models:
  - {arm: champion, uri: "models:/digits@champion"}
  - {arm: challenger, uri: "models:/digits@challenger"}
data: {sklearn: digits}
metrics:
  - {name: accuracy, role: primary, reward: correct}
policies:
  - {name: hold, kind: hold}
"""
RUNS = {
    "run": ["run", "real.yaml", "--quiet", "--no-tracking"],
    "trace": ["trace", "real.yaml", "--policy", "hold", "--replication", "0", "--until", "10m"],
    "measure": ["models", "measure", "models:/digits@champion", "--data", "digits", "--calls", "20"],
    "demo": ["models", "demo"],
}


@pytest.fixture
def got(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that somebody else made: a store with real models, and a scenario. It is the current folder."""
    folder = tmp_path / "got"
    folder.mkdir()
    shutil.copyfile(store.removeprefix("sqlite:///"), folder / "mlflow.db")
    (folder / "real.yaml").write_text(REAL)
    monkeypatch.chdir(folder)
    return folder


def refused(said: str) -> bool:
    return "runs code" in said and "nobody named the store" in said and "--registry-uri sqlite:///mlflow.db" in said


@pytest.mark.parametrize("verb", RUNS)
def test_a_folders_own_store_runs_no_code(
    verb: str, got: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("mlflow.pyfunc.load_model", lambda *given, **named: pytest.fail("loaded"))
    assert main(RUNS[verb]) == 2
    said = capsys.readouterr().err
    assert refused(said)
    assert "nothing was changed" in said
    assert sorted(entry.name for entry in got.iterdir()) == ["mlflow.db", "real.yaml"]


def test_a_program_is_refused_too(got: Path) -> None:
    for play in (workflow.rehearse, workflow.run_scenario, workflow.plan_scenario):
        with pytest.raises(InputError, match="nobody named the store"):
            play("real.yaml")


def test_each_refusal_is_at_the_line_of_its_model(got: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(RUNS["run"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in said[:2]] == ["real.yaml:9:26", "real.yaml:10:28"]


def test_naming_the_store_runs_them_and_vouches_for_nothing_later(
    got: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*RUNS["run"], "--registry-uri", "sqlite:///mlflow.db"]) == 0
    # Their answers are known now, and it makes no difference.
    assert main(RUNS["run"]) == 2
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    assert main(RUNS["run"]) == 0


def test_a_store_that_this_user_made_runs_its_models_and_a_copy_of_it_does_not(
    store: str, got: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = got / "mlflow.db"
    theirs = tmp_path / "theirs.db"
    file.rename(theirs)
    assert main(["models", "register", "checkout"]) == 0
    # Real models are put into it as MLflow would do it: by writing into the file that was made.
    with sqlite3.connect(theirs) as source, sqlite3.connect(file) as mine:
        (name,) = mine.execute("SELECT name FROM rollout_sim").fetchone()
        source.backup(mine)
        mine.execute("UPDATE rollout_sim SET name = ?", (name,))
    assert main(RUNS["run"]) == 0
    # Another file at the same place, though it carries the same name: as a clone of one's repository does.
    shutil.copyfile(file, got / "copy.db")
    os.replace(got / "copy.db", file)
    assert main(RUNS["run"]) == 2
    assert refused(capsys.readouterr().err)
    # A store with another name in the same file: as one that is copied over it.
    shutil.copyfile(theirs, file)
    assert main(RUNS["run"]) == 2


def test_behaviour_models_of_any_store_are_read(got: Path, small: Path) -> None:
    assert main(["run", str(small), "--quiet", "--no-tracking"]) == 0


def test_where_nothing_can_be_noted_the_message_says_so(
    got: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(file))
    assert main(["models", "measure", "models:/digits@champion", "--data", "digits"]) == 2
    assert "set XDG_STATE_HOME" in capsys.readouterr().err


def test_a_folder_of_notes_that_others_can_write_to_is_not_believed(
    got: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    notes = tmp_path / "rollout-sim"
    (tmp_path / "elsewhere").mkdir()
    notes.symlink_to(tmp_path / "elsewhere")
    assert main(RUNS["measure"]) == 2
    assert f"{notes} must be a folder that only you can write to" in capsys.readouterr().err
    notes.unlink()
    notes.mkdir()
    notes.chmod(0o777)
    assert main(RUNS["measure"]) == 2
    assert f"{notes} must be a folder that only you can write to" in capsys.readouterr().err


def test_the_help_of_every_verb_that_runs_models_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    for verb in (["run"], ["trace"], ["models", "measure"], ["models", "demo"]):
        with pytest.raises(SystemExit):
            main([*verb, "--help"])
        assert "if your own sim made it there" in capsys.readouterr().out


def test_a_run_is_not_played_for_a_store_that_cannot_be(
    store: str, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reports = tmp_path / "reports"
    arguments = ["run", str(small), "--registry-uri", store, "--tracking-uri", "sqlite://", "--reports", str(reports)]
    assert main(arguments) == 2
    assert "tracking_uri: must name a file" in capsys.readouterr().err
    assert not reports.exists()
