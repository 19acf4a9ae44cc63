"""Run by test_fresh.py: make a store in a folder, and be killed, interrupted or out of space at a chosen step of it.

Steps are the operations on files in the folder, as Python audits them, and statements of SQL. Each try is a forked child, so
that MLflow is imported once.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow.store.tracking.sqlalchemy_store  # noqa: F401  so that no child has to
from sqlalchemy import Engine, event

from sim.registry import fresh, trust

FILES = ("open", "os.mkdir", "os.link", "os.rename", "os.remove", "os.rmdir", "sqlite3.connect")
SQL = {"killed": (1, 3), "interrupted": (2,), "full": (1,)}
"""At which quarters of all statements, as MLflow takes a second for them."""
CLEANING = ("os.remove", "os.rmdir")


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def interrupted() -> None:
    raise KeyboardInterrupt


def full() -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


ACTS: dict[str, Callable[[], None]] = {"killed": killed, "interrupted": interrupted, "full": full}


def child(file: Path, at: int, act: Callable[[], None], told: int) -> None:
    """Make the store, `act` at a step, and tell the kinds of all steps."""
    steps: list[str] = []

    def step(kind: str) -> None:
        steps.append(kind)
        if len(steps) - 1 == at:
            act()

    def audited(kind: str, arguments: tuple[Any, ...]) -> None:
        if kind in FILES and str(file.parent) in str(arguments[0]):
            step(kind)

    sys.addaudithook(audited)
    event.listen(Engine, "before_cursor_execute", lambda *given: step("sql"))
    raised = ""
    try:
        fresh.prepare(f"sqlite:///{file}", file)
    except BaseException as error:
        raised = f"{type(error).__name__}: {error}"
    os.write(told, json.dumps([steps, raised]).encode())
    os._exit(0)


def attempt(file: Path, at: int, act: Callable[[], None]) -> tuple[list[str], str]:
    """The steps of one try in a child, and what it raised; no steps if it was killed."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        child(file, at, act, writing)
    os.close(writing)
    with os.fdopen(reading) as answer:
        text = answer.read()
    os.wait()
    return tuple(json.loads(text)) if text else ([], "")  # type: ignore[return-value]


def state(file: Path) -> str:
    """What is in the folder: nothing, a whole store that is vouched for, or what is wrong."""
    others = sorted(entry.name for entry in file.parent.iterdir() if entry != file)
    if not file.exists():
        return f"none{' and strays' if others else ''}"
    with sqlite3.connect(file) as connection:
        fine = connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        fine &= len(connection.execute("SELECT version_num FROM alembic_version").fetchall()) == 1
        fine &= connection.execute("SELECT COUNT(*) FROM experiments").fetchone() == (1,)
    if not fine or trust.doubt_of(file):
        return f"spoilt or doubted: {trust.doubt_of(file)}"
    return f"whole{' and strays' if others else ''}"


def main(root: Path) -> None:
    """Print, as JSON, what each try left."""
    (root / "dry").mkdir()
    # What a killed process has written is there without it, and disks may be slow.
    os.fsync = lambda handle: None
    filled = root / "dry" / "mlflow.db"
    with_sql, raised = attempt(filled, -1, killed)
    assert not raised, raised
    of_sql = [at for at, kind in enumerate(with_sql) if kind == "sql"]
    really = fresh._fill

    def copied(new: Path, artifacts: Path) -> None:
        """As `fresh._fill`, without the second that MLflow takes: the steps around it are the same."""
        shutil.copyfile(filled, new)
        with sqlite3.connect(new) as connection:
            connection.execute("DROP TABLE rollout_sim")

    results: list[dict[str, str]] = []
    for name, act in ACTS.items():
        fresh._fill = copied
        (root / name).mkdir()
        steps, raised = attempt(root / name / "mlflow.db", -1, act)
        assert not raised, raised
        tries = [(really, of_sql[len(of_sql) * part // 4], "sql") for part in SQL[name]]
        tries += [(copied, at, kind) for at, kind in enumerate(steps) if name != "full" or kind not in CLEANING]
        for fill, at, kind in tries:
            file = root / name / f"{kind}-{at}" / "mlflow.db"
            file.parent.mkdir()
            fresh._fill = fill
            _, raised = attempt(file, at, act)
            left = state(file)
            # The next command of this user, an hour later: what has no lock yet may have just begun.
            for entry in file.parent.iterdir():
                os.utime(entry, (0, 0))
            fresh._fill = copied
            attempt(file, -1, act)
            results.append({"act": name, "step": kind, "left": left, "raised": raised, "then": state(file)})
    print(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
