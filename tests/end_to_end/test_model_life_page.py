"""The page that follows one model from training to undo: all that it says to write and to run, in order, in an empty folder."""

from __future__ import annotations

import contextlib
import getpass
import importlib.util
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sim.cli import main
from sim.errors import EXIT_INPUT, EXIT_MACHINE, EXIT_OK
from tests.logged_here import logged_here as logged_here

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "model-life.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
NAME = re.compile(r"`([\w.]+\.(?:py|yaml))`")


@dataclass(frozen=True)
class Command:
    """A command of the page, and the lines that it is said to print."""

    words: list[str]
    shown: list[str]

    @property
    def code(self) -> int:
        """The exit code that it is said to have: that of wrong input where the page shows a refusal."""
        return EXIT_INPUT if self.shown and self.shown[-1].endswith("nothing was changed") else EXIT_OK

    @property
    def serves(self) -> bool:
        """Whether it starts a server, which a machine that does other work may not be able to measure."""
        return "--serve" in self.words


@dataclass
class Part:
    """What one section of the page tells to write and to run."""

    files: dict[str, str]
    commands: list[Command]


def parts() -> dict[str, Part]:
    """The numbered sections, by number."""
    page = PAGE.read_text(encoding="utf-8").partition("\n## Models that")[0]
    _, *pieces = re.split(r"^## (\d)\. .*$", page, flags=re.MULTILINE)
    pairs = zip(pieces[::2], pieces[1::2], strict=True)
    return {number: Part(dict(files_of(text)), list(commands_of(text))) for number, text in pairs}


def files_of(text: str) -> Iterator[tuple[str, str]]:
    """The files of a section: each is named last before its block."""
    place = 0
    for block in BLOCK.finditer(text):
        if block[1] in ("python", "yaml"):
            yield NAME.findall(text[place : block.start()])[-1], block[2]
        place = block.end()


def commands_of(text: str) -> Iterator[Command]:
    for block in BLOCK.finditer(text):
        if block[1] == "console":
            for piece in re.split(r"^\$ ", block[2], flags=re.MULTILINE)[1:]:
                line, *shown = piece.splitlines()
                yield Command(shlex.split(line), [each for each in shown if each.strip() not in ("", "…")])


def plain(text: str) -> str:
    """The words of a text: who runs it, identifiers, times and figures are another machine's."""
    words = re.sub(rf"\b(root|{re.escape(getpass.getuser())})\b|\b[0-9a-f]{{8,}}\b|\b\d\S*", " ", text)
    return " ".join(re.findall(r"[^\W\d_]{2,}", words))


@dataclass
class Shell:
    """The empty folder, and what was run in it."""

    folder: Path
    played: str = ""

    def run(self, words: list[str]) -> tuple[int, str]:
        """The exit code of a command, and what it prints, on both streams."""
        if words[0] == "python":
            here = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
            command = [sys.executable, *words[1:]]
            ran = subprocess.run(command, cwd=self.folder, env=here, capture_output=True, text=True, timeout=600, check=False)
            return ran.returncode, ran.stdout + ran.stderr
        assert words[0] == "sim"
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = main(words[1:])
        return code, said.getvalue()

    def play_up_to(self, last: str) -> None:
        """Play the sections up to this number that are not played yet: any test may be the first of its process."""
        for number, part in parts().items():
            if self.played < number <= last:
                self.play(part)
                self.played = number

    def play(self, part: Part) -> None:
        """Write the files of a section and run its commands, but for servers: each prints what the page shows."""
        for name, text in part.files.items():
            (self.folder / name).write_text(text, encoding="utf-8")
        for command in part.commands:
            if not command.serves:
                code, said = self.run(command.words)
                assert code == command.code, f"{shlex.join(command.words)}:\n{said}"
                # Other figures break lines at other words.
                words = plain(said)
                assert [line for line in command.shown if plain(line) not in words] == [], said


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """The empty folder, which these tests fill in order."""
    folder = tmp_path_factory.mktemp("empty")
    with pytest.MonkeyPatch.context() as patch:
        # MLflow keeps what it opened by its address while the process lives: a relative one would be other tests' store too.
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        patch.chdir(folder)
        yield Shell(folder)


def test_one_model_is_trained_evaluated_measured_rehearsed_and_promoted(shell: Shell) -> None:
    shell.play_up_to("6")


@pytest.fixture
def xgboost() -> None:
    """Skips a test where XGBoost is not installed."""
    if importlib.util.find_spec("xgboost") is None:
        pytest.skip("xgboost, of the extra `test`, is not installed")


def test_the_next_one_is_by_xgboost_and_is_led_back(shell: Shell, xgboost: None) -> None:
    shell.play_up_to("8")


def measured_behind_its_server(shell: Shell, number: str) -> None:
    shell.play_up_to(number)
    (command,) = [each for each in parts()[number].commands if each.serves]
    code, said = shell.run(command.words)
    if code == EXIT_MACHINE:
        pytest.skip(f"no server can be measured here now: {said.strip()}")
    assert code == EXIT_OK, said
    assert "served at once: " in said


def test_the_forest_is_measured_behind_its_server(shell: Shell) -> None:
    measured_behind_its_server(shell, "4")


def test_the_next_one_is_measured_behind_its_server(shell: Shell, xgboost: None) -> None:
    measured_behind_its_server(shell, "7")
