"""A fresh SQLite store is there whole or not at all, and one that is half-made is named."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from sim.cli import main
from sim.errors import TrackingError
from sim.registry import fresh
from sim.registry.store import client, prepare

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.faults
def test_whatever_happens_at_any_step_there_is_no_store_or_a_whole_one(tmp_path: Path) -> None:
    """Killed, interrupted and out of space at every operation on files, and at statements of SQL from first to last."""
    command = [sys.executable, str(Path(__file__).with_name("interrupted.py")), str(tmp_path)]
    ran = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=300, check=False
    )
    assert ran.returncode == 0, ran.stderr
    tries = json.loads(ran.stdout)
    allowed = {"killed": {"none", "whole", "none and strays", "whole and strays"}}
    for each in tries:
        assert each["left"] in allowed.get(each["act"], {"none", "whole"}), each
        assert each["then"] == "whole", each
    # The steps are what was meant to be attacked: among them are some before and some after the store has its name.
    counts = Counter((each["act"], each["left"].partition(" ")[0]) for each in tries)
    assert all(counts[act, left] >= 2 for act in ("killed", "interrupted") for left in ("none", "whole")), counts
    assert counts["full", "none"] >= 5
    kinds = {each["step"] for each in tries}
    assert kinds >= {"os.mkdir", "os.link", "open", "os.remove", "os.rmdir", "sqlite3.connect", "sql"}
    assert all("TrackingError" in each["raised"] for each in tries if each["act"] == "full" and each["left"] == "none")


def begun(file: Path, *statements: str) -> None:
    with sqlite3.connect(file) as connection:
        for statement in statements:
            connection.execute(statement)


EXPERIMENTS = "CREATE TABLE experiments (experiment_id INTEGER, name TEXT)"
HALF = {
    "empty": (),
    "some tables": (EXPERIMENTS, "CREATE TABLE registered_models (name TEXT)"),
    "the default experiment": (EXPERIMENTS, "INSERT INTO experiments VALUES (0, 'Default')"),
    "no version": (EXPERIMENTS, "CREATE TABLE alembic_version (version_num TEXT)"),
    "a version on the way": (
        EXPERIMENTS, "CREATE TABLE alembic_version (version_num TEXT)", "INSERT INTO alembic_version VALUES ('451aebb31d03')",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HALF)
def test_a_half_made_store_is_named_and_left_as_it_is(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mlflow.db"
    file.touch()
    begun(file, *HALF[name])
    before = file.read_bytes()
    monkeypatch.chdir(tmp_path)
    assert main(["models", "register", "checkout"]) == 4
    said = capsys.readouterr().err
    assert f"{file} was begun and never finished" in said
    assert "It holds no run and no model: delete it" in said
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


def test_a_store_of_an_earlier_mlflow_that_holds_something_is_to_be_upgraded_by_its_owner(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    begun(file, *HALF["a version on the way"], "CREATE TABLE runs (run_uuid TEXT)", "INSERT INTO runs VALUES ('1')")
    before = file.read_bytes()
    with pytest.raises(TrackingError, match="back it up, then run `mlflow db upgrade`"):
        client(f"sqlite:///{file}")
    assert file.read_bytes() == before


def test_a_database_of_another_program_is_not_written_to(tmp_path: Path) -> None:
    file = tmp_path / "shop.db"
    begun(file, "CREATE TABLE orders (number INTEGER)")
    before = file.read_bytes()
    with pytest.raises(TrackingError, match="of another program, with tables such as orders"):
        client(f"sqlite:///{file}")
    assert file.read_bytes() == before


def test_a_folder_and_a_pipe_are_no_stores(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("folder", "pipe"):
        with pytest.raises(TrackingError, match="is there, and is no file"):
            client(f"sqlite:///{tmp_path / name}")


@pytest.mark.faults
def test_only_what_is_surely_dead_and_ours_is_taken_away(tmp_path: Path) -> None:
    """A folder that another process is at, one that has just begun, and ones that only look alike."""
    names = [f".mlflow.db.{letter * 16}.new" for letter in "abcd"]
    dead, alive, begun_now, link = (tmp_path / name for name in names)
    for folder in (dead, alive, begun_now, tmp_path / ".mlflow.db.other.new", tmp_path / f".x.db.{'a' * 16}.new"):
        folder.mkdir()
        if folder != begun_now:
            (folder / "lock").touch()
            (folder / "mlflow.db").touch()
    link.symlink_to(dead)
    code = (
        "import os, sys; from sim import locking; handle = os.open(sys.argv[1], os.O_RDWR); "
        "assert locking.take(handle); print('locked', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(alive / "lock")], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdout is not None
    assert other.stdout.readline() == b"locked\n"
    fresh._sweep(tmp_path / "mlflow.db")
    assert not dead.exists()
    left = {alive.name, begun_now.name, link.name, ".mlflow.db.other.new", f".x.db.{'a' * 16}.new"}
    assert {entry.name for entry in tmp_path.iterdir()} == left
    other.communicate()
    os.utime(begun_now, (0, 0))
    fresh._sweep(tmp_path / "mlflow.db")
    assert {entry.name for entry in tmp_path.iterdir()} == left - {alive.name, begun_now.name}


@pytest.mark.faults
def test_a_store_that_came_to_be_meanwhile_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without hard links too: what is there is never overwritten."""
    file, new = tmp_path / "mlflow.db", tmp_path / "new"
    for link in (os.link, lambda *given: (_ for _ in ()).throw(PermissionError("no hard links here"))):
        monkeypatch.setattr(os, "link", link)
        new.write_text("new")
        file.write_text("theirs")
        assert not fresh._moved(new, file)
        assert file.read_text() == "theirs"
        file.unlink()
        assert fresh._moved(new, file)
        assert file.read_text() == "new"
        file.unlink()


def test_a_store_where_nothing_can_be_written_says_so_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "mkdir", lambda *given, **named: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    with pytest.raises(TrackingError, match=r"cannot be used: .*Permission denied"):
        prepare(f"sqlite:///{tmp_path / 'mlflow.db'}")
